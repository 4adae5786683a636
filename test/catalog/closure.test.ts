// Explanations by snapshots that are written down by hand: versions, libraries, types of operands, and what ends.

import { expect, test } from 'vitest';
import { Bodies, type CodeParser } from '../../src/catalog/bodies.ts';
import type { NameContext } from '../../src/catalog/names.ts';
import { SnapshotReacher } from '../../src/catalog/reach.ts';
import type { Snapshot } from '../../src/catalog/snapshot.ts';
import type { Statement } from '../../src/sql/statement.ts';
import { attackCorpus } from '../sql/corpus/attacks.ts';
import { everydayCorpus } from '../sql/corpus/everyday.ts';
import { analyzer, factsOf } from '../sql/facts.ts';
import { fn, nothing, operator, relation, snapshot, type } from './fixture.ts';
import { explainerOf, publicPath } from './live.ts';

function effects(
  of: Snapshot,
  sql: string,
  context: Partial<NameContext> = {},
  types: readonly number[] = [],
): string {
  return explainerOf(of).explain(sql, context, types).effects.join(' ');
}

const writer = fn({ name: 'writer', body: 'DELETE FROM victims' });
const victims = relation({ name: 'victims' });

test('functions in C do what the table of libraries says, or what nobody knows', () => {
  const c = (library: string, body: string) =>
    effects(snapshot({ functions: [fn({ name: 'f', language: 'c', library, body })] }), 'SELECT f()');
  expect(c('$libdir/pg_trgm', 'similarity')).toBe('read');
  expect(c('$libdir/postgis-3', 'ST_Area')).toBe('read');
  expect(c('$libdir/tablefunc', 'crosstab')).toBe('code read');
  expect(c('$libdir/tablefunc', 'normal_rand')).toBe('read');
  expect(c('$libdir/dblink', 'dblink_exec')).toBe('read remote');
  expect(c('$libdir/pg_stat_statements', 'pg_stat_statements_reset_1_11')).toBe('administer read');
  expect(c('$libdir/unheard_of', 'f')).toBe('function read');
  expect(c('/tmp/pg_trgm', 'similarity')).toBe('function read');
  expect(c('$libdir/../tmp/pg_trgm', 'similarity')).toBe('function read');
});

test('functions of language internal are the builtins of their symbols', () => {
  const internal = (body: string) =>
    effects(snapshot({ functions: [fn({ name: 'f', language: 'internal', body })] }), 'SELECT f()');
  expect(internal('int4pl')).toBe('read');
  expect(internal('pg_terminate_backend')).toBe('read sessions');
  expect(internal('unheard_of')).toBe('function read');
});

test('other languages are not read', () => {
  const of = snapshot({ functions: [fn({ name: 'f', language: 'plperl', body: 'return 1' })] });
  const { effects: found, why } = explainerOf(of).explain('SELECT f()');
  expect(found).toEqual(['function', 'read']);
  expect(why).toEqual(['calls public.f(), whose code is in a language that cannot be read (plperl)']);
});

test('a body that is no SQL is not believed', () => {
  for (const body of ['SELEKT', 'SELECT 1; \0', 'x'.repeat(70_000)]) {
    expect(effects(snapshot({ functions: [fn({ name: 'f', body })] }), 'SELECT f()')).toBe('function read');
    const plpgsql = fn({ name: 'f', body, language: 'plpgsql' });
    expect(effects(snapshot({ functions: [plpgsql] }), 'SELECT f()')).toBe('function read');
  }
});

test('an operator between user types counts only where a value of them may be at hand', () => {
  const box = type({ name: 'box3' });
  const equals = operator({ name: '=', left: box.oid, right: box.oid, functions: [writer.oid] });
  const boxes = relation({ name: 'boxes', types: [box.oid] });
  const makes = fn({ name: 'makes', resultType: box.oid });
  const objects = {
    functions: [writer, makes],
    relations: [victims, boxes],
    types: [box],
    operators: [equals],
  };
  const of = snapshot(objects);
  expect(effects(of, "SELECT 1 FROM victims WHERE note = 'x'")).toBe('read');
  expect(effects(of, "SELECT 1 FROM boxes WHERE b = 'x'")).toBe('read unproven');
  expect(effects(of, "SELECT 'x'::box3 = 'y'")).toBe('read unproven');
  expect(effects(of, 'SELECT makes() = $1')).toBe('read unproven');
  expect(effects(of, 'SELECT $1 = $2', {}, [box.oid, 0])).toBe('read unproven');
  expect(effects(of, 'SELECT DISTINCT b FROM boxes')).toBe('read unproven');
});

