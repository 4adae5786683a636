// Reconcile's words: what the comparison of the two logs found, as a person reads it. Whatever a client wrote is shown
// with its control and direction characters spelled out. Knows counts and strays; refuses to know files.

import { plain, time } from '../../verify/src/text.ts';
import type { Counts, Stray, StrayKind } from '../reconcile/comparison.ts';
import type { ServerFile } from '../reconcile/server-log.ts';

/** What was found, as `--json` prints it. Of strays, as many as were asked for. */
export interface Reconciled {
  readonly ok: boolean;
  readonly files: readonly ServerFile[];
  readonly server: {
    readonly first: string;
    readonly last: string;
    readonly missing: { readonly entries: number; readonly places: number };
    readonly timed: number;
  };
  readonly log: {
    readonly statements: number;
    readonly unnamed: number;
    /** µs since 1970. */
    readonly first: number | undefined;
    readonly last: number | undefined;
  };
  readonly counts: Counts;
  /** `unmet`: Holdpoint's, and not in these files. */
  readonly sessions: {
    readonly agents: number;
    readonly own: number;
    readonly around: number;
    readonly untold: number;
    readonly unmet: number;
  };
  readonly unmet: { readonly count: number; readonly first: number | undefined; readonly sessions: number };
  readonly around: readonly Stray[];
  readonly holes: readonly Stray[];
  readonly untold: readonly Stray[];
}

const statementCharactersMax = 500;

const headings: Readonly<Record<StrayKind, string>> = {
  around: 'AROUND HOLDPOINT',
  hole: 'NOT RECORDED',
  untold: 'CANNOT BE TOLD',
};

/** One statement on one line. */
export function strayText(kind: StrayKind, stray: Stray): string {
  const { user, database, client, application, session, agent, target } = stray;
  const named = application === '' ? '' : ` (${application})`;
  const whose = agent === undefined ? '' : `, agent ${agent} on ${target}`;
  const who = `${user} on ${database} from ${client || 'nowhere'}${named}, session ${session}${whose}`;
  const text = stray.statement.replace(/\s+/g, ' ').trim();
  const cut =
    text.length > statementCharactersMax
      ? `${text.slice(0, statementCharactersMax).toWellFormed()} … (${text.length} characters)`
      : text;
  return plain(`${headings[kind]}  ${stray.time}  ${who}: ${cut}`);
}

/** The whole report, without the strays themselves. */
export function reconciledText(found: Reconciled): string {
  const { counts, sessions, server, log } = found;
  const lines = [
    `${found.ok ? 'nothing ran around Holdpoint' : verdict(counts)}`,
    `  server's log  ${found.files.map(fileText).join(', ')}`,
    `                ${plain(server.first)} to ${plain(server.last)}`,
    `  recorded      ${count(counts.recorded, 'statement')} in ${count(sessions.agents, 'session')} of agents`,
    `  Holdpoint's   ${count(counts.own, 'statement')} of its own, ${count(sessions.own, 'connection')}`,
  ];
  if (counts.around > 0)
    lines.push(
      `  around        ${count(counts.around, 'statement')} in ${count(sessions.around, 'session')} that ${sessions.around === 1 ? 'is' : 'are'} not Holdpoint's`,
    );
  if (counts.holes > 0)
    lines.push(
      `  not recorded  ${count(counts.holes, 'statement')} in sessions of Holdpoint's, without a record`,
    );
  if (counts.untold > 0)
    lines.push(
      `  not told      ${count(counts.untold, 'statement')} in ${count(sessions.untold, 'session')} older than the first record that is still there`,
    );
  lines.push(...notes(found).map((note) => `  note: ${note}`));
  const shown = found.around.length + found.holes.length + found.untold.length;
  const all = counts.around + counts.holes + counts.untold;
  if (all > shown) lines.push(`  note: ${all - shown} of them are not named above; --lines names more`);
  if (log.last !== undefined)
    lines.push(`  Holdpoint's log was read, not verified: ${time(log.first ?? 0)} to ${time(log.last)}`);
  return `${lines.join('\n').trimEnd()}\n`;
}

function verdict({ around, holes, untold }: Counts): string {
  const parts = [];
  if (around > 0) parts.push(`${count(around, 'statement')} ran AROUND HOLDPOINT`);
  if (holes > 0)
    parts.push(`${count(holes, 'statement')} in its sessions ${holes === 1 ? 'has' : 'have'} NO RECORD`);
  if (untold > 0) parts.push(`of ${count(untold, 'statement')} it CANNOT BE TOLD`);
  return parts.join('; ');
}

/** What is missing on either side, which is no accusation. */
function notes({ server, sessions, unmet, log, files }: Reconciled): string[] {
  const said: string[] = [];
  if (unmet.count > 0)
    said.push(
      `${count(unmet.count, 'recorded statement')} that ran (the first is #${unmet.first}) ${unmet.count === 1 ? 'is' : 'are'} not in the server's log: log_statement is not 'all', or the files do not reach so far`,
    );
  if (sessions.unmet > 0)
    said.push(
      `${count(sessions.unmet, 'session')} of Holdpoint's ${sessions.unmet === 1 ? 'is' : 'are'} not in these files: they cover another time, or another server`,
    );
  if (server.missing.entries > 0)
    said.push(
      `${count(server.missing.entries, 'entry', 'entries')} of the server's log ${server.missing.entries === 1 ? 'is' : 'are'} missing from these files, by the numbering of its sessions: give all files, in order`,
    );
  if (server.timed > 0)
    said.push(
      "statements are in the server's log because they took long; quicker ones are not: set log_statement = 'all'",
    );
  if (log.unnamed > 0)
    said.push(
      `${count(log.unnamed, 'login')} of Holdpoint's log ${log.unnamed === 1 ? 'does' : 'do'} not say which session of the server it was, so what ran there counts as around`,
    );
  for (const { path, cut } of files)
    if (cut) said.push(`${plain(path)} ends within an entry, which was left out`);
  return said;
}

function fileText({ path, format, entries }: ServerFile): string {
  return `${plain(path)} (${format}, ${count(entries, 'entry', 'entries')})`;
}

function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en-US')} ${n === 1 ? one : many}`;
}
