// What a record needs before its statement goes, as a table of statements and places; and the transactions in which the
// COMMIT waits for what came before it. PostgreSQL's own parser, the session as it is, no log.

import { afterAll, describe, expect, test } from 'vitest';
import { effectNames } from '../../src/policy/format.ts';
import { type Policy, parsePolicy } from '../../src/policy/rules.ts';
import type { Reads } from '../../src/session/durability.ts';
import { bind, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { analyzer, C, defaultRules, E, ok, Transcript, Z } from './transcript.ts';

afterAll(() => analyzer.close());

const passable = effectNames.filter((effect) => !['unproven', 'unknown', 'parser-setting'].includes(effect));

/** Rules by which every effect passes; `more` are further lines. */
function rulesPassing(more = ''): Policy {
  const rule = `  - { name: all, action: pass, reason: a test, effects: [${passable.join(', ')}] }`;
  return parsePolicy({ file: 'rules.yaml', text: `version: 1\n${more}rules:\n${rule}\n` }, () => {
    throw new Error('no packs');
  });
}

/** Everything passes, so that the class rests on the statement alone. */
const open = rulesPassing();

function started(reads: Reads = 'kill-safe'): Transcript {
  return new Transcript({ policy: open, reads });
}

/** A session in a transaction block of the client's. */
function inBlock(reads: Reads = 'kill-safe'): Transcript {
  const t = started(reads);
  t.client(query('begin'));
  t.server(C('BEGIN'), Z('T'));
  return t;
}

/** The class of the text's gate, sent by itself. */
function classed(t: Transcript, sql: string): string {
  t.client(query(sql));
  return t.gates.at(-1)!.durability;
}

/** A statement; what it needs by itself; and within a block of the client's in which nothing was written yet. */
const statements: readonly [string, string, string][] = [
  ['select * from t where a = 1', 'kill', 'kill'],
  ['', 'kill', 'kill'],
  ['values (1)', 'kill', 'kill'],
  ['show server_version', 'kill', 'kill'],
  ['explain select * from t', 'kill', 'kill'],
  ['select * from t for update', 'kill', 'kill'],
  ['lock table t in share mode', 'kill', 'kill'],
  ['select pg_advisory_lock(1)', 'kill', 'kill'],
  ["set application_name = 'x'", 'kill', 'kill'],
  ["set app.tenant = '7'", 'kill', 'kill'],
  ['begin', 'kill', 'kill'],
  ['start transaction isolation level serializable', 'kill', 'kill'],
  ['rollback', 'kill', 'kill'],
  ['savepoint s', 'kill', 'kill'],
  ['commit', 'kill', 'kill'],
  ['end', 'kill', 'kill'],
  ['prepare p as insert into t values (1)', 'kill', 'kill'],
  ['declare c cursor for select * from t', 'kill', 'kill'],

  ['insert into t values (1)', 'disk', 'kill'],
  ['update t set a = 1 where b = 2', 'disk', 'kill'],
  ['update t set a = 1', 'seal', 'kill'],
  ['delete from t where a = 1', 'seal', 'kill'],
  ['with gone as (delete from t returning *) select * from gone', 'seal', 'kill'],
  ['merge into t using s on t.a = s.a when matched then delete', 'seal', 'kill'],
  ['copy t from stdin', 'disk', 'kill'],
  ['truncate t', 'seal', 'kill'],
  ['create temporary table x (a int)', 'disk', 'kill'],
  ['explain analyze delete from t where a = 1', 'seal', 'kill'],
  ['insert into t values (1); update t set a = 2 where a = 1', 'disk', 'kill'],
  ['select 1; insert into t values (1)', 'disk', 'kill'],
  ['savepoint s; insert into t values (1); release s', 'disk', 'kill'],
  ['begin; insert into t values (1)', 'disk', 'kill'],

  // What outlives a rollback, or what nobody can tell, waits wherever it is.
  ["select nextval('s')", 'disk', 'disk'],
  ["insert into t values (nextval('s'))", 'disk', 'disk'],
  ["select setval('s', 1)", 'seal', 'seal'],
  ["notify c, 'x'", 'seal', 'seal'],
  ['listen c', 'seal', 'seal'],
  ["copy t from program 'x'", 'seal', 'seal'],
  ["copy t to '/tmp/x'", 'seal', 'seal'],
  ["select dblink_exec('c', 'delete from t')", 'seal', 'seal'],
  ['select pg_terminate_backend(1)', 'seal', 'seal'],
  ["select lo_export(1, '/tmp/x')", 'seal', 'seal'],
  ['do $$ begin null; end $$', 'seal', 'seal'],
  ['call p()', 'seal', 'seal'],
  ['select unheard_of(1)', 'seal', 'seal'],
  ['select f(a) from t where a = 1; delete from t', 'seal', 'seal'],
  ['vacuum t', 'seal', 'seal'],
  ['analyze t', 'seal', 'seal'],
  ['create index concurrently i on t (a)', 'seal', 'seal'],
  ['create database d', 'seal', 'seal'],
  ['drop database d', 'seal', 'seal'],
  ['drop table t', 'seal', 'seal'],
  ['create table x (a int)', 'seal', 'seal'],
  ['alter table t add b int', 'seal', 'seal'],
  ['grant select on t to public', 'seal', 'seal'],
  ["alter system set work_mem = '1MB'", 'seal', 'seal'],
  ['select pg_reload_conf()', 'seal', 'seal'],
  ['set session_replication_role = replica', 'seal', 'seal'],
  ["prepare transaction 'x'", 'seal', 'seal'],
  ["commit prepared 'x'", 'seal', 'seal'],
  ["rollback prepared 'x'", 'seal', 'seal'],
  ['refresh materialized view v', 'seal', 'seal'],
  ['insert into t values (1); commit', 'disk', 'disk'],
  ['rollback; insert into t values (1)', 'disk', 'disk'],
  ['commit; insert into t values (1)', 'disk', 'disk'],
  ['rollback and chain; insert into t values (1)', 'disk', 'disk'],
];

describe('by what a statement can do', () => {
  test.each(statements)('%s', (sql, alone, within) => {
    expect([classed(started(), sql), classed(inBlock(), sql)]).toEqual([alone, within]);
  });

  test.each(statements)('%s: write-ahead waits, output-commit holds the answer back', (sql, alone) => {
    expect(classed(started('write-ahead'), sql)).toBe(alone === 'kill' ? 'disk' : alone);
    expect(classed(started('output-commit'), sql)).toBe(alone === 'kill' ? 'output' : alone);
  });

  test('what the rules only watch waits as if nobody watched', () => {
    const policy = parsePolicy(
      {
        file: 'rules.yaml',
        text: 'version: 1\nobserve: true\nrules:\n  - { name: all, action: hold, reason: a test, effects: [delete] }\n',
      },
      () => {
        throw new Error('no packs');
      },
    );
    const t = new Transcript({ policy });
    expect(classed(t, 'delete from t where a = 1')).toBe('seal');
    expect(t.gates.at(-1)!.verdict.shadow).toBe('hold');
  });
});

describe('the COMMIT of a transaction that wrote', () => {
  test.each(['commit', 'end', 'commit and chain', 'commit; begin', 'commit; select 1'])(
    'waits for the disk: %s',
    (sql) => {
      const t = inBlock();
      expect(classed(t, 'insert into t values (1)')).toBe('kill');
      t.server(C('INSERT 0 1'), Z('T'));
      expect(classed(t, sql)).toBe('disk');
    },
  );

  test.each(['rollback', 'savepoint s', 'release s', 'rollback to s', 'select 1'])(
    'what commits nothing does not wait: %s',
    (sql) => {
      const t = inBlock();
      classed(t, 'insert into t values (1)');
      t.server(C('INSERT 0 1'), Z('T'));
      expect(classed(t, sql)).toBe('kill');
    },
  );

  test('behind others of a pipeline too', () => {
    const t = started();
    t.client(query('begin'), query('select 1'), query('insert into t values (1)'), query('commit'));
    expect(t.gates.map(({ durability }) => durability)).toEqual(['kill', 'kill', 'disk', 'disk']);
  });

  test('a transaction that only read does not wait, also behind one that wrote', () => {
    const t = inBlock();
    classed(t, 'insert into t values (1)');
    t.server(C('INSERT 0 1'), Z('T'));
    classed(t, 'commit');
    t.server(C('COMMIT'), Z());
    t.client(query('begin'));
    t.server(C('BEGIN'), Z('T'));
    expect(classed(t, 'select 1')).toBe('kill');
    t.server(C('SELECT 1'), Z('T'));
    expect(classed(t, 'commit')).toBe('kill');
  });

  test('a statement that was held and released counts as written', () => {
    const policy = defaultRules;
    const t = new Transcript({ policy });
    t.client(query('begin'));
    t.server(C('BEGIN'), Z('T'));
    expect(t.client(query('delete from t where a = 1'))).toEqual(['hold']);
    t.release();
    t.server(C('DELETE 1'), Z('T'));
    expect(classed(t, 'commit')).toBe('seal');
  });

  test('waits for a seal if it destroyed, and the next one does not', () => {
    for (const sql of ['delete from t where a = 1', 'update t set a = 1', 'truncate t']) {
      const t = inBlock();
      expect(classed(t, sql)).toBe('kill');
      t.server(C('DELETE 1'), Z('T'));
      expect(classed(t, 'insert into t values (1)')).toBe('kill');
      t.server(C('INSERT 0 1'), Z('T'));
      expect(classed(t, 'commit')).toBe('seal');
      t.server(C('COMMIT'), Z());
      expect(classed(t, 'insert into t values (1)')).toBe('disk');
      t.server(C('INSERT 0 1'), Z());
      t.client(query('begin'));
      t.server(C('BEGIN'), Z('T'));
      classed(t, 'insert into t values (1)');
      t.server(C('INSERT 0 1'), Z('T'));
      expect(classed(t, 'commit')).toBe('disk');
    }
  });
});

describe('in the extended protocol', () => {
  const bound = (sql: string, portal = '') => [parse('', sql), bind(portal, '')];

  test('writes of a pipeline wait themselves: nobody knows when its Sync comes', () => {
    const t = started();
    t.client(...bound('insert into t values (1)'), execute(''), ...bound('select 1'), execute(''), sync());
    expect(t.gates.map(({ durability }) => durability)).toEqual(['disk', 'kill']);
  });

  test('behind a BEGIN of the same pipeline only the COMMIT waits', () => {
    const t = started();
    t.client(...bound('begin'), execute(''), ...bound('insert into t values (1)'), execute(''));
    t.client(...bound('commit'));
    expect(t.gates.map(({ durability }) => durability)).toEqual(['kill', 'kill', 'disk']);
  });

  test('behind a COMMIT or ROLLBACK of the same pipeline a write waits again', () => {
    for (const end of ['commit', 'rollback']) {
      const t = inBlock();
      t.client(...bound(end), execute(''), ...bound('insert into t values (1)'), execute(''), sync());
      expect(t.gates.at(-1)!.durability).toBe('disk');
    }
  });

  test('a COMMIT that was bound before the write waits when it is executed', () => {
    const t = inBlock();
    t.client(...bound('commit', 'c'), ...bound('insert into t values (1)'), execute(''));
    expect(t.gates.slice(1).map(({ durability }) => durability)).toEqual(['kill', 'kill']);
    t.client(execute('c'));
    expect(t.step).toMatchObject({ kind: 'pass', barrier: 'disk' });
  });

  test('or until it is sealed, if what was written behind it destroys', () => {
    const t = inBlock();
    t.client(...bound('commit', 'c'), ...bound('delete from t'), execute(''), execute('c'));
    expect(t.step).toMatchObject({ kind: 'pass', barrier: 'seal' });
  });

  test('the Execute of a read, or of a COMMIT behind reads, waits for nothing', () => {
    const t = inBlock();
    t.client(...bound('select 1'), execute(''));
    expect(t.step).not.toHaveProperty('barrier');
    t.client(...bound('commit'), execute(''));
    expect(t.step).not.toHaveProperty('barrier');
  });

  test('an Execute of a portal that nobody knows waits, and so do the writes behind it', () => {
    const t = inBlock();
    t.client(...bound('insert into t values (1)'), execute(''));
    t.client(execute('unheard of'));
    expect(t.step).toMatchObject({ kind: 'pass', barrier: 'seal' });
    t.client(...bound('insert into t values (1)'));
    expect(t.gates.at(-1)!.durability).toBe('disk');
  });

  test('in a failed transaction the server runs nothing, and a write waits all the same', () => {
    const t = inBlock();
    classed(t, 'select 1/0');
    t.server(E('22012'), Z('E'));
    expect(classed(t, 'insert into t values (1)')).toBe('disk');
  });

  test('while a COPY is under way nothing is certain of the transaction', () => {
    const t = inBlock();
    t.client(...bound('copy t from stdin'), execute(''));
    t.server(ok('1'), ok('2'), Buffer.from([0x47, 0, 0, 0, 7, 0, 0, 0]));
    t.client(...bound('insert into t values (1)'));
    expect(t.gates.at(-1)!.durability).toBe('disk');
  });
});
