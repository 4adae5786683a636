import { expect, test } from 'vitest';

import { HoldpointError } from '../../src/errors.ts';
import { parsePolicy, type Resolve } from '../../src/policy/rules.ts';
import { policyOf } from './statements.ts';

const files: Record<string, string> = {
  base: 'version: 1\nobserve: true\nrules:\n  - name: drops\n    action: hold\n    effects: [drop]\n',
  round: 'version: 1\nextends: round\nrules: []\n',
};
const resolve: Resolve = (name) => {
  if (files[name] === undefined) throw new HoldpointError('not-found', `no rule pack is called "${name}"`);
  return { file: `${name}.yaml`, text: files[name] };
};

/** Every problem of a file, the first first. */
function problemsOf(text: string): string[] {
  try {
    parsePolicy({ file: 'my.yaml', text }, resolve);
  } catch (error) {
    expect(error).toBeInstanceOf(HoldpointError);
    const { code, message, detail } = error as HoldpointError;
    expect(code).toBe('bad-config');
    return [message, ...(detail?.split('\n') ?? [])];
  }
  return [];
}

const head = 'version: 1\nrules:\n';

test('a mistyped key is reported with file, line, rule and the key that was meant', () => {
  expect(problemsOf(`${head}  - name: drops\n    action: hold\n    efects: [drop]\n`)).toEqual([
    'my.yaml:5: rule "drops": unknown key "efects" (did you mean "effects"?)',
  ]);
});

test('a mistyped required key is one problem, not two', () => {
  expect(problemsOf(`${head}  - name: drops\n    acton: hold\n`)).toEqual([
    'my.yaml:4: rule "drops": unknown key "acton" (did you mean "action"?)',
  ]);
});

test('a key like no other is reported with the known keys', () => {
  expect(problemsOf('version: 1\nrules: []\nzzzzzzzz: 1\n')).toEqual([
    'my.yaml:3: unknown key "zzzzzzzz"; known keys: version, extends, observe, rules',
  ]);
});

test('a mistyped effect is reported in its line with the effect that was meant', () => {
  expect(
    problemsOf(`${head}  - name: x\n    action: hold\n    effects:\n      - drop\n      - delte\n`),
  ).toEqual([
    'my.yaml:7: rule "x": effects: "delte" is not known (did you mean "delete"?); the effects are listed in rules/README.md',
  ]);
});

test('every problem is reported, in order of lines', () => {
  const text = `${head}  - name: one\n    action: block\n  - action: hold\n    effects: []\n    approval: { levl: key, quorum: 0 }\n`;
  expect(problemsOf(text)).toEqual([
    'my.yaml:4: rule "one": action: "block" is not known; known: pass, hold, deny',
    'my.yaml:5: rule 2: name is missing',
    'my.yaml:6: rule 2: effects is an empty list, which would match nothing; name something or remove the key',
    'my.yaml:7: rule 2: quorum must be at least 1',
    'my.yaml:7: rule 2: unknown key "levl" (did you mean "level"?)',
  ]);
});

test.each([
  ['effects: read', 'effects must be a list'],
  ['relations: [a.b.c]', 'relations: "a.b.c" has more than two parts; write schema.name'],
  ['environments: [prod]', 'environments: "prod" is not known; known: production, staging, development'],
  ['agents: [""]', 'agents: a pattern must not be empty'],
  ['overrides: [x]', 'only a pass rule may have overrides: it says which hold rules give way to it'],
  ['readOnly: true', 'only a pass rule may have readOnly: it bounds what the rule lets through; remove it'],
  ['rowsMax: 5', 'only a pass rule may have rowsMax'],
  ['budget: { rows: 5 }', 'only a pass rule may have budget'],
  ['readOnly: false', 'readOnly: false is not known; known: true'],
  ['rowsMax: 0', 'rowsMax must be at least 1'],
  ['rowsMax: 1000001', 'rowsMax is limited to 1000000'],
  ['rowsMax: 1.5', 'rowsMax must be a whole number'],
  ['budget: {}', 'rows is missing'],
  ['budget: { row: 5 }', 'unknown key "row" (did you mean "rows"?)'],
  [
    'effects: [parser-setting]',
    'effect "parser-setting" can only be denied: behind it, no later statement could be judged',
  ],
])('a hold rule with %s is refused', (line, problem) => {
  expect(problemsOf(`${head}  - name: x\n    action: hold\n    ${line}\n`)).toEqual([
    expect.stringMatching(/^my\.yaml:\d: rule "x": /),
  ]);
  expect(problemsOf(`${head}  - name: x\n    action: hold\n    ${line}\n`)[0]).toContain(problem);
});

test.each([
  ['commands: [SELECT]', 'a pass rule must list the effects it lets through; add effects: […]'],
  [
    'effects: [unknown]',
    'effect "unknown" cannot pass: what is not understood is held; remove it from effects',
  ],
  ['effects: [parser-setting]', 'effect "parser-setting" can only be denied'],
  [
    'effects: [read]\n    approval: { quorum: 2 }',
    'only a hold rule may have approval: what passes needs none',
  ],
  [
    'effects: [read, unproven]',
    'effect "unproven" passes only where the server refuses writes; add readOnly: true',
  ],
  [
    'effects: [read, update]\n    readOnly: true',
    'effect "update" makes no sense with readOnly: the server refuses it there, or a READ ONLY transaction does not stop it; remove it from effects',
  ],
  ['effects: [read, os]\n    readOnly: true', 'effect "os" makes no sense with readOnly'],
  ['effects: [read, transaction]\n    readOnly: true', 'effect "transaction" makes no sense with readOnly'],
  [
    'effects: [read]\n    readOnly: true\n    rowsMax: 5\n    budget: { rows: 5 }',
    'readOnly lets no row be changed, so rowsMax and budget would count none; remove it',
  ],
  [
    'effects: [update, function]\n    rowsMax: 5',
    'effect "function" cannot go with rowsMax: the server does not tell how many rows it changes; remove it from effects',
  ],
  ['effects: [truncate]\n    budget: { rows: 5 }', 'effect "truncate" cannot go with budget'],
  ['effects: [read]\n    overrides: [nothing]', 'overrides names "nothing", and no rule has that name'],
])('a pass rule with %s is refused', (lines, problem) => {
  const [first] = problemsOf(`${head}  - name: x\n    action: pass\n    ${lines}\n`);
  expect(first).toMatch(/^my\.yaml:3: rule "x": /);
  expect(first).toContain(problem);
});

