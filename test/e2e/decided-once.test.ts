// Two people, one request, at the same time; the last second; a double click; a lost answer. Over the real API, against
// a real server: decided once, executed at most once, and the log, verified offline, tells which.

import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { query } from '../../src/wire/messages/frontend.ts';
import { cancelRequest } from '../../src/wire/startup.ts';
import { type Guard, type GuardOptions, startGuard } from '../support/holdpoint.ts';
import { type Person, personAt, type Signed } from '../support/person.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { errorFields, RawClient } from '../support/raw.ts';
import { records, statements, verified, verifies } from '../support/trail.ts';

let database: TestDatabase;
let direct: pg.Client;
/** One of them decides; both have to agree; requests live for two seconds. */
let alone: House;
let both: House;
let brief: House;

interface House {
  readonly guard: Guard;
  readonly ann: Person;
  readonly bob: Person;
}

beforeAll(async () => {
  database = await createDatabase();
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  await direct.query('create table kept (n int); create table runs (name text)');
  alone = await house({});
  both = await house({ quorum: 2 });
  brief = await house({ hold: { expiresMs: 2000, waitMs: 20_000 } });
});

afterAll(async () => {
  for (const each of [alone, both, brief]) await each?.guard.close();
  await direct?.end();
  await database?.drop();
});

async function house(options: Partial<GuardOptions>): Promise<House> {
  const guard = await startGuard({ url: database.url, approvers: ['ann', 'bob'], ...options });
  const person = (name: string) => personAt(guard.http, name, join(guard.dataDir, `${name}.jwk`));
  return { guard, ann: person('ann'), bob: person('bob') };
}

let serial = 0;

interface Held {
  readonly rid: string;
  readonly client: RawClient;
  /** Held because it deletes; leaves a row of this name each time it runs. */
  readonly name: string;
  readonly sql: string;
}

async function held({ guard }: House): Promise<Held> {
  serial += 1;
  const name = `run ${serial}`;
  const sql = `with gone as (delete from kept) insert into runs values ('${name}')`;
  const client = await guard.connect();
  client.send(query(sql));
  const notice = errorFields((await client.until('N')).at(-1)!);
  return { rid: JSON.parse(notice.get('D')!).request, client, name, sql };
}

/** A request and a decision on it that is signed `offset` ms before its end: on a slow machine not the first one. */
async function signedBefore(offset: number) {
  for (let tries = 0; tries < 20; tries += 1) {
    const one = await held(brief);
    const end = Date.parse((await brief.ann.show(one.rid)).expires);
    const signed = await brief.ann.sign(one.rid, 'approve').catch(() => undefined);
    if (signed !== undefined && Date.now() <= end + offset) return { one, signed, end };
    one.client.destroy();
  }
  throw new Error('this machine signs nothing within the life of a request');
}

/** What the client was told: `ran`, or the SQLSTATE. */
async function told({ client }: Held): Promise<string> {
  const replies = await client.until('Z');
  client.destroy();
  const error = replies.find(({ letter }) => letter === 'E');
  return error === undefined ? 'ran' : errorFields(error).get('C')!;
}

async function runs({ name }: Held): Promise<number> {
  return (await direct.query('select count(*)::int as n from runs where name = $1', [name])).rows[0].n;
}

/** How often it ran, as the log tells it: at most once, on decisions that came first, with the outcome the server gave. */
async function logged({ guard }: House, one: Held): Promise<number> {
  await expect.poll(() => statements(guard.auditDir, one.sql)[0]?.outcome).toBeDefined();
  const [story] = statements(guard.auditDir, one.sql);
  const of = (kind: string) =>
    records(guard.auditDir).filter((each) => each.kind === kind && each.rid === one.rid);
  const [uses, intents, decisions] = [of('grant_use'), of('intent'), of('decision')];
  expect([uses.length, intents.length]).toEqual([
    Math.min(1, uses.length),
    Math.min(uses.length, intents.length),
  ]);
  const ran = story!.outcome!.st === 'ok';
  if (ran) {
    expect(intents).toHaveLength(1);
    const [use] = uses;
    for (const seq of use!.decisions as number[]) {
      const decision = decisions.find((each) => each.seq === seq);
      expect(JSON.parse(decision!.D as string)).toMatchObject({ verdict: 'approve', rid: one.rid });
      expect(seq).toBeLessThan(use!.seq);
    }
    expect(use!.seq).toBeLessThan(intents[0]!.seq);
    expect(intents[0]!.seq).toBeLessThan(story!.outcome!.seq);
    expect(of('reject')).toEqual([]);
  }
  return ran ? 1 : 0;
}

