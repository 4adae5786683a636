// Effect text: what a held statement would touch, in lines for a terminal: rows, what goes with them, locks, and what could
// not be measured. Drawn from the request that the digest covers. Names come from the database: whoever prints a line
// makes what is hidden in it visible.

import type {
  Cascade,
  LockNeed,
  MeasuredEffect,
  OpenTransaction,
  RowCount,
  TouchedRelation,
} from '../approval/effect.ts';

/** A name and a value each, as `requests show` prints them. */
export function effectLines(effect: MeasuredEffect | undefined): [string, string][] {
  if (effect === undefined) return [['touches', 'not measured']];
  const { relations, cascades, dependents, locks, transaction, fires = [], unmeasured, more = {} } = effect;
  const left = (list: string): [string, string][] =>
    more[list] === undefined ? [] : [['more', `${more[list]} ${list} that are not listed`]];
  const falls = effect.refused === true ? 'refused for' : 'takes along';
  return [
    ...relations.map((each): [string, string] => ['touches', relationText(each)]),
    ...left('relations'),
    ...cascades.map((each): [string, string] => [
      each.stops === true ? 'stopped by' : 'reaches',
      cascadeText(each),
    ]),
    ...left('cascades'),
    ...dependents.map((each): [string, string] => [falls, each]),
    ...left('dependents'),
    ...fires.map((each): [string, string] => ['fires', each]),
    ...locks.map((each): [string, string] => ['locks', lockText(each)]),
    ...left('locks'),
    ...(transaction === undefined ? [] : transactionLines(transaction)),
    ...unmeasured.map((each): [string, string] => ['not measured', each]),
    [
      'measured',
      `${new Date(effect.at).toISOString()}, in ${effect.tookMs} ms; rows written since are not in it`,
    ],
  ];
}

const hows = { count: '', estimate: 'about ', 'at-least': 'at least ', 'at-most': 'at most ' } as const;

/** `about 1200 rows`; an estimate is the planner's. */
function rowsText({ rows, how }: RowCount): string {
  return `${hows[how]}${rows} ${rows === 1 ? 'row' : 'rows'}`;
}

function same(one: RowCount, other: RowCount | undefined): boolean {
  return one.rows === other?.rows && one.how === other.how;
}

function relationText({
  does,
  name,
  kind,
  touched,
  total,
  bytes,
  parts,
  work,
  fires,
}: TouchedRelation): string {
  const rows = [
    touched === undefined ? undefined : rowsText(touched),
    total === undefined || same(total, touched) ? undefined : `of ${rowsText(total)}`,
  ].filter((each) => each !== undefined);
  const facts = [
    kind,
    parts === undefined ? undefined : `with ${parts} ${parts === 1 ? 'part' : 'parts'}`,
    bytes === undefined ? undefined : bytesText(bytes),
    work,
    ...fires.map((each) => `fires ${each}`),
  ].filter((each) => each !== undefined);
  return `${does} ${name}${rows.length === 0 ? '' : `: ${rows.join(' ')}`} (${facts.join('; ')})`;
}

function cascadeText({ relation, constraint, action, via, touched, fires = [] }: Cascade): string {
  const rows = touched === undefined ? 'rows' : rowsText(touched);
  const firing = fires.map((each) => `; fires ${each}`).join('');
  return `${rows} of ${relation} by ${constraint} from ${via}: ${action}${firing}`;
}

function lockText({ relation, mode, behind, waiting, oldestMs }: LockNeed): string {
  const since = oldestMs === undefined ? '' : `, the oldest for ${secondsText(oldestMs)}`;
  const blockers = behind === 0 ? '' : `; waits behind ${sessions(behind)}${since}`;
  return `${mode} on ${relation}${blockers}${waiting === 0 ? '' : `; ${sessions(waiting)} already waiting`}`;
}

function transactionLines({ openMs, locks, blocks }: OpenTransaction): [string, string][] {
  const waiting = blocks === 0 ? '' : `; ${sessions(blocks)} waiting for it`;
  return [
    ['inside of', `a transaction open for ${secondsText(openMs)}${waiting}`],
    ...locks.map((each): [string, string] => ['it holds', each]),
  ];
}

function sessions(count: number): string {
  return count === 1 ? '1 session' : `${count} sessions`;
}

function secondsText(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}

/** As pg_size_pretty has it. */
function bytesText(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let [value, unit] = [bytes, 0];
  for (; value >= 10_240 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${Math.round(value)} ${units[unit]}`;
}
