// Rules that enclose whatever they can: reads in a read-only transaction, changes in one that is counted.

import {
  bind,
  close,
  describe,
  execute,
  flush,
  parse,
  query,
  sync,
} from '../../src/wire/messages/frontend.ts';
import type { Step } from './scripts.ts';

/** A rules file. `rowsMax`: rows that a statement may change. */
export function rulesEnclosing(rowsMax: number): string {
  return `
version: 1
rules:
  - name: reads
    action: pass
    readOnly: true
    commands: [SELECT, VALUES, TABLE, EXPLAIN, COPY, DECLARE, FETCH, MOVE]
    effects: [read, unproven, function, advisory-lock, notify, setting, custom-setting]
  - name: changes
    action: pass
    rowsMax: ${rowsMax}
    commands: [INSERT, UPDATE, DELETE, MERGE]
    effects: [read, insert, update, update-all, delete, lock-rows, sequence, temporary]
  - name: copies
    action: pass
    commands: [COPY]
    effects: [insert]
  - name: calls-that-write
    action: pass
    effects: [read, large-object, function]
    functions: [lo_from_bytea, lo_unlink, lo_get, shout]
    commands: [SELECT]
  - name: other-commands
    action: pass
    commands:
      - SET
      - RESET
      - SHOW
      - PREPARE
      - EXECUTE
      - DEALLOCATE
      - CLOSE
      - LISTEN
      - UNLISTEN
      - NOTIFY
      - DO
      - TRUNCATE
      - CREATE *
      - ALTER *
      - DROP *
      - DISCARD *
    effects: [read, insert, update, update-all, delete, create, alter, drop, temporary, code, truncate, setting, custom-setting, notify]
  - name: transactions
    action: pass
    effects: [transaction]
`;
}

export const enclosingRules = rulesEnclosing(10);

const quoted = /\$\$[\s\S]*?\$\$/g;

/** The steps without texts of several statements, which are held: what encloses one would enclose all. */
export function ofSingleTexts(steps: readonly Step[]): Step[] {
  const several = (frame: Buffer): boolean =>
    frame[0] === 0x51 &&
    /;[\s\S]*\S/.test(frame.toString('utf8', 5, frame.length - 1).replaceAll(quoted, ''));
  return steps.filter(({ send }) => !send.some(several));
}

const P = (sql: string, name = ''): Buffer => parse(name, sql);
const BE = (portal = '', statement = '', rows = 0): Buffer[] => [
  bind(portal, statement),
  execute(portal, rows),
];
const S = sync();
const H = flush();

function once(...send: Buffer[]): Step {
  return { send };
}

