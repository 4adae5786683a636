// Stakes: what a request puts at risk, in one line and one colour. Rests on the facts of the statement and on what was
// measured before it was asked for; where nothing was, it says what the words of the statement say. Pure; refuses markup.

import type { Cascade, MeasuredEffect, RowCount, TouchedRelation } from '../../approval/effect.ts';
import type { Request } from '../../approval/request.ts';
import { visibleLine } from '../../approval/visible.ts';
import type { Effect } from '../../sql/statement.ts';
import { bytes, grouped, plural } from './marks.ts';

/** How bad it can be, worst first: gone for good; not knowable from here; changed; hardly anything. */
export type Danger = 'destroys' | 'unclear' | 'changes' | 'slight';

export interface Stakes {
  readonly danger: Danger;
  /** `Destructive`. */
  readonly word: string;
  /** `Deletes 1,204 of 48,210 rows of public.orders, and 3,612 rows of 2 more tables by foreign keys.` */
  readonly line: string;
}

const dangerOf: readonly (readonly [Danger, readonly Effect[]])[] = [
  ['destroys', ['drop', 'truncate', 'delete', 'update-all']],
  [
    'unclear',
    ['unknown', 'code', 'function', 'unproven', 'os', 'remote', 'administer', 'replication', 'two-phase'],
  ],
  [
    'changes',
    [
      'update',
      'insert',
      'alter',
      'create',
      'grant',
      'rewrite',
      'sequence-set',
      'large-object',
      'guard-setting',
      'parser-setting',
      'role',
      'sessions',
    ],
  ],
];

const words: Readonly<Record<Danger, string>> = {
  destroys: 'Destructive',
  unclear: 'Effect not fully known',
  changes: 'Changes data or definitions',
  slight: 'Changes little',
};

/** Each effect as a person says it. */
export const effectWords: Readonly<Record<Effect, string>> = {
  read: 'reads',
  insert: 'adds rows',
  update: 'changes rows',
  'update-all': 'changes every row',
  delete: 'deletes rows',
  truncate: 'empties tables',
  create: 'creates objects',
  alter: 'changes definitions',
  drop: 'drops objects',
  grant: 'changes rights',
  temporary: 'temporary objects only',
  code: 'runs code that the text does not show',
  function: 'calls functions of which nothing is known',
  unproven: 'may run code that writes',
  sequence: 'advances sequences',
  'sequence-set': 'sets sequences',
  'lock-rows': 'locks rows',
  'lock-table': 'locks tables',
  'advisory-lock': 'takes advisory locks',
  maintain: 'maintains tables',
  rewrite: 'rewrites tables under an exclusive lock',
  'large-object': 'writes large objects',
  notify: 'notifies sessions',
  transaction: 'controls the transaction',
  'two-phase': 'prepares or ends a two-phase transaction',
  setting: 'changes a setting of the session',
  'custom-setting': 'changes a custom setting',
  'guard-setting': 'changes a setting that guards data',
  'parser-setting': 'changes how later text is read',
  role: 'changes the role',
  sessions: 'acts on other sessions',
  administer: 'acts on the server',
  os: 'reaches files or programs of the server',
  remote: 'reaches another server',
  replication: 'acts on replication',
  unknown: 'does what is not understood',
};

export function stakesOf(request: Request): Stakes {
  const effects = new Set(request.statements.flatMap((statement) => statement.effects));
  const danger = dangerOf.find(([, some]) => some.some((effect) => effects.has(effect)))?.[0] ?? 'slight';
  return { danger, word: words[danger], line: measuredLine(request.effect) ?? request.policy.reason };
}

/** `1,204`, `about 1,200`, `at least 100,000`. */
export function countWords({ rows, how }: RowCount): string {
  return `${{ count: '', estimate: 'about ', 'at-least': 'at least ', 'at-most': 'at most ' }[how]}${grouped(rows)}`;
}

/** Cascades that change rows, as against those that only stop the statement. */
export function changesRows({ action }: Cascade): boolean {
  return action !== 'RESTRICT' && action !== 'NO ACTION';
}

/** Worst first: that one is told. `whole`: of the relation itself, not of some of its rows. */
const verbs: Readonly<Record<string, { word: string; whole: boolean; rows: string }>> = {
  DROP: { word: 'Drops', whole: true, rows: '' },
  TRUNCATE: { word: 'Empties', whole: true, rows: '' },
  DELETE: { word: 'Deletes', whole: false, rows: 'of' },
  UPDATE: { word: 'Changes', whole: false, rows: 'of' },
  MERGE: { word: 'Merges', whole: false, rows: 'into' },
  ALTER: { word: 'Alters', whole: true, rows: '' },
  INSERT: { word: 'Adds', whole: false, rows: 'to' },
};

function measuredLine(effect: MeasuredEffect | undefined): string | undefined {
  const meant = (effect?.relations ?? []).filter(({ kind }) => kind !== 'index');
  const [does, verb] = Object.entries(verbs).find(([one]) => meant.some((each) => each.does === one)) ?? [];
  const first = meant.find((each) => each.does === does);
  if (effect === undefined || first === undefined || verb === undefined) return undefined;
  const what = verb.whole ? wholeOf(first) : partOf(first, verb.rows);
  if (what === undefined) return undefined;
  const along = [cascadeWords(effect), dependentWords(effect)].filter((each) => each !== '');
  const tail = along.length > 0 ? `, and with that ${along.join(' and ')}` : '';
  const more = meant.length > 1 ? ` Touches ${plural(meant.length - 1, 'more relation')}.` : '';
  return `${verb.word} ${what}${tail}.${more}`;
}

function wholeOf({ name, kind, total, bytes: size }: TouchedRelation): string {
  const facts = [
    total && `${countWords(total)} ${total.rows === 1 ? 'row' : 'rows'}`,
    size === undefined ? undefined : bytes(size),
  ].filter((fact) => fact !== undefined);
  return `${kind} ${visibleLine(name)}${facts.length > 0 ? ` with ${facts.join(', ')}` : ''}`;
}

function partOf({ name, touched, total }: TouchedRelation, where: string): string | undefined {
  if (touched === undefined) return undefined;
  const all =
    touched.how === 'count' && total?.how === 'count' && touched.rows >= total.rows && total.rows > 0;
  if (all && where === 'of') return `all ${countWords(touched)} rows of ${visibleLine(name)}`;
  const of = total === undefined || where !== 'of' ? '' : ` of ${countWords(total)}`;
  const rows = (of === '' ? touched : (total ?? touched)).rows === 1 ? 'row' : 'rows';
  return `${countWords(touched)}${of} ${rows} ${where} ${visibleLine(name)}`;
}

function cascadeWords({ cascades }: MeasuredEffect): string {
  const changing = cascades.filter((each) => changesRows(each) && each.touched?.rows !== 0);
  if (changing.length === 0) return '';
  const tables = plural(new Set(changing.map(({ relation }) => relation)).size, 'more table');
  const known = changing.flatMap(({ touched }) => (touched === undefined ? [] : [touched]));
  if (known.length === 0) return `rows of ${tables} by foreign keys`;
  const rows = known.reduce((sum, touched) => sum + touched.rows, 0);
  const exact = known.length === changing.length && known.every(({ how }) => how === 'count');
  return `${exact ? '' : 'some '}${plural(rows, 'row')} of ${tables} by foreign keys`;
}

function dependentWords({ dependents, refused, more }: MeasuredEffect): string {
  const count = refused === true ? 0 : dependents.length + (more?.dependents ?? 0);
  return count === 0 ? '' : plural(count, 'dependent object');
}
