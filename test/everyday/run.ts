// Runs everyday statements on a database and tells the answers in a form that can be compared: once straight, once
// through Holdpoint, on two databases of the same name and content. Refuses to know which of the two it is.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { shopSql } from '../../src/demo/shop.ts';
import { bind, describe, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import type { TestServer } from '../support/postgres.ts';
import { errorFields, type RawClient, type Reply } from '../support/raw.ts';
import type { Everyday, EverydayStep } from './corpus.ts';

/** The role that owns everything and that the application, and Holdpoint, logs in as. */
export const owner = 'app';

const extensions = `citext hstore pg_trgm uuid-ossp pgcrypto ltree btree_gist unaccent fuzzystrmatch
  cube earthdistance moddatetime intarray isn seg`.split(/\s+/);

/** Makes the database `everyday_template`; once a server. */
export async function makeTemplate(server: TestServer): Promise<void> {
  await asSuperuser(server, 'postgres', `CREATE DATABASE everyday_template OWNER ${owner}`);
  const made = extensions.map((name) => `CREATE EXTENSION "${name}"`).join('; ');
  await asSuperuser(server, 'everyday_template', `${made}; GRANT ALL ON SCHEMA public TO ${owner}`);
  const file = (path: string) => readFileSync(join(import.meta.dirname, path), 'utf8');
  for (const sql of [shopSql(), file('../oracle/geo.sql'), file('schema.sql'), file('code.sql')])
    await send(server.url('everyday_template', owner), sql);
  await asSuperuser(server, 'everyday_template', 'VACUUM ANALYZE');
}

/** Makes the database `everyday` anew. */
export async function freshDatabase(server: TestServer): Promise<void> {
  await asSuperuser(server, 'postgres', 'DROP DATABASE IF EXISTS everyday WITH (FORCE)');
  await asSuperuser(server, 'postgres', `CREATE DATABASE everyday TEMPLATE everyday_template OWNER ${owner}`);
}

/** Those that a server of that version knows. */
export function known(list: readonly Everyday[], version: number): Everyday[] {
  return list.filter(({ since = 0, before = 99 }) => since <= version && version < before);
}

/** The answers to each step, as lines; the session is left clean. */
export async function answers(client: RawClient, everyday: Everyday): Promise<string[][]> {
  const heard: string[][] = [];
  for (const step of everyday.steps) {
    const replies = await ask(client, step);
    heard.push(replies.flatMap((reply) => line(reply, everyday.moving ?? false)));
  }
  for (const sql of ['ROLLBACK', 'DISCARD ALL']) {
    client.send(query(sql));
    await client.until('Z');
  }
  return heard;
}

async function ask(client: RawClient, step: EverydayStep): Promise<Reply[]> {
  if (typeof step === 'string') {
    client.send(query(step));
    return client.until('Z');
  }
  if ('values' in step) {
    const values = step.values.map((value) => (value === null ? null : Buffer.from(value)));
    client.send(parse('', step.sql), bind('', '', values), describe('P', ''), execute(''), sync());
    return client.until('Z');
  }
  client.send(query(step.sql));
  const opened = await client.until('GZ');
  if (opened.at(-1)?.letter === 'Z') return opened;
  client.send(message('d', Buffer.from(`${step.copy.join('\n')}\n`)), message('c', Buffer.alloc(0)));
  return [...opened, ...(await client.until('Z'))];
}

/** Rows and their types, tags, errors with their fields, notices, settings; process numbers never. */
function line({ letter, summary, body }: Reply, moving: boolean): string[] {
  if (letter === 'E' || letter === 'N') {
    const fields = [...errorFields({ letter, summary, body })].filter(([key]) => !'FLR'.includes(key));
    return [`${letter} ${fields.map(([key, value]) => `${key}=${value}`).join(' ')}`];
  }
  if (letter === 'T') return [`T ${columns(body).join(' ')}`];
  if (moving && (letter === 'D' || letter === 'S')) return letter === 'S' ? [] : ['D'];
  // A plan has as many lines as it needs.
  if (moving && letter === 'C') return [`C ${summary.replace(/\d+/g, 'n')}`];
  return [`${letter} ${summary}`];
}

/** Names and types of a RowDescription. Temporary tables have other OIDs each time, so those of tables are left out. */
function columns(body: Buffer): string[] {
  const found: string[] = [];
  for (let at = 2; at < body.length; ) {
    const end = body.indexOf(0, at);
    const [column, type, size, modifier, format] = [
      body.readInt16BE(end + 5),
      body.readUInt32BE(end + 7),
      body.readInt16BE(end + 11),
      body.readInt32BE(end + 13),
      body.readInt16BE(end + 17),
    ];
    found.push(`${body.toString('utf8', at, end)}:${column}:${type}:${size}:${modifier}:${format}`);
    at = end + 19;
  }
  return found;
}

function message(letter: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(letter, 0, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function asSuperuser(server: TestServer, database: string, sql: string): Promise<void> {
  return send(server.url(database), sql);
}

async function send(connectionString: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
