// Keys of this node that are not the log's: made at the first start, kept in the data folder, readable by its owner
// alone. Refuses to know what they sign.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { exportJWK, generateKeyPair } from 'jose';
import { type SigningKey, signingKey } from '../approval/token.ts';
import { HoldpointError } from '../errors.ts';

/** The Ed25519 key in `path`, made there if the file does not exist. Throws `bad-config` for a file that is not one. */
export async function keyAt(path: string): Promise<SigningKey> {
  const text = read(path) ?? (await make(path));
  try {
    return await signingKey(JSON.parse(text));
  } catch (cause) {
    throw new HoldpointError(
      'bad-config',
      `${path} is not a private Ed25519 key; restore it or move it away`,
      { cause },
    );
  }
}

/** The keys of the pages, each for one kind of token: a key signs nothing else. */
export async function pageKeys(
  dataDir: string,
): Promise<{ visitKey: SigningKey; enrolKey: SigningKey; ceremonyKey: SigningKey }> {
  const at = (name: string) => keyAt(join(dataDir, 'keys', `${name}.jwk`));
  return { visitKey: await at('visit'), enrolKey: await at('enrol'), ceremonyKey: await at('ceremony') };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new HoldpointError('bad-config', `${path} cannot be read; let the user of this process read it`, {
      cause: error,
    });
  }
}

async function make(path: string): Promise<string> {
  const { privateKey } = await generateKeyPair('Ed25519', { extractable: true });
  const text = `${JSON.stringify(await exportJWK(privateKey))}\n`;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(path, text, { mode: 0o600, flag: 'wx' });
  return text;
}
