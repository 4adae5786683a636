// What the snapshot says of a schema with one object of every kind that can hide code, on every version of the server,
// read as an ordinary role as well as the superuser.

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { References, RelationObject, Snapshot } from '../../src/catalog/snapshot.ts';
import { startPostgres, type TestServer } from '../support/postgres.ts';
import { openSide, readAgain, readSnapshot } from '../support/snapshot.ts';
import { catalogSchema } from './catalog-schema.ts';

const temporaryObjects = [
  `CREATE TEMP TABLE tried (id serial PRIMARY KEY, note text CHECK (note <> ''), n integer DEFAULT 1)`,
  'CREATE TEMP TABLE heir () INHERITS (tried)',
  'CREATE TEMP TABLE whole (id integer) PARTITION BY LIST (id); CREATE TEMP TABLE part PARTITION OF whole FOR VALUES IN (1)',
  'CREATE INDEX ON whole (id)',
  'CREATE TEMP VIEW tried_view AS SELECT * FROM tried',
  'CREATE RULE aside AS ON DELETE TO tried DO INSTEAD NOTHING',
  'CREATE POLICY few ON tried USING (n > 1)',
  'CREATE STATISTICS pg_temp.both_columns ON id, n FROM tried',
  'CREATE DOMAIN pg_temp.above AS integer CHECK (VALUE > 0)',
  `CREATE TYPE pg_temp.state AS ENUM ('new')`,
  'CREATE TYPE pg_temp.pair AS (a integer, b text)',
  `CREATE FUNCTION pg_temp.one() RETURNS integer LANGUAGE sql AS 'SELECT 1'`,
  'CREATE OPERATOR pg_temp.### (leftarg = integer, rightarg = integer, function = int4pl)',
  'ALTER TABLE tried ADD COLUMN more text; ALTER TABLE tried RENAME COLUMN n TO m',
  'DROP TABLE heir, whole',
];

