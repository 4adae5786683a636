// Who counts, from the configuration to the release, over real sockets: the person behind the agent never, only those
// whom the target names, an approver with an SSH key. A quorum that nobody can reach refuses to start.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Output } from '../../src/cli/outcome.ts';
import { decideRequest } from '../../src/cli/requests.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { records } from '../support/trail.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdpoint-approvers-'));
let database: TestDatabase;
let guard: Guard;

class Captured implements Output {
  text = '';
  out(text: string): void {
    this.text += text;
  }
  err(text: string): void {
    this.text += text;
  }
}

beforeAll(async () => {
  database = await createDatabase({ shop: true });
  guard = await startGuard({
    url: database.url,
    approvers: ['alice', 'eve'],
    onBehalfOf: ['dba'],
    counting: ['dba', 'alice', 'carla'],
  });
});

afterAll(async () => {
  await guard?.close();
  await database?.drop();
  rmSync(folder, { recursive: true });
});

async function tried(id: string, who: string, credential: object): Promise<string> {
  const output = new Captured();
  const code = await decideRequest('approve', id, { url: guard.http, as: who, ...credential }, output);
  return code === 0 ? 'approved' : output.text;
}

test('the person behind the agent and people whom the target does not name release nothing; one whom it names does', async () => {
  const key = join(folder, 'carla');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  await guard.registry.addSsh('carla', readFileSync(`${key}.pub`, 'utf8'), Date.now());
  const client = await guard.connect();
  client.send(query('drop table coupons'));
  const [waiting] = await guard.pending(1);
  const { id } = waiting!;
  const file = (name: string) => ({ key: join(guard.dataDir, `${name}.jwk`) });
  expect(await tried(id, 'dba', file('dba'))).toContain('claude works on behalf of dba');
  expect(await tried(id, 'eve', file('eve'))).toContain('eve is not one of those who decide');
  expect(await tried(id, 'carla', { sshKey: key })).toBe('approved');
  await client.until('Z');
  client.destroy();
  const all = records(guard.auditDir);
  const { R } = all.find(({ kind, rid }) => kind === 'hold' && rid === id) as unknown as { R: string };
  expect(JSON.parse(R)).toMatchObject({ agent: { obo: ['dba'] }, need: { of: ['dba', 'alice', 'carla'] } });
  expect(all.filter(({ kind, rid }) => kind === 'decision' && rid === id)).toHaveLength(1);
  expect(
    all.some(({ kind, form, id: name }) => kind === 'approver' && form === 'ssh' && name === 'carla'),
  ).toBe(true);
});

test('a production target that only the person behind its agent could release does not start', async () => {
  const dataDir = join(folder, 'data');
  mkdirSync(dataDir);
  const start = startGuard({ url: database.url, environment: 'production', onBehalfOf: ['dba'], dataDir });
  await expect(start).rejects.toThrow('needs for claude, which works for dba, an approver of level key');
});
