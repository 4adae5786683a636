// `holdpoint rules …` over real files and the real parser. Also runs the tests beside every shipped pack and example.

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { checkRules, explainSql, testRules } from '../../src/cli/rules.ts';
import { packNames, packsDir } from '../../src/policy/packs.ts';

const examples = readdirSync(join(packsDir(), 'examples'))
  .filter((file) => file.endsWith('.yaml') && !file.endsWith('.test.yaml'))
  .map((file) => join(packsDir(), 'examples', file));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdpoint-rules-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function captured() {
  const got = { out: '', err: '' };
  const output = {
    out(text: string) {
      got.out += text;
    },
    err(text: string) {
      got.err += text;
    },
  };
  return { got, output };
}

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

const asAgent = { agent: 'claude', target: 'shop', env: 'production' as const, rules: 'default' };

test.each([...packNames(), ...examples])('the tests beside %s hold', async (pack) => {
  const { got, output } = captured();
  expect(await testRules(pack, {}, output), got.out + got.err).toBe(0);
});

test('rules test without a file tests every shipped pack and exits 0', async () => {
  const { got, output } = captured();
  expect(await testRules(undefined, {}, output)).toBe(0);
  const lines = got.out.trimEnd().split('\n');
  expect(lines).toHaveLength(packNames().length);
  for (const line of lines) expect(line).toMatch(/^ok {5}\S+: (\d+) of \1 statements judged as expected$/);
});

test('a statement that is judged otherwise is shown with its line, and the exit code is 1', async () => {
  const rules = file(
    'drops.yaml',
    'version: 1\nrules:\n  - { name: drops, action: hold, effects: [drop] }\n',
  );
  file(
    'drops.test.yaml',
    'version: 1\ntests:\n  - { sql: DROP TABLE a, action: hold }\n  - { sql: DROP TABLE b, action: pass, rule: x }\n  - { sql: SELEC, action: hold }\n',
  );
  const { got, output } = captured();
  expect(await testRules(rules, {}, output)).toBe(1);
  expect(got.out).toContain('FAILED ');
  expect(got.out).toContain('1 of 3 statements');
  expect(got.out).toMatch(
    /drops\.test\.yaml:4: DROP TABLE b\n {4}expected action pass, got hold; rule x, got drops/,
  );
  expect(got.out).toMatch(/drops\.test\.yaml:5: SELEC\n {4}expected hold, got refuse: syntax error/);

  const json = captured();
  expect(await testRules(rules, { json: true }, json.output)).toBe(1);
  expect(JSON.parse(json.got.out)).toMatchObject({ ok: false, tests: 3, failed: [{ line: 4 }, { line: 5 }] });
});

test('a shadow that no case expects is a difference', async () => {
  const rules = file('shadow.yaml', 'version: 1\nobserve: true\nrules: []\n');
  file('shadow.test.yaml', 'version: 1\ntests:\n  - { sql: DROP TABLE a, action: pass }\n');
  const { got, output } = captured();
  expect(await testRules(rules, {}, output)).toBe(1);
  expect(got.out).toContain('expected shadow none, got hold');
});

test('rules without tests beside them, or with an empty list, are not reported as tested', async () => {
  const rules = file('bare.yaml', 'version: 1\nrules: []\n');
  const missing = captured();
  expect(await testRules(rules, {}, missing.output)).toBe(2);
  expect(missing.got.err).toBe(`cannot read ${join(folder, 'bare.test.yaml')}: there is no such file\n`);
  file('bare.test.yaml', 'version: 1\ntests: []\n');
  const empty = captured();
  expect(await testRules(rules, {}, empty.output)).toBe(1);
  expect(empty.got.err).toContain('bare.test.yaml:2: tests is an empty list');
});

test('a mistyped key in a test file is an error with its line', async () => {
  const rules = file('typo.yaml', 'version: 1\nrules: []\n');
  file('typo.test.yaml', 'version: 1\ntests:\n  - { sql: SELECT 1, acton: hold }\n');
  const { got, output } = captured();
  expect(await testRules(rules, {}, output)).toBe(1);
  expect(got.err).toMatch(/typo\.test\.yaml:3: test 1: unknown key "acton" \(did you mean "action"\?\)\n$/);
});

test('rules check summarises a good file, reports every problem of a wrong one, and tells a missing one apart', () => {
  const good = captured();
  expect(checkRules('default', {}, good.output)).toBe(0);
  expect(good.got.out).toMatch(
    /^rules\/default\.yaml: 24 rules \(3 pass, 18 hold, 3 deny\)\ndigest [\w-]{43}\n$/,
  );

  const wrong = file(
    'wrong.yaml',
    'version: 1\nrules:\n  - { name: x, action: hold, efects: [a] }\n  - { name: y }\n',
  );
  const bad = captured();
  expect(checkRules(wrong, {}, bad.output)).toBe(1);
  expect(bad.got.err.trimEnd().split('\n')).toEqual([
    `${wrong}:3: rule "x": unknown key "efects" (did you mean "effects"?)`,
    `${wrong}:4: rule "y": action is missing; known: pass, hold, deny`,
  ]);
  const json = captured();
  expect(checkRules(wrong, { json: true }, json.output)).toBe(1);
  expect(JSON.parse(json.got.out)).toMatchObject({
    ok: false,
    problems: [expect.any(String), expect.any(String)],
  });

  const missing = captured();
  expect(checkRules(join(folder, 'gone.yaml'), {}, missing.output)).toBe(2);
  expect(missing.got.err).toContain('there is no such file');
  expect(missing.got.out).toBe('');
});

test('rules explain says verdict, rule and place of a statement, and exits 0 also for a hold', async () => {
  const { got, output } = captured();
  const sql = Buffer.from('WITH gone AS (DELETE FROM orders RETURNING *) SELECT count(*) FROM gone');
  expect(await explainSql(sql, asAgent, output)).toBe(0);
  expect(got.out).toMatch(/^HOLD {3}WITH gone AS/);
  expect(got.out).toMatch(/ {2}rule {7}row-removal at rules\/default\.yaml:\d+\n/);
  expect(got.out).toContain('as claude on shop (production), rules rules/default.yaml');
});

test('rules explain --json is the same in fields', async () => {
  const { got, output } = captured();
  const sql = Buffer.from('SELECT 1; DROP TABLE orders');
  expect(await explainSql(sql, { ...asAgent, json: true }, output)).toBe(0);
  expect(JSON.parse(got.out)).toMatchObject({
    actor: { agent: 'claude', target: 'shop', environment: 'production' },
    verdict: { action: 'hold', rule: 'schema-changes' },
    statements: [
      { sql: 'SELECT 1', class: 'read', verdict: { action: 'pass' } },
      { sql: 'DROP TABLE orders', command: 'DROP TABLE', effects: ['drop'], verdict: { action: 'hold' } },
    ],
  });
});

test('rules explain exits 1 for a text that never reaches the rules', async () => {
  const { got, output } = captured();
  expect(await explainSql(Buffer.from('SELEC 1'), asAgent, output)).toBe(1);
  expect(got.out).toMatch(/^REFUSE .*syntax error at or near "SELEC" at character 1\n/);
});

test('paths in the output are short where they are below the working folder', async () => {
  const { got, output } = captured();
  const path = relative(process.cwd(), resolve(packsDir(), 'examples/restrict-table.yaml'));
  const sql = Buffer.from('SELECT * FROM salaries');
  expect(await explainSql(sql, { ...asAgent, rules: path }, output)).toBe(0);
  expect(got.out).toContain(`salaries at ${path}:`);
  expect(got.out).toContain('2 different approvers');
});
