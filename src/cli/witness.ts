// `holdpoint witness`: a witness of logs, for another machine and another person than the log's. Its key is made at the
// first start and never leaves its folder. `holdpoint witness forget` is its operator's way to accept that a log was set
// back: what was cosigned is kept as evidence, and the log begins anew.

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { JWK } from 'jose';
import { noteKeysIn } from '../../verify/src/anchor-input.ts';
import { cosignatureType, type NoteKey, vkeyText } from '../../verify/src/note.ts';
import { syncFolder, systemFs, writeWhole } from '../audit/folder.ts';
import { freshKey } from '../audit/keyring.ts';
import { Lock } from '../audit/lock.ts';
import { type NoteSigner, noteSigner } from '../audit/note-signer.ts';
import { HoldpointError } from '../errors.ts';
import { forget, WitnessBook } from '../witness/book.ts';
import { serveWitness } from '../witness/server.ts';
import { type Output, terminal } from './outcome.ts';

export interface WitnessFlags {
  listen: string;
  dir: string;
  log: string[];
  name?: string;
}

/** Adds the `witness` command. */
export function register(program: Command): void {
  const witness = program
    .command('witness')
    .description("cosign other machines' logs, so that nobody can set them back or fork them unseen")
    .option('--listen <host:port>', 'where to answer', '127.0.0.1:8099')
    .option('--dir <dir>', 'its key, and what it cosigned of each log', './holdpoint-witness')
    .option(
      '--log <key...>',
      'the logs it knows: keys as `holdpoint audit vkey` prints them, or files of them',
      [],
    )
    .option('--name <name>', 'its name, at the first start (default: holdpoint-witness/ and the host)')
    .action(async (flags: WitnessFlags) => {
      const running = await start(flags, terminal);
      const stop = (): void => void running.close();
      process.once('SIGTERM', stop);
      process.once('SIGINT', stop);
    });
  witness
    .command('forget')
    .description('begin a log anew that was set back, and keep what was cosigned as evidence')
    .argument('<origin>', "the log's name")
    .action((origin: string) => {
      const { dir } = witness.opts<WitnessFlags>();
      const kept = forget(dir, origin, Date.now());
      if (kept === undefined)
        throw new HoldpointError('not-found', `the witness in ${dir} has cosigned nothing of ${origin}`);
      terminal.out(`${origin} begins anew at its next checkpoint; what was cosigned is in ${kept}\n`);
    });
}

/** A witness that listens, until `close`. */
export async function start(
  flags: WitnessFlags,
  output: Output,
): Promise<{ port: number; close(): Promise<void> }> {
  const match = /^(.+):(\d{1,5})$/.exec(flags.listen);
  if (match === null) throw new HoldpointError('bad-request', `--listen ${flags.listen}: it is HOST:PORT`);
  const logs = flags.log.flatMap((given) => noteKeysIn(given, '--log'));
  if (logs.length === 0)
    throw new HoldpointError(
      'bad-request',
      'a witness of no log: name some with --log, as `holdpoint audit vkey` prints them',
    );
  mkdirSync(flags.dir, { recursive: true, mode: 0o700 });
  const lock = new Lock(join(flags.dir, 'LOCK'), randomBytes(16).toString('base64url'));
  try {
    const signer = await signerOf(flags);
    const book = openBook(flags.dir, signer, logs, output);
    const host = match[1]!.replace(/^\[|\]$/g, '');
    const server = await serveWitness({
      host,
      port: Number(match[2]),
      book,
      failed: (error) => output.err(`holdpoint witness: ${error.message}\n`),
    });
    output.out(
      `witness ${signer.key.name} listens on http://${match[1]}:${server.port}\n  key ${vkeyText(signer.key)}\n` +
        logs.map((key) => `  log ${key.name}\n`).join(''),
    );
    return {
      port: server.port,
      close: async () => {
        await server.close();
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

function openBook(dir: string, signer: NoteSigner, logs: readonly NoteKey[], output: Output): WitnessBook {
  try {
    return new WitnessBook({
      dir,
      signer,
      logs,
      now: Date.now,
      forked: (origin, path) =>
        output.err(`holdpoint witness: ${origin} signed two histories; both are kept in ${path}\n`),
    });
  } catch (cause) {
    throw new HoldpointError('bad-config', `the witness cannot go on: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** The witness's key under its name, made at the first start. */
async function signerOf({ dir, name }: WitnessFlags): Promise<NoteSigner> {
  const path = join(dir, 'key.json');
  if (!existsSync(path)) {
    const { secret } = await freshKey();
    const made = { name: name ?? `holdpoint-witness/${hostname()}`, key: secret };
    writeWhole(systemFs, path, `${JSON.stringify(made)}\n`);
    syncFolder(systemFs, dir);
  }
  const kept = JSON.parse(readFileSync(path, 'utf8')) as { name: string; key: JWK };
  if (name !== undefined && name !== kept.name)
    throw new HoldpointError('bad-request', `the witness in ${dir} is called ${kept.name}, not ${name}`);
  return noteSigner(kept.name, cosignatureType, kept.key);
}