/** The database, the client and the log agree on whether it ran, and the log verifies. */
async function agrees(where: House, one: Held, answer?: string): Promise<number> {
  const ran = await logged(where, one);
  expect(await runs(one)).toBe(ran);
  if (answer !== undefined) expect(answer === 'ran').toBe(ran === 1);
  await verifies(where.guard.auditDir);
  return ran;
}

const rounds = [1, 2, 3];
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('two people at the same moment', () => {
  test.each(rounds)(
    'approve, where one is enough: one decision counts, the other is told that it is final (%i)',
    async () => {
      const one = await held(alone);
      const signed = [await alone.ann.sign(one.rid, 'approve'), await alone.bob.sign(one.rid, 'approve')];
      const said = await Promise.all(signed.map((each) => alone.ann.send(each)));
      expect(said.map(({ status }) => status).sort()).toEqual([201, 409]);
      expect(said.find(({ status }) => status === 409)?.body.detail).toMatch(
        /^request \S+ is (approved|approved and already used|executed); that is final, and this decision changes nothing$/,
      );
      expect(await agrees(alone, one, await told(one))).toBe(1);
    },
  );

  test.each(rounds)('approve, where both have to: both count, and it runs once (%i)', async () => {
    const one = await held(both);
    const signed = [await both.ann.sign(one.rid, 'approve'), await both.bob.sign(one.rid, 'approve')];
    const said = await Promise.all(signed.map((each) => both.ann.send(each)));
    expect(said.map(({ status, body }) => `${status} ${body.state}`).sort()).toEqual([
      '201 approved',
      '201 pending',
    ]);
    expect(await agrees(both, one, await told(one))).toBe(1);
  });

  test.each(rounds)('approve and reject, where one is enough: one of them is the decision (%i)', async () => {
    const one = await held(alone);
    const signed = [await alone.ann.sign(one.rid, 'approve'), await alone.bob.sign(one.rid, 'reject')];
    const said = await Promise.all(signed.map((each) => alone.ann.send(each)));
    expect(said.map(({ status }) => status).sort()).toEqual([201, 409]);
    const answer = await told(one);
    expect(answer).toBe(said[0]!.status === 201 ? 'ran' : '42501');
    await agrees(alone, one, answer);
  });

  test.each(rounds)('approve and reject, where both have to agree: it never runs (%i)', async () => {
    const one = await held(both);
    const signed = [await both.ann.sign(one.rid, 'approve'), await both.bob.sign(one.rid, 'reject')];
    const said = await Promise.all(signed.map((each) => both.ann.send(each)));
    expect(said[1]!.status).toBe(201);
    expect(await told(one)).toBe('42501');
    expect(await agrees(both, one)).toBe(0);
  });
});

