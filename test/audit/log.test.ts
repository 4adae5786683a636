import * as fs from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { systemFs } from '../../src/audit/folder.ts';
import { type Sign, signToken } from '../../src/audit/seal.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import {
  logFolder,
  openTestLog,
  optionsFor,
  smallLog,
  snapshot,
  statement,
  temporaryFolder,
} from './fixture.ts';

const first = 'seg-00000000.jsonl';

/** A signer that the test lets go on, call by call. */
function slowSigner(): { sign: Sign; calls: number[]; release: () => void; holdBack: () => void } {
  let gate: PromiseWithResolvers<void> | undefined;
  const calls: number[] = [];
  return {
    calls,
    sign: async (key, type, payload) => {
      calls.push(Number((JSON.parse(payload) as { size?: number }).size));
      await gate?.promise;
      return signToken(key, type, payload);
    },
    holdBack: () => {
      gate = Promise.withResolvers<void>();
    },
    release: () => {
      gate?.resolve();
      gate = undefined;
    },
  };
}

test('a record is in the file when written calls back, and not before', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const read = () => fs.readFileSync(join(logFolder(path), first), 'utf8');
  log.append(statement(1, { sql: 'select marker' }));
  expect(read()).not.toContain('marker');
  await new Promise<void>((resolve, reject) => log.written((error) => (error ? reject(error) : resolve())));
  expect(read()).toContain('marker');
});

test('a record that nobody waits for goes with the next that somebody does, and by itself soon', async () => {
  const path = temporaryFolder();
  let writes = 0;
  const port = {
    ...systemFs,
    writeSync: (...args: Parameters<typeof fs.writeSync>) => {
      writes += 1;
      return fs.writeSync(...args);
    },
  } as typeof systemFs;
  const { log } = await openTestLog(path, { fs: port, sealMs: 10_000 });
  const lines = () => fs.readFileSync(join(logFolder(path), first), 'utf8').split('\n').length;
  const outcome = (ref: number) => ({ kind: 'outcome', ref, st: 'ok', dur_us: 1 }) as const;
  const [before, linesBefore] = [writes, lines()];
  const ref = log.append(statement(1));
  await new Promise<void>((resolve) => log.written(() => resolve()));
  log.appendLate(outcome(ref));
  const again = log.append(statement(2));
  await new Promise<void>((resolve) => log.written(() => resolve()));
  expect([writes - before, lines() - linesBefore]).toEqual([2, 3]);
  log.appendLate(outcome(again));
  await expect.poll(lines).toBe(linesBefore + 4);
});

test('written calls back even when nothing is pending', async () => {
  const { log } = await openTestLog(temporaryFolder());
  await new Promise<void>((resolve) => log.written(() => resolve()));
});

test('the records of one turn are one write', async () => {
  const path = temporaryFolder();
  let writes = 0;
  const port = {
    ...systemFs,
    writeSync: ((...given: Parameters<typeof fs.writeSync>) => {
      writes += 1;
      return fs.writeSync(...given);
    }) as typeof fs.writeSync,
  };
  const { log } = await openTestLog(path, { fs: port, sealMs: 1000 });
  writes = 0;
  for (let n = 0; n < 50; n += 1) log.append(statement(n));
  await new Promise<void>((resolve) => log.written(() => resolve()));
  expect(writes).toBe(1);
});

test('short writes are finished', async () => {
  const port = {
    ...systemFs,
    writeSync: ((fd: number, bytes: Buffer, at: number, length: number) =>
      fs.writeSync(fd, bytes, at, Math.min(length, 100))) as typeof fs.writeSync,
  };
  const report = await verifyLog(await smallLog({ fs: port }));
  expect(report).toMatchObject({ ok: true, records: 12 });
});

test('a record is durable only when its seal is on disk', async () => {
  const path = temporaryFolder();
  const slow = slowSigner();
  const { log } = await openTestLog(path, { sign: slow.sign });
  slow.holdBack();
  const seq = log.append(statement(1));
  let settled = false;
  const durable = log.durable(seq).then(() => {
    settled = true;
  });
  while (slow.calls.at(-1) !== seq + 1) await turn();
  expect(settled).toBe(false);
  slow.release();
  await durable;
  const report = await verifyLog(snapshot(path), { live: true });
  expect(report.sealed!.size).toBe(seq + 1);
});

