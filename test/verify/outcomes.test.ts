// Each statement has one outcome: what a log says twice, of nothing, or not at all is found.

import { expect, onTestFinished, test, vi } from 'vitest';
import { OpenWork } from '../../src/audit/openwork.ts';
import type { RecordBody } from '../../src/audit/record.ts';
import type { Report } from '../../verify/src/report.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { openTestLog, snapshot, statement, temporaryFolder } from '../audit/fixture.ts';

const outcome = (ref: number, st: 'ok' | 'error' = 'ok'): RecordBody => ({
  kind: 'outcome',
  ref,
  st,
  dur_us: 1,
});

/** A log of what `write` puts behind its first statement; `forgetful`: nobody ends what is open. */
async function written(
  write: (ref: number) => RecordBody[],
  end: 'close' | 'run' | 'again' = 'close',
): Promise<Report> {
  if (end === 'again') {
    vi.spyOn(OpenWork.prototype, 'endings').mockReturnValue([]);
    onTestFinished(() => void vi.restoreAllMocks());
  }
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const ref = log.append(statement(1));
  let last = ref;
  for (const body of write(ref)) last = log.append(body);
  await log.durable(last);
  if (end === 'run') return verifyLog(snapshot(path));
  await log.close();
  if (end === 'again') {
    const next = await openTestLog(path);
    await next.log.durable(next.log.append({ kind: 'hb' }));
  }
  return verifyLog(snapshot(path));
}

test('one outcome for each statement, in any order', async () => {
  const report = await written((ref) => [statement(2), outcome(ref + 1), outcome(ref, 'error')]);
  expect(report).toMatchObject({ ok: true, running: 0 });
});

test.each([
  ['two outcomes', (ref: number) => [outcome(ref), outcome(ref)]],
  ['two outcomes that differ', (ref: number) => [outcome(ref), outcome(ref, 'error')]],
  ['an outcome of what is no statement', (ref: number) => [outcome(ref), outcome(0)]],
  ['an outcome before its statement', (ref: number) => [outcome(ref), outcome(ref + 2), statement(2)]],
])('%s: exit code 20, at the record', async (_, write) => {
  expect(await written(write)).toMatchObject({
    ok: false,
    code: 20,
    findings: [{ kind: 'outcome', message: /which has one already or is none of this log/ }].map((each) => ({
      ...each,
      message: expect.stringMatching(each.message),
    })),
  });
});

test('a statement of the last boot that has none is running, as long as that boot has not ended', async () => {
  expect(await written(() => [], 'run')).toMatchObject({ ok: true, running: 1 });
});

test('a statement of an earlier boot that has none: exit code 20, at the statement', async () => {
  const report = await written(() => [], 'again');
  expect(report).toMatchObject({ ok: false, code: 20, findings: [{ kind: 'outcome' }] });
  expect(report.findings[0]!.message).toMatch(/^statement \d+ has no outcome$/);
});
