import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { show, tail } from '../../src/cli/audit-show.ts';
import { readMoment } from '../../src/cli/log-filter.ts';
import { cellsOf, LogTable } from '../../src/cli/log-table.ts';
import { plain } from '../../verify/src/text.ts';
import { openTestLog, statement, temporaryFolder } from '../audit/fixture.ts';
import { compress, writtenLog } from '../trail/fixture.ts';

const root = join(import.meta.dirname, '..', '..');

function listener(columns?: number) {
  const heard = { out: '', err: '' };
  return {
    heard,
    columns,
    lines: () => heard.out.split('\n').slice(0, -1),
    out: (text: string) => {
      heard.out += text;
    },
    err: (text: string) => {
      heard.err += text;
    },
  };
}

async function folderWithLog(): Promise<{ path: string; ref: number }> {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const ref = log.append(
    statement(1, { dec: 'hold', rule: 'ddl', cls: 'destroy', sql: 'drop table customers' }),
  );
  log.append(statement(2, { sql: 'select \u001b[31m\u202e1', agent: 'other' }));
  log.append({ kind: 'hold', rid: 'R1', rd: 'digest', R: '{}', ref });
  log.append({ kind: 'cancel', rid: 'R1', by: 'client', reason: 'gone' });
  log.append({ kind: 'outcome', ref, st: 'canceled', sqlstate: '57014', dur_us: 1500 });
  await log.close();
  return { path, ref };
}

test("what a terminal would obey in an agent's words is spelled out", async () => {
  const { path } = await folderWithLog();
  const output = listener();
  expect(await show(path, { kind: ['stmt'] }, output)).toBe(0);
  expect(output.heard.out).toContain('select \\u{1b}[31m\\u{202e}1');
  expect(output.heard.out).not.toMatch(/[\u001b\u202e]/);
  expect(plain('a\nb\u2028c\u200d')).toBe('a\\u{a}b\\u{2028}c\\u{200d}');
});

test('a statement and its outcome are one row of the table', async () => {
  const { path, ref } = await folderWithLog();
  const output = listener();
  await show(path, { request: 'R1', kind: ['stmt'] }, output);
  const [head, row] = output.lines();
  expect(head).toMatch(/^TIME \(UTC\) +SEQ AGENT +TARGET +CLASS +VERDICT RULE +OUTCOME +ROWS +MS STATEMENT$/);
  expect(row).toMatch(
    new RegExp(` ${ref} claude +shop +destroy +hold +ddl +cance 57014 +1\\.50 drop table customers$`),
  );
});

test('JSON is the lines of the log: of a statement, then of its outcome', async () => {
  const { path, ref } = await folderWithLog();
  const output = listener();
  await show(path, { agent: 'claude', json: true }, output);
  expect(output.lines().map((line) => JSON.parse(line).kind)).toEqual(['stmt', 'outcome']);
  const one = listener();
  await show(path, { seq: ref, json: true }, one);
  expect(one.lines().map((line) => JSON.parse(line).seq)).toEqual([ref]);
});

test('what nobody asked for is an exit code and a sentence', async () => {
  const { path } = await folderWithLog();
  const output = listener();
  expect(await show(path, { agent: 'nobody' }, output)).toBe(1);
  expect(output.heard).toEqual({ out: '', err: 'holdpoint audit: no record fits\n' });
});

test('a row is as wide as the terminal at most, whatever its width and the characters of a statement', async () => {
  const { path } = await writtenLog(3, {
    change: () => ({ sql: `select '漢字 ${'é'.repeat(300)}'`, agent: 'a-very-long-agent-name' }),
  });
  for (const width of [20, 40, 60, 80, 100, 132, 200]) {
    const output = listener(width);
    await show(path, {}, output);
    for (const line of output.lines()) expect(cellsOf(line)).toBeLessThanOrEqual(width);
    expect(output.heard.out).toContain(width < 40 ? 's…' : "select '漢");
  }
  expect(new LogTable(200).header()).toContain('TIME (UTC)');
  expect(new LogTable(60).header()).not.toContain('RULE');
});

