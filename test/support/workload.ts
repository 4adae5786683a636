// A workload of mixed clients, each with a way of its own to send statements: alone, prepared, in pipelines, in
// transactions, as COPY, as UPDATEs that are counted. Every statement carries a tag that no other has, so that whoever
// looks at the database, the server's log and our log knows which is which. A client works until it is told to stop or
// its connection ends.

import { bind, close, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { copyData, copyDone } from './frames.ts';
import type { RawClient } from './raw.ts';

export const tables = `
  create table t (name text);
  create table u (id int primary key, note text);
  insert into u select n, '' from generate_series(1, 100) as n;`;

/** Tags of what is in the database now. */
export const written = `select name from t union all select note from u where note <> ''`;

type Tag = () => string;
type Work = (client: RawClient, tag: Tag, nth: number) => Promise<unknown>;

const insert = (tag: string) => `insert into t values ('${tag}')`;

async function say(client: RawClient, ...texts: string[]): Promise<void> {
  client.send(...texts.map((text) => query(text)));
  await client.until('Z', texts.length);
}

/** Parse, Bind and Execute of a text without a name. */
const extended = (text: string, ...values: string[]) => [
  parse('', text),
  bind(
    '',
    '',
    values.map((value) => Buffer.from(value)),
  ),
  execute(''),
];

export const works: Readonly<Record<string, Work>> = {
  'reads by Query': (client, tag) => say(client, `select '${tag()}'`),
  'writes by Query': (client, tag) => say(client, insert(tag())),
  'reads and writes in one Query': (client, tag) =>
    say(client, `select 1; ${insert(tag())}; ${insert(tag())}`),
  async 'a transaction, answer by answer'(client, tag) {
    await say(client, 'begin');
    await say(client, insert(tag()));
    await say(client, `select '${tag()}'`);
    await say(client, insert(tag()));
    await say(client, 'commit');
  },
  'a transaction in one piece': (client, tag) => say(client, 'begin', insert(tag()), insert(tag()), 'commit'),
  async 'a transaction that is rolled back'(client, tag) {
    await say(client, 'begin');
    await say(client, insert(tag()));
    await say(client, 'rollback');
    await say(client, insert(tag()));
  },
  async 'a pipeline up to its Sync'(client, tag) {
    client.send(
      ...extended('insert into t values ($1)', tag()),
      ...extended('select $1::text', tag()),
      ...extended('insert into t values ($1)', tag()),
      sync(),
    );
    await client.until('Z');
  },
  async 'a prepared statement'(client, tag, nth) {
    if (nth === 0) client.send(parse('p', 'insert into t values ($1)'));
    client.send(bind('', 'p', [Buffer.from(tag())]), execute(''), sync());
    await client.until('Z');
  },
  async 'a transaction in a pipeline, its COMMIT bound first'(client, tag) {
    await say(client, 'begin');
    client.send(parse('c', 'commit'), bind('c', 'c'));
    client.send(...extended('insert into t values ($1)', tag()), execute('c'), sync());
    await client.until('Z');
    client.send(close('S', 'c'), sync());
    await client.until('Z');
  },
  async 'a COPY'(client, tag) {
    const name = tag();
    client.send(query(`copy t from stdin where name = '${name}'`));
    await client.until('G');
    client.send(copyData(`${name}\n`), copyDone());
    await client.until('Z');
  },
  'an UPDATE that is counted': (client, tag, nth) =>
    say(client, `update u set note = '${tag()}' where id = ${1 + (nth % 100)}`),
};

/** Works until `stopped`, which is told how often it was done, or the connection ends; resolves then. */
export async function work(
  name: string,
  client: RawClient,
  tag: Tag,
  stopped: (done: number) => boolean,
): Promise<void> {
  try {
    for (let nth = 0; !stopped(nth) && !client.closed; nth += 1) await works[name]!(client, tag, nth);
  } catch (error) {
    if (!client.closed) throw error;
  } finally {
    client.destroy();
  }
}
