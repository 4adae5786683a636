// What a session makes of the catalog: it waits for it, judges by it, and notices when it has changed.

import { afterAll, describe, expect, test } from 'vitest';
import type { Catalog, Reacher } from '../../src/catalog/names.ts';
import { changeOf, explained } from '../../src/session/meaning.ts';
import { Settings } from '../../src/session/settings.ts';
import type { Effect, Statement } from '../../src/sql/statement.ts';
import { bind, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { statement } from '../policy/statements.ts';
import { plainCatalog } from '../support/catalog.ts';
import { rawFrame } from '../support/frames.ts';
import { analyzer, C, Transcript, Z } from './transcript.ts';

afterAll(() => analyzer.close());

/** A catalog in which the function `f` has these effects. */
function reacher(epoch: string, ...effects: Effect[]): Reacher {
  const known = new WeakMap<Statement, Statement>();
  return {
    epoch,
    searchPath: ['public'],
    explain(one, { changed }) {
      if (!one.functions.some(({ name }) => name === 'f')) return one;
      const explained = known.get(one) ?? { ...one, effects: ['read', ...effects], identity: `f@${epoch}` };
      known.set(one, explained);
      return changed ? { ...explained, effects: ['unknown'] } : explained;
    },
  };
}

function catalogOf(reach: Reacher | undefined, pending?: Promise<void>) {
  const catalog = { ...plainCatalog(), reach, pending };
  return catalog as Catalog & { reach: typeof reach; pending: typeof pending; changes: number };
}

const call = query('SELECT f()');

test('a function that the catalog proves harmless passes, one that deletes is held', () => {
  expect(new Transcript({ catalog: catalogOf(reacher('1')) }).client(call)).toEqual(['pass!']);
  expect(new Transcript({ catalog: catalogOf(reacher('1', 'delete')) }).client(call)).toEqual(['hold']);
});

test('while the catalog is read, a statement that names something waits, and one that does not goes on', () => {
  const session = new Transcript({ catalog: catalogOf(undefined, Promise.resolve()) });
  expect(session.client(call)).toEqual(['later']);
  expect(session.client(parse('', 'SELECT f()'))).toEqual(['later']);
  // What a type is has to be looked up too.
  expect(session.client(parse('', 'SELECT $1', [23]))).toEqual(['later']);
  expect(session.client(parse('', 'SELECT $1', [0]))).toEqual(['pass']);
  expect(session.client(query('BEGIN'))).toEqual(['pass!']);
});

test('before a person is asked, the catalog is looked at once more', () => {
  let looks = 0;
  const catalog = catalogOf(reacher('1', 'delete'));
  catalog.refresh = async () => {
    looks += 1;
    catalog.reach = reacher('2', ...(looks === 1 ? (['delete'] as const) : []));
    return true;
  };
  const session = new Transcript({ catalog });
  expect(session.client(call)).toEqual(['hold']);
  expect(looks).toBe(1);
  expect(session.gates.at(-1)?.explainedBy).toBe(catalog.reach);
  expect(session.gates.at(-1)?.n).toBe(1);
  catalog.reach = reacher('3', 'delete');
  expect(new Transcript({ catalog }).client(call)).toEqual(['pass!']);
});

test('a statement that names nothing is held without a look', () => {
  let looks = 0;
  const catalog = catalogOf(reacher('1'));
  catalog.refresh = async () => {
    looks += 1;
    return true;
  };
  expect(new Transcript({ catalog }).client(query('DROP OWNED BY joe'))).toEqual(['hold']);
  expect(looks).toBe(0);
});

test('without a catalog every name is unknown', () => {
  const session = new Transcript({ catalog: catalogOf(undefined) });
  expect(session.client(query('SELECT * FROM orders'))).toEqual(['hold']);
  expect(session.client(query('SELECT upper($$a$$)'))).toEqual(['hold']);
});

test('after a definition was changed, the catalog is told when the transaction ends', () => {
  const catalog = catalogOf(reacher('1'));
  const session = new Transcript({ catalog });
  session.client(query('BEGIN'));
  session.server(C('BEGIN'), Z('T'));
  session.client(query('CREATE VIEW v AS SELECT 1'));
  session.release();
  session.server(C('CREATE VIEW'), Z('T'));
  expect(catalog.changes).toBe(0);
  expect(session.client(call)).toEqual(['hold']);
  expect(session.client(query('COMMIT'))).toEqual(['pass!']);
  session.server(C('COMMIT'), Z());
  expect(catalog.changes).toBe(1);
  expect(session.client(call)).toEqual(['pass!']);
});

test('a connection that is lost behind a changed definition tells the catalog', () => {
  const catalog = catalogOf(reacher('1'));
  const session = new Transcript({ catalog });
  session.client(query('CREATE VIEW v AS SELECT 1'));
  session.release();
  session.session.lost();
  expect(catalog.changes).toBe(1);
});

test('a portal is not executed any more once what it reaches has been given another definition', () => {
  const catalog = catalogOf(reacher('1'));
  const session = new Transcript({ catalog });
  session.client(query('BEGIN'));
  session.server(C('BEGIN'), Z('T'));
  expect(session.client(parse('', 'SELECT f()'), bind('p', ''), sync())).toEqual(['pass', 'pass!', 'pass']);
  session.server(rawFrame('1'), rawFrame('2'), Z('T'));
  catalog.reach = reacher('2', 'delete');
  expect(session.client(execute('p'))).toEqual(['refuse 55000']);
});

test('a portal is executed on when something else in the catalog has changed', () => {
  const catalog = catalogOf(reacher('1'));
  const session = new Transcript({ catalog });
  session.client(parse('', 'SELECT 1 FROM t'), bind('p', ''));
  catalog.reach = reacher('2', 'delete');
  expect(session.client(execute('p'), sync())).toEqual(['pass', 'pass']);
});

test('statements mean the same as long as effects, definitions and reasons are the same', () => {
  const was = statement('SELECT', ['read'], { identity: 'a', why: ['x'] });
  expect(changeOf([was], [{ ...was }])).toBeUndefined();
  const relations = [{ schema: 'public', name: 'orders', access: 'read' as const }];
  expect(changeOf([{ ...was, relations }], [{ ...was, relations, identity: 'b' }])).toBe(
    'public.orders, or code behind it, was changed or replaced',
  );
  expect(changeOf([was], [{ ...was, effects: ['delete'] }])).toMatch(/something that it uses/);
  expect(changeOf([was], [{ ...was, why: ['y'] }])).toBeDefined();
});

describe('within one text, names are looked up', () => {
  /** The search paths (`?` for one that is not known) and temporary names that each statement is explained with. */
  async function contexts(sql: string, before: readonly string[] = []): Promise<string[]> {
    const seen: string[] = [];
    const reach: Reacher = {
      epoch: '1',
      searchPath: ['public'],
      explain(one, { path, temporary, shadowed }) {
        seen.push(
          `${path?.join() ?? '?'}${shadowed ? ' shadowed' : ''} ${[...temporary.keys()].join()}`.trim(),
        );
        return one;
      },
    };
    const settings = new Settings('postgres', new Map());
    for (const text of before) settings.note(await factsOf(text));
    explained(await factsOf(sql), [], reach, settings);
    return seen;
  }

  async function factsOf(sql: string): Promise<readonly Statement[]> {
    const analysis = await analyzer.analyze(Buffer.from(sql));
    if (analysis.kind !== 'statements') throw new Error(sql);
    return analysis.statements;
  }

  test.each<[string, string[]]>([
    ['select 1; begin; select 2', ['public', 'public', 'public']],
    ['set search_path = a; select 1', ['public', '?']],
    ["select set_config('search_path', 'a', false); select 1", ['public', '?']],
    ['reset all; select 1', ['public', '?']],
    ['do $$ begin end $$; select 1', ['public', '? shadowed']],
    ['create temp table x (a int); select 1', ['public', 'public x']],
    ['set local search_path = a; rollback; select 1', ['public', '?', '?']],
  ])('%s', async (sql, expected) => {
    expect(await contexts(sql)).toEqual(expected);
  });

  test('behind the end of a transaction not where they were, if search_path was set here before', async () => {
    expect(await contexts('rollback; select 1')).toEqual(['public', 'public']);
    expect((await contexts('rollback; select 1', ['set search_path = a'])).at(-1)).toBe('?');
  });
});
