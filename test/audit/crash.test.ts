// A process that dies, or whose disk fails once, at each call to the file system that opening, recovery and mending make:
// for every k, everything before the k-th call has happened and that one has not. The next start takes the log up, it
// verifies, and no record that was in it is missing.

import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuditLog } from '../../src/audit/log.ts';
import { openLog } from '../../src/audit/opening.ts';
import { signToken } from '../../src/audit/seal.ts';
import { FolderSource } from '../../verify/src/source.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { FaultFs } from './faultfs.ts';
import { logFolder, optionsFor, statement } from './fixture.ts';

// All calls: HOLDPOINT_CRASH_STRIDE=1.
const stride = Number(process.env.HOLDPOINT_CRASH_STRIDE ?? 4);
const small = { segmentBytesMax: 5000, retryMs: 1, ballastBytes: 1000 };
let root: string;
beforeAll(() => {
  root = fs.mkdtempSync('/tmp/holdpoint-crash-');
});
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

function recordsOf(path: string): string[] {
  const folder = logFolder(path);
  return fs
    .readdirSync(folder)
    .filter((name) => /^seg-\d+\.jsonl$/.test(name))
    .sort()
    .flatMap((name) => fs.readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1))
    .filter((line) => line.startsWith('{'));
}

/** Starts again on a sound disk: the log goes on, verifies, and has all of these records. */
async function takesUp(path: string, records: readonly string[], about: string): Promise<void> {
  const { log } = await openLog(optionsFor(path, small));
  await log.durable(log.append(statement(99)));
  await log.close();
  const { findings } = await verifyLog(new FolderSource(logFolder(path)));
  expect(findings, about).toEqual([]);
  const now = recordsOf(path);
  const there = new Set(now);
  expect(there.size, about).toBe(now.length);
  for (const record of records) expect(there.has(record), `${about}: ${record}`).toBe(true);
}

/** A log with closed segments, as a kill leaves it. */
async function killed(path: string, statements: number): Promise<void> {
  const { log } = await openLog(optionsFor(path, small));
  for (let n = 0; n < statements; n += 1) await log.durable(log.append(statement(n)));
  await log.abandon();
}

function lastSegment(path: string): string {
  const folder = logFolder(path);
  const names = fs.readdirSync(folder).filter((name) => /^seg-\d+\.jsonl$/.test(name));
  return join(folder, names.sort().at(-1)!);
}

/** As `killed`, while a segment closes: its key record is in the file, and the seal that ends the epoch is not. */
async function killedAtTheEndOfAnEpoch(path: string): Promise<void> {
  await killed(path, 3);
  let isCertified: boolean | undefined;
  const { log } = await openLog(
    optionsFor(path, {
      ...small,
      sign: async (key, type, payload) => {
        if (isCertified === false && type === 'holdpoint-epoch+jws') isCertified = true;
        if (isCertified === true && type === 'holdpoint-seal+jws') throw new Error('the signer is gone');
        return signToken(key, type, payload);
      },
    }),
  );
  isCertified = false;
  for (let n = 0; !recordsOf(path).at(-1)!.includes('"kind":"key"'); n += 1) {
    if (n < 100) log.append(statement(n));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await log.abandon();
}

/** States that a process may find: how the log ended, and what happened to it then. */
const states: Readonly<Record<string, (path: string) => void | Promise<void>>> = {
  'a log that was killed': () => undefined,
  'a key record without the seal that ends its epoch': async (path) => {
    fs.rmSync(path, { recursive: true });
    await killedAtTheEndOfAnEpoch(path);
  },
  'a torn line behind records without a seal': (path) => {
    const file = lastSegment(path);
    const lines = fs.readFileSync(file, 'utf8').split('\n');
    const last = lines.findLastIndex((line) => line.startsWith('{'));
    fs.writeFileSync(file, `${lines.slice(0, last).join('\n')}\n${lines[last]!.slice(0, 70)}`);
  },
  'a manifest whose last line is cut': (path) => {
    const file = join(logFolder(path), 'manifest.jsonl');
    fs.writeFileSync(file, fs.readFileSync(file).subarray(0, -20));
  },
};

const modes = { 'dies before': 'dead', 'fails at': 'once' } as const;

describe.each(Object.entries(states))('%s', (name, change) => {
  test.each(Object.entries(modes))(
    'is taken up after a start that %s any of its calls',
    async (_, mode) => {
      const state = join(root, `${name.replaceAll(' ', '-')}-${mode}`);
      await killed(state, 14);
      await change(state);
      const records = recordsOf(state);
      for (let k = 1 + (name.length % stride); ; k += stride) {
        const path = `${state}-${k}`;
        fs.cpSync(state, path, { recursive: true });
        const disk = new FaultFs();
        disk.fault = () => (disk.calls === k || (mode === 'dead' && disk.calls > k) ? 'EIO' : undefined);
        let log: AuditLog | undefined;
        try {
          ({ log } = await openLog(optionsFor(path, { ...small, fs: disk.fs })));
        } catch (error) {
          expect(error, `call ${k}`).toMatchObject({ code: 'log-unwritable' });
        }
        // As a crash ends it, not as a close does.
        await log?.abandon();
        if (disk.calls < k) {
          expect(k).toBeGreaterThan(40);
          break;
        }
        await takesUp(path, records, `${name}: call ${k}`);
        fs.rmSync(path, { recursive: true });
      }
    },
    240_000,
  );
});

test.each(['a write', 'a sync'])(
  '%s that fails, and then the process dies at any call of the mending',
  async (what) => {
    for (let k = 1, isOver = false; !isOver; k += 1) {
      const path = join(root, `mending-${what.replaceAll(' ', '-')}-${k}`);
      const disk = new FaultFs();
      const { log } = await openLog(optionsFor(path, { ...small, segmentBytesMax: 1 << 20, fs: disk.fs }));
      await log.durable(log.append(statement(1)));
      let calls = -1;
      let isDead = false;
      disk.fault = (name) => {
        if (isDead) return 'EIO';
        if (calls >= 0) {
          calls += 1;
          isDead = calls === k;
          return isDead ? { code: 'EIO', half: true } : undefined;
        }
        if (name !== (what === 'a write' ? 'writeSync' : 'fdatasync')) return undefined;
        calls = 0;
        return { code: 'EIO', half: true };
      };
      const seq = log.append(statement(2));
      const isIn = await new Promise<boolean>((resolve) =>
        log.written((error) => resolve(error === undefined)),
      );
      const isDurable = await log.durable(seq).then(
        () => true,
        () => false,
      );
      isOver = !isDead;
      isDead = true;
      await log.abandon();
      await takesUp(path, [], `${what}: call ${k}`);
      const held = recordsOf(path).some(
        (line) => line.includes(`"seq":${seq},`) && line.includes('select 2'),
      );
      if (isIn || isDurable) expect(held, `${what}: call ${k}`).toBe(true);
      if (isOver) expect(k).toBeGreaterThan(10);
    }
  },
  120_000,
);
