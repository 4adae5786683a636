// The reader of stored trees, over trees that servers of three versions wrote.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { noReferences, references, treeReader, union } from '../../src/catalog/references.ts';

const read = treeReader();
const treeOf = (version: number) =>
  readFileSync(join(import.meta.dirname, '..', 'fixtures', 'trees', `view-${version}.txt`), 'utf8');

/** OIDs that the three servers gave to what the view uses. */
const oids = {
  13: {
    t: 16521,
    double: 16556,
    myagg: 16532,
    sfun: 16531,
    operator: 16533,
    dm: 16512,
    mood: 16515,
    view: 16557,
  },
  15: {
    t: 16522,
    double: 16549,
    myagg: 16532,
    sfun: 16531,
    operator: 16533,
    dm: 16513,
    mood: 16516,
    view: 16550,
  },
  18: {
    t: 26360,
    double: 489372,
    myagg: 26420,
    sfun: 26419,
    operator: 26421,
    dm: 26351,
    mood: 26354,
    view: 489373,
  },
} as const;
/** sum(int4), int4eq, in_range(int4), bernoulli, float4(int4): of the server, the same everywhere. */
const builtins = { sum: 2108, equals: 65, inRange: 4128, bernoulli: 3313, toFloat: 318 };

describe.each([13, 15, 18] as const)('a view stored by PostgreSQL %i', (version) => {
  const found = read(treeOf(version));
  const its = oids[version];

  test('names its functions, the server’s own too, wherever they stand', () => {
    expect(new Set(found.functions)).toEqual(
      new Set([its.double, its.myagg, its.sfun, ...Object.values(builtins)]),
    );
  });

  test('names operators, types and relations of users only', () => {
    expect(found.operators).toEqual([its.operator]);
    expect(new Set(found.types)).toEqual(new Set([its.dm, its.mood]));
    // Before 16 a view's tree has entries for the view itself.
    expect(found.relations.filter((oid) => oid !== its.view)).toEqual([its.t]);
  });
});

describe('a tree', () => {
  test('takes nothing from a column that is named like a field', () => {
    expect(treeOf(18)).toContain(':resname :opno\\ 16999');
    expect(read(treeOf(18)).operators).not.toContain(16999);
  });

  test('takes nothing from lengths, positions and values', () => {
    const tree =
      '{CONST :consttype 25 :consttypmod 65536 :constcollid 100 :constlen -1 :location 70000 :constvalue 20000 [ 16 78 0 0 ]}';
    expect(read(tree)).toBe(noReferences);
  });

  test('gives all of a list', () => {
    expect(read('{ROWCOMPAREEXPR :opnos (o 97 16500 16501) :inputcollids (o 0 16999)}').operators).toEqual([
      16500, 16501,
    ]);
    expect(read('{RTE :coltypes (o 23 16600)} {TABLEFUNC :colTypes (o 16601)}').types).toEqual([
      16600, 16601,
    ]);
  });

  test('gives operators of sorting, grouping, cycles and sequences of identity columns', () => {
    const tree =
      '{SORTGROUPCLAUSE :eqop 16700 :sortop 16701} {CTECYCLECLAUSE :cycle_mark_neop 16702} {NEXTVALUEEXPR :seqid 16703 :typeId 20}';
    expect(read(tree)).toMatchObject({ operators: [16700, 16701, 16702], relations: [16703] });
  });

  test('of OIDs beyond two billion is read', () => {
    expect(read('{FUNCEXPR :funcid 4294967295 :funcresulttype 4294967294}')).toMatchObject({
      functions: [4294967295],
      types: [4294967294],
    });
  });

  test('that is not there refers to nothing', () => {
    expect(read(null)).toBe(noReferences);
    expect(read(undefined, null)).toBe(noReferences);
  });

  test('that names the same as another gives the same object', () => {
    const one = read('{FUNCEXPR :funcid 16500 :location 12}');
    expect(read('{FUNCEXPR :funcid 16500 :location 99}')).toBe(one);
    expect(read('{FUNCEXPR :funcid 16500 :location 12}', '{FUNCEXPR :funcid 1}').functions).toEqual([
      16500, 1,
    ]);
    expect(one.functions).toEqual([16500]);
  });
});

test('references of several are each once, and those of nothing are nothing', () => {
  const some = references({ functions: [0, 5, 16500], operators: [96, 16600], types: [23] });
  expect(some).toMatchObject({ functions: [5, 16500], operators: [16600], types: [] });
  expect(union([some, noReferences])).toBe(some);
  expect(union([some, references({ functions: [16500, 16501] })]).functions).toEqual([5, 16500, 16501]);
  expect(references({ functions: [0] })).toBe(noReferences);
});
