// Records at an OTLP collector, over real HTTP: their form, and what is done about each answer.

import { beforeEach, expect, test } from 'vitest';
import { otlpDestination } from '../../src/ship/otlp.ts';
import { RetryLater, reasonOf } from '../../src/ship/retry.ts';
import { leafHash } from '../../verify/src/leaf.ts';
import { openTestLog, statement, temporaryFolder } from '../audit/fixture.ts';
import { type Receiver, startReceiver } from '../support/receiver.ts';
import { entry, follow } from './following.ts';

let collector: Receiver;

beforeEach(async () => {
  collector = await startReceiver();
  return () => collector.close();
});

const from = { origin: 'holdpoint/test', host: 'db1', version: '1.2.3', isClear: false };
const destination = () => otlpDestination({ url: collector.url, headers: { 'x-tenant': 'audit' } }, from);
const signal = () => AbortSignal.timeout(10_000);

type Any = { key: string; value: { stringValue?: string; intValue?: string; boolValue?: boolean } };

/** The log records of a body, each with its attributes as an object. */
function logRecords(body: string): (Record<string, unknown> & { attributes: Record<string, unknown> })[] {
  const { resourceLogs } = JSON.parse(body);
  return resourceLogs.flatMap(({ scopeLogs }: { scopeLogs: { logRecords: { attributes: Any[] }[] }[] }) =>
    scopeLogs.flatMap(({ logRecords: records }) =>
      records.map((record) => ({
        ...record,
        attributes: Object.fromEntries(
          record.attributes.map(({ key, value }) => [
            key,
            value.stringValue ?? value.intValue ?? value.boolValue,
          ]),
        ),
      })),
    ),
  );
}

const some = (n: number) => Array.from({ length: n }, (_, seq) => entry({ kind: 'hb', seq, ts: seq }));

test('a statement is a log record with its place in the chain, who and what, and the text without values', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const seq = log.append(
    statement(3, {
      dec: 'hold',
      cls: 'write',
      cmd: ['DELETE'],
      sql: 'delete from t where a = $1',
      lits: ['canary-literal'],
      params: ['canary-parameter'],
    }),
  );
  log.append({ kind: 'hold', rid: 'r1', rd: 'd', R: '{"sql":"canary-request"}', ref: seq });
  log.append({
    kind: 'decision',
    rid: 'r1',
    D: '{"reason":"canary-decision"}',
    ev: { sig: 'canary-evidence' },
  });
  await log.close();
  await follow(path, log, destination()).drain();
  const bodies = collector.delivered.map(({ body }) => body);
  expect(bodies.join()).not.toContain('canary');
  expect(collector.delivered[0]!.headers).toMatchObject({
    'x-tenant': 'audit',
    'content-type': 'application/json',
  });
  const records = bodies.flatMap(logRecords);
  expect(records.map(({ attributes }) => attributes['holdpoint.seq'])).toEqual(
    records.map((_, i) => String(i)),
  );
  expect(records[seq]).toMatchObject({
    severityNumber: 10,
    severityText: 'NOTICE',
    eventName: 'holdpoint.stmt',
    body: { stringValue: 'delete from t where a = $1' },
    timeUnixNano: expect.stringMatching(/^\d{16}000$/),
    attributes: {
      'holdpoint.kind': 'stmt',
      'holdpoint.agent': 'claude',
      'holdpoint.target': 'shop',
      'holdpoint.cls': 'write',
      'holdpoint.dec': 'hold',
      'holdpoint.cmd': 'DELETE',
      'holdpoint.leaf': expect.stringMatching(/^[\w-]{43}$/),
    },
  });
  expect(JSON.parse(bodies[0]!).resourceLogs[0].resource.attributes).toContainEqual({
    key: 'service.instance.id',
    value: { stringValue: 'holdpoint/test' },
  });
});

test('where the log keeps values in clear, the text of a statement is not sent', async () => {
  const sql = "delete from t where mail = 'canary'";
  const record = entry({
    kind: 'stmt',
    seq: 0,
    ts: 1,
    sql,
    cmd: ['DELETE'],
    agent: 'claude',
    target: 'shop',
    sha: 'canary',
  });
  await otlpDestination({ url: collector.url, headers: {} }, { ...from, isClear: true }).deliver(
    [record],
    signal(),
  );
  expect(collector.delivered[0]!.body).not.toContain('canary');
  expect(logRecords(collector.delivered[0]!.body)[0]).toMatchObject({
    body: { stringValue: 'stmt DELETE by claude shop' },
  });
});

test('the leaf that the collector gets is the hash of the line', async () => {
  const [record] = some(1);
  await destination().deliver([record!], signal());
  expect(logRecords(collector.delivered[0]!.body)[0]!.attributes['holdpoint.leaf']).toBe(
    leafHash(record!.line),
  );
});

test('records that the collector rejects are counted and not sent again', async () => {
  collector.answer = () => ({
    status: 200,
    body: '{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}',
  });
  expect(await destination().deliver(some(5), signal())).toMatchObject({ refused: 2, why: 'too old' });
  expect(collector.delivered).toHaveLength(1);
});

test('a collector that is busy says when to come again', async () => {
  collector.answer = () => ({ status: 429, headers: { 'retry-after': '7' } });
  const error = await destination()
    .deliver(some(1), signal())
    .catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(RetryLater);
  expect((error as RetryLater).afterMs).toBe(7000);
  collector.answer = () => ({
    status: 503,
    headers: { 'retry-after': new Date(Date.now() + 60_000).toUTCString() },
  });
  const dated = (await destination()
    .deliver(some(1), signal())
    .catch((thrown: unknown) => thrown)) as RetryLater;
  expect(dated.afterMs).toBeGreaterThan(30_000);
});

test('records that it finds fault with do not stop the others', async () => {
  const bad = /"holdpoint.seq","value":{"intValue":"(13|14|15)"}/;
  collector.answer = ({ body }) => ({ status: bad.test(body) ? 400 : 200 });
  expect(await destination().deliver(some(40), signal())).toMatchObject({ refused: 3 });
  const taken = collector.delivered
    .filter(({ body }) => !bad.test(body))
    .flatMap(({ body }) => logRecords(body).map(({ attributes }) => Number(attributes['holdpoint.seq'])));
  expect(taken).toEqual(Array.from({ length: 40 }, (_, i) => i).filter((i) => i < 13 || i > 15));
});

test('where it finds fault with everything, nothing is given up', async () => {
  collector.answer = () => ({ status: 400 });
  await expect(destination().deliver(some(4), signal())).rejects.toThrow('the collector answered 400');
  await expect(destination().deliver(some(1), signal())).rejects.toThrow('the collector answered 400');
});

test('refusals, dropped connections and nobody there are failures with a reason', async () => {
  collector.answer = () => ({ status: 401 });
  await expect(destination().deliver(some(1), signal())).rejects.toThrow('the collector answered 401');
  collector.answer = () => 'reset';
  await expect(destination().deliver(some(1), signal())).rejects.toThrow();
  await collector.close();
  const why = await destination().deliver(some(1), signal()).catch(reasonOf);
  expect(why).toMatch(/ECONNREFUSED/);
});
