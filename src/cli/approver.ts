// `holdpoint approver add | list | retire`: whose signature counts. Makes the key pair on the approver's behalf, keeps the
// public part and writes the private one to a file of theirs. Refuses to keep a private key.

import { rm, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { HoldpointError } from '../errors.ts';
import { type FolderOptions, folderOptions, openFolder } from './folder.ts';
import { ended, type Output, terminal } from './outcome.ts';

/** Adds the `approver` commands. Their exit codes go to process.exitCode. */
export function register(program: Command): void {
  const approver = program.command('approver').description('who may decide');
  const finish = async (code: Promise<number>): Promise<void> => {
    process.exitCode = await code;
  };
  folderOptions(approver.command('add').description('enrol an approver').argument('<name>'))
    .option('--generate <file>', 'make an Ed25519 key; the private part goes to this new file, mode 0600')
    .option('--passkey', 'a one-time link to enrol a passkey (not available yet)')
    .action((name: string, options: AddOptions) => finish(addApprover(name, options, terminal)));
  folderOptions(approver.command('list').description('approvers and their keys')).action(
    (options: FolderOptions) => finish(listApprovers(options, terminal)),
  );
  folderOptions(
    approver.command('retire').description('from now on nothing of theirs counts').argument('<name>'),
  ).action((name: string, options: FolderOptions) => finish(retireApprover(name, options, terminal)));
}

interface AddOptions extends FolderOptions {
  readonly generate?: string;
  readonly passkey?: boolean;
}

/** `approver add`. The file must not exist: a key is never written over another. */
export function addApprover(name: string, options: AddOptions, output: Output): Promise<number> {
  return ended(options, output, async () => {
    if (options.passkey === true) {
      throw new HoldpointError('not-supported', 'passkeys are not available yet; use --generate FILE');
    }
    const file = options.generate;
    if (file === undefined)
      throw new HoldpointError('bad-request', 'say where the key goes: --generate FILE');
    const { registry } = await openFolder(options);
    const { privateKey } = await generateKeyPair('Ed25519', { extractable: true });
    const jwk = await exportJWK(privateKey);
    await writeKey(file, jwk);
    try {
      const added = await registry.addApprover(
        name,
        { kty: 'OKP', crv: 'Ed25519', x: jwk.x as string },
        Date.now(),
      );
      const kid = added.keys.at(-1)?.kid ?? '';
      const also = added.keys.length > 1 ? `, with any of ${added.keys.length} keys` : '';
      return {
        text: `${name} may decide now${also}. The private key is in ${file}: give it to ${name}, keep no copy.\n`,
        json: { name, kid, file },
      };
    } catch (error) {
      await rm(file, { force: true });
      throw error;
    }
  });
}

/** `approver list`. */
export function listApprovers(options: FolderOptions, output: Output): Promise<number> {
  return ended(options, output, async () => {
    const { registry } = await openFolder(options);
    const rows = registry.approvers().map((one) => ({
      name: one.name,
      keys: one.keys.map((key) => key.kid),
      retired: one.retiredAt === undefined ? null : new Date(one.retiredAt).toISOString(),
      source: one.source,
    }));
    const lines = rows.map(
      (one) =>
        `${one.name}  ${one.keys.join(' ')}${one.retired === null ? '' : `  retired ${one.retired}`}\n`,
    );
    return {
      text: lines.join('') || 'No approvers yet: holdpoint approver add NAME --generate FILE\n',
      json: rows,
    };
  });
}

/** `approver retire`. */
export function retireApprover(name: string, options: FolderOptions, output: Output): Promise<number> {
  return ended(options, output, async () => {
    const { registry } = await openFolder(options);
    await registry.retireApprover(name, Date.now());
    return {
      text: `${name} decides nothing any more, also not what was approved and not used yet.\n`,
      json: { name },
    };
  });
}

async function writeKey(file: string, jwk: JWK): Promise<void> {
  try {
    await writeFile(file, `${JSON.stringify(jwk)}\n`, { mode: 0o600, flag: 'wx' });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'EEXIST' ? 'it exists already; name a new file' : String(code);
    throw new HoldpointError('conflict', `cannot write the key to ${file}: ${why}`, { cause });
  }
}