test('one seal is in flight, however slow the signer and however many wait', async () => {
  const path = temporaryFolder();
  const slow = slowSigner();
  const { log } = await openTestLog(path, { sign: slow.sign });
  slow.calls.length = 0;
  slow.holdBack();
  const waits = [log.durable(log.append(statement(1)))];
  while (slow.calls.length === 0) await turn();
  for (let n = 0; n < 20; n += 1) {
    waits.push(log.durable(log.append(statement(n))));
    await turn();
  }
  expect(slow.calls.length).toBe(1);
  slow.release();
  await Promise.all(waits);
  expect(slow.calls.length).toBe(2);
  await log.close();
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true });
});

test('records appended while a seal is signed stand before it and are not covered by it', async () => {
  const path = temporaryFolder();
  const slow = slowSigner();
  const { log } = await openTestLog(path, { sign: slow.sign });
  slow.holdBack();
  const covered = log.append(statement(1));
  const done = log.durable(covered);
  while (slow.calls.at(-1) !== covered + 1) await turn();
  const later = log.append(statement(2));
  await new Promise<void>((resolve) => log.written(() => resolve()));
  slow.release();
  await done;
  const lines = snapshot(path).lines(first);
  expect(lines.at(-2)).toContain(`"seq":${later},`);
  const claims = JSON.parse(Buffer.from(lines.at(-1)!.split('.')[1]!, 'base64url').toString());
  expect(claims.size).toBe(covered + 1);
  await log.close();
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true });
});

test('many sessions at once: every wait ends, seqs have no gap, the log verifies', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 20_000 });
  const session = async (id: number) => {
    for (let n = 0; n < 12; n += 1) {
      const seq = log.append(statement(n, { sid: `s${id}` }));
      if (n % 3 === 0) await log.durable(seq);
      else await new Promise<void>((resolve) => log.written(() => resolve()));
    }
  };
  await Promise.all(Array.from({ length: 32 }, (_, id) => session(id)));
  await log.close();
  const report = await verifyLog(snapshot(path));
  expect(report).toMatchObject({ ok: true, kinds: { stmt: 32 * 12 } });
  expect(report.segments).toBeGreaterThan(2);
  expect(report.epochs).toBe(report.segments);
});

test('a listener hears of what is on disk and of each closed segment, until it has had enough', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 3000 });
  const sealed: number[] = [];
  const closed: number[] = [];
  const enough = log.listen({
    sealed: (size) => {
      expect(size).toBe(log.health.sealed);
      sealed.push(size);
    },
    segmentClosed: (n) => {
      expect(snapshot(path).lines('manifest.jsonl').length).toBe(n + 1);
      closed.push(n);
    },
  });
  for (let n = 0; n < 12; n += 1) await log.durable(log.append(statement(n)));
  enough();
  const told = sealed.length;
  await log.close();
  expect(sealed).toEqual([...sealed].sort((a, b) => a - b));
  expect(sealed.length).toBe(told);
  expect(told).toBeGreaterThanOrEqual(12);
  expect(closed.length).toBeGreaterThan(1);
  expect(closed).toEqual(closed.map((_, i) => i));
});

test('records that nobody waits for are sealed all the same', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { sealMs: 1 });
  const seq = log.append(statement(1));
  while (log.health.sealed <= seq) await new Promise((resolve) => setTimeout(resolve, 2));
  expect(log.health.unsealedMs).toBe(0);
});

test('a stream of appends does not put off the one who waits', async () => {
  const { log } = await openTestLog(temporaryFolder(), { sealMs: 2 });
  let isDone = false;
  const wait = log.durable(log.append(statement(0))).then(() => {
    isDone = true;
  });
  let turns = 0;
  for (; !isDone && turns < 100_000; turns += 1) {
    log.append(statement(turns));
    await turn();
  }
  await wait;
  expect(turns).toBeLessThan(100_000);
});

