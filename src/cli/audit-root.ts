// `holdpoint audit init | vkey | recover | revoke`: what an operator does about a log's keys and its standing outside,
// while no Holdpoint runs on it. Refuses to know how keys and logs are made.

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { JWK } from 'jose';
import { readText } from '../../verify/src/input.ts';
import { beginUnderRoot, revoke, writeRoot } from '../audit/root.ts';
import { loadConfig } from '../config.ts';
import { HoldpointError } from '../errors.ts';
import { Anchoring, acknowledgeRollback, auditFolders } from './anchoring.ts';
import { whole } from './log-filter.ts';
import { type Output, terminal } from './outcome.ts';

interface PlaceFlags {
  config?: string;
  data?: string;
  node?: string;
}

interface InitFlags extends PlaceFlags {
  root: string;
}

interface RevokeFlags extends PlaceFlags {
  root: string;
  kid: string;
  fromSize: number;
}

type Finish = (run: () => Promise<number>) => Promise<void>;

/** Adds the commands to `audit`. */
export function registerRoot(audit: Command, finish: Finish): void {
  const placed = (command: Command): Command =>
    command
      .option('--config <file>', 'the configuration; holdpoint.yaml here, if there is one')
      .option('--data <folder>', 'the data folder, where there is no configuration file')
      .option('--node <name>', "the log's name, where there is no configuration file (default: holdpoint)");
  placed(audit.command('init'))
    .description('make the root key of a log that has not begun, to be kept off this machine')
    .requiredOption('--root <file>', 'where its private half is written, to be taken away')
    .action((flags: InitFlags) => finish(() => init(flags, terminal)));
  placed(audit.command('vkey'))
    .description("print the key of the log's checkpoints, for its witnesses")
    .action((flags: PlaceFlags) => finish(() => vkey(flags, terminal)));
  placed(audit.command('recover'))
    .description('let a log go on that others remember more of')
    .requiredOption('--acknowledge-rollback', 'it is known that records are lost; the log will say so')
    .action((flags: PlaceFlags) => finish(() => recover(flags, terminal)));
  placed(audit.command('revoke'))
    .description('have the root say that a key of the log may be in other hands, and give the log another')
    .requiredOption('--root <file>', "the root's private half")
    .requiredOption('--kid <thumbprint>', 'the key, by its thumbprint')
    .requiredOption('--from-size <n>', 'seals by it over more records prove nothing', whole)
    .action((flags: RevokeFlags) => finish(() => revokeKey(flags, terminal)));
}

/** Where the log of a configuration is. */
export function placeOf(flags: PlaceFlags): {
  dataDir: string;
  dir: string;
  keysDir: string;
  origin: string;
} {
  const isHere = flags.data === undefined && existsSync('holdpoint.yaml');
  const file = flags.config ?? (isHere ? 'holdpoint.yaml' : undefined);
  const config = file === undefined ? undefined : loadConfig(file, process.env);
  const dataDir = resolve(
    flags.data ?? config?.dataDir ?? process.env.HOLDPOINT_DATA_DIR ?? 'holdpoint-data',
  );
  return { dataDir, ...auditFolders(dataDir), origin: flags.node ?? config?.node ?? 'holdpoint' };
}

/** `audit init`. */
export async function init(flags: InitFlags, output: Output): Promise<number> {
  const place = placeOf(flags);
  const root = await beginUnderRoot(place, (made) => writeRoot(flags.root, made));
  output.out(
    `the log ${place.origin} will begin under root ${root.kid}\n` +
      `  ${JSON.stringify(root.jwk)}\n` +
      `  checkpoints are signed by ${Anchoring.vkey(place.dataDir, place.origin)}\n\n` +
      `Take ${flags.root} off this machine: whoever has it can certify keys of this log. Give the thumbprint to whoever\n` +
      'verifies the log (--root-key), and the key of the checkpoints to its witnesses (holdpoint witness --log).\n',
  );
  return 0;
}

/** `audit vkey`. */
export async function vkey(flags: PlaceFlags, output: Output): Promise<number> {
  const { dataDir, origin } = placeOf(flags);
  output.out(`${Anchoring.vkey(dataDir, origin)}\n`);
  return 0;
}

/** `audit recover --acknowledge-rollback`. */
export async function recover(flags: PlaceFlags, output: Output): Promise<number> {
  const { dataDir, origin } = placeOf(flags);
  const { size, root } = await acknowledgeRollback(dataDir, origin);
  output.out(
    `the next start goes on behind the ${size} records of ${origin} that are here (root ${root}), and the log will say so.\n` +
      'A witness that has cosigned more goes on refusing this log, until its own operator has it forget: `holdpoint witness\n' +
      `forget ${origin}\`. Where the witness is not yours, begin a log of another name instead (node: in the configuration).\n`,
  );
  return 0;
}

/** `audit revoke`. */
export async function revokeKey(flags: RevokeFlags, output: Output): Promise<number> {
  const place = placeOf(flags);
  const { token, epoch } = await revoke(place, secretOf(flags.root), flags.kid, flags.fromSize, Date.now());
  output.out(
    `${token}\n\nkey ${flags.kid} is revoked from ${flags.fromSize} records on. ` +
      (epoch === undefined
        ? 'The next start signs checkpoints with another key: give it to the witnesses (holdpoint audit vkey).\n'
        : `The next start goes on with epoch ${epoch}, whose key the root certified.\n`) +
      'It stands in keys/revoked.jsonl of the log; give it to whoever verifies a copy (--revoked FILE).\n',
  );
  return 0;
}

function secretOf(path: string): JWK {
  try {
    return JSON.parse(readText(path)) as JWK;
  } catch (cause) {
    if (cause instanceof HoldpointError) throw cause;
    throw new HoldpointError('bad-request', `${path} is not a private key (JWK)`, { cause });
  }
}
