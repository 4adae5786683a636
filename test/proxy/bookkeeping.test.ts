// The book of one session: what it compares at a release with what was shown, and how it writes down what did not run.

import { randomBytes } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import type { RecordBody } from '../../src/audit/record.ts';
import { Salts } from '../../src/audit/values.ts';
import { HoldpointError } from '../../src/errors.ts';
import { SessionBook } from '../../src/proxy/bookkeeping.ts';
import type { Gate } from '../../src/session/gate.ts';
import { parameterStatus, readyForQuery } from '../../src/wire/messages/backend.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import { analyzer, Transcript } from '../session/transcript.ts';
import { plainCatalog } from '../support/catalog.ts';
import { FakeDesk } from './link.ts';

afterAll(() => analyzer.close());

const sql = 'delete from customers where id = 1';

/** A session that waits for a person, and its book. */
function parked(): {
  talk: Transcript;
  book: SessionBook;
  gate: Gate;
  records: RecordBody[];
  finished: string[];
} {
  const talk = new Transcript();
  const records: RecordBody[] = [];
  const desk = new FakeDesk();
  const finished: string[] = [];
  desk.finish = async (...args: unknown[]) => void finished.push(args.slice(0, 2).join(' '));
  const book = new SessionBook({
    facts: {
      sid: 's',
      node: 'n1',
      boot: 'b',
      actor: { agent: 'claude', target: 'shop', environment: 'production' },
      agentAuth: 'scram-sha-256',
      onBehalfOf: () => [],
      user: 'shop_owner',
      db: { name: 'shop', addr: '10.0.0.5:5432', version: '18.0', systemId: null },
    },
    log: {
      append: (body) => records.push(body) - 1,
      appendLate: (body) => void records.push(body),
      durable: async () => undefined,
    },
    desk,
    catalog: { ...plainCatalog(), refresh: async () => true },
    metrics: { statement: () => undefined, refusal: () => undefined, overhead: () => undefined },
    publicUrl: 'http://holdpoint.test',
    policyDigest: () => 'p'.repeat(43),
    approval: { level: 'key', quorum: 1 },
    shape: () => undefined,
    hold: { waitMs: 1000, expiresMs: 60_000, heartbeatMs: 1000 },
    privacy: { values: 'clear', comments: 'keep', salts: new Salts(randomBytes), mac: () => '' },
    now: () => 1_800_000_000_000,
    random: randomBytes,
  });
  book.attach(talk.session);
  const frame = query(sql);
  expect(talk.client(frame)).toEqual(['hold']);
  const { gate } = talk.step as { gate: Gate };
  book.park(gate, [frame], () => undefined);
  return { talk, book, gate, records, finished };
}

describe('B4: between the question and the release', () => {
  test('nothing has changed: nothing stands in the way', async () => {
    const { book, gate } = parked();
    expect(await book.change(gate)).toBeUndefined();
  });

  test.each<[string, (talk: Transcript) => void]>([
    ['the role', (talk) => (talk.session.settings.role = 'somebody')],
    ['the search_path', (talk) => talk.server(parameterStatus('search_path', 'evil, public'))],
    ['a setting', (talk) => talk.server(parameterStatus('TimeZone', 'Asia/Tokyo'))],
    ['a setting', (talk) => talk.server(parameterStatus('session_authorization', 'somebody'))],
    ['the transaction status', (talk) => talk.server(readyForQuery('T'))],
  ])('%s is another: the release does not fit', async (what, changes) => {
    const { talk, book, gate } = parked();
    changes(talk);
    expect(await book.change(gate)).toBe(`${what} of the session is not what it was`);
  });
});

describe('what did not run', () => {
  test('says by which request it was refused', () => {
    const { book, gate, records } = parked();
    book.unreleased(gate, new HoldpointError('rejected', 'no'), 'r1');
    expect(records.at(-1)).toMatchObject({
      kind: 'outcome',
      ref: gate.ref,
      rid: 'r1',
      st: 'refused',
      sqlstate: '42501',
    });
  });

  test('was released and its client went away: the request is over for people too', async () => {
    const { book, gate, finished } = parked();
    await book.intent(gate, { kind: 'release', grant: { rid: 'r1', by: ['dba'], decisions: [1], seq: 2 } });
    book.unreleased(gate, undefined, 'r1');
    expect(finished).toEqual(['r1 failed']);
  });
});
