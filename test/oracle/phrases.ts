// Phrases and queries: grows expressions and SELECT statements out of the vocabulary by chance. What it grows parses, and
// mostly runs; which of it may run is the business of the guard under test.

import type { Chance } from './chance.ts';
import { harmless, type Kind, type Source, sources, trapSources, traps } from './vocabulary.ts';

/** Where a phrase stands: what it may name, and how likely each choice is a trap. */
export interface Place {
  readonly chance: Chance;
  /** Of a phrase or a source being a trap; 0 to 1. */
  readonly traps: number;
  readonly columns: readonly (readonly [string, Kind])[];
  readonly depth: number;
  /** Where a parameter may stand for a value: takes the values. */
  readonly parameters?: string[];
}

const parameterValues: Readonly<Record<Kind, readonly string[]>> = {
  int: ['1', '7', '42'],
  text: ['a', "it's", 'DELETE FROM victims'],
  bool: ['t', 'f'],
  date: ['2026-01-31'],
  json: ['{"a": 1}'],
};
const parameterTypes: Readonly<Record<Kind, string>> = {
  int: 'int',
  text: 'text',
  bool: 'bool',
  date: 'date',
  json: 'jsonb',
};

const depthMax = 3;
const kinds: readonly Kind[] = ['int', 'text', 'bool', 'date', 'json'];
const gap = /\{(int|text|bool|date|json|id|trap|query)\}/g;

/** Fills the gaps of a template. */
export function fill(place: Place, template: string): string {
  const inner = { ...place, depth: place.depth + 1 };
  return template.replace(gap, (_, what: Kind | 'id' | 'trap' | 'query') => {
    if (what === 'id') return String(1 + place.chance.below(60));
    if (what === 'trap') return trap(inner, place.chance.of(['int', 'text']));
    if (what === 'query') return query({ ...inner, columns: [] });
    return phrase(inner, what);
  });
}

/** An expression of the kind. */
export function phrase(place: Place, kind: Kind): string {
  const { chance, columns, depth } = place;
  if (chance.is(place.traps)) return trap(place, kind);
  if (place.parameters !== undefined && chance.is(0.15)) return parameter(place, place.parameters, kind);
  const own = columns.filter(([, each]) => each === kind);
  if (own.length > 0 && chance.is(0.5)) return chance.of(own)[0];
  const templates = harmless[kind];
  const simple = depth >= depthMax ? templates.filter((each) => !each.includes('{')) : templates;
  return fill(place, chance.of(simple));
}

function parameter({ chance, traps: risk }: Place, parameters: string[], kind: Kind): string {
  parameters.push(chance.of(parameterValues[kind]));
  // A domain's CHECK runs as soon as the parameter is bound.
  const type = kind === 'int' && chance.is(risk) ? 'dm' : parameterTypes[kind];
  return `$${parameters.length}::${type}`;
}

export function trap(place: Place, kind: Kind): string {
  return fill({ ...place, traps: 0, depth: depthMax }, place.chance.of(traps[kind]));
}

interface From {
  readonly text: string;
  readonly columns: readonly (readonly [string, Kind])[];
}

/** One item of FROM under the alias; as a rule of few rows, for whatever is computed for each of them. */
function item(place: Place, alias: string): From {
  const { chance } = place;
  const source: Source = chance.is(place.traps) ? chance.of(trapSources) : chance.of(sources);
  const columns = Object.entries(source.columns).map(([name, kind]): [string, Kind] => [
    chance.is(0.3) && place.depth === 0 ? name : `${alias}.${name}`,
    kind,
  ]);
  const plain = /^[\w.]+$/.test(source.name);
  if (plain && chance.is(0.5)) {
    const limit = 1 + chance.below(5);
    return { text: `(SELECT * FROM ${source.name} LIMIT ${limit}) AS ${alias}`, columns };
  }
  const sample = plain && chance.is(0.03) ? ' TABLESAMPLE BERNOULLI (50)' : '';
  return { text: `${source.name} AS ${alias}${source.shape ?? ''}${sample}`, columns };
}

function from(place: Place): From {
  const { chance } = place;
  const first = item(place, 'a');
  if (!chance.is(0.35)) return first;
  const subquery = { ...place, depth: place.depth + 1, columns: first.columns };
  const second: From = chance.is(0.3)
    ? {
        text: `LATERAL (SELECT ${phrase(subquery, 'int')} AS n FROM ${chance.of(['products', 'victims'])} LIMIT 2) AS b`,
        columns: [['b.n', 'int']],
      }
    : item(subquery, 'b');
  const columns = [...first.columns, ...second.columns].map(([name, kind]): [string, Kind] => [name, kind]);
  const on = `ON ${phrase({ ...place, columns, depth: 2 }, 'bool')}`;
  const join = chance.of([
    `JOIN ${second.text} ${on}`,
    `LEFT JOIN ${second.text} ${on}`,
    `CROSS JOIN ${second.text}`,
  ]);
  return { text: `${first.text} ${join}`, columns };
}

