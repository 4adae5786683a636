// The command itself, for a moment. What it measures is nobody's business here.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Results } from '../../bench/cost/results.ts';

const command = join(import.meta.dirname, '../../bench/cost.ts');
const folder = mkdtempSync(join(tmpdir(), 'holdpoint-bench-test-'));
const pgbench = spawnSync('pgbench', ['--version']).status === 0;

afterAll(() => rmSync(folder, { recursive: true }));

async function bench(args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
  const child = spawn(process.execPath, [command, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [output, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    errors += text;
  });
  const [code] = await once(child, 'close');
  return { code, output, errors };
}

test('without pgbench it says so in one sentence, with code 1', async () => {
  const { code, output, errors } = await bench([], { ...process.env, PATH: folder });
  expect({ code, output, errors }).toEqual({
    code: 1,
    output: '',
    errors: 'pgbench is not installed, and the load is made with it: apt-get install postgresql-contrib\n',
  });
});

test('an option that nobody knows is code 2', async () => {
  const { code, errors } = await bench(['--workloads', 'tpch']);
  expect(code).toBe(2);
  expect(errors).toContain('no workload is called tpch');
});

test.runIf(pgbench)('one round through the server, a relay and Holdpoint gives every figure', async () => {
  const [json, svg, markdown] = ['b.json', 'b.svg', 'b.md'].map((file) => join(folder, file)) as [
    string,
    string,
    string,
  ];
  const small = [
    '--rounds',
    '1',
    '--seconds',
    '1',
    '--scale',
    '1',
    '--idle',
    '4',
    '--warm-up',
    '1',
    '--clients',
    '2',
  ];
  const chosen = ['--subjects', 'direct,relay,holdpoint', '--workloads', 'prepared,tpcb'];
  const { code, output, errors } = await bench([
    ...small,
    ...chosen,
    ...['--json', json, '--svg', svg, '--markdown', markdown],
  ]);
  expect(errors).toBe('');
  expect(code).toBe(0);
  expect(output).toMatch(/^1 rounds of 2 cells × 3 subjects: about \d+ s$/m);
  const results = JSON.parse(readFileSync(json, 'utf8')) as Results;
  expect(results.failures).toEqual([]);
  expect(results.subjects).toEqual(['direct', 'relay', 'holdpoint']);
  for (const cell of ['prepared 2', 'tpcb 2']) {
    const { direct, relay, holdpoint } = results.cells[cell]!;
    for (const rounds of [direct, relay, holdpoint]) {
      expect(rounds).toHaveLength(1);
      expect(rounds![0]!.perSecond).toBeGreaterThan(0);
      expect(rounds![0]!.p99Ms).toBeGreaterThanOrEqual(rounds![0]!.p50Ms);
    }
    expect(direct![0]!.memoryMiB).toBeUndefined();
    expect(relay![0]!.memoryMiB).toBeGreaterThan(0);
    expect(holdpoint![0]!.cpuUs).toBeGreaterThan(0);
  }
  expect(results.memory.holdpoint!.restMiB).toBeGreaterThan(0);
  expect(readFileSync(svg, 'utf8')).toContain('</svg>');
  expect(readFileSync(markdown, 'utf8')).toContain('| holdpoint |');
});