test('a log that cannot be opened is one sentence that names the folder', async () => {
  const path = temporaryFolder();
  const file = join(path, 'audit');
  fs.writeFileSync(file, '');
  await expect(openTestLog(path)).rejects.toMatchObject({
    code: 'log-unwritable',
    message: expect.stringMatching(new RegExp(`^the log cannot be opened: E.*${file}.* must be this user's`)),
  });
});

test('a malformed record is refused and the log goes on', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  expect(() => log.append({ kind: 'outcome', ref: 0.5, st: 'ok', dur_us: 1 })).toThrow(TypeError);
  await log.durable(log.append(statement(1)));
  await log.close();
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true });
});

test('a statement too long for a line goes to a blob that the verifier reads', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const sql = `select '${'x'.repeat(200_000)}'`;
  await log.durable(log.append(statement(1, { sql })));
  await log.close();
  const source = snapshot(path);
  expect(await verifyLog(source)).toMatchObject({ ok: true });
  const blob = [...source.files.keys()].find((name) => name.startsWith('blobs/'))!;
  expect(source.files.get(blob)!.toString()).toBe(sql);
  const changed = await verifyLog(source.with(blob, Buffer.from(sql.replace('x', 'y'))));
  expect(changed.findings[0]).toMatchObject({ code: 10, file: first });
  source.files.delete(blob);
  expect((await verifyLog(source)).ok).toBe(false);
});

test('a key signs for its epoch; the one before it is gone', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  for (let epoch = 0; epoch < 3; epoch += 1) {
    await log.durable(log.append(statement(epoch)));
    await log.changeKey();
  }
  await log.close();
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true, epochs: 4 });
  const kept = fs.readdirSync(join(path, 'keys', 'audit-holdpoint%2Ftest'));
  expect(kept).toEqual(['checkpoint.jwk', 'epoch-3.jwk']);
  expect(fs.statSync(join(path, 'keys', 'audit-holdpoint%2Ftest', 'epoch-3.jwk')).mode & 0o777).toBe(0o600);
  for (const [name, content] of snapshot(path).files) expect(content.includes('"d":'), name).toBe(false);
});

test('a heartbeat is written when nothing else is, and only then', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { heartbeatMs: 5 });
  while (log.health.records < 5) await new Promise((resolve) => setTimeout(resolve, 2));
  await log.close();
  expect((await verifyLog(snapshot(path))).kinds.hb).toBeGreaterThan(0);
});

test('a closed log takes nothing more and ends with bye', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const ref = log.append(statement(1));
  const last = log.append({ kind: 'outcome', ref, st: 'ok', dur_us: 1 });
  await log.close();
  expect(() => log.append(statement(2))).toThrow(/shutting down/);
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true, ended: true, records: last + 2 });
});

test('a second writer is refused while the first lives', async () => {
  const path = temporaryFolder();
  await openTestLog(path);
  const { openLog } = await import('../../src/audit/opening.ts');
  await expect(openLog(optionsFor(path))).rejects.toMatchObject({ code: 'conflict' });
});

test('those who wait for the file alone do not hurry the disk, however many there are', async () => {
  const sealMs = 10;
  const { log } = await openTestLog(temporaryFolder(), { sealMs });
  let groups = 0;
  log.listen({ sealed: () => (groups += 1) });
  const begun = performance.now();
  // Somebody waits at every moment, as under load.
  const reader = async (): Promise<void> => {
    while (performance.now() - begun < 1500) {
      log.append(statement(1));
      await new Promise<void>((resolve) => log.written(() => resolve()));
    }
  };
  await Promise.all(Array.from({ length: 8 }, reader));
  // One group each tenth of the pace that somebody who waits for the disk has; and the last of them is sealed too.
  expect(groups).toBeGreaterThan(0);
  expect(groups).toBeLessThanOrEqual((performance.now() - begun) / (sealMs * 10) + 2);
  const { size } = log;
  // On a fast machine so many records fill a segment, whose end adds the next key's.
  await expect.poll(() => log.sealed).toBeGreaterThanOrEqual(size);
  await log.close();
});