/** Scripts beside those of scripts.ts, for what only enclosures can get wrong. */
export const enclosedScripts: Record<string, Step[]> = {
  'a batch of changes in one segment': [
    once(
      P('update t set b = $1 where a = $2'),
      bind('', '', [Buffer.from('x'), Buffer.from('1')]),
      execute(''),
      bind('', '', [Buffer.from('y'), Buffer.from('2')]),
      execute(''),
      bind('', '', [Buffer.from('z'), Buffer.from('3')]),
      execute(''),
      S,
    ),
    once(query('select a, b from t where a <= 3 order by a')),
  ],
  'a batch that fails in the middle undoes what came before': [
    once(
      ...[P("insert into t select 500, 'a'"), ...BE()],
      ...[P("update t set b = 'q' where a = 1"), ...BE()],
      ...[P("insert into t select 1, 'twice'"), ...BE()],
      ...[P("update t set b = 'r' where a = 2"), ...BE(), S],
    ),
    once(query("select count(*) from t where a = 500 or b in ('q', 'r')")),
  ],
  'RETURNING, with and without its Describe': [
    once(
      P("update t set b = 'n' where a < 4 returning a, b"),
      bind('', ''),
      describe('P', ''),
      execute(''),
      S,
    ),
    once(P('delete from t where a = 4 returning *'), ...BE(), S),
    once(query("insert into t select 900, 'new' returning a, b, a * 2 as twice")),
    once(query("insert into t values (900, 'again') returning a")),
  ],
  'BEGIN in front of a statement, in one segment': [
    once(P('begin'), ...BE(), P('select count(*) from t'), bind('', ''), describe('P', ''), execute(''), S),
    once(P("update t set b = 'in' where a = 1"), ...BE(), S),
    once(P('commit'), ...BE(), S),
    once(P('begin'), ...BE(), P("update t set b = 'out' where a = 1"), ...BE(), S),
    once(query("update t set b = 'out2' where a = 2")),
    once(query('rollback')),
    once(query('select b from t where a <= 2 order by a')),
  ],
  'transaction commands behind a statement of the same segment': [
    once(P("update t set b = 'c' where a = 1"), ...BE(), P('commit'), ...BE(), P('select 1'), S),
    once(P("update t set b = 'd' where a = 1"), ...BE(), P('rollback'), ...BE(), S),
    once(P("update t set b = 'e' where a = 1"), ...BE(), P('begin'), ...BE(), S),
    once(query('select b from t where a = 1')),
    once(query('rollback')),
    once(P("update t set b = 'f' where a = 1"), ...BE(), P('savepoint s'), ...BE(), S),
    once(query('select b from t where a = 1')),
  ],
  'errors within a block, and what the client does about them': [
    once(query('begin')),
    once(query('savepoint mine')),
    once(query('select 1/0')),
    once(query('select 1')),
    once(query('rollback to mine')),
    once(query('update t set a = 2 where a = 1')),
    once(query('rollback to mine')),
    once(query('release mine')),
    once(query("update t set b = 'kept' where a = 1")),
    once(query('commit')),
    once(query('select b from t where a = 1')),
  ],
  'portals that outlive their Sync in a block': [
    once(query('begin')),
    once(P('select a from t order by a'), bind('p', ''), execute('p', 2), S),
    once(execute('p', 2), S),
    once(execute('p', 0), execute('p', 0), S),
    once(close('P', 'p'), execute('p', 0), S),
    once(query('rollback')),
  ],
  'portals without a block die at Sync': [
    once(P('select a from t order by a'), bind('p', ''), execute('p', 2), execute('p', 2), S),
    once(execute('p', 2), S),
  ],
  'answers asked for by Flush, one after the other': [
    { send: [P('select a from t order by a limit 5'), describe('S', ''), H], until: ['T', 1] },
    { send: [bind('', ''), describe('P', ''), H], until: ['T', 1] },
    { send: [execute('', 2), H], until: ['s', 1] },
    { send: [execute('', 2), H], until: ['s', 1] },
    once(execute('', 2), close('P', ''), S),
    { send: [P("update t set b = 'fl' where a = 1"), ...BE(), H], until: ['C', 1] },
    { send: [P("update t set b = 'fl' where a = 2"), ...BE(), H], until: ['C', 1] },
    once(P('select 1/0'), ...BE(), S),
    once(query("select count(*) from t where b = 'fl'")),
  ],
  'constraints that are checked at the end': [
    once(query('create table d (a int primary key, r int references d deferrable initially deferred)')),
    once(query('insert into d select 1, 1')),
    once(query('update d set r = 9 where a = 1')),
    once(P('update d set r = 9 where a = 1'), ...BE(), S),
    once(P('insert into d select 2, 1'), ...BE(), P('update d set r = 9 where a = 2'), ...BE(), S),
    once(query('insert into d select 3, 9 returning a')),
    once(query('begin')),
    once(query('update d set r = 9 where a = 1')),
    once(query('commit')),
    once(query('select * from d')),
    once(query('drop table d')),
  ],
  'notices of deferred triggers come before the end': [
    once(query('create table g (a int)')),
    once(
      query(
        "create function says() returns trigger language plpgsql as $$ begin raise notice 'at the end'; return null; end $$",
      ),
    ),
    once(
      query(
        'create constraint trigger late after insert on g deferrable initially deferred for each row execute function says()',
      ),
    ),
    once(query('insert into g select a from t where a = 1')),
    once(P('insert into g select a from t where a = 1'), ...BE(), S),
    once(query('drop table g')),
    once(query('drop function says()')),
  ],
  'COPY out, also of more than is withheld': [
    once(query('copy (select a from t order by a) to stdout')),
    once(P('copy t to stdout'), ...BE(), S),
    once(query("copy (select n, repeat('x', 1000) from generate_series(1, 2000) n) to stdout")),
    once(query("select n, repeat('x', 1000) from generate_series(1, 2000) n")),
    once(query("select repeat('x', 1000), 1 / (1990 - n) from generate_series(1, 2000) n")),
  ],
  'several pipelined segments and queries': [
    {
      send: [
        ...[P('select 1'), ...BE(), S],
        ...[P("update t set b = 's' where a = 1"), ...BE(), S],
        query('select b from t where a = 1'),
        query('select 1/0'),
        ...[P('select 2'), ...BE(), S],
      ],
      until: ['Z', 5],
    },
    { send: [query('begin'), query("update t set b = 'u' where a = 1"), query('rollback')], until: ['Z', 3] },
    {
      send: [P('select 1/0'), ...BE(), P('select 1'), ...BE(), S, query('select b from t where a = 1')],
      until: ['Z', 2],
    },
  ],
  'the unnamed statement and portal stay what they were': [
    once(P('select a from t where a = $1'), S),
    once(bind('', '', [Buffer.from('3')]), execute(''), S),
    once(bind('', '', [Buffer.from('4')]), execute(''), S),
    once(query('select name from pg_prepared_statements')),
    once(bind('', '', [Buffer.from('5')]), execute(''), S),
    once(query('begin')),
    once(query('select 1')),
    once(query('select name from pg_cursors')),
    once(query('commit')),
  ],
  cursors: [
    once(query('begin')),
    once(query('declare c cursor for select a from t order by a')),
    once(query('fetch 2 from c')),
    once(query('move 1 in c')),
    once(query('fetch all from c')),
    once(query('close c')),
    once(query('commit')),
    once(query('declare h cursor with hold for select a from t order by a')),
    once(query('fetch 2 from h')),
    { send: [query('fetch 1 from h'), query('close h')], until: ['Z', 2] },
  ],
  'statements that several Parses prepared': [
    once(P('select a from t where a = $1', 's1'), P("update t set b = 'v' where a = $1", 's2'), S),
    once(bind('', 's1', [Buffer.from('1')]), execute(''), bind('', 's2', [Buffer.from('1')]), execute(''), S),
    once(query('deallocate s1')),
    once(bind('', 's1', [Buffer.from('1')]), execute(''), S),
    once(bind('', 's2', [Buffer.from('x')]), execute(''), S),
    once(query('prepare q as update t set b = $1 where a < 3')),
    once(query("execute q('w')")),
  ],
};
