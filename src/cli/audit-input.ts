// What the audit commands read: keys and files that the caller names, and the lines of a log that a proof is made of.
// Nothing of it is verified here.

import { readFileSync } from 'node:fs';
import type { JWK } from 'jose';
import { type Credential, givenCredential } from '../../verify/src/credentials.ts';
import type { ProofMaterial } from '../../verify/src/proof.ts';
import { type FolderSource, type ReadRecord, readLines } from '../../verify/src/source.ts';
import { readPublicKey } from '../../verify/src/token.ts';
import { HoldpointError } from '../errors.ts';

/** The text of a file. Throws `bad-request`. */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : code;
    throw new HoldpointError('bad-request', `cannot read ${path}: ${why}`, { cause });
  }
}

function readJson(path: string): unknown {
  const text = readText(path);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HoldpointError('bad-request', `cannot read ${path}: it is not JSON`, { cause });
  }
}

/** The thumbprint of a root key that is given as one, or as a JWK file, or as what `audit root --json` prints. */
export async function rootKidOf(given: string): Promise<string> {
  if (/^[\w-]{43}$/.test(given)) return given;
  const read = readJson(given) as { jwk?: unknown } | null;
  const { kid } = await readPublicKey(read?.jwk ?? read).catch((error: Error) => {
    throw new HoldpointError('bad-request', `${given}: ${error.message}`);
  });
  return kid;
}

/** Approvers' public keys in files: JWK, or a line as OpenSSH writes it. By `kid`. */
export async function credentialsOf(paths: readonly string[]): Promise<Map<string, Credential>> {
  const credentials = new Map<string, Credential>();
  for (const path of paths) {
    const text = readText(path).trim();
    const read: unknown = text.startsWith('{') ? readJson(path) : text;
    const value = typeof read === 'string' ? read : ((read as { jwk?: unknown }).jwk ?? read);
    const given = await givenCredential(value).catch((error: Error) => {
      throw new HoldpointError('bad-request', `${path}: ${error.message}`);
    });
    credentials.set(given.kid, given);
  }
  return credentials;
}

/** The records of a log, without its seals. */
export async function* records(source: FolderSource): AsyncGenerator<ReadRecord> {
  for await (const line of readLines(source)) if ('kind' in line) yield line;
}

/** What a proof of record `seq` is made of: everything up to the first seal that covers it; undefined if none does. */
export async function materialOf(
  source: FolderSource,
  origin: string,
  seq: number,
): Promise<ProofMaterial | undefined> {
  const lines: string[] = [];
  const keys: { jwk: JWK; cert: string }[] = [];
  for await (const line of readLines(source)) {
    if ('size' in line) {
      if (line.size <= seq) continue;
      const { jwk: root } = JSON.parse(lines[0]!) as { jwk: JWK };
      return { origin, root, keys, records: lines, seal: line.line };
    }
    lines.push(line.line);
    if (line.kind === 'key') keys.push({ jwk: line.members.jwk as JWK, cert: String(line.members.cert) });
  }
  return undefined;
}
