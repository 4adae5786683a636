// Transaction tricks (threats D): ways to let a statement that was held, refused or undone take effect after all.

import { expect } from 'vitest';
import { bind, execute, parse, query, sync } from '../../../src/wire/messages/frontend.ts';
import { cancelRequest } from '../../../src/wire/startup.ts';
import type { Guard } from '../../support/holdpoint.ts';
import { errorFields, RawClient } from '../../support/raw.ts';
import { refused, type Script, type Siege, sent } from '../../support/siege.ts';

/** The answers to each text, as long as the session lives; fails if a text that is marked `!` was not refused. */
async function steps(siege: Siege, ...texts: string[]): Promise<void> {
  const client = await siege.guard.connect();
  for (const text of texts) {
    const must = text.startsWith('!');
    client.send(query(must ? text.slice(1) : text));
    const replies = await client.until('Z');
    const failed = replies.filter(({ letter }) => letter === 'E').map(({ summary }) => summary);
    if (must) expect(failed, text).toEqual([expect.stringMatching(/^ERROR (42501|25P02)/)]);
    else expect(failed, text).toEqual([]);
  }
  client.destroy();
}

/** Waits until the one new request is there, and answers its id. A text that waits already opens no other. */
async function opened({ guard }: { guard: Guard }, known: ReadonlySet<string>): Promise<string> {
  const found = (await guard.pending(known.size + 1)).find(({ id }) => !known.has(id));
  if (found === undefined) throw new Error('no request was opened');
  return found.id;
}

async function ids({ guard }: { guard: Guard }): Promise<Set<string>> {
  return new Set((await guard.pending()).map(({ id }) => id));
}

export const transactionScripts: readonly Script[] = [
  [
    'D1 the read-only transaction of a wrapper is left',
    (siege) => steps(siege, 'BEGIN READ ONLY', '!COMMIT; DROP TABLE t', 'ROLLBACK'),
  ],
  ['D1 in one text', (siege) => steps(siege, '!BEGIN READ ONLY; SELECT 1; COMMIT; DELETE FROM t')],
  ['D1 COMMIT by itself, then DROP', (siege) => steps(siege, 'BEGIN READ ONLY', 'COMMIT', '!DROP TABLE t')],
  [
    'D2 read-write as the first statement',
    (siege) => steps(siege, 'BEGIN READ ONLY', '!SET TRANSACTION READ WRITE; DELETE FROM t'),
  ],
  ['D2 by BEGIN', (siege) => steps(siege, 'BEGIN READ WRITE', '!DELETE FROM t', 'ROLLBACK')],
  ['D2 for the session', (siege) => steps(siege, '!SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE')],
  [
    'D5 behind a savepoint',
    (siege) => steps(siege, 'BEGIN; SAVEPOINT a', '!DELETE FROM t', 'ROLLBACK TO a; COMMIT'),
  ],
  [
    'D5 a savepoint released',
    (siege) => steps(siege, 'BEGIN; SAVEPOINT a', '!DELETE FROM t', '!RELEASE a', 'COMMIT'),
  ],
  [
    'D5 a savepoint and a DELETE in one text',
    (siege) => steps(siege, 'BEGIN', '!SAVEPOINT a; DELETE FROM t; RELEASE a', 'COMMIT'),
  ],
  [
    'D5 a commit with a chain',
    (siege) => steps(siege, 'BEGIN', '!DELETE FROM t; COMMIT AND CHAIN', 'COMMIT'),
  ],
  [
    'D5 a rollback with a chain',
    (siege) => steps(siege, 'BEGIN', '!DELETE FROM t', 'ROLLBACK AND CHAIN', '!DELETE FROM t', 'COMMIT'),
  ],
  [
    'D5 prepared for two phases',
    (siege) => steps(siege, 'BEGIN', "!PREPARE TRANSACTION 'later'", 'ROLLBACK'),
  ],
  ['D7 a write beside a DELETE', (siege) => steps(siege, '!INSERT INTO b VALUES (3); DELETE FROM t')],
  [
    'D7 a write before a DELETE in the same transaction',
    (siege) => steps(siege, 'BEGIN', 'INSERT INTO b VALUES (3)', '!DELETE FROM t', 'COMMIT'),
  ],
  [
    'D3 the client is gone when its statement in a transaction is approved',
    async (siege) => {
      // A wait that is over by itself leaves the request open for a retry.
      const guard = await siege.patient();
      const known = await ids({ guard });
      const client = await guard.connect();
      client.send(query('BEGIN; INSERT INTO b VALUES (3)'));
      await client.until('Z');
      client.send(query('DELETE FROM t WHERE id = 1'));
      const id = await opened({ guard }, known);
      client.destroy();
      await expect.poll(async () => (await ids({ guard })).has(id)).toBe(false);
      await expect(guard.decide(id, 'approve')).rejects.toThrow();
    },
  ],
  [
    'D3 the statement was cancelled before it is approved',
    async (siege) => {
      const known = await ids(siege);
      const client = await siege.guard.connect();
      client.send(parse('', 'DELETE FROM t WHERE id = 2'), bind('', ''), execute(''), sync());
      const id = await opened(siege, known);
      const other = await RawClient.connect(siege.guard.host, siege.guard.port);
      other.send(cancelRequest(client.pid, client.key));
      await other.untilClosed();
      const error = (await client.until('Z')).find(({ letter }) => letter === 'E');
      // It may have waited long enough by itself before the cancel request came.
      expect(errorFields(error!).get('C')).toMatch(/57014|42501/);
      client.destroy();
      await siege.guard.decide(id, 'approve').catch(() => undefined);
      expect(refused(await sent(await siege.guard.connect(), 'SELECT 1'))).toBe(false);
    },
  ],
  [
    'D4 a refusal in a transaction frees what the transaction had locked',
    async (siege) => {
      const client = await siege.guard.connect();
      client.send(query('BEGIN; SELECT * FROM t WHERE id = 1 FOR UPDATE'));
      await client.until('Z');
      client.send(query('DELETE FROM t'));
      await client.until('Z');
      const waiting = siege.direct.query(
        "BEGIN; SET LOCAL lock_timeout = '5s'; UPDATE t SET a = 1 WHERE id = 1; ROLLBACK",
      );
      await waiting;
      client.destroy();
    },
  ],
  [
    'D4 nothing of a held statement is on the server: no lock, no open statement',
    async (siege) => {
      const known = await ids(siege);
      const client = await siege.guard.connect();
      client.send(query('SELECT pg_backend_pid()'));
      const pid = (await client.until('Z')).find(({ letter }) => letter === 'D')!.summary;
      client.send(parse('', 'DELETE FROM t WHERE id = 9'), bind('', ''), execute(''), sync());
      await opened(siege, known);
      const { rows } = await siege.direct.query(
        `select count(*)::int as locks from pg_locks where pid = $1 and relation = 't'::regclass`,
        [pid],
      );
      expect(rows[0].locks).toBe(0);
      await client.until('Z');
      client.destroy();
    },
  ],
];
