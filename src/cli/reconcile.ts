// `holdpoint reconcile`: compares the database server's own log with Holdpoint's, and names what ran around the proxy.
// Exit code 0: everything that the server's log says was run is recorded; 1: something is not; 2: usage, something that
// cannot be read, or nothing was compared. Reads files and prints; verifies nothing of the log (`audit verify` does).

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { findLogs } from '../../verify/src/source.ts';
import { HoldpointError } from '../errors.ts';
import { identityQuestions } from '../proxy/server-identity.ts';
import { Comparison, type Stray, type StrayKind } from '../reconcile/comparison.ts';
import { Ledger } from '../reconcile/ledger.ts';
import { entriesOf, type ServerFile } from '../reconcile/server-log.ts';
import { hasAny, needle, readEntry } from '../trail/entry.ts';
import { onward } from '../trail/scan.ts';
import { Trail } from '../trail/trail.ts';
import { whole } from './log-filter.ts';
import { isTold, type Output, terminal } from './outcome.ts';
import { type Reconciled, reconciledText, strayText } from './reconcile-text.ts';

export interface ReconcileFlags {
  readonly pgLog: readonly string[];
  readonly dir: readonly string[];
  readonly target?: string;
  readonly lines: number;
  readonly json?: boolean;
}

const defaultFolder = './holdpoint-data/audit';

/** Adds the command. Its exit code goes to process.exitCode. */
export function register(program: Command): void {
  program
    .command('reconcile')
    .description("compare the database server's own log with Holdpoint's: what ran around the proxy?")
    .requiredOption('--pg-log <file...>', "the server's csvlog or jsonlog files, in order; also .gz")
    .option('--dir <dir...>', "Holdpoint's log, or the data folder above it; of several proxies, all", [
      defaultFolder,
    ])
    .option('--target <name>', 'only this target and its database')
    .option('--lines <n>', 'name at most so many statements of each kind', whole, 100)
    .addOption(new Option('--json', 'print JSON'))
    .action(async (flags: ReconcileFlags) => {
      process.exitCode = await reconcile(flags, terminal);
    });
}

/** `reconcile`: its exit code. */
export async function reconcile(flags: ReconcileFlags, output: Output): Promise<number> {
  try {
    const found = await compared(flags, flags.json === true ? undefined : output);
    output.out(flags.json === true ? `${JSON.stringify(found, null, 2)}\n` : reconciledText(found));
    return found.ok ? 0 : 1;
  } catch (error) {
    if (!isTold(error)) throw error;
    if (flags.json === true) output.out(`${JSON.stringify({ ok: false, error: error.message })}\n`);
    else output.err(`holdpoint reconcile: ${error.message}\n`);
    return 2;
  }
}

/** `output`: told of strays as they are met. */
async function compared(flags: ReconcileFlags, output: Output | undefined): Promise<Reconciled> {
  const { ledger, pruned } = await ledgerOf(flags);
  const databases = databasesOf(ledger, flags.target);
  const strays: Record<StrayKind, Stray[]> = { around: [], hole: [], untold: [] };
  const comparison = new Comparison({
    ledger,
    databases,
    loginQuestions: identityQuestions,
    toldSince: pruned ? Math.floor((ledger.first ?? 0) / 1e6) : 0,
    stray: (kind, stray) => {
      if (strays[kind].length >= flags.lines) return;
      strays[kind].push(stray);
      output?.out(`${strayText(kind, stray)}\n`);
    },
  });
  const files: ServerFile[] = [];
  for (const path of flags.pgLog) {
    const file: ServerFile = { path, format: 'empty', entries: 0, cut: false };
    files.push(file);
    for await (const entry of entriesOf(path, file)) comparison.note(entry);
  }
  comparison.end();
  refuseNothing(comparison, files, databases);
  const { counts, sessions, first, last, missing, timed } = comparison;
  const { around, holes, untold } = counts;
  return {
    ok: around + holes + untold === 0,
    files,
    server: { first, last, missing, timed },
    log: { statements: ledger.statements, unnamed: ledger.unnamed, first: ledger.first, last: ledger.last },
    counts,
    sessions: { ...sessions, unmet: [...ledger.sessions.values()].filter(({ met }) => !met).length },
    unmet: comparison.unmet(),
    around: strays.around,
    holes: strays.hole,
    untold: strays.untold,
  };
}

const needed = ['auth', 'own', 'stmt', 'intent', 'outcome', 'boot'].map((kind) => needle('kind', kind));

async function ledgerOf({ dir, target }: ReconcileFlags): Promise<{ ledger: Ledger; pruned: boolean }> {
  let pruned = false;
  let folder = '';
  const ledger = new Ledger(target, ({ members }) => wholeText(folder, members));
  for (const { path } of dir.flatMap((each) => findLogs(each))) {
    folder = path;
    ledger.another();
    const trail = new Trail(path);
    pruned ||= ((await trail.beginning())?.seq ?? 0) > 0;
    for await (const { lines } of onward(trail, undefined)) {
      for (const { bytes } of lines) {
        const entry = hasAny(bytes, needed) ? readEntry(bytes) : undefined;
        if (entry !== undefined) ledger.note(entry);
      }
    }
  }
  if (ledger.sessions.size === 0)
    throw new HoldpointError(
      'bad-request',
      `nothing was compared: no login in the log of ${dir.join(', ')} names its session at the server`,
    );
  return { ledger, pruned };
}

/** A statement's text, from beside the log where it is too long for a line. */
function wholeText(folder: string, members: Readonly<Record<string, unknown>>): string | undefined {
  const sha = (members.blobs as Readonly<Record<string, { sha?: unknown }>> | undefined)?.sql?.sha;
  if (sha === undefined) return typeof members.sql === 'string' ? members.sql : undefined;
  const path = /^[0-9a-f]{64}$/.test(String(sha)) ? join(folder, 'blobs', String(sha)) : undefined;
  return path !== undefined && existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function databasesOf(ledger: Ledger, target: string | undefined): ReadonlySet<string> | undefined {
  if (target === undefined) return undefined;
  const databases = ledger.databases.get(target);
  if (databases === undefined)
    throw new HoldpointError(
      'bad-request',
      `the log has no statement for a target ${JSON.stringify(target)}; it has some for ${[...ledger.databases.keys()].join(', ') || 'none'}`,
    );
  return databases;
}

function refuseNothing(
  comparison: Comparison,
  files: readonly ServerFile[],
  databases: ReadonlySet<string> | undefined,
): void {
  if (comparison.statements > 0) return;
  const entries = files.reduce((sum, file) => sum + file.entries, 0);
  const where = databases === undefined ? '' : ` of ${[...databases].join(', ')}`;
  throw new HoldpointError(
    'bad-request',
    `nothing was compared: among ${entries} entries of the server's log there is no statement${where}; set log_statement = 'all' (and lc_messages = 'C', if the log is not in English)`,
  );
}
