// An approver with nothing but an SSH key: enrolled by the .pub file, sees and decides with stock ssh-keygen, with a key
// in a file or in ssh-agent, and what they sign is what `ssh-keygen -Y verify` accepts.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { addApprover, delegate, listApprovers } from '../../src/cli/approver.ts';
import type { Output } from '../../src/cli/outcome.ts';
import { decideRequest, listRequests, showRequest } from '../../src/cli/requests.ts';
import type { HttpListener } from '../../src/http/server.ts';
import { Registry } from '../../src/registry.ts';
import { readSshLine } from '../../verify/src/proof/sshkey.ts';
import { type Bench, gate } from '../support/approvals.ts';
import { gateAt, serve } from '../support/http.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdpoint-ssh-cli-'));
const key = join(folder, 'id');
let bench: Bench;
let url: string;
let listener: HttpListener;

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

beforeAll(async () => {
  ({ bench, url, listener } = await serve());
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'carla@desk', '-f', key]);
  const { fingerprint, line } = readSshLine(readFileSync(`${key}.pub`, 'utf8'));
  bench.book.ssh.set(fingerprint, { approver: 'carla', fingerprint, line });
});

afterAll(async () => {
  await listener.close();
  bench.desk.close();
  rmSync(folder, { recursive: true });
});

const carla = <T extends object>(change?: T) =>
  ({ url, as: 'carla', sshKey: key, ...change }) as { url: string; as: string; sshKey: string } & T;

async function held(sql: string) {
  const { request, values } = gateAt(url, gate, { sql });
  return bench.desk.open(request, values, 0);
}

test('list, show and approve with an SSH key; an auditor verifies the decision with stock ssh-keygen', async () => {
  const hold = await held('DROP TABLE a');
  const list = new Captured();
  expect(await listRequests(carla(), list)).toBe(0);
  expect(list.text).toContain(hold.rid);
  const show = new Captured();
  expect(await showRequest(hold.rid, carla(), show)).toBe(0);
  expect(show.text).toContain('DROP TABLE a');
  const approve = new Captured();
  expect(await decideRequest('approve', hold.rid, carla({ reason: 'seen' }), approve)).toBe(0);
  expect(await hold.claim()).toMatchObject({ by: ['carla'] });

  const record = bench.log.records.findLast((one) => one.kind === 'decision')!;
  writeFileSync(join(folder, 'signers'), `carla ${readFileSync(`${key}.pub`, 'utf8')}`);
  writeFileSync(join(folder, 'D.sig'), String(record.ev.signature));
  const namespace = 'holdpoint-decision@v1';
  const check = [
    '-Y',
    'verify',
    '-f',
    join(folder, 'signers'),
    '-I',
    'carla',
    '-n',
    namespace,
    '-s',
    join(folder, 'D.sig'),
  ];
  expect(execFileSync('ssh-keygen', check, { input: record.D }).toString()).toContain('Good');
});

test('a key that only ssh-agent holds signs by its public half', async () => {
  const socket = join(folder, 'agent');
  const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: ['ignore', 'pipe', 'ignore'] });
  onTestFinished(() => void agent.kill());
  await new Promise((told) => agent.stdout.once('data', told));
  const before = process.env.SSH_AUTH_SOCK;
  process.env.SSH_AUTH_SOCK = socket;
  onTestFinished(() => {
    if (before === undefined) delete process.env.SSH_AUTH_SOCK;
    else process.env.SSH_AUTH_SOCK = before;
  });
  execFileSync('ssh-add', ['-q', key], { stdio: 'ignore' });
  const alone = join(folder, 'alone.pub');
  writeFileSync(alone, readFileSync(`${key}.pub`, 'utf8'));
  const hold = await held('DROP TABLE b');
  const output = new Captured();
  expect(await decideRequest('reject', hold.rid, carla({ sshKey: alone, reason: 'no' }), output)).toBe(0);
  expect(await hold.settled).toMatchObject({ state: 'rejected', by: 'carla' });
});

test('each thing in the way of an SSH key is one sentence', async () => {
  const said = async (change: object) => {
    const output = new Captured();
    expect(await listRequests(carla(change), output)).toBe(1);
    expect(output.errors.trim().split('\n')).toHaveLength(1);
    return output.errors;
  };
  const other = join(folder, 'other');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', other]);
  expect(await said({ sshKey: other })).toContain("is not one of carla's");
  expect(await said({ as: 'ann' })).toContain("is not one of ann's");
  expect(await said({ sshKey: join(folder, 'none') })).toContain('there is no such file');
  expect(await said({ sshKey: undefined })).toContain('--key FILE or --ssh-key FILE');
  writeFileSync(join(folder, 'text'), 'no key');
  expect(await said({ sshKey: join(folder, 'text') })).toContain('ssh-keygen did not sign with');
});

test('a delegation is signed and handed in; the delegate decides with --for', async () => {
  const forOneDay = new Captured();
  const shop = { to: 'ann', for: '8h', targets: ['shop'] };
  expect(await delegate(carla(shop), forOneDay)).toBe(0);
  expect(forOneDay.text).toMatch(/^ann may decide for carla until 20.* on shop/);
  const { request, values } = gateAt(url, gate, {
    sql: 'DROP TABLE c',
    need: { level: 'key', quorum: 1, of: ['carla'] },
  });
  const hold = await bench.desk.open(request, values, 0);
  writeFileSync(join(folder, 'ann.jwk'), JSON.stringify(bench.ann.privateJwk));
  const ann = { url, as: 'ann', key: join(folder, 'ann.jwk') };
  const alone = new Captured();
  expect(await decideRequest('approve', hold.rid, ann, alone)).toBe(1);
  expect(alone.errors).toContain('is not one of those who decide');
  expect(await decideRequest('approve', hold.rid, { ...ann, for: 'carla' }, new Captured())).toBe(0);
  expect(await hold.claim()).toMatchObject({ by: ['ann'] });
  const long = new Captured();
  expect(await delegate(carla({ ...shop, for: '15d' }), long)).toBe(1);
  expect(long.errors).toBe('15d is too long; a delegation lasts at most 14 days\n');
});

test('an SSH key is enrolled by file or by line, without its comment; a private key is not taken', async () => {
  const data = join(folder, 'data');
  expect(await addApprover('carla', { data, ssh: `${key}.pub` }, new Captured())).toBe(0);
  expect(await addApprover('dora', { data, ssh: 'ssh-dss AAAA' }, new Captured())).toBe(1);
  const secret = new Captured();
  expect(await addApprover('dora', { data, ssh: key }, secret)).toBe(1);
  expect(secret.errors).toContain(`name its public half, ${key}.pub`);
  const both = new Captured();
  expect(await addApprover('dora', { data, ssh: `${key}.pub`, generate: 'x' }, both)).toBe(1);
  expect(both.errors).toContain('name one credential');
  const shared = new Captured();
  expect(await addApprover('dora', { data, ssh: readFileSync(`${key}.pub`, 'utf8') }, shared)).toBe(1);
  expect(shared.errors).toContain('carla has this key already');
  expect(
    await addApprover('carla', { data, slack: 'T012AB3CD/U012AB3CD', breakGlass: true }, new Captured()),
  ).toBe(0);
  const { fingerprint } = readSshLine(readFileSync(`${key}.pub`, 'utf8'));
  const list = new Captured();
  expect(await listApprovers({ data }, list)).toBe(0);
  expect(list.text).toBe(`carla  ssh ${fingerprint}, slack T012AB3CD/U012AB3CD  may break glass\n`);
  expect((await Registry.open({ dataDir: data })).sshKey(fingerprint)?.approver).toBe('carla');
});
