import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { effectNames, rulesSchemaText } from '../../src/policy/format.ts';
import { loadPolicy, packNames, packsDir, policyPath } from '../../src/policy/packs.ts';

const root = resolve(import.meta.dirname, '../..');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdpoint-packs-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

test('the shipped packs are found by name and load', () => {
  expect(packsDir()).toBe(join(root, 'rules'));
  expect(packNames()).toEqual(['bounded-deletes', 'default', 'observe', 'read-only']);
  for (const name of packNames()) expect(loadPolicy(name, '/nowhere').digest).toMatch(/^[\w-]{43}$/);
});

test('default and read-only name every effect there is, so that no verdict of theirs lacks a reason', () => {
  for (const name of ['default', 'read-only']) {
    const named = new Set(loadPolicy(name, '/').rules.flatMap((rule) => [...(rule.effects ?? [])]));
    expect([...named].sort()).toEqual([...effectNames].sort());
  }
});

test('only observe observes', () => {
  expect(packNames().filter((name) => loadPolicy(name, '/').observe)).toEqual(['observe']);
});

test('a path is relative to the folder of the file that names it, also from an extending file', () => {
  mkdirSync(join(folder, 'inner'));
  writeFileSync(join(folder, 'inner/mine.yaml'), 'version: 1\nextends: ../base.yaml\nrules: []\n');
  const base = '  - { name: drops, action: hold, effects: [drop] }\n';
  writeFileSync(join(folder, 'base.yaml'), `version: 1\nextends: default\nrules:\n${base}`);
  const policy = loadPolicy('inner/mine.yaml', folder);
  expect(policy.rules.map((rule) => rule.name)).toContain('drops');
  expect(policy.rules).toHaveLength(loadPolicy('default', '/').rules.length + 1);
});

test('a pack that is not there is an error with the nearest one', () => {
  expect(() => policyPath('defualt', '/')).toThrow(
    'no rule pack is called "defualt" (did you mean "default"?)',
  );
  expect(() => loadPolicy('./gone.yaml', folder)).toThrow(
    `cannot read ${join(folder, 'gone.yaml')}: there is no such file`,
  );
});

test('the packs are found from a build as well, where dist/ stands beside rules/', async () => {
  // The layout of the package and the image: dist/src/policy/packs.js, rules/, node_modules/.
  const built = join(folder, 'package');
  mkdirSync(built);
  cpSync(join(root, 'rules'), join(built, 'rules'), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(built, 'node_modules'));
  cpSync(join(root, 'src'), join(built, 'dist/src'), { recursive: true });
  writeFileSync(join(built, 'package.json'), '{"type":"module"}');
  const packs = (await import(
    /* @vite-ignore */ pathToFileURL(join(built, 'dist/src/policy/packs.ts')).href
  )) as {
    packsDir: () => string;
    loadPolicy: typeof loadPolicy;
  };
  expect(packs.packsDir()).toBe(join(built, 'rules'));
  expect(packs.loadPolicy('observe', '/').digest).toBe(loadPolicy('observe', '/').digest);
});

test('rules/schema.json is what the format says (npx holdpoint rules schema > rules/schema.json)', () => {
  expect(readFileSync(join(root, 'rules/schema.json'), 'utf8')).toBe(rulesSchemaText());
});
