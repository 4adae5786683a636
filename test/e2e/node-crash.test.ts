// Two nodes in processes of their own, one of which dies between two steps of a decision or of a release. What has run
// has its decision in a log, nothing runs twice, and what was lost on the way is asked for again. audit-approval B6, B14.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { verify } from '../../src/cli/audit.ts';
import { type Step, startNode, type TestNode } from '../support/node.ts';
import { eventually, startRedis, type TestRedis } from '../support/redis.ts';
import { answered, answerOf, held, newWitness, type Witness } from '../support/shared.ts';

// Each node is a process of its own, and a busy machine takes its time to start one.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 60_000 });

let redis: TestRedis;
let witness: Witness;
let folder: string;
let nodes: TestNode[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdpoint-nodes-'));
  [redis, witness] = await Promise.all([startRedis(), newWitness()]);
});

afterEach(async () => {
  await Promise.all(nodes.map((node) => node.kill()));
  nodes = [];
  await witness?.close();
  await redis?.stop();
  rmSync(folder, { recursive: true });
});

async function start(node: 'n1' | 'n2', more: { diesAt?: Step; waitMs?: number } = {}): Promise<TestNode> {
  const started = await startNode({
    url: witness.database.url,
    dataDir: join(folder, node),
    store: { url: redis.url, node },
    hold: { waitMs: more.waitMs ?? 300_000 },
    // One approver for both.
    like: { keyFile: join(folder, 'dba.jwk'), publicUrl: 'http://127.0.0.1:1' },
    ...(more.diesAt !== undefined && { diesAt: more.diesAt }),
  });
  nodes.push(started);
  return started;
}

interface Line {
  kind: string;
  rid?: string;
}

function kindsOf(node: 'n1' | 'n2', rid: string): string[] {
  const log = join(folder, node, 'audit', node);
  return readdirSync(log)
    .filter((name) => name.startsWith('seg-'))
    .flatMap((name) => readFileSync(join(log, name), 'utf8').split('\n'))
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line)
    .filter((record) => record.rid === rid && record.kind !== 'view')
    .map(({ kind }) => kind);
}

async function verified(node: 'n1' | 'n2'): Promise<void> {
  let text = '';
  await eventually('the log verifies', async () => {
    text = '';
    const output = { out: (more: string) => (text += more), err: (more: string) => (text += more) };
    return (await verify(join(folder, node, 'audit'), { gaps: true } as never, output as never)) === 0;
  }).catch((error: Error) => {
    throw new Error(`${error.message}: ${text}`);
  });
}

test.each<[Step, boolean]>([
  ['before vote', false],
  ['after vote', true],
])(
  'the node that takes a decision dies %s: its record is on disk, and the other releases only what was cast',
  async (diesAt, cast) => {
    const [one, two] = await Promise.all([start('n1'), start('n2', { diesAt })]);
    const waiting = await one.connect();
    const rid = await held(waiting, witness.write('once'));
    await expect(two.decide(rid, 'approve')).rejects.toThrow();
    await two.gone;
    expect(kindsOf('n2', rid)).toEqual(['decision']);
    if (!cast) {
      expect(await witness.runs('once')).toBe(0);
      await one.decide(rid, 'approve');
    }
    expect(answerOf(await waiting.until('Z')).came).toBe('ran');
    expect(await witness.runs('once')).toBe(1);
    const again = await start('n2');
    await expect(again.decide(rid, 'approve')).rejects.toThrow();
    await verified('n1');
    await verified('n2');
  },
);

test.each<[Step]>([['before consume'], ['after consume']])(
  'the node that holds dies %s: nothing has run, the other asks anew, and it runs once',
  async (diesAt) => {
    const [one, two] = await Promise.all([start('n1', { diesAt }), start('n2', { waitMs: 60_000 })]);
    const waiting = await one.connect();
    const rid = await held(waiting, witness.write('once'));
    await two.decide(rid, 'approve');
    await one.gone;
    expect(kindsOf('n1', rid)).not.toContain('intent');
    expect(await witness.runs('once')).toBe(0);
    const retry = await two.connect();
    const anew = await held(retry, witness.write('once'));
    expect(anew).not.toBe(rid);
    // Back on its folder, it has its name at once, and ends what its sessions left.
    await start('n1');
    const { state } = await two.show(rid);
    expect(state).toBe(diesAt === 'before consume' ? 'canceled' : 'consumed');
    await two.decide(anew, 'approve');
    expect(answerOf(await retry.until('Z')).came).toBe('ran');
    expect(await witness.runs('once')).toBe(1);
    await verified('n1');
    await verified('n2');
  },
);

test('the node that used an approval for a retry dies behind it: it is not used again', async () => {
  const [one, two] = await Promise.all([
    start('n1', { waitMs: 100 }),
    start('n2', { waitMs: 100, diesAt: 'after consume' }),
  ]);
  const asking = await one.connect();
  const { rid } = await answered(asking, witness.write('once'));
  await one.decide(rid!, 'approve');
  const retry = await two.connect();
  expect((await answered(retry, witness.write('once'))).came).toBe('lost');
  await two.gone;
  expect(kindsOf('n2', rid!)).toEqual([]);
  for (const node of [one, await start('n2', { waitMs: 100 })]) {
    const client = await node.connect();
    const again = await answered(client, witness.write('once'));
    expect(again.came).toBe('42501');
    expect(again.rid).not.toBe(rid);
  }
  expect(await witness.runs('once')).toBe(0);
});

test('the node that released is killed while the statement runs: what came of it is unknown, and it is not run again', async () => {
  const [one, two] = await Promise.all([start('n1'), start('n2', { waitMs: 100 })]);
  const waiting = await one.connect();
  const rid = await held(waiting, `${witness.write('once')} returning pg_sleep(1)`);
  await two.decide(rid, 'approve');
  const running = async () => {
    const { rows } = await witness.direct.query(
      "select 1 from pg_stat_activity where state = 'active' and query like 'with gone%'",
    );
    return rows.length === 1;
  };
  await eventually('it runs', running);
  await one.kill();
  await eventually('it is over', async () => !(await running()));
  const before = await witness.runs('once');
  await start('n1');
  const retry = await two.connect();
  const again = await answered(retry, `${witness.write('once')} returning pg_sleep(1)`);
  expect(again.came).toBe('42501');
  expect(again.rid).not.toBe(rid);
  expect(await witness.runs('once')).toBe(before);
  expect(before).toBeLessThan(2);
  expect(kindsOf('n1', rid)).toEqual(expect.arrayContaining(['hold', 'decision', 'grant_use', 'intent']));
  await verified('n1');
});

test('a session that waits behind one of a node that died moves up, and is released', {
  timeout: 90_000,
}, async () => {
  const [one, two] = await Promise.all([start('n1'), start('n2')]);
  const first = await one.connect();
  const rid = await held(first, witness.write('once'));
  const second = await two.connect();
  expect(await held(second, witness.write('once'))).toBe(rid);
  await one.kill();
  await two.decide(rid, 'approve');
  expect(answerOf(await second.until('Z')).came).toBe('ran');
  expect(await witness.runs('once')).toBe(1);
  await verified('n2');
});

test('a node that was killed starts again, on its folder and on another', {
  timeout: 90_000,
}, async () => {
  const one = await start('n1');
  await one.kill();
  const again = await start('n1');
  await again.kill();
  rmSync(join(folder, 'n1'), { recursive: true });
  await start('n1');
});
