// Input: keys and files that the caller names, and the records of a log.
// Nothing of it is verified here.

import { readFileSync } from 'node:fs';
import { type Credential, givenCredential } from './credentials.ts';
import type { LogSource } from './port.ts';
import { type ReadRecord, readLines } from './source.ts';
import { readPublicKey } from './token.ts';

/** The caller named something that is not what it should be. The message says what. */
export class UsageError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UsageError';
  }
}

/** The text of a file. Throws UsageError. */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : code;
    throw new UsageError(`cannot read ${path}: ${why}`, { cause });
  }
}

function readJson(path: string): unknown {
  const text = readText(path);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new UsageError(`cannot read ${path}: it is not JSON`, { cause });
  }
}

/** The thumbprint of a root key that is given as one, or as a JWK file, or as what `audit root --json` prints. */
export async function rootKidOf(given: string): Promise<string> {
  if (/^[\w-]{43}$/.test(given)) return given;
  const read = readJson(given) as { jwk?: unknown } | null;
  const { kid } = await readPublicKey(read?.jwk ?? read).catch((error: Error) => {
    throw new UsageError(`${given}: ${error.message}`);
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
      throw new UsageError(`${path}: ${error.message}`);
    });
    credentials.set(given.kid, given);
  }
  return credentials;
}

/** The records of a log, without its seals. */
export async function* records(source: LogSource): AsyncGenerator<ReadRecord> {
  for await (const line of readLines(source)) if ('kind' in line) yield line;
}
