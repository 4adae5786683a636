// What becomes of the log when its disk fails: with the real writer on real files, behind a file system that fails when
// it is told to. That it verifies, and that nobody was told of a record that is not in it.

import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AuditLog } from '../../src/audit/log.ts';
import type { LogOptions } from '../../src/audit/opening.ts';
import { type Sign, signToken } from '../../src/audit/seal.ts';
import { HoldpointError } from '../../src/errors.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { FaultFs, type FsCall } from './faultfs.ts';
import { logFolder, openTestLog, snapshot, statement, temporaryFolder } from './fixture.ts';

const refused = { code: 'log-unwritable', sqlstate: '58030' };

function written(log: AuditLog): Promise<HoldpointError | undefined> {
  return new Promise((resolve) => log.written(resolve));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

async function failingLog(more: Partial<LogOptions> = {}) {
  const path = temporaryFolder();
  const disk = new FaultFs();
  const told: (string | undefined)[] = [];
  const failures: HoldpointError[] = [];
  const { log } = await openTestLog(path, {
    fs: disk.fs,
    retryMs: 10,
    meter: {
      failure: (error) => failures.push(error),
      stopped: (error) => told.push(error?.message),
    },
    ...more,
  });
  return { path, disk, log, told, failures };
}

function recordsIn(path: string): Record<string, unknown>[] {
  const source = snapshot(path);
  return [...source.files.keys()]
    .filter((name) => name.startsWith('seg-') && name.endsWith('.jsonl'))
    .sort()
    .flatMap((name) => source.lines(name))
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

async function verified(path: string) {
  const report = await verifyLog(snapshot(path));
  expect(report.findings).toEqual([]);
  return report;
}

test('one write that fails breaks the segment off: the records go to the next, nobody hears of it, and the log says so', async () => {
  const { path, disk, log, told, failures } = await failingLog();
  await log.durable(log.append(statement(1)));
  let left = 1;
  disk.fault = (name) => (name === 'writeSync' && left-- > 0 ? { code: 'EIO', half: true } : undefined);
  const seq = log.append(statement(2));
  const durable = log.durable(seq);
  expect(await written(log)).toBeUndefined();
  await durable;
  expect(told).toEqual([]);
  expect(failures).toMatchObject([
    { message: expect.stringMatching(/a record could not be written: EIO: i\/o error\. /) },
  ]);
  expect(disk.reused).toEqual([]);
  await log.close();
  const report = await verified(path);
  expect(report).toMatchObject({ segments: 2, kinds: { stmt: 2, gap: 1 }, breaks: [{ kind: 'gap' }] });
  expect((await verifyLog(snapshot(path), { noGaps: true })).code).toBe(19);
  const gap = recordsIn(path).find(({ kind }) => kind === 'gap')!;
  expect(gap).toMatchObject({
    reason: 'a record could not be written: EIO: i/o error',
    from: seq,
    to: seq + 1,
    count: 1,
  });
});

test.each(['EIO', 'EROFS', 'ENOSPC'])(
  'while every write fails with %s statements are refused at once; then the log goes on by itself',
  async (code) => {
    const { path, disk, log, told } = await failingLog();
    disk.fail(code, 'writeSync');
    const seq = log.append(statement(1));
    const durable = expect(log.durable(seq)).rejects.toMatchObject(refused);
    expect(await written(log)).toMatchObject(refused);
    await durable;
    expect(() => log.append(statement(2))).toThrow(
      /^the log could not be written: E\w+: .*tried every 10 ms/,
    );
    expect(await written(log)).toMatchObject(refused);
    await expect(log.durable(seq)).rejects.toMatchObject(refused);
    expect(log.health).toMatchObject({ writable: false, reason: log.failed?.message });
    expect(log.failed?.message).not.toContain(path);
    // What ran before is told of all the same.
    log.append({ kind: 'outcome', ref: seq, st: 'unknown', dur_us: 0 });
    expect(disk.reused).toEqual([]);
    disk.heal();
    await until(() => log.failed === undefined);
    expect(log.health.writable).toBe(true);
    expect(told).toEqual([expect.stringContaining(code), undefined]);
    await log.durable(log.append(statement(3)));
    await log.close();
    expect(await verified(path)).toMatchObject({ kinds: { stmt: 2, outcome: 2, gap: 1 } });
    expect(disk.reused).toEqual([]);
  },
);

test('a sync that fails acknowledges nothing; what it was to cover is written again, and the seal too', async () => {
  const { path, disk, log, failures } = await failingLog();
  let left = 1;
  disk.fault = (name) => (name === 'fdatasync' && left-- > 0 ? 'EIO' : undefined);
  const seq = log.append(statement(1));
  expect(await written(log)).toBeUndefined();
  await log.durable(seq);
  expect(failures).toHaveLength(1);
  const [old, next] = [0, 1].map((n) => snapshot(path).lines(`seg-0000000${n}.jsonl`));
  expect(old!.some((line) => line.includes(`"seq":${seq},`))).toBe(false);
  expect(next![0]).toContain(`"seq":${seq},`);
  // The seal was signed once.
  expect(next![1]).toMatch(/^eyJ/);
  await log.close();
  expect(disk.reused).toEqual([]);
  expect(await verified(path)).toMatchObject({ segments: 2, kinds: { stmt: 1, gap: 1 } });
});

test('a sync that goes on failing acknowledges nothing', async () => {
  const { path, disk, log } = await failingLog();
  disk.fail('EIO', 'fdatasync', 'fsyncSync');
  await expect(log.durable(log.append(statement(1)))).rejects.toMatchObject(refused);
  expect(() => log.append(statement(2))).toThrow(HoldpointError);
  disk.heal();
  await until(() => log.failed === undefined);
  await log.durable(log.append(statement(2)));
  await log.close();
  expect(await verified(path)).toMatchObject({ kinds: { stmt: 2 } });
});

test('a disk that takes a new file and refuses it at once is not tried as fast as it refuses', async () => {
  const { path, disk, log } = await failingLog({ retryMs: 100 });
  // The new file is synced, and the next sync of it fails.
  let syncs = 0;
  disk.fault = (name) => (name === 'fdatasync' && syncs++ % 2 === 0 ? 'EIO' : undefined);
  const began = Date.now();
  await log.durable(log.append(statement(1)));
  await until(() => recordsIn(path).filter(({ kind }) => kind === 'gap').length > 3);
  expect(Date.now() - began).toBeGreaterThan(200);
  disk.heal();
  await until(() => log.failed === undefined);
  await log.close();
  await verified(path);
});

/** Repeatable random numbers from 0 to 1. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), state | 1) + 0x6d2b79f5) | 0;
    return ((state ^ (state >>> 14)) >>> 0) / 4294967296;
  };
}

const rounds = Number(process.env.HOLDPOINT_FAULT_ROUNDS ?? 6);

// Long: HOLDPOINT_FAULT_ROUNDS=300.
test.each(Array.from({ length: rounds }, (_, i) => i + 1))(
  'whatever fails, and whenever, nothing acknowledged is missing and nothing is there twice (%i)',
  async (seed) => {
    const random = randomFrom(seed * 7919);
    const path = temporaryFolder();
    const disk = new FaultFs();
    const codes = ['EIO', 'ENOSPC', 'EROFS'];
    const names: FsCall[] = [
      'writeSync',
      'fdatasync',
      'fsyncSync',
      'openSync',
      'renameSync',
      'ftruncateSync',
      'unlinkSync',
    ];
    let isOpen = false;
    const { log } = await openTestLog(path, {
      fs: disk.fs,
      retryMs: 3,
      segmentBytesMax: 6000,
      ballastBytes: seed % 2 === 0 ? 10_000 : 0,
      sign: async (...given) => {
        if (!isOpen) return signToken(...given);
        if (random() < 0.3) await new Promise((resolve) => setTimeout(resolve, random() * 5));
        if (random() < 0.05) throw new Error('the signer is busy');
        return signToken(...given);
      },
    });
    isOpen = true;
    let rate = 0;
    disk.fault = (name) => {
      if (!names.includes(name) || random() >= rate) return undefined;
      const code = codes[Math.floor(random() * codes.length)]!;
      return random() < 0.5 ? { code, half: true } : code;
    };
    const acknowledged: number[] = [];
    const inFile: number[] = [];
    const session = async (id: number): Promise<void> => {
      for (let n = 0; n < 25; n += 1) {
        try {
          const seq = log.append(
            statement(n, { sid: `s${id}`, ...(random() < 0.02 && { sql: 'x'.repeat(70_000) }) }),
          );
          if (random() < 0.5) {
            await log.durable(seq);
            acknowledged.push(seq);
          } else if ((await written(log)) === undefined) inFile.push(seq);
          log.append({ kind: 'outcome', ref: seq, st: 'ok', dur_us: 1 });
        } catch (error) {
          expect(error).toMatchObject(refused);
          await new Promise((resolve) => setTimeout(resolve, 4));
        }
      }
    };
    const weather = setInterval(() => {
      rate = random() < 0.6 ? 0 : random() * random();
    }, 4);
    await Promise.all(Array.from({ length: 8 }, (_, id) => session(id)));
    clearInterval(weather);
    disk.heal();
    await until(() => log.failed === undefined);
    await log.close();
    const report = await verified(path);
    expect(report.ended).toBe(true);
    const seqs = recordsIn(path).map(({ seq }) => seq as number);
    expect(seqs).toEqual(seqs.map((_, i) => i));
    for (const seq of [...acknowledged, ...inFile]) expect(seq).toBeLessThan(seqs.length);
    expect(disk.reused).toEqual([]);
  },
);

test.each([
  ['deleted', (file: string) => fs.rmSync(file)],
  ['moved away', (file: string) => fs.renameSync(file, `${file}.elsewhere`)],
  [
    'replaced by a copy',
    (file: string) => {
      fs.cpSync(file, `${file}.copy`);
      fs.renameSync(`${file}.copy`, file);
    },
  ],
])(
  'a segment that is %s while it is written is noticed, and nothing is made up for it',
  async (what, lose) => {
    const { path, log, failures } = await failingLog();
    const file = join(logFolder(path), 'seg-00000000.jsonl');
    lose(file);
    await expect(log.durable(log.append(statement(1)))).rejects.toThrow(
      /seg-00000000.jsonl was moved or deleted while/,
    );
    expect(() => log.append(statement(2))).toThrow(/Put it back/);
    expect(log.health.writable).toBe(false);
    expect(log.failed?.message).not.toContain(path);
    await until(() => failures.length > 4);
    expect(fs.existsSync(join(logFolder(path), 'seg-00000001.jsonl'))).toBe(false);
    if (what !== 'moved away') return;
    fs.renameSync(`${file}.elsewhere`, file);
    await until(() => log.failed === undefined);
    await log.durable(log.append(statement(3)));
    await log.close();
    expect(await verified(path)).toMatchObject({ kinds: { stmt: 2 } });
  },
);

test('a closed segment that is deleted stops the next start, which names it', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 4000 });
  for (let n = 0; n < 14; n += 1) await log.durable(log.append(statement(n)));
  await log.close();
  const names = [...snapshot(path).files.keys()].filter((name) => /^seg-\d+\.jsonl$/.test(name)).sort();
  expect(names.length).toBeGreaterThan(2);
  for (const name of names.slice(0, -1)) {
    const file = join(logFolder(path), name);
    const content = fs.readFileSync(file);
    fs.rmSync(file);
    await expect(openTestLog(path, { segmentBytesMax: 4000 }), name).rejects.toMatchObject(refused);
    fs.writeFileSync(file, content, { mode: 0o600 });
  }
  await openTestLog(path, { segmentBytesMax: 4000 });
});

test('a limit on the size of files is a disk that refuses: what was acknowledged is there, the segment is broken off', async () => {
  const path = temporaryFolder();
  const writer = join(import.meta.dirname, 'writer.ts');
  // 16 KiB a file; segments would be larger.
  const child = spawn('bash', [
    '-c',
    `ulimit -f 16; exec "${process.execPath}" "${writer}" "${path}" 1000000000`,
  ]);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  await new Promise((resolve) => child.on('close', resolve));
  expect(errors).toMatch(/EFBIG: file too large/);
  const last = (letter: string) =>
    Number(
      output
        .split('\n')
        .findLast((line) => line.startsWith(`${letter} `))
        ?.slice(2),
    );
  expect(last('d')).toBeGreaterThan(10);
  const { log } = await openTestLog(path);
  await log.close();
  const report = await verified(path);
  expect(report.records).toBeGreaterThan(Math.max(last('w'), last('d')));
  expect(report.kinds.gap).toBeGreaterThan(0);
}, 60_000);

test('a blob that cannot be written refuses its statement and no other', async () => {
  const { path, disk, log } = await failingLog();
  disk.fault = (name, given) =>
    name === 'openSync' && String(given[0]).includes('/blobs/') ? 'ENOSPC' : undefined;
  expect(() => log.append(statement(1, { sql: 'x'.repeat(70_000) }))).toThrow(
    /a long statement could not be written: ENOSPC/,
  );
  await log.durable(log.append(statement(2)));
  disk.heal();
  await log.durable(log.append(statement(3, { sql: 'x'.repeat(70_000) })));
  await log.close();
  expect(await verified(path)).toMatchObject({ kinds: { stmt: 2 } });
});

test('a blob whose sync fails is written again before its record counts', async () => {
  const { path, disk, log } = await failingLog();
  let left = 1;
  disk.fault = (name, given) =>
    name === 'fsyncSync' && blobFds.has(given[0] as number) && left-- > 0 ? 'EIO' : undefined;
  const blobFds = new Set<number>();
  const open = disk.fs.openSync;
  (disk.fs as { openSync: typeof open }).openSync = ((...given: Parameters<typeof open>) => {
    const fd = open(...given);
    if (String(given[0]).includes('/blobs/') && given[1] === 'w') blobFds.add(fd);
    else blobFds.delete(fd);
    return fd;
  }) as typeof open;
  const seq = log.append(statement(1, { sql: 'x'.repeat(70_000) }));
  await expect(log.durable(seq)).rejects.toMatchObject(refused);
  await until(() => log.sealed > seq);
  expect(disk.reused).toEqual([]);
  await log.close();
  await verified(path);
});

/** A signer that is held back, call by call, while the test says so. */
function heldSigner(): { sign: Sign; asked: () => number; hold: () => void; release: () => void } {
  let gate: PromiseWithResolvers<void> | undefined;
  let asked = 0;
  return {
    asked: () => asked,
    hold: () => {
      asked = 0;
      gate = Promise.withResolvers<void>();
    },
    release: () => {
      gate?.resolve();
      gate = undefined;
    },
    sign: async (...given) => {
      asked += 1;
      await gate?.promise;
      return signToken(...given);
    },
  };
}

const isSeal = (bytes: unknown) =>
  Buffer.isBuffer(bytes) && bytes[0] === 0x65 && bytes.indexOf(10) === bytes.length - 1;

test("a seal over nothing but what the old segment keeps is that one's end, and the log can be taken up from there", async () => {
  const signer = heldSigner();
  const { path, disk, log } = await failingLog({ sign: signer.sign });
  signer.hold();
  const one = log.durable(log.append(statement(1)));
  await until(() => signer.asked() > 0);
  // In the file before the seal, and not under it.
  const lagging = log.append(statement(2));
  await written(log);
  signer.release();
  await one;
  let left = 1;
  disk.fault = (name, given) => (name === 'writeSync' && isSeal(given[1]) && left-- > 0 ? 'EIO' : undefined);
  await log.durable(lagging);
  await until(() => fs.existsSync(join(logFolder(path), 'manifest.jsonl')));
  await log.abandon();
  const source = snapshot(path);
  const claims = Buffer.from(
    source.lines('seg-00000000.jsonl').at(-1)!.split('.')[1]!,
    'base64url',
  ).toString();
  expect(JSON.parse(claims)).toMatchObject({ size: lagging + 1 });
  expect(source.lines('seg-00000001.jsonl')[0]).toContain('"kind":"gap"');
  const again = await openTestLog(path);
  await again.log.close();
  await verified(path);
});

test('a second break before the first is listed repeats no seal', async () => {
  const { path, disk, log } = await failingLog();
  let syncs = 0;
  let writes = 0;
  disk.fault = (name, given) => {
    if (name === 'fdatasync') return syncs++ === 0 ? 'EIO' : undefined;
    if (name === 'openSync' && String(given[0]).endsWith('manifest.jsonl') && writes === 0) return 'EIO';
    if (name === 'writeSync' && String(given[1]).includes('"kind":"outcome"') && writes++ === 0) return 'EIO';
    return undefined;
  };
  const seq = log.append(statement(1));
  await expect(log.durable(seq)).rejects.toMatchObject(refused);
  log.append({ kind: 'outcome', ref: seq, st: 'unknown', dur_us: 0 });
  await until(() => log.failed === undefined && writes > 0);
  await log.durable(log.append(statement(2)));
  await log.close();
  expect(await verified(path)).toMatchObject({ segments: 3, kinds: { stmt: 2, gap: 2 } });
});

test('a blob is on disk before the record that names it counts, also if that was written again', async () => {
  const { path, disk, log } = await failingLog();
  const blobFds = new Set<unknown>();
  let synced = 0;
  let left = 1;
  const open = disk.fs.openSync;
  (disk.fs as { openSync: typeof open }).openSync = ((...given: Parameters<typeof open>) => {
    const fd = open(...given);
    if (String(given[0]).includes('/blobs/')) blobFds.add(fd);
    else blobFds.delete(fd);
    return fd;
  }) as typeof open;
  disk.fault = (name, given) => {
    if (name === 'fsyncSync' && blobFds.has(given[0])) synced += 1;
    return name === 'writeSync' && isSeal(given[1]) && left-- > 0 ? 'EIO' : undefined;
  };
  await log.durable(log.append(statement(1, { sql: 'x'.repeat(70_000) })));
  expect(synced).toBeGreaterThan(0);
  await log.close();
  await verified(path);
});

test('while a broken segment is written again nobody is told that it is', async () => {
  const { path, disk, log } = await failingLog();
  let left = 1;
  disk.fault = (name) => (name === 'writeSync' && left-- > 0 ? 'EIO' : undefined);
  disk.hangs = true;
  const seq = log.append(statement(1));
  let isTold = false;
  const wait = written(log).then((error) => {
    isTold = true;
    return error;
  });
  await until(() => disk.kept.length > 0);
  for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(isTold).toBe(false);
  disk.answer();
  expect(await wait).toBeUndefined();
  await log.durable(seq);
  await log.close();
  await verified(path);
});

test('a try that comes while a group is in flight is made up for', async () => {
  const signer = heldSigner();
  const { path, disk, log } = await failingLog({ sign: signer.sign, retryMs: 100 });
  let left = 1;
  disk.fault = (name) => (name === 'writeSync' && left-- > 0 ? 'EIO' : undefined);
  await log.durable(log.append(statement(1)));
  signer.hold();
  log.append(statement(2));
  await until(() => signer.asked() > 0);
  left = 1;
  const seq = log.append(statement(3));
  expect(await written(log)).toMatchObject(refused);
  // The try falls into the time in which the group waits for its signature.
  await new Promise((resolve) => setTimeout(resolve, 250));
  signer.release();
  await until(() => log.failed === undefined);
  await log.durable(seq);
  await log.close();
  await verified(path);
});

test('what comes while a segment closes waits for the next one, in order', async () => {
  const signer = heldSigner();
  const { path, log } = await failingLog({ sign: signer.sign, segmentBytesMax: 3000 });
  const waits: Promise<HoldpointError | undefined>[] = [];
  for (let n = 0; n < 30; n += 1) {
    signer.hold();
    log.append(statement(n));
    await until(() => signer.asked() > 0);
    for (let more = 0; more < 3; more += 1) {
      log.append(statement(more));
      waits.push(written(log));
      await new Promise((resolve) => setImmediate(resolve));
    }
    signer.release();
    await Promise.all(waits.splice(0));
  }
  await log.close();
  const report = await verified(path);
  expect(report.segments).toBeGreaterThan(4);
  const seqs = recordsIn(path).map(({ seq }) => seq as number);
  expect(seqs).toEqual(seqs.map((_, i) => i));
});
