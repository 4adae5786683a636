// Words: the sentences by which a DBA learns what a statement reaches and by what way. Knows no effect of anything.

import type { Access, Effect } from '../sql/statement.ts';

/** How a piece of code was come to: `function public.f()`, from a trigger, from a table. */
export interface Way {
  /** False if the statement may mean something else, by name. */
  readonly certain: boolean;
  readonly label: string;
  readonly from: Way | undefined;
}

/** Sentences of one statement; what more there would be to say is in its effects. */
export const sentencesMax = 8;

const labelsMax = 5;

const doing: Readonly<Partial<Record<Effect, string>>> = {
  insert: 'inserts rows',
  update: 'updates rows',
  'update-all': 'updates every row',
  delete: 'deletes rows',
  truncate: 'removes all rows',
  create: 'creates an object',
  alter: 'alters an object',
  drop: 'drops an object',
  grant: 'changes privileges or roles',
  temporary: 'creates or drops a temporary object',
  code: 'runs code given as text',
  function: 'runs code that is not known',
  sequence: 'advances a sequence',
  'sequence-set': 'sets a sequence',
  'lock-rows': 'locks rows',
  'lock-table': 'locks a table',
  'advisory-lock': 'takes an advisory lock',
  maintain: 'runs maintenance',
  rewrite: 'rewrites a table',
  'large-object': 'writes large objects',
  notify: 'sends or awaits notifications',
  transaction: 'controls the transaction',
  'two-phase': 'prepares or ends a two-phase transaction',
  setting: 'changes a setting',
  'custom-setting': 'changes a setting',
  'guard-setting': 'changes a setting that guards the session',
  'parser-setting': 'changes a setting by which statements are read',
  role: 'changes the role',
  sessions: 'acts on other sessions',
  administer: 'acts on the server',
  os: 'reaches files or programs of the server',
  remote: 'reaches another server',
  replication: 'acts on replication',
  unknown: 'does something that is not understood',
};

const prepositions: Readonly<Partial<Record<Effect, string>>> = { insert: 'into', truncate: 'from' };

/** `deletes rows of public.orders`; the relation is left out where it is not known. */
export function phrase(effect: Effect, relation?: string): string {
  const verb = doing[effect] ?? `has the effect ${effect}`;
  return relation === undefined ? verb : `${verb} ${prepositions[effect] ?? 'of'} ${relation}`;
}

export const accessOf: Readonly<Partial<Record<Effect, Access>>> = {
  insert: 'insert',
  update: 'update',
  'update-all': 'update',
  delete: 'delete',
  truncate: 'truncate',
};

/** `deletes rows of public.t via function f() → trigger t on public.x`, or `may call …, which deletes rows …`. */
export function sentence(what: string, way: Way | undefined): string {
  const labels = labelsOf(way);
  if (labels.length === 0) return what;
  const uncertain = firstUncertain(way);
  if (uncertain === undefined) return `${what} via ${labels.join(' → ')}`;
  const at = labels.indexOf(uncertain.label);
  const via = labels.length > at + 1 ? ` via ${labels.slice(at + 1).join(' → ')}` : '';
  const from = at > 0 ? ` (from ${labels.slice(0, at).join(' → ')})` : '';
  const called = /^(?:function|procedure) (.*)$/.exec(uncertain.label)?.[1];
  const may = called === undefined ? `may reach ${uncertain.label}` : `may call ${called}`;
  return `${may}, which ${what}${via}${from}`;
}

function labelsOf(way: Way | undefined): string[] {
  const labels: string[] = [];
  for (let at = way; at !== undefined; at = at.from) if (at.label !== '') labels.unshift(at.label);
  return labels.length > labelsMax ? [labels[0] ?? '', '…', ...labels.slice(2 - labelsMax)] : labels;
}

/** The step where it stopped being certain, from the statement's side. */
function firstUncertain(way: Way | undefined): Way | undefined {
  let found: Way | undefined;
  for (let at = way; at !== undefined; at = at.from) if (!at.certain && at.label !== '') found = at;
  return found;
}

/** The server's own types that functions take most often; others show as their OID's object or not at all. */
const typeNames = new Map<number, string>([
  [16, 'boolean'],
  [17, 'bytea'],
  [19, 'name'],
  [20, 'bigint'],
  [21, 'smallint'],
  [23, 'integer'],
  [25, 'text'],
  [26, 'oid'],
  [114, 'json'],
  [700, 'real'],
  [701, 'double precision'],
  [1042, 'character'],
  [1043, 'character varying'],
  [1082, 'date'],
  [1114, 'timestamp'],
  [1184, 'timestamp with time zone'],
  [1700, 'numeric'],
  [2249, 'record'],
  [2950, 'uuid'],
  [3802, 'jsonb'],
]);

/** `public.md5(character varying)`; types that have no short name here come from `name`, else as `…`. */
export function signature(
  schema: string,
  name: string,
  argTypes: readonly number[],
  typeName: (oid: number) => string | undefined,
): string {
  const types = argTypes.map((oid) => typeNames.get(oid) ?? typeName(oid) ?? '…');
  return `${schema}.${name}(${types.join(', ')})`;
}