test('an operator with a builtin operand may be meant by its symbol anywhere', () => {
  const box = type({ name: 'box3' });
  const equals = operator({ name: '=', left: box.oid, right: 25, functions: [writer.oid] });
  const of = snapshot({ functions: [writer], relations: [victims], types: [box], operators: [equals] });
  expect(effects(of, "SELECT 1 FROM victims WHERE note = 'x'")).toBe('read unproven');
  expect(effects(of, "SELECT 1 FROM victims WHERE note OPERATOR(pg_catalog.=) 'x'")).toBe('read');
});

test('a join by the names of columns compares by an operator that the text does not name', () => {
  const equals = operator({ name: '=', left: 23, right: 25, functions: [writer.oid] });
  const of = snapshot({ functions: [writer], relations: [victims], operators: [equals] });
  expect(effects(of, 'SELECT * FROM victims a JOIN victims b USING (id)')).toBe('read unproven');
  expect(effects(of, 'SELECT * FROM victims a NATURAL JOIN victims b')).toBe('read unproven');
  expect(effects(of, 'SELECT * FROM victims a JOIN victims b ON true')).toBe('read');
});

test('what may run in any statement counts for all that compute something', () => {
  const of = snapshot(
    { functions: [writer], relations: [victims] },
    { everywhere: { ...nothing, functions: [writer.oid] } },
  );
  expect(effects(of, 'SELECT 1')).toBe('read unproven');
  expect(effects(of, 'BEGIN')).toBe('transaction');
});

test('event triggers count for definitions', () => {
  const of = snapshot(
    { functions: [writer], relations: [victims] },
    { onDefine: { ...nothing, functions: [writer.oid] } },
  );
  expect(effects(of, 'CREATE TABLE t (id int)')).toBe('create delete');
  expect(effects(of, 'SELECT 1')).toBe('read');
});

test('a foreign table is on another server, read by itself, as a partition or through a view', () => {
  const far = relation({ name: 'far', kind: 'f' });
  const parted = relation({ name: 'parted', kind: 'p', partitioned: true, children: [far.oid] });
  const view = relation({ name: 'v', kind: 'v', onRead: { ...nothing, relations: [far.oid] } });
  const of = snapshot({ relations: [far, parted, view] });
  for (const name of ['far', 'parted', 'v']) expect(effects(of, `SELECT * FROM ${name}`)).toBe('read remote');
  expect(effects(of, 'DROP TABLE far')).toBe('drop');
});

test('syntax that an older server reads as a call makes a statement unknown there', () => {
  expect(effects(snapshot({}, { serverVersion: 18 }), "SELECT json_scalar('x')")).toBe('read');
  expect(effects(snapshot({}, { serverVersion: 15 }), "SELECT json_scalar('x')")).toBe('read unknown');
  const own = fn({ name: 'json_scalar', body: 'DELETE FROM victims', argsMin: 1, argsMax: 1 });
  const of = snapshot({ functions: [own], relations: [victims] }, { serverVersion: 15 });
  expect(effects(of, "SELECT json_scalar('x')")).toContain('delete');
});

test('large objects are written in a READ ONLY transaction before version 16', () => {
  const remover = fn({ name: 'md5', body: 'SELECT lo_unlink(1)', argsMin: 1, argsMax: 1 });
  const on = (serverVersion: number) =>
    effects(snapshot({ functions: [remover] }, { serverVersion }), 'SELECT md5($1)');
  expect(on(15)).toBe('large-object read unproven');
});

test('a name that a temporary relation of any session has is not proven once unknown code ran', () => {
  const of = snapshot({ relations: [victims] }, { temporaryNames: new Set(['victims']) });
  expect(effects(of, 'SELECT * FROM victims')).toBe('read');
  expect(effects(of, 'SELECT * FROM victims', { shadowed: true })).toBe('read unproven');
  expect(effects(of, 'SELECT * FROM public.victims', { shadowed: true })).toBe('read');
});

test('a function that names suggest to be of an extension is what the database says it is', () => {
  const of = snapshot({ functions: [fn({ name: 'schedule_of' }), fn({ name: 'http_status' })] });
  const { effects: found, why } = explainerOf(of).explain('SELECT schedule_of(), http_status()');
  expect({ found, why }).toEqual({ found: ['read'], why: [] });
});

