// `holdpoint audit auditor-key`: makes the key that values are encrypted to. The private half goes into a file that belongs on the
// auditor's machine; the public half is printed, for the configuration. Refuses to know what is encrypted.

import { existsSync, writeFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { exportJWK, generateKeyPair } from 'jose';
import { readAuditorKey, readAuditorSecret } from '../../verify/src/auditorkey.ts';
import { readText } from '../../verify/src/input.ts';
import type { Recipient } from '../../verify/src/sidefile.ts';
import { HoldpointError } from '../errors.ts';
import { finished } from './audit-values.ts';
import type { Found } from './outcome.ts';

/** Adds `audit auditor-key`. */
export function registerAuditorKey(audit: Command): void {
  audit
    .command('auditor-key')
    .description('make the key of an auditor, who may open values; or print the public half of one')
    .option('--generate <file>', 'make a key; the private half goes into this new file')
    .option('--show <file>', 'print the public half of the key in this file')
    .addOption(new Option('--json', 'print JSON'))
    .action(async (flags: { generate?: string; show?: string; json?: boolean }) => {
      process.exitCode = await finished(flags, () => auditorKey(flags));
    });
}

/** Makes or shows a key. Throws `conflict` where the file is there already. */
export async function auditorKey(flags: { generate?: string; show?: string }): Promise<Found> {
  const file = flags.generate ?? flags.show;
  if (file === undefined || (flags.generate !== undefined && flags.show !== undefined))
    throw new HoldpointError('bad-request', 'say --generate FILE or --show FILE');
  const { kid, jwk } = flags.generate === undefined ? publicHalf(file) : await makeAuditorKey(file);
  const made =
    flags.generate === undefined
      ? ''
      : `The private key is in ${file}. Take it off this machine: whoever has it opens every value that is encrypted to it.\n`;
  return {
    text: `${made}auditor ${kid}\n\naudit:\n  auditorKeys:\n    - ${JSON.stringify(jwk)}\n`,
    json: { kid, jwk },
  };
}

/** Makes a key; the private half goes into `file`, mode 0600. Throws `conflict` where that is there already. */
export async function makeAuditorKey(file: string): Promise<Recipient> {
  if (existsSync(file))
    throw new HoldpointError('conflict', `${file} is there already; name a file that is not`);
  const { privateKey } = await generateKeyPair('ECDH-ES+A256KW', { crv: 'X25519', extractable: true });
  const secret = await exportJWK(privateKey);
  writeFileSync(file, `${JSON.stringify(secret)}\n`, { mode: 0o600, flag: 'wx' });
  const { kid, jwk } = readAuditorSecret(secret);
  return { kid, jwk };
}

function publicHalf(file: string): Recipient {
  try {
    const { d: _, ...jwk } = JSON.parse(readText(file)) as Record<string, unknown>;
    return readAuditorKey(jwk);
  } catch (cause) {
    if (cause instanceof HoldpointError) throw cause;
    throw new HoldpointError('bad-request', `${file} is no auditor's key: ${(cause as Error).message}`, {
      cause,
    });
  }
}