function list(place: Place): string {
  const { chance } = place;
  return chance
    .several(1, 3, (index) => {
      const made = phrase(place, chance.of(kinds));
      return chance.is(0.3) ? `${made} AS c${index}` : made;
    })
    .join(', ');
}

const aggregates = [
  'count(*)',
  'count(DISTINCT {int})',
  'sum({int})',
  'avg({int})',
  'min({int})',
  'max({text})',
  "string_agg({text}, ',' ORDER BY {int})",
  'array_agg({int})',
  'bool_and({bool})',
  'count(*) FILTER (WHERE {bool})',
  'jsonb_agg({text})',
  'percentile_cont(0.5) WITHIN GROUP (ORDER BY {int})',
  'calm_sum({int})',
];
const windows = [
  'row_number() OVER (ORDER BY {int})',
  'rank() OVER (PARTITION BY {text} ORDER BY {int})',
  'lag({int}) OVER w',
  'sum({int}) OVER w',
  'first_value({text}) OVER w',
];

function simpleSelect(place: Place): string {
  const { chance } = place;
  const made = from(place);
  const inside: Place = { ...place, columns: made.columns, depth: place.depth + 1 };
  const where = chance.is(0.5) ? ` WHERE ${phrase(inside, 'bool')}` : '';
  const limit = ` LIMIT ${chance.is(place.traps / 2) ? trap(place, 'int') : 1 + chance.below(8)}`;
  const order = chance.is(0.4) ? ` ORDER BY ${phrase(inside, chance.of(['int', 'text']))}` : '';
  return chance.weighted<() => string>([
    [5, () => `SELECT ${list(inside)} FROM ${made.text}${where}${order}${limit}`],
    [2, () => `SELECT * FROM ${made.text}${where}${limit}`],
    [1, () => `SELECT DISTINCT ${phrase(inside, 'int')} FROM ${made.text}${where}${limit}`],
    [1, () => `SELECT ${fill(inside, chance.of(aggregates))} FROM ${made.text}${where}`],
    [
      1,
      () => {
        const key = phrase(inside, 'int');
        const having = chance.is(0.5)
          ? ` HAVING count(*) > ${phrase({ ...inside, columns: [] }, 'int')}`
          : '';
        return `SELECT ${fill(inside, chance.of(aggregates))} FROM ${made.text}${where} GROUP BY ${key}${having}${limit}`;
      },
    ],
    [
      1,
      () =>
        `SELECT ${fill(inside, chance.of(windows))} FROM ${made.text}${where} WINDOW w AS (PARTITION BY ${phrase(inside, 'text')} ORDER BY ${phrase(inside, 'int')})${limit}`,
    ],
  ])();
}

/** A SELECT, VALUES or TABLE, with all that may be in it. */
export function query(place: Place): string {
  const { chance, depth } = place;
  const inner = { ...place, depth: depth + 1 };
  if (depth >= 2) return simpleSelect(inner);
  return chance.weighted<() => string>([
    [10, () => simpleSelect(place)],
    [3, () => `SELECT ${list(place)}`],
    [1, () => `VALUES (${phrase(place, 'int')}, ${phrase(place, 'text')})`],
    [
      1,
      () =>
        `TABLE ${chance.is(place.traps) ? chance.of(['v_wipe', 'v_nested', 'guarded']) : chance.of(['coupons', 'v_calm', 'm_calm'])}`,
    ],
    [
      1,
      () =>
        `(${simpleSelect(inner)}) ${chance.of(['UNION ALL', 'UNION', 'EXCEPT', 'INTERSECT'])} (${simpleSelect(inner)}) LIMIT 9`,
    ],
    [1, () => `SELECT ${phrase(place, 'int')} UNION ALL SELECT ${phrase(place, 'int')}`],
    [
      2,
      () =>
        `WITH x AS ${chance.of(['', 'MATERIALIZED ', 'NOT MATERIALIZED '])}(${query(inner)}) SELECT ${phrase(inner, 'int')} FROM x LIMIT 5`,
    ],
    [
      1,
      () =>
        `WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 4 AND (${phrase(inner, 'bool')})) SELECT * FROM r LIMIT 9`,
    ],
    [1, () => `SELECT * FROM (${query(inner)}) AS q LIMIT 5`],
    [
      1,
      () => `SELECT ${list(place)} FROM (${simpleSelect(inner)}) AS q WHERE EXISTS (${simpleSelect(inner)})`,
    ],
    [1, () => `SELECT ARRAY(SELECT ${phrase(inner, 'int')}), ROW(${list(inner)})`],
  ])();
}
