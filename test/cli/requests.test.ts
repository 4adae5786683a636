import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addAgent, duration, listAgents, revokeAgent } from '../../src/cli/agent.ts';
import { addApprover, listApprovers, retireApprover } from '../../src/cli/approver.ts';
import type { Output } from '../../src/cli/outcome.ts';
import { decideRequest, listRequests, showRequest } from '../../src/cli/requests.ts';
import type { HttpListener } from '../../src/http/server.ts';
import { type Bench, gate } from '../support/approvals.ts';
import { gateAt, serve } from '../support/http.ts';

let bench: Bench;
let url: string;
let listener: HttpListener;
let folder: string;

beforeAll(async () => {
  ({ bench, url, listener } = await serve());
  folder = await mkdtemp(join(tmpdir(), 'holdpoint-cli-'));
  await writeFile(join(folder, 'ann.jwk'), JSON.stringify(bench.ann.privateJwk));
});

afterAll(async () => {
  await listener.close();
  bench.desk.close();
  await rm(folder, { recursive: true });
});

class Captured implements Output {
  text = '';
  errors = '';
  out(text: string): void {
    this.text += text;
  }
  err(text: string): void {
    this.errors += text;
  }
}

const ann = (change: object = {}) => ({ url, as: 'ann', key: join(folder, 'ann.jwk'), ...change });

test('list, show and approve: the statement is printed exactly, and the approval releases it', async () => {
  const values = {
    params: [{ oid: 25, format: 0, salt: 'AAAAAAAAAAAAAAAAAAAAAA', value: Buffer.from('x\u001b[2J') }],
  };
  const { request } = gateAt(url, gate, { sql: 'DELETE FROM a\nWHERE b = $1 --\u202e' }, values);
  const hold = await bench.desk.open(request, values, 0);

  const list = new Captured();
  expect(await listRequests(ann(), list)).toBe(0);
  expect(list.text).toContain(hold.rid);

  const show = new Captured();
  expect(await showRequest(hold.rid, ann(), show)).toBe(0);
  expect(show.text).toContain('    DELETE FROM a\n    WHERE b = $1 --⟨U+202E⟩');
  expect(show.text).toContain('$1 = x⟨U+001B⟩[2J  (text)');
  expect(show.text).not.toMatch(/[\u001b\u202e]/);

  const approve = new Captured();
  const digest = /digest: +(\S+)/.exec(show.text)?.[1];
  expect(await decideRequest('approve', hold.rid, ann({ digest: 'other' }), approve)).toBe(1);
  expect(await decideRequest('approve', hold.rid, ann({ digest, reason: 'seen' }), approve)).toBe(0);
  expect(approve.text).toContain(`request ${hold.rid}: approved`);
  expect(await hold.claim()).toMatchObject({ by: ['ann'] });
});

test('reject tells the agent why; a second decision is refused in one sentence', async () => {
  const { request, values } = gateAt(url, gate);
  const hold = await bench.desk.open(request, values, 0);
  expect(await decideRequest('reject', hold.rid, ann({ reason: 'not today' }), new Captured())).toBe(0);
  expect(await hold.settled).toMatchObject({ state: 'rejected', by: 'ann', reason: 'not today' });
  const again = new Captured();
  expect(await decideRequest('approve', hold.rid, ann(), again)).toBe(1);
  expect(again.errors).toMatch(/^request .* is rejected; .*\n$/);
});

test('each thing in the way is one sentence that names it', async () => {
  const said = async (options: Parameters<typeof listRequests>[0]) => {
    const output = new Captured();
    expect(await listRequests(options, output)).toBe(1);
    expect(output.errors.trim().split('\n')).toHaveLength(1);
    return output.errors;
  };
  await writeFile(join(folder, 'mallory.jwk'), '{"kty":"RSA"}');
  expect(await said(ann({ key: join(folder, 'none.jwk') }))).toContain('no such file');
  expect(await said(ann({ key: join(folder, 'mallory.jwk') }))).toContain('not a private Ed25519 JWK');
  expect(await said(ann({ url: 'http://127.0.0.1:1' }))).toContain(
    'no Holdpoint answers at http://127.0.0.1:1',
  );
  const output = new Captured();
  expect(await showRequest('../../etc', ann(), output)).toBe(1);
  expect(output.errors).toContain('is not a request ID');
  const wrongName = new Captured();
  const { request, values } = gateAt(url, gate);
  const hold = await bench.desk.open(request, values, 0);
  expect(await decideRequest('approve', hold.rid, ann({ as: 'bob' }), wrongName)).toBe(1);
  expect(wrongName.errors).toContain("ann.jwk is not one of bob's");
  const reading = new Captured();
  expect(await listRequests(ann({ as: 'bob' }), reading)).toBe(1);
  expect(reading.errors).toContain("ann.jwk is not one of bob's");
  expect(reading.text).toBe('');
});

