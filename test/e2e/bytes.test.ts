// B3: the bytes that reach the server are the bytes that were digested, shown and signed for: over a recorder in front of
// the real server, whatever the client cuts its stream into, however it names, re-parses, binds and executes.

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  bind,
  close,
  describe as describeMessage,
  execute,
  flush,
  parse,
  query,
  sync,
} from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import type { RawClient, Reply } from '../support/raw.ts';
import { type Recorder, startRecorder } from '../support/recorder.ts';
import { records, verifies } from '../support/trail.ts';

let database: TestDatabase;
let recorder: Recorder;
let guard: Guard;
let direct: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  recorder = await startRecorder(database);
  guard = await startGuard({ url: database.url.replace(`:${database.port}/`, `:${recorder.port}/`) });
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
});

afterAll(async () => {
  await guard?.close();
  await direct?.end();
  await recorder?.close();
  await database?.drop();
});

let serial = 0;

/** What a client sends: what is held of it, and what is around that. */
interface Conversation {
  /** Sent and answered before; its ReadyForQuerys. */
  readonly before: readonly Buffer[];
  /** In the same batch, in front of what is held. */
  readonly lead?: readonly Buffer[];
  readonly held: readonly Buffer[];
  readonly behind: readonly Buffer[];
  /** Rows left of 1 to 5 when it ran. */
  readonly left: readonly number[];
  readonly parameters?: readonly string[];
}

const int4 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

/** Each with a text of its own, so that it can be found among the bytes. */
const conversations: Readonly<Record<string, (mark: string) => Conversation>> = {
  'a simple query': (mark) => ({
    before: [],
    held: [query(`/* ${mark} */ delete from t where n = 1`)],
    behind: [],
    left: [2, 3, 4, 5],
  }),
  'a text of several statements': (mark) => ({
    before: [],
    held: [query(`select 1; delete from t where n = 2 /* ${mark} */;; insert into t values (6)`)],
    behind: [],
    left: [1, 3, 4, 5, 6],
  }),
  'an unnamed statement with text parameters': (mark) => ({
    before: [],
    held: [
      parse('', `delete from t where n = $1 or n = $2 -- ${mark}`, [23, 0]),
      bind('', '', [Buffer.from('1'), Buffer.from('5')]),
    ],
    behind: [describeMessage('P', ''), execute(''), sync()],
    left: [2, 3, 4],
    parameters: ['1', '5'],
  }),
  'a binary parameter and a NULL': (mark) => ({
    before: [],
    held: [
      parse('', `delete from t where n = $1 and $2::text is null -- ${mark}`, [23, 25]),
      bind(`p${mark}`, '', [int4(4), null], [1, 0], [1]),
    ],
    behind: [execute(`p${mark}`), sync()],
    left: [1, 2, 3, 5],
    parameters: ['4'],
  }),
  'a named statement that was parsed and described before': (mark) => ({
    before: [
      parse(`s${mark}`, `delete from t where n = $1 -- ${mark}`),
      describeMessage('S', `s${mark}`),
      sync(),
    ],
    held: [bind('', `s${mark}`, [Buffer.from('3')])],
    behind: [execute(''), sync()],
    left: [1, 2, 4, 5],
    parameters: ['3'],
  }),
  'a name that stood for something else': (mark) => ({
    before: [
      parse(`s${mark}`, `delete from t -- ${mark}`),
      sync(),
      close('S', `s${mark}`),
      parse(`s${mark}`, `delete from t where n = 1 -- ${mark} 2`),
      sync(),
    ],
    held: [bind('', `s${mark}`)],
    behind: [execute(''), close('S', `s${mark}`), sync()],
    left: [2, 3, 4, 5],
  }),
  'a name that is given anew in the same batch': (mark) => ({
    before: [parse(`s${mark}`, 'select 1'), sync()],
    lead: [close('S', `s${mark}`)],
    held: [parse(`s${mark}`, `delete from t where n = 2 -- ${mark}`), bind('', `s${mark}`)],
    behind: [execute(''), close('S', `s${mark}`), sync()],
    left: [1, 3, 4, 5],
  }),
  'a portal that is executed row by row': (mark) => ({
    before: [],
    held: [parse('', `delete from t where n < 4 returning n, '${mark}'`), bind('p', '')],
    behind: [execute('p', 1), flush(), execute('p', 1), execute('p', 5), sync()],
    left: [4, 5],
  }),
  'a gate in the middle of a pipeline': (mark) => ({
    before: [],
    held: [parse('', `delete from t where n = 5 -- ${mark}`), bind('', '')],
    behind: [execute(''), parse('', 'select 7'), bind('', ''), execute(''), sync()],
    left: [1, 2, 3, 4],
  }),
};

/** Writes the bytes in these pieces, with a turn of the event loop between two. */
async function written(client: RawClient, bytes: Buffer, cuts: readonly number[]): Promise<void> {
  const places = [...new Set([0, ...cuts.map((cut) => cut % bytes.length), bytes.length])].sort(
    (a, b) => a - b,
  );
  for (let at = 1; at < places.length; at += 1) {
    client.send(bytes.subarray(places[at - 1], places[at]));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function rows(): Promise<number[]> {
  return (await direct.query('select n from t order by n')).rows.map(({ n }) => n);
}

const errors = (replies: readonly Reply[]) =>
  replies.filter(({ letter }) => letter === 'E').map(({ summary }) => summary);

test.each(Object.entries(conversations))('B3: %s', async (_, conversation) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(10_000), { maxLength: 12 }), async (cuts) => {
      serial += 1;
      await direct.query('drop table if exists t; create table t as select generate_series(1, 5) as n');
      const { before, lead = [], held, behind, left, parameters } = conversation(`m${serial}x`);
      const client = await guard.connect();
      for (const frame of before) {
        client.send(frame);
        if (frame[0] === 0x53) await client.until('Z');
      }
      const bytes = Buffer.concat(held);
      const known = new Set((await guard.pending()).map(({ id }) => id));
      await written(client, Buffer.concat([...lead, bytes, ...behind]), cuts);
      const [waiting] = (await guard.pending(known.size + 1)).filter(({ id }) => !known.has(id));
      const view = await guard.show(waiting!.id);
      const request = JSON.parse(view.request);
      expect(request.wire).toBe(createHash('sha256').update(bytes).digest('base64url'));
      if (parameters !== undefined)
        expect(view.parameters?.map(({ value }) => value.lines.join('')).slice(0, parameters.length)).toEqual(
          parameters,
        );
      expect(recorder.count(bytes)).toBe(0);
      expect(await rows()).toEqual([1, 2, 3, 4, 5]);
      await guard.decide(waiting!.id, 'approve');
      expect(errors(await client.until('Z'))).toEqual([]);
      expect(await rows()).toEqual(left);
      expect(recorder.count(bytes)).toBe(1);
      const log = records(guard.auditDir).filter(({ rid }) => rid === waiting!.id);
      expect(log.find(({ kind }) => kind === 'intent')).toMatchObject({ wire: request.wire });
      client.destroy();
    }),
    { numRuns: 4 },
  );
  await verifies(guard.auditDir);
});
