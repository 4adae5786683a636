import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Blocks } from '../../src/audit/blocks.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { FaultFs } from './faultfs.ts';
import { openTestLog, snapshot, statement, temporaryFolder } from './fixture.ts';

test('nobody gets a block whose records the disk has not confirmed', () => {
  const steps = fc.array(fc.tuple(fc.nat(9), fc.double({ min: 0, max: 1, noNaN: true })), { maxLength: 200 });
  fc.assert(
    fc.property(steps, (steps) => {
      const blocks = new Blocks();
      const needed = new Map<Buffer, number>();
      let [block, size, confirmed, again] = [blocks.take(0), 0, 0, 0];
      const seen = new Set([block]);
      for (const [more, share] of steps) {
        size += more;
        blocks.giveBack(block, size);
        needed.set(block, size);
        confirmed += Math.floor((size - confirmed) * share);
        blocks.confirm(confirmed);
        block = blocks.take(0);
        expect(needed.get(block) ?? 0).toBeLessThanOrEqual(confirmed);
        needed.delete(block);
        if (seen.has(block)) again += 1;
        seen.add(block);
      }
      // Of those that the disk has confirmed the next one is taken, as long as there is any.
      if (steps.length > 20 && steps.every(([, share]) => share > 0.99)) expect(again).toBeGreaterThan(0);
    }),
  );
});

test('a block has the room that is asked for', () => {
  const blocks = new Blocks();
  const large = blocks.take(1 << 20);
  expect(large.length).toBeGreaterThanOrEqual(1 << 20);
  blocks.giveBack(large, 1);
  blocks.confirm(1);
  expect(blocks.take(0)).not.toBe(large);
});

test('what is written again after a fault is what was written, though memory is used again meanwhile', async () => {
  const path = temporaryFolder();
  const disk = new FaultFs();
  const { log } = await openTestLog(path, { fs: disk.fs, retryMs: 5 });
  let syncs = 0;
  disk.fault = (name) => {
    if (name === 'fdatasync') syncs += 1;
    return name === 'fdatasync' && syncs % 5 === 0 ? 'EIO' : undefined;
  };
  const sql = 'x'.repeat(3000);
  const [steps, ofStep] = [40, 40];
  // Some 5 MB, in steps of which each is more than a tenth of a block.
  for (let step = 0; step < steps; step += 1) {
    const seqs = Array.from({ length: ofStep }, (_, n) => log.append(statement(step * ofStep + n, { sql })));
    // Who waits hears of the fault; the log goes on by itself.
    await log.synced(seqs.at(-1)!).catch(() => undefined);
    await expect.poll(() => log.failed === undefined && log.onDisk > seqs.at(-1)!).toBe(true);
  }
  await log.close();
  expect(syncs).toBeGreaterThan(40);
  const report = await verifyLog(snapshot(path));
  expect(report.findings).toEqual([]);
  expect(report.kinds).toMatchObject({ stmt: steps * ofStep });
});