describe('one person', () => {
  test.each(rounds)('clicks twice and four times: one counts, the others are told (%i)', async () => {
    const one = await held(both);
    const signed = await both.ann.sign(one.rid, 'approve');
    const said = await Promise.all([1, 2, 3, 4].map(() => both.ann.send(signed)));
    expect(said.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409]);
    expect(said.find(({ status }) => status === 409)?.body.detail).toContain('ann has already decided');
    expect((await both.ann.send(signed)).status).toBe(409);
    const [row] = await both.ann.pending();
    expect(row).toMatchObject({ id: one.rid, state: 'pending', approvals: [{ by: 'ann' }] });
    expect((await both.bob.decide(one.rid, 'approve')).status).toBe(201);
    expect(await agrees(both, one, await told(one))).toBe(1);
    expect((await both.bob.send(signed)).status).toBe(409);
    expect(await runs(one)).toBe(1);
  });

  /** Sends the decision, and hangs up when it is in the log, without having read an answer. */
  async function sentUnheard({ guard }: House, { rid, body }: Signed): Promise<void> {
    const { port } = new URL(guard.http);
    const socket = net.connect(Number(port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.pause();
    const head = `POST /api/requests/${rid}/decisions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
    socket.write(head + body);
    await expect
      .poll(() => records(guard.auditDir).some((each) => each.kind === 'decision' && each.rid === rid), {
        interval: 1,
      })
      .toBe(true);
    socket.destroy();
  }

  test.each(rounds)(
    'never hears the answer and sends it again: it is told what became of it (%i)',
    async () => {
      for (const where of [alone, both]) {
        const one = await held(where);
        const signed = await where.ann.sign(one.rid, 'approve');
        await sentUnheard(where, signed);
        const said = await where.ann.send(signed);
        expect(said.status).toBe(409);
        expect(said.body.detail).toMatch(/ann has already decided|that is final/);
        if (where === both) await where.bob.decide(one.rid, 'approve');
        expect(await agrees(where, one, await told(one))).toBe(1);
      }
    },
  );
});

describe('B8: an approval in the moment', () => {
  test.each(rounds)(
    'of a cancel request: it ran or it did not, and everybody knows which (%i)',
    async (round) => {
      const one = await held(alone);
      const signed = await alone.ann.sign(one.rid, 'approve');
      const other = await RawClient.connect(alone.guard.host, alone.guard.port);
      const deciding = alone.ann.send(signed);
      await pause(round);
      other.send(cancelRequest(one.client.pid, one.client.key));
      await other.untilClosed();
      const { status } = await deciding;
      const answer = await told(one);
      expect(['ran', '57014']).toContain(answer);
      if (answer === 'ran') expect(status).toBe(201);
      await agrees(alone, one, answer);
    },
  );

  test.each(rounds)('of the client going away (%i)', async (round) => {
    const one = await held(alone);
    const signed = await alone.ann.sign(one.rid, 'approve');
    const deciding = alone.ann.send(signed);
    await pause(round);
    one.client.destroy();
    const { status } = await deciding;
    const ran = await agrees(alone, one);
    if (ran === 1) expect(status).toBe(201);
    // Whatever it was, it is over: the same statement is a new question.
    expect((await alone.ann.show(one.rid)).state).toMatch(/^(executed|canceled|failed)$/);
  });

  test.each(rounds)('of the end of the wait: it runs now, or once for the retry (%i)', async (round) => {
    const waitMs = 400;
    const where = await house({ hold: { waitMs } });
    const began = Date.now();
    const one = await held(where);
    const signed = await where.ann.sign(one.rid, 'approve');
    await pause(Math.max(0, began + waitMs - Date.now() - 8 + round * 6));
    const said = await where.ann.send(signed);
    expect(said.status).toBe(201);
    const replies = await one.client.until('Z');
    const first = replies.some(({ letter }) => letter === 'E') ? '42501' : 'ran';
    one.client.send(query(one.sql));
    const again = await one.client.until('Z');
    const second = again.some(({ letter }) => letter === 'E') ? '42501' : 'ran';
    expect([first, second].sort()).toEqual(['42501', 'ran']);
    expect(await runs(one)).toBe(1);
    one.client.destroy();
    await where.guard.close();
  });

  test.each([-40, -20, -10, -5, -2, 0, 2, 5, 20])(
    '%i ms from the end of its time: never a run without a decision that counted',
    async (offset) => {
      const { one, signed, end } = await signedBefore(offset);
      await pause(Math.max(0, end + offset - Date.now()));
      const late = Date.now() >= end;
      const { status, body } = await brief.ann.send(signed);
      expect([201, 410]).toContain(status);
      if (late) expect(status).toBe(410);
      if (status === 410) expect(body.detail).toMatch(/expired|past its time/);
      const answer = await told(one);
      expect(['ran', '57014']).toContain(answer);
      if (answer === 'ran') expect(status).toBe(201);
      await agrees(brief, one, answer);
    },
  );

  test.each(rounds)('of the shutdown: the closed log tells whether it ran (%i)', async (round) => {
    const dataDir = mkdtempSync(join(tmpdir(), 'holdpoint-shutdown-'));
    const where = await house({ dataDir });
    const one = await held(where);
    const signed = await where.ann.sign(one.rid, 'approve');
    const deciding = where.ann.send(signed).then(
      ({ status }) => status,
      () => 0,
    );
    await pause(round);
    await where.guard.close();
    // No answer, or one from before or behind the end of the hold.
    expect([0, 201, 409, 503]).toContain(await deciding);
    const [story] = statements(where.guard.auditDir, one.sql);
    expect(story?.outcome?.st).toMatch(/^(ok|canceled)$/);
    expect(await runs(one)).toBe(story?.outcome?.st === 'ok' ? 1 : 0);
    const answer = await one.client.untilClosed();
    if (story?.outcome?.st === 'canceled')
      expect(errorFields(answer.find(({ letter }) => letter === 'E')!).get('C')).toBe('57P01');
    expect(await verified(where.guard.auditDir)).toMatchObject({ code: 0 });
    one.client.destroy();
    rmSync(dataDir, { recursive: true });
  });
});