test('explaining only adds to the effects of a text, but for what rests on unknown names', () => {
  const of = explainerOf(snapshot({ functions: [writer], relations: [victims] }));
  const guesses = new Set(['function', 'remote', 'os', 'code', 'administer']);
  const texts = [...attackCorpus.flatMap(({ sql }) => sql), ...everydayCorpus.flatMap(({ sql }) => sql)];
  for (const text of texts) {
    const analysis = analyzer.analyze(Buffer.from(text));
    for (const statement of 'statements' in analysis ? analysis.statements : []) {
      const found = new Set(of.reacher.explain(statement, publicPath, []).effects);
      const lost = statement.effects.filter((effect) => !found.has(effect) && !guesses.has(effect));
      expect({ text, lost }).toEqual({ text, lost: [] });
    }
  }
});

test('a unique key bounds the rows unless a user operator or a rule may be in the way', () => {
  const keyed = { name: 't', uniques: [['id']], columns: ['id'] };
  const rows = (objects: Parameters<typeof snapshot>[0]) =>
    explainerOf(snapshot(objects)).explain('UPDATE t SET n = 1 WHERE id = 2').rowsAtMost;
  expect(rows({ relations: [relation(keyed)] })).toBe(1);
  const equals = operator({ name: '=', left: 23, right: 25 });
  expect(rows({ relations: [relation(keyed)], operators: [equals] })).toBeUndefined();
  const box = type({ name: 'box3' });
  const between = operator({ name: '=', left: box.oid, right: box.oid });
  expect(rows({ relations: [relation(keyed)], types: [box], operators: [between] })).toBe(1);
  const boxes = relation({ ...keyed, types: [box.oid] });
  expect(rows({ relations: [boxes], types: [box], operators: [between] })).toBeUndefined();
  const definition = 'CREATE RULE r AS ON UPDATE TO t DO INSTEAD UPDATE t SET n = 2';
  const rule = {
    ...victims,
    name: 'r',
    event: 'update' as const,
    instead: true,
    definition,
    refers: nothing,
  };
  expect(rows({ relations: [relation({ ...keyed, rules: [rule] })] })).toBeUndefined();
});

test('what any relation may reach is the same whichever statement asked first', () => {
  const code = (name: string, sql: string, resultType = 2278) => {
    const body = `DECLARE t text; BEGIN EXECUTE format('${sql}', t); END`;
    return fn({ name, language: 'plpgsql', resultType, body });
  };
  const reading = code('reading', 'SELECT * FROM %I');
  const fired = code('fired', 'SELECT * FROM %I', 2279);
  const deleting = code('deleting', 'DELETE FROM %I');
  const killing = fn({ name: 'killing', body: 'SELECT pg_terminate_backend(1)' });
  const view = (name: string, oid: number) =>
    relation({ name, kind: 'v', onRead: { ...nothing, functions: [oid] } });
  const trigger = {
    ...victims,
    name: 't',
    function: fired.oid,
    events: ['delete' as const],
    before: false,
    columns: [],
    when: nothing,
  };
  const relations = [
    view('w', killing.oid),
    view('v', deleting.oid),
    relation({ name: 'x', triggers: [trigger] }),
  ];
  const objects = { functions: [reading, fired, deleting, killing], relations };
  const first = effects(snapshot(objects), 'SELECT deleting()');
  expect(first).toBe('delete read sessions unproven');
  const explainer = explainerOf(snapshot(objects));
  explainer.explain('SELECT reading()');
  expect(explainer.explain('SELECT deleting()').effects.join(' ')).toBe(first);
});

test('SQL built by a function that is not the builtin is not believed', () => {
  const body = "BEGIN EXECUTE format('SELECT 1 FROM victims WHERE id = %L', 1); END";
  const builds = fn({ name: 'builds', language: 'plpgsql', body, resultType: 2278 });
  expect(effects(snapshot({ functions: [builds], relations: [victims] }), 'SELECT builds()')).toBe('read');
  const format = fn({ name: 'format', argsMin: 2, argsMax: 2 });
  expect(
    effects(snapshot({ functions: [builds, format], relations: [victims] }), 'SELECT builds()'),
  ).toContain('function');
});

test('pg_catalog comes first unless the path puts it elsewhere', () => {
  const own = relation({ name: 'pg_class', oid: 1259, schema: 'pg_catalog' });
  const impostor = relation({ name: 'pg_class', kind: 'v', onRead: { ...nothing, functions: [writer.oid] } });
  const of = snapshot({ functions: [writer], relations: [victims, own, impostor] });
  expect(effects(of, 'SELECT * FROM pg_class')).toBe('read');
  expect(effects(of, 'SELECT * FROM pg_class', { path: ['public', 'pg_catalog'] })).toBe('delete read');
  expect(effects(of, 'SELECT * FROM pg_class', { path: undefined })).toBe('read unproven');
});