describe.each([13, 14, 15, 16, 17, 18])('PostgreSQL %i', (version) => {
  let server: TestServer;
  let snapshot: Snapshot;
  let asReader: Snapshot;

  beforeAll(async () => {
    server = await startPostgres({ version, user: 'reader' });
    const client = new pg.Client({ connectionString: server.url() });
    await client.connect();
    await client.query(catalogSchema(version));
    await client.query('GRANT pg_signal_backend TO reader; CREATE TEMP TABLE passing (id integer)');
    snapshot = await readSnapshot(server.url());
    asReader = await readSnapshot(server.url('postgres', 'reader'));
    await client.end();
  });
  afterAll(() => server?.stop());

  const relation = (name: string): RelationObject => {
    const found = snapshot
      .relationsNamed(name)
      .filter((one) => one.schema === 'app' || one.schema === 'pg_catalog');
    expect(found.map((one) => one.name)).toEqual([name]);
    return found[0]!;
  };
  const func = (name: string) => {
    const [found, ...others] = snapshot.functionsNamed(name);
    expect(others).toEqual([]);
    return found!;
  };
  const type = (name: string) => snapshot.typesNamed(name)[0]!;
  /** References as sorted names. */
  const named = (refers: References) => ({
    functions: names(refers.functions, (oid) => (snapshot.function(oid) ?? snapshot.builtin(oid))?.name),
    operators: names(refers.operators, (oid) => snapshot.operator(oid)?.name),
    types: names(refers.types, (oid) => snapshot.type(oid)?.name),
    relations: names(refers.relations, (oid) => snapshot.relation(oid)?.name),
  });

  test('knows functions: arguments, parameters, settings, parts', () => {
    expect(func('writer')).toMatchObject({
      schema: 'app',
      kind: 'function',
      language: 'plpgsql',
      argsMin: 1,
      argsMax: Number.POSITIVE_INFINITY,
      definer: true,
      settings: ['search_path=app, pg_temp'],
      ofRow: false,
      returnsSet: false,
      resultType: 23,
      extension: undefined,
      body: 'BEGIN DELETE FROM plain; RETURN 1; END',
    });
    expect(named(func('writer').parts).functions).toEqual(['harmless']);
    expect(func('writer').parameters.map(({ name, mode }) => [name, mode])).toEqual([
      ['', 'i'],
      ['', 'i'],
      ['more', 'v'],
    ]);
    expect(func('purge')).toMatchObject({ kind: 'procedure', argsMax: 2 });
    expect(func('pairs')).toMatchObject({ argsMin: 0, argsMax: 0, returnsSet: true, argTypes: [] });
    expect(func('pairs').parameters).toEqual([
      { name: 'a', type: 23, mode: 'o' },
      { name: 'b', type: 25, mode: 'o' },
    ]);
    expect(func('total')).toMatchObject({ kind: 'aggregate', body: '' });
    expect(named(func('total').parts).functions).toEqual(['finish', 'state']);
    const contrib = snapshot.functionsNamed('hstore_in')[0];
    expect(contrib).toMatchObject({
      language: 'c',
      extension: 'hstore',
      body: 'hstore_in',
      library: '$libdir/hstore',
    });
    expect(snapshot.functionsNamed('lower')).toHaveLength(0);
    expect(snapshot.functionsNamed('pg_sleep')).toEqual([]);
  });

  test('knows what a compiled body runs, and writes', () => {
    if (version < 14) return expect(snapshot.functionsNamed('compiled')).toEqual([]);
    expect(named(func('compiled').compiled!)).toMatchObject({
      functions: ['harmless'],
      relations: ['plain'],
    });
    expect(func('compiled').compiledWrites).toEqual([]);
    expect(named(func('compiled_writer').compiled!).relations).toEqual(['child']);
    expect([...func('compiled_writer').compiledWrites!].sort()).toEqual(['delete', 'insert']);
  });

  test('knows which functions column notation can call', () => {
    const taken = ['of_row', 'of_row_and_more', 'of_rows', 'of_anything', 'of_domain'];
    for (const name of taken) expect([name, func(name).ofRow]).toEqual([name, true]);
    for (const name of ['of_two', 'harmless', 'fires'])
      expect([name, func(name).ofRow]).toEqual([name, false]);
  });

  test('reads what a view runs from its tree', () => {
    expect(named(relation('seen').onRead)).toEqual({
      functions: ['harmless', 'lower', 'state', 'total'],
      operators: ['###'],
      types: ['mood'],
      relations: ['plain', 'seen'].filter((name) => name === 'plain' || version < 16),
    });
    expect(named(relation('deeper').onRead)).toMatchObject({ types: ['positive'] });
    expect(named(relation('deeper').onRead).functions).toContain('bernoulli');
    expect(named(relation('deeper').onRead).relations).toEqual(expect.arrayContaining(['plain', 'seen']));
    expect(named(relation('kept_rows').onRead).functions).toEqual(['writer']);
    expect(relation('kept_rows').kind).toBe('m');
  });

  test('knows what writing to a table runs', () => {
    const rich = relation('rich');
    expect(named(rich.onWrite).functions).toEqual(expect.arrayContaining(['backwards', 'harmless']));
    expect(named(rich.defaults).functions).toEqual(['harmless']);
    expect(named(rich.onRead).functions).toEqual(version >= 18 ? ['backwards', 'int4pl'] : ['backwards']);
    expect(rich.types.map((oid) => snapshot.type(oid)?.name)).toEqual([
      'hstore',
      'positive',
      'pair',
      '_mood',
    ]);
    expect(rich.triggers.map((one) => [one.name, one.events, one.columns])).toEqual(
      expect.arrayContaining([
        ['on_change', ['insert', 'update'], ['checked']],
        ['emptied', ['truncate'], []],
      ]),
    );
    expect(rich.triggers).toHaveLength(2);
    expect(named(rich.triggers.find((one) => one.name === 'on_change')!.when).functions).toContain(
      'harmless',
    );
  });

  test('knows what planning any access to a table computes, but for the server’s own functions', () => {
    const written = ['backwards', 'harmless'];
    expect(named(relation('rich').onPlan).functions).toEqual(version >= 14 ? [...written, 'state'] : written);
    expect(named(relation('parted_one').onPlan).functions).toEqual(['harmless']);
  });

  test('knows rules, foreign keys, unique columns and policies in force', () => {
    const [rule] = relation('child').rules;
    expect(rule).toMatchObject({ name: 'swallow', event: 'delete', instead: true });
    expect(rule!.definition).toMatch(/DO INSTEAD +UPDATE app\.plain SET other = app\.harmless\(8\)/);
    expect(named(rule!.refers)).toMatchObject({
      functions: ['harmless', 'int8'],
      relations: ['child', 'plain'],
    });
    const plain = relation('plain');
    expect(plain.referencedBy).toMatchObject([
      { child: relation('child').oid, onDelete: 'c', onUpdate: 'n', columns: ['id'] },
    ]);
    expect(plain.columns).toEqual(['id', 'odd "name, {x}', '', 'mood', 'other']);
    expect(plain.uniques).toHaveLength(2);
    expect(plain.uniques).toEqual(expect.arrayContaining([['id'], ['odd "name, {x}', 'other']]));
    expect(named(plain.policies).functions).toContain('harmless');
    expect(relation('child').policies.functions).toEqual([]);
  });

  test('knows partitions, heirs, foreign tables, sequences and the server’s own relations', () => {
    expect(relation('parted')).toMatchObject({
      kind: 'p',
      partitioned: true,
      children: [relation('parted_one').oid],
    });
    expect(named(relation('parted').onWrite).functions).toEqual(['harmless']);
    expect(relation('ancestor')).toMatchObject({ partitioned: false, children: [relation('heir').oid] });
    expect(relation('remote').kind).toBe('f');
    expect(relation('counter').kind).toBe('S');
    expect(relation('pg_class')).toMatchObject({ schema: 'pg_catalog', kind: 'r' });
    expect([...snapshot.relations()].every((one) => one.oid >= 16_384)).toBe(true);
  });

  test('knows what values of a type run', () => {
    expect(named(type('positive').checks).functions).toEqual(expect.arrayContaining(['harmless']));
    expect(named(type('positive').defaults).functions).toEqual(['harmless']);
    const functionsOf = (name: string) => names(type(name).functions, (oid) => snapshot.function(oid)?.name);
    expect(functionsOf('mood')).toEqual(['mood_number']);
    // From 14 on a range also has a cast to its multirange.
    expect(functionsOf('moods')).toEqual(
      version >= 14 ? ['mood_distance', 'moods_multirange'] : ['mood_distance'],
    );
    expect(functionsOf('hstore')).toEqual(
      expect.arrayContaining(['hstore_in', 'hstore_out', 'hstore_recv', 'hstore_cmp']),
    );
    expect(type('pair').parts.map((oid) => snapshot.type(oid)?.name)).toEqual(['positive', 'mood']);
    expect(type('_mood').parts).toEqual([type('mood').oid]);
    expect(type('rich').kind).toBe('c');
    expect(type('rich').parts).toContain(type('positive').oid);
    expect(type('_rich').parts).toEqual([type('rich').oid]);
    expect(snapshot.type(type('_rich').oid)).toBe(type('_rich'));
    expect(type('plain_row').parts).toEqual([type('plain').oid]);
  });

  test('knows which types hide code, and what they are made of', () => {
    const hiding = [...snapshot.types()].map((one) => one.name);
    expect(hiding).toEqual(expect.arrayContaining(['positive', 'mood', 'moods', 'hstore']));
    expect(hiding).not.toContain('plain');
    expect(snapshot.typesOver(type('mood').oid)).toContain(type('moods').oid);
    expect(snapshot.typesOver(type('pair').oid)).toEqual([]);
  });

  test('knows what may run in any statement', () => {
    expect(named(snapshot.everywhere)).toMatchObject({
      functions: ['point_compare', 'to_point'],
      operators: ['<##'],
    });
    expect(named(snapshot.onDefine).functions).toEqual(['on_definition']);
    expect(snapshot.operatorsNamed('###')).toMatchObject([{ left: 23, right: 23, result: 23 }]);
    expect(
      names(snapshot.operatorsNamed('###')[0]!.functions, (oid) => snapshot.function(oid)?.name),
    ).toEqual(['state']);
  });

  test('leaves temporary objects out but for their names', () => {
    expect(snapshot.relationsNamed('passing')).toEqual([]);
    expect(snapshot.typesNamed('passing')).toEqual([]);
    expect(snapshot.temporaryNames).toContain('passing');
  });

  test('counts no row of a temporary object', async () => {
    const side = await openSide(server.url());
    const before = await readAgain(side);
    const client = new pg.Client({ connectionString: server.url() });
    await client.connect();
    for (const made of temporaryObjects) {
      await client.query(made);
      expect((await readAgain(side, before)).digests, made).toEqual(before.digests);
    }
    // One that is not temporary is counted beside them, and goes by itself.
    await client.query('CREATE TABLE app.lasting (id integer)');
    expect((await readAgain(side, before)).digests).not.toEqual(before.digests);
    await client.query('DROP TABLE app.lasting');
    expect((await readAgain(side, before)).digests).toEqual(before.digests);
    await client.end();
    side.close();
  });

  test('says the same to an ordinary role, and what the role is', () => {
    const all = (from: Snapshot) => [...from.relations()].map((one) => one);
    expect(all(asReader)).toEqual(all(snapshot));
    expect(asReader.functionsNamed('writer')).toEqual(snapshot.functionsNamed('writer'));
    expect(asReader.role).toEqual({ name: 'reader', superuser: false, powers: ['pg_signal_backend'] });
    expect(snapshot.role).toEqual({ name: 'postgres', superuser: true, powers: ['SUPERUSER'] });
    expect(snapshot.serverVersion).toBe(version);
    expect(snapshot.searchPath).toEqual(['public']);
  });
});

function names(oids: readonly number[], name: (oid: number) => string | undefined): string[] {
  return oids.map((oid) => name(oid) ?? String(oid)).sort();
}