test('what is in compressed segments is shown and followed as the rest', async () => {
  const log = await writtenLog(100);
  for (const n of [0, 1]) compress(log, n);
  const output = listener();
  await show(log.path, { json: true, kind: ['stmt'] }, output);
  expect(output.lines()).toHaveLength(100);
  const newest = listener();
  await tail(log.path, { lines: 95, json: true, kind: ['stmt'] }, newest);
  expect(newest.lines()).toEqual(output.lines().slice(5));
});

test('records are shown from and to a number and a time', async () => {
  const { path, seqs } = await writtenLog(50);
  const [from, to] = [seqs.get(10)!, seqs.get(12)!];
  const bySeq = listener();
  await show(path, { from, to, json: true, kind: ['stmt'] }, bySeq);
  expect(bySeq.lines().map((line) => JSON.parse(line).n)).toEqual([10, 11, 12]);
  const moment = JSON.parse(bySeq.lines()[0]!).ts;
  const byTime = listener();
  await show(path, { since: moment, until: moment, json: true }, byTime);
  for (const line of byTime.lines().map((text) => JSON.parse(text)))
    if (line.kind !== 'outcome') expect(line.ts).toBe(moment);
});

test('times are read as people write them, in UTC unless they say otherwise', () => {
  const now = Date.parse('2026-11-30T12:00:00Z');
  const iso = (text: string) => new Date(readMoment(text, now) / 1000).toISOString();
  expect(iso('15m')).toBe('2026-11-30T11:45:00.000Z');
  expect(iso('2h')).toBe('2026-11-30T10:00:00.000Z');
  expect(iso('2026-11-30')).toBe('2026-11-30T00:00:00.000Z');
  expect(iso('2026-11-30 10:05')).toBe('2026-11-30T10:05:00.000Z');
  expect(iso('2026-11-30T10:05:06.5+01:00')).toBe('2026-11-30T09:05:06.500Z');
  expect(iso('2026-11-30 10:05:06.123 UTC')).toBe('2026-11-30T10:05:06.123Z');
  for (const wrong of ['', 'yesterday', '15', '1w', '2026-13-40', '2026-11-30 25:00'])
    expect(() => readMoment(wrong, now)).toThrow('It is a time as in');
});

test('a log is followed as it grows, over its segments, until it is enough', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 4096 });
  const before = log.append(statement(0, { agent: 'claude' }));
  await log.durable(before);
  const enough = new AbortController();
  const output = listener();
  const following = tail(path, { lines: 5, follow: true, agent: 'claude' }, output, enough.signal);
  await vi.waitFor(() => expect(output.heard.out).toContain('select 0'));
  for (let n = 1; n <= 60; n += 1) {
    const ref = log.append(statement(n, { agent: n % 2 === 0 ? 'claude' : 'other' }));
    await log.durable(log.append({ kind: 'outcome', ref, st: 'ok', rows: n, dur_us: 5 }));
  }
  await log.durable(log.append({ kind: 'outcome', ref: before, st: 'error', sqlstate: '57014', dur_us: 7 }));
  await vi.waitFor(() => expect(output.heard.out).toContain(`of #${before} (select 0)`));
  enough.abort();
  expect(await following).toBe(0);
  const shown = output.lines().flatMap((line) => / select (\d+)$/.exec(line)?.[1] ?? []);
  expect(shown.map(Number)).toEqual(Array.from({ length: 31 }, (_, at) => at * 2));
});

test('whoever reads only the first lines, or ends the following, gets no complaint', async () => {
  const { path } = await writtenLog(3_000, { segmentBytesMax: 1 << 26 });
  const command = join(root, 'bin', 'holdpoint');
  const piped = execFileSync('bash', [
    '-c',
    '"$1" audit show "$2" 2>&1 | head -2; echo $PIPESTATUS',
    '-',
    command,
    path,
  ]).toString();
  expect(piped.split('\n').slice(0, 3)).toEqual([
    expect.stringContaining('STATEMENT'),
    expect.stringContaining(' genesis '),
    '0',
  ]);
  const follower = spawn(command, ['audit', 'tail', path, '-f'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let complaint = '';
  follower.stderr.on('data', (bytes) => {
    complaint += bytes;
  });
  await once(follower.stdout, 'data');
  follower.kill('SIGINT');
  expect(await once(follower, 'exit')).toEqual([0, null]);
  expect(complaint).toBe('');
});