test('a call that the parser leaves out of its tree is found by its name', () => {
  const forgetful: CodeParser = {
    ready: true,
    analyze: (sql) => analyzer.analyze(sql),
    syntax: (sql) => analyzer.syntax(sql),
    plpgsql: () => [{ PLpgSQL_function: { action: { PLpgSQL_stmt_block: { body: [] } } } }],
  };
  const calls = (body: string) => {
    const of = snapshot({
      functions: [writer, fn({ name: 'f', language: 'plpgsql', body })],
      relations: [victims],
    });
    return new SnapshotReacher(of, new Bodies(forgetful)).explain(factsOf('SELECT f()'), publicPath, [])
      .effects;
  };
  expect(calls('BEGIN PERFORM writer(); END')).toEqual(['read', 'unproven']);
  expect(calls('BEGIN PERFORM pg_terminate_backend(1); END')).toEqual(['read', 'sessions']);
  expect(calls('BEGIN END')).toEqual(['read']);
});

test('a rule whose definition cannot be read makes a write unknown', () => {
  const rule = {
    ...victims,
    name: 'r',
    event: 'insert' as const,
    instead: true,
    definition: '',
    refers: nothing,
  };
  const of = snapshot({ relations: [relation({ name: 't', rules: [rule] })] });
  expect(effects(of, 'INSERT INTO t VALUES (1)')).toBe('insert read unknown');
});

test('an OID that is not in the snapshot makes a statement unknown, and says that something is missing', () => {
  const view = relation({ name: 'v', kind: 'v', onRead: { ...nothing, functions: [99_999] } });
  const statement = explainerOf(snapshot({ relations: [view] })).explain('SELECT * FROM v');
  expect(statement.effects).toEqual(['read', 'unknown']);
  expect(statement.missing).toBe(true);
});

test('the identity is that of all definitions that were looked at, in any order', () => {
  const identity = (version: string) => {
    const inner = fn({ name: 'inner', oid: 30_000, version });
    const outer = fn({ name: 'outer', oid: 30_001, body: 'SELECT inner()' });
    return explainerOf(snapshot({ functions: [inner, outer] })).explain('SELECT outer()').identity;
  };
  expect(identity('1')).toBe(identity('1'));
  expect(identity('2')).not.toBe(identity('1'));
  expect(explainerOf(snapshot({})).explain('SELECT 1').identity).toBeUndefined();
});

test('a body is read once for all snapshots that have it, and a new version of it again', () => {
  const read: string[] = [];
  const counting: CodeParser = {
    ready: true,
    analyze: (sql) => {
      read.push(sql.toString());
      return analyzer.analyze(sql);
    },
    syntax: (sql) => analyzer.syntax(sql),
    plpgsql: (sql) => analyzer.plpgsql(sql),
  };
  const bodies = new Bodies(counting);
  const explain = (version: string, body = 'SELECT 2') => {
    const of = snapshot({ functions: [fn({ name: 'f', oid: 30_000, version, body })] });
    return new SnapshotReacher(of, bodies).explain(factsOf('SELECT f()'), publicPath, []);
  };
  explain('1');
  explain('1');
  expect(read).toEqual(['SELECT 2']);
  explain('2');
  expect(read).toHaveLength(2);
  explain('2', 'SELECT 3');
  expect(read.at(-1)).toBe('SELECT 3');
});

test('no body is read before it is reached', () => {
  const refusing: CodeParser = {
    ready: true,
    analyze: () => {
      throw new Error('read');
    },
    syntax: () => undefined,
    plpgsql: () => undefined,
  };
  const functions = Array.from({ length: 1000 }, (_, index) => fn({ name: `f${index}` }));
  const reacher = new SnapshotReacher(snapshot({ functions }), new Bodies(refusing));
  expect(reacher.explain(factsOf('SELECT now()'), publicPath, []).effects).toEqual(['read']);
  expect(() => reacher.explain(factsOf('SELECT f1()'), publicPath, [])).toThrow('read');
});

test('while a body is not read yet it is not believed, and the answer is not kept', async () => {
  let busy = true;
  const slow: CodeParser = {
    ready: true,
    analyze: (sql) => (busy ? Promise.resolve(analyzer.analyze(sql)) : analyzer.analyze(sql)),
    syntax: (sql) => analyzer.syntax(sql),
    plpgsql: (sql) => analyzer.plpgsql(sql),
  };
  const reacher = new SnapshotReacher(snapshot({ functions: [fn({ name: 'f' })] }), new Bodies(slow));
  const statement: Statement = factsOf('SELECT f()');
  expect(reacher.explain(statement, publicPath, []).effects).toEqual(['function', 'read']);
  busy = false;
  expect(reacher.explain(statement, publicPath, []).effects).toEqual(['read']);
});