test.each(['nonsense', 'ftp://127.0.0.1'])('%s is said not to be a URL', async (given) => {
  const output = new Captured();
  expect(await listRequests(ann({ url: given }), output)).toBe(1);
  expect(output.errors).toBe(`${given} is not a URL; write http://HOST:PORT\n`);
});

test('a server that calls itself another is given no token', async () => {
  const { url: other, listener: second } = await serve();
  const output = new Captured();
  const answer = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    if (String(input).endsWith('jwks.json'))
      return Response.json({ issuer: 'https://prod.example.org', keys: [] });
    throw new Error(`nothing else may be asked, but ${String(input)} ${JSON.stringify(init)} was`);
  };
  try {
    expect(await listRequests(ann({ url: other }), output)).toBe(1);
  } finally {
    globalThis.fetch = answer;
    await second.close();
  }
  expect(output.errors).toContain('calls itself https://prod.example.org');
});

test('an approver is added with a key file of mode 0600 that is never overwritten, listed and retired', async () => {
  const data = join(folder, 'data');
  const file = join(folder, 'dba.jwk');
  const output = new Captured();
  expect(await addApprover('dba', { data, generate: file }, output)).toBe(0);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const { d } = JSON.parse(await readFile(file, 'utf8'));
  expect(await readFile(join(data, 'approvers.json'), 'utf8')).not.toContain(d);
  expect(await addApprover('eve', { data, generate: file }, output)).toBe(1);
  const list = new Captured();
  expect(await listApprovers({ data, json: true }, list)).toBe(0);
  expect(JSON.parse(list.text)).toMatchObject([{ name: 'dba', retired: null }]);
  expect(await retireApprover('dba', { data }, output)).toBe(0);
  expect(await retireApprover('nobody', { data }, output)).toBe(1);
});

test("the demonstration's agent keeps its name to itself", async () => {
  const data = await mkdtemp(join(folder, 'demo-'));
  await writeFile(join(data, 'demo.json'), '{}');
  const output = new Captured();
  expect(await addApprover('agent', { data, generate: join(data, 'agent.jwk') }, output)).toBe(1);
  expect(output.errors).toContain('the name agent is taken by an agent');
  const list = new Captured();
  expect(await listAgents({ data }, list)).toBe(0);
  expect(list.text).toBe('agent  shop  in force\n');
});

test('an agent is added with a URL shown once, and may not have an approver’s name', async () => {
  const data = join(folder, 'data');
  const output = new Captured();
  expect(await addAgent('worker', { data, target: ['shop'], expires: '8h', json: true }, output)).toBe(0);
  const { urls } = JSON.parse(output.text) as { urls: string[] };
  const password = new URL(urls[0]!).password;
  expect(await readFile(join(data, 'agents.json'), 'utf8')).not.toContain(password);
  expect(await addAgent('DBA', { data, target: ['shop'] }, output)).toBe(1);
  expect(await revokeAgent('worker', { data }, output)).toBe(0);
  const list = new Captured();
  await listAgents({ data, json: true }, list);
  expect(JSON.parse(list.text)).toMatchObject([{ name: 'worker', state: 'revoked' }]);
});

test('times are a number and a unit', () => {
  expect([duration('90m'), duration('8h'), duration('30d')]).toEqual([5_400_000, 28_800_000, 2_592_000_000]);
  for (const text of ['', '8', 'h', '-1h', '0h', '1w', '1.5h'])
    expect(() => duration(text)).toThrow(/is not a time/);
});
