// Scripts for transparency: frames to send, and how their answers read as text. Run straight against PostgreSQL and
// through Holdpoint they must read the same; by test/e2e on PostgreSQL 18 and by test/versions on 13 to 18.

import { expect } from 'vitest';
import {
  bind,
  close,
  describe as describeFrame,
  execute,
  flush,
  parse,
  query,
  sync,
  terminate,
} from '../../src/wire/messages/frontend.ts';
import type { RawClient, Reply } from './raw.ts';

/** What is sent, and how many ReadyForQuery it is answered with. */
export interface Step {
  readonly send: readonly Buffer[];
  /** Letter and number of messages to wait for; default one Z. */
  readonly until?: readonly [string, number];
}

const setup = query(`
  create table t (a int primary key, b text);
  insert into t select n, 'row ' || n from generate_series(1, 20) n;
  create function shout(text) returns text language plpgsql as $$ begin raise notice 'hey %', $1; return upper($1); end $$;
`);

const copyData = (text: string): Buffer => frame('d', Buffer.from(text));
const copyDone = frame('c', Buffer.alloc(0));
const copyFail = (text: string): Buffer => frame('f', Buffer.from(`${text}\0`));

function frame(letter: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(letter, 0, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function once(...send: Buffer[]): Step {
  return { send };
}

const z = (count: number): readonly [string, number] => ['Z', count];

export const scripts: Record<string, Step[]> = {
  'rows of every shape': [
    once(query("select 1, null, '', 'ä€😀', now() - now(), array[1,2], '{\"a\":1}'::jsonb")),
    once(query('select * from t order by a')),
    once(query('select from t limit 3')),
  ],
  'empty texts and comments': [
    once(query('')),
    once(query(';;')),
    once(query('-- nothing')),
    once(query(' select 1 ; ; select 2 ;')),
  ],
  'errors keep all their fields': [
    once(query('select nope from t')),
    once(query('select 1/0')),
    once(query("insert into t values (1, 'again')")),
    once(query("select 'ä' || nope")),
    once(query('selec 1')),
    once(query("select 'ä', * frm t")),
    once(query("select 'open")),
    once(query('select $1')),
    once(query('create table t ()')),
    once(query('select 1; select 1/0; select 2')),
  ],
  'notices come in their place': [
    once(query("select shout('a'), shout('b')")),
    once(query("do $$ begin raise warning 'w'; raise info 'i'; end $$")),
  ],
  'settings are reported': [
    once(query("set timezone to 'Asia/Tokyo'")),
    once(query("set datestyle to 'german'; select '2026-11-22'::date")),
    once(query('reset all')),
    once(query('show timezone')),
  ],
  'transactions and savepoints': [
    once(query('begin')),
    once(query("insert into t values (100, 'x')")),
    once(query('savepoint s')),
    once(query("insert into t values (100, 'x')")),
    once(query('select 1')),
    once(query('rollback to s')),
    once(query('commit')),
    once(query('commit')),
    once(query('begin; select 1; rollback')),
  ],
  'the extended protocol': [
    once(
      parse('', 'select a, b from t where a = $1', [23]),
      bind('', '', [Buffer.from('3')]),
      describeFrame('P', ''),
      execute(''),
      sync(),
    ),
    once(parse('s', 'select b from t where a > $1 order by a'), describeFrame('S', 's'), sync()),
    once(bind('', 's', [Buffer.from([0, 0, 0, 17])], [1], [1]), execute(''), sync()),
    once(
      bind('', 's', [Buffer.from('19')]),
      execute(''),
      bind('', 's', [Buffer.from('18')]),
      execute(''),
      sync(),
    ),
    once(close('S', 's'), bind('', 'gone', []), sync()),
    once(sync()),
    once(parse('', ''), bind('', ''), execute(''), sync()),
    once(parse('', 'select 1; select 2'), sync()),
  ],
  'names that exist twice, and names that do not': [
    once(parse('s', 'select 1'), sync()),
    once(parse('s', 'select 2'), bind('', 's'), execute(''), sync()),
    once(bind('', 's'), execute(''), sync()),
    once(query('deallocate s')),
    once(query('prepare p as select $1::int + 1')),
    once(query('execute p(41)')),
    once(bind('', 'p', [Buffer.from('1')]), execute(''), sync()),
    once(describeFrame('S', 'nobody'), sync()),
  ],
  'portals with row limits': [
    once(query('begin')),
    once(parse('', 'select a from t order by a'), bind('p', ''), execute('p', 3), execute('p', 3), sync()),
    once(execute('p', 3), close('P', 'p'), execute('p', 3), sync()),
    once(query('rollback')),
    once(query('begin; declare c cursor for select a from t order by a; fetch 2 from c; move 1 in c')),
    once(execute('c', 2), sync()),
    once(query('fetch 1 from c; close c; commit')),
  ],
  'a pipeline with an error in the middle': [
    {
      send: [
        parse('', "insert into t values (200, 'a')"),
        bind('', ''),
        execute(''),
        parse('', 'select 1/0'),
        bind('', ''),
        execute(''),
        parse('', "insert into t values (201, 'b')"),
        bind('', ''),
        execute(''),
        sync(),
        parse('', "insert into t values (202, 'c')"),
        bind('', ''),
        execute(''),
        sync(),
        query('select count(*) from t where a >= 200'),
      ],
      until: z(3),
    },
    {
      send: [
        parse('', 'select 1/0'),
        bind('', ''),
        execute(''),
        query('select 1'),
        sync(),
        query('select 2'),
      ],
      until: z(2),
    },
    { send: [query('select 1'), query('select 2'), query('select 3')], until: z(3) },
  ],
  'Flush asks for answers without an end': [
    {
      send: [parse('f', 'select a from t order by a limit 2'), describeFrame('S', 'f'), flush()],
      until: ['T', 1],
    },
    once(bind('', 'f'), execute(''), sync()),
  ],
  'COPY in and out': [
    { send: [query('copy t from stdin')], until: ['G', 1] },
    once(copyData('300\tx\n301\t'), copyData('y\n'), copyDone),
    { send: [query('copy t from stdin')], until: ['G', 1] },
    once(copyData('302\tz\n'), copyFail('changed my mind')),
    { send: [query('copy t from stdin')], until: ['G', 1] },
    once(copyData('not a number\tx\n'), copyDone),
    once(query('copy (select * from t where a >= 300 order by a) to stdout')),
    once(query('copy t to stdout with (format binary)')),
    once(query('select 1; copy (select 2) to stdout; select 3')),
  ],
  'COPY in the extended protocol, with its Sync ahead of the data': [
    { send: [parse('', 'copy t from stdin'), bind('', ''), execute(''), sync()], until: ['G', 1] },
    once(copyData('400\tx\n'), copyDone, sync()),
    once(parse('', 'select 1'), bind('', ''), execute(''), sync()),
    once(copyData('stray'), copyDone, query('select 1')),
  ],
  'large objects by SQL': [
    once(
      query(
        "begin; select lo_from_bytea(4711, 'hello'); select convert_from(lo_get(4711), 'UTF8'); select lo_unlink(4711); commit",
      ),
    ),
  ],
  notifications: [
    once(query('listen ch')),
    { send: [query("notify ch, 'hi'")], until: z(1) },
    once(query('unlisten *')),
  ],
  'a text of 100 kB and a row of a megabyte': [
    once(query(`select length('${'x'.repeat(100_000)}')`)),
    once(query("select repeat('y', 1000000)")),
  ],
};

/** Answered by Holdpoint itself, since nothing of them may go on: without the server's source positions. */
export const brokenBodies: Step[] = [
  once(frame('Q', Buffer.from('select 1'))),
  once(frame('Q', Buffer.from('select 1\0select 2\0'))),
  once(frame('P', Buffer.from('\0select 1\0')), sync()),
  once(frame('B', Buffer.from('\0')), sync()),
  once(frame('E', Buffer.from('\0')), sync()),
];

/** The answers to each step, and that nothing follows Terminate. */
export async function run(client: RawClient, steps: readonly Step[]): Promise<string[][]> {
  const answers: string[][] = [];
  for (const { send, until } of steps) {
    client.send(...send);
    const [letter, count] = until ?? z(1);
    answers.push((await client.until(letter, count)).map(line));
  }
  client.send(terminate());
  expect((await client.untilClosed()).map(line)).toEqual([]);
  return answers;
}

/** A message as text: everything but what differs between any two sessions. */
function line({ letter, summary, body }: Reply): string {
  if (letter === 'E' || letter === 'N') return `${letter} ${body.toString('utf8').replaceAll('\0', '|')}`;
  if (letter === 'T' || letter === 't')
    return `${letter} ${body.toString('hex').replaceAll(/0000[0-9a-f]{4}(?=0001|0002)/g, '')}`;
  return `${letter} ${summary}`;
}

/** The client, in a database that holds just what the scripts begin with. */
export async function cleared(client: RawClient): Promise<RawClient> {
  client.send(query('drop table if exists t; drop function if exists shout(text)'));
  await client.until('Z');
  client.send(setup);
  await client.until('Z');
  return client;
}
