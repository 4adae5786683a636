// rules/README.md is what people copy from: what it shows must load, and what it lists must be complete.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { parseCases } from '../../src/policy/cases.ts';
import { effectNames, ruleSchema } from '../../src/policy/format.ts';
import { packNames, packsDir, readSource } from '../../src/policy/packs.ts';
import { parsePolicy } from '../../src/policy/rules.ts';

const readme = readFileSync(join(packsDir(), 'README.md'), 'utf8');
const blocks = [...readme.matchAll(/```yaml\n(version: 1\n[\s\S]*?)```/g)].map((match) => match[1]!);
const resolvePack = (name: string) => readSource(join(packsDir(), `${name}.yaml`));

test('every rules file that the README shows loads', () => {
  const files = blocks.filter((text) => text.includes('\nrules:'));
  expect(files).toHaveLength(4);
  for (const text of files)
    expect(parsePolicy({ file: 'README.md', text }, resolvePack).rules.length).toBeGreaterThan(22);
});

test('every worked example of the README stands in its file word for word', () => {
  const named = [...readme.matchAll(/\]\(examples\/(.+?)\)[\s\S]*?```yaml\n([\s\S]*?)```/g)];
  expect(named).toHaveLength(3);
  for (const [, file, text] of named) {
    const example = readFileSync(join(packsDir(), 'examples', file!), 'utf8').replaceAll(/^#.*\n/gm, '');
    expect(example.replaceAll(/\n+/g, '\n')).toContain(text!.trim());
  }
});

test('the test file that the README shows is one', () => {
  const [cases] = blocks.filter((text) => text.includes('\ntests:'));
  expect(parseCases(cases!, 'README.md').map((test) => test.agent)).toEqual([
    'claude',
    'reporter',
    'claude',
    'claude',
    'claude',
    'claude',
  ]);
});

test('the README lists every pack, every effect and every key of a rule', () => {
  for (const word of [...packNames(), ...effectNames, ...Object.keys(ruleSchema.shape)]) {
    expect(
      readme.includes(`\`${word}\``) ||
        readme.includes(`\n    ${word}: `) ||
        readme.includes(`  - ${word}: `),
      word,
    ).toBe(true);
  }
});