test('a pass rule may have bounds, with the effects that fit them', () => {
  const { rules } = policyOf(
    [
      '  - { name: a, action: pass, effects: [read, unproven, function, notify], readOnly: true }',
      '  - { name: b, action: pass, effects: [read, update, delete], rowsMax: 1000000, budget: { rows: 7 } }\n',
    ].join('\n'),
  );
  expect(rules).toMatchObject([
    { readOnly: true, rowsMax: undefined, budgetRows: undefined },
    { readOnly: false, rowsMax: 1_000_000, budgetRows: 7 },
  ]);
});

test('a pass rule cannot override a deny rule', () => {
  const rules =
    '  - { name: never, action: deny, effects: [os] }\n  - { name: x, action: pass, effects: [os], overrides: [never] }\n';
  expect(problemsOf(head + rules)).toEqual([
    'my.yaml:4: rule "x": overrides names "never", a deny rule; only hold rules give way',
  ]);
});

test('a name that verdicts use by themselves is refused', () => {
  expect(problemsOf(`${head}  - { name: no-rule, action: hold }\n`)[0]).toContain('choose another');
});

test('a name used twice is refused, also across files, and the blame falls on the file that extends', () => {
  const rule = '  - { name: drops, action: hold }\n';
  expect(problemsOf(`${head}${rule}${rule}`)).toEqual([
    'my.yaml:4: rule "drops": the name is already used at my.yaml:3; rename one',
  ]);
  expect(problemsOf(`version: 1\nextends: base\nrules:\n${rule}`)).toEqual([
    'my.yaml:4: rule "drops": the name is already used at base.yaml:4; rename one',
  ]);
});

test('a key that stands twice in a rule is refused, never resolved silently', () => {
  const [first] = problemsOf(`${head}  - name: x\n    action: hold\n    action: pass\n    effects: [drop]\n`);
  expect(first).toMatch(/^my\.yaml:5: .*unique/);
});

test('broken YAML, aliases and a foreign version are refused with a line', () => {
  expect(problemsOf('version: 1\nrules: [')[0]).toMatch(/^my\.yaml:2: /);
  expect(problemsOf('version: 1\nrules:\n  - &a { name: x, action: hold }\n  - *a\n')[0]).toContain(
    'aliases',
  );
  expect(problemsOf('version: 2\nrules: []\n')[0]).toMatch(/^my\.yaml:1: version: 2 is not known/);
  expect(problemsOf('')[0]).toMatch(/^my\.yaml:1: /);
});

test('a missing pack and a circle of extends are errors in the line of extends', () => {
  expect(problemsOf('version: 1\nextends: bse\nrules: []\n')).toEqual([
    'my.yaml:2: extends: no rule pack is called "bse"',
  ]);
  expect(problemsOf(files.round!)[0]).toMatch(/^round\.yaml:2: extends goes through more than 5 files/);
});

test('rules of an extended file apply, and its shadow mode unless the extending file says otherwise', () => {
  const extended = parsePolicy({ file: 'my.yaml', text: 'version: 1\nextends: base\nrules: []\n' }, resolve);
  expect(extended.rules.map((rule) => [rule.name, rule.file, rule.line])).toEqual([
    ['drops', 'base.yaml', 4],
  ]);
  expect(extended.observe).toBe(true);
  const text = 'version: 1\nextends: base\nobserve: false\nrules: []\n';
  expect(parsePolicy({ file: 'my.yaml', text }, resolve).observe).toBe(false);
});

test('the digest follows the bounds of a rule', () => {
  const digests = [
    '',
    ', rowsMax: 5',
    ', rowsMax: 6',
    ', budget: { rows: 5 }',
    ', budget: { rows: 6 }',
    ', readOnly: true',
  ];
  const all = digests.map(
    (bound) => policyOf(`  - { name: a, action: pass, effects: [read]${bound} }\n`).digest,
  );
  expect(new Set(all).size).toBe(digests.length);
});

test('the digest follows what the rules say, not how they are written down', () => {
  const digest = policyOf(
    '  - { name: a, action: hold, effects: [drop, alter] }\n  - { name: b, action: deny, effects: [os] }\n',
  ).digest;
  const rewritten =
    '  # a comment\n  - { action: deny, name: b, effects: [os] }\n  - name: a\n    effects: [alter, drop]\n    action: hold\n';
  expect(policyOf(rewritten).digest).toBe(digest);
  expect(digest).toMatch(/^[\w-]{43}$/);
  for (const other of [
    '  - { name: a, action: hold, effects: [drop] }\n  - { name: b, action: deny, effects: [os] }\n',
    '  - { name: a, action: hold, effects: [drop, alter], approval: { quorum: 2 } }\n  - { name: b, action: deny, effects: [os] }\n',
    '  - { name: a, action: hold, effects: [drop, alter] }\n',
  ]) {
    expect(policyOf(other).digest).not.toBe(digest);
  }
  expect(policyOf('  []\n').digest).not.toBe(policyOf('  []\n', 'observe: true\n').digest);
});
