// Privacy: what the log of this process has of values, from the configuration: their salts, and the secret by which texts
// that were not understood are told from one another. Refuses to know records.

import { createHmac, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Salts } from '../audit/values.ts';
import type { Config } from '../config.ts';
import { HoldpointError } from '../errors.ts';
import type { Report } from '../proxy/listener.ts';
import type { Privacy } from '../proxy/recording.ts';

const secretBytes = 32;

/** One a process. Says where values that nobody decided about are lost. */
export function privacyOf({ dataDir, audit }: Pick<Config, 'dataDir' | 'audit'>, report: Report): Privacy {
  if (audit.valuesUnsaid)
    report(
      'warn',
      'the log commits to literals and parameters and keeps none that could be opened later; make a key with `holdpoint audit auditor-key --generate FILE` and name it under audit.auditorKeys, or say audit.values: none',
      {},
    );
  const secret = secretAt(join(dataDir, 'keys', 'unread.key'));
  return {
    values: audit.values,
    comments: audit.comments,
    salts: new Salts(randomBytes),
    mac: (bytes) => createHmac('sha256', secret).update(bytes).digest('base64url'),
  };
}

/** The secret in a file, made there at the first start. */
function secretAt(path: string): Buffer {
  try {
    const secret = Buffer.from(readFileSync(path, 'utf8').trim(), 'base64url');
    if (secret.length === secretBytes) return secret;
    throw new Error(`it does not hold ${secretBytes} bytes`);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code !== 'ENOENT')
      throw new HoldpointError(
        'bad-config',
        `${path} cannot be used: ${message}; restore it, or move it away to begin with another`,
        { cause },
      );
  }
  const secret = randomBytes(secretBytes);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(path, `${secret.toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
  return secret;
}
