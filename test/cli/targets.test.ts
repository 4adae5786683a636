// What a start refuses of its targets before anything listens.

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { assemble } from '../../src/cli/assembly.ts';
import { requireRootCerts } from '../../src/cli/targets.ts';
import { type Config, parseConfig } from '../../src/config.ts';
import { tlsFixture } from '../support/postgres.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdpoint-targets-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function configOf(parameters: string): Config {
  const url = `postgres://owner:secret@db.invalid:5432/shop?${parameters}`;
  const text = stringify({
    listen: { postgres: '127.0.0.1:0', http: '127.0.0.1:0' },
    dataDir: 'data',
    targets: { shop: { url, environment: 'staging' } },
  });
  return parseConfig(text, { file: join(folder, 'holdpoint.yaml'), env: {} });
}

test('a file of CA certificates that is missing stops the start, before anything is made', async () => {
  const started = assemble({
    config: configOf('sslmode=verify-full&sslrootcert=ca.pem'),
    version: 'test',
    report: () => undefined,
  });
  await expect(started).rejects.toMatchObject({
    code: 'bad-config',
    message: `targets.shop.url: the sslrootcert ${join(folder, 'ca.pem')} cannot be used: there is no such file; name a file of CA certificates in PEM, or system`,
  });
  expect(readdirSync(join(folder, 'data'))).toEqual([]);
});

test('a file that holds no certificate stops the start', () => {
  writeFileSync(join(folder, 'ca.pem'), 'not a certificate');
  expect(() => requireRootCerts(configOf('sslmode=require&sslrootcert=ca.pem'))).toThrow('cannot be used');
});

test.each([
  `sslmode=verify-full&sslrootcert=${tlsFixture.ca}`,
  'sslmode=verify-full&sslrootcert=system',
  'sslmode=verify-full',
  'sslmode=disable&sslrootcert=missing.pem',
])('%s is fine', (parameters) => {
  expect(() => requireRootCerts(configOf(parameters))).not.toThrow();
});
