// The registry: what is kept of agents and approvers, and that a broken or half-written file changes nothing.

import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JWK } from 'jose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Passkey } from '../src/approval/approvers.ts';
import type { AgentConfig, ApproverConfig } from '../src/config.ts';
import { mayEnter, Registry } from '../src/registry.ts';
import { parseVerifier } from '../src/wire/scram.ts';
import { sshString } from '../verify/src/proof/sshkey.ts';
import { edwardsSecurityKey } from './support/securitykey.ts';

const at = Date.UTC(2026, 0, 1);
let dataDir: string;

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'holdpoint-registry-'));
});
afterEach(() => rmSync(dataDir, { recursive: true }));

function jwk(): JWK {
  return generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }) as JWK;
}

function passkey(id: string): Passkey {
  const { crv, kty, x, y } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
    format: 'jwk',
  });
  const own = passkeys.get(id) ?? ({ kty, crv, x, y } as JWK);
  passkeys.set(id, own);
  return { id, jwk: own, algorithm: -7, counter: 0, transports: ['usb'], backedUp: false, createdAt: at };
}

const passkeys = new Map<string, JWK>();

function configured(agents: Partial<AgentConfig>[], approvers: ApproverConfig[] = []) {
  const none = {
    password: undefined,
    verifier: undefined,
    targets: ['shop'],
    access: 'read-write',
    onBehalfOf: [],
    expiresAt: undefined,
  };
  return {
    agents: new Map(agents.map((agent) => [agent.name ?? '', { ...none, ...agent } as AgentConfig])),
    approvers: new Map(approvers.map((approver) => [approver.name, approver])),
  };
}

test('an added agent is kept as a SCRAM verifier in a file of mode 0600, never with its password', async () => {
  const registry = await Registry.open({ dataDir });
  const password = 'correct horse';
  await registry.addAgent({ name: 'bot', password, targets: ['shop'], createdAt: at, expiresAt: at + 1000 });
  const file = join(dataDir, 'agents.json');
  expect(readFileSync(file, 'utf8')).not.toContain(password);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const again = await Registry.open({ dataDir });
  expect(again.agent('bot')).toEqual(registry.agent('bot'));
  expect(parseVerifier(again.agent('bot')!.verifier)?.iterations).toBe(4096);
});

test('an agent may enter its targets until it expires or is revoked', async () => {
  const registry = await Registry.open({ dataDir });
  const agent = await registry.addAgent({
    name: 'bot',
    password: 'x',
    targets: ['shop'],
    createdAt: at,
    expiresAt: at + 1000,
  });
  expect(mayEnter(agent, 'shop', at)).toBe(true);
  expect(mayEnter(agent, 'bank', at)).toBe(false);
  expect(mayEnter(agent, 'shop', at + 1000)).toBe(false);
  await registry.revokeAgent('bot', at + 1);
  expect(mayEnter(registry.agent('bot')!, 'shop', at + 2)).toBe(false);
  // The name stays taken, so that nobody new answers for the log of the old.
  await expect(registry.addAgent({ name: 'BOT', password: 'x', targets: [], createdAt: at })).rejects.toThrow(
    'the name bot is taken by an agent; choose another',
  );
});

test("an agent's access is kept, and is read-write in a file from before there was any other", async () => {
  const registry = await Registry.open({ dataDir });
  const agent = { password: 'x', targets: ['shop'], createdAt: at };
  await registry.addAgent({ ...agent, name: 'reader', access: 'read-only' });
  await registry.addAgent({ ...agent, name: 'writer' });
  await registry.revokeAgent('writer', at);
  const file = join(dataDir, 'agents.json');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace('"access": "read-write",', ''));
  const again = await Registry.open({ dataDir });
  expect(again.agents().map(({ name, access }) => [name, access])).toEqual([
    ['reader', 'read-only'],
    ['writer', 'read-write'],
  ]);
  writeFileSync(file, text.replace('read-only', 'read only'));
  await expect(Registry.open({ dataDir })).rejects.toMatchObject({ code: 'bad-config' });
});

test('a reload makes an agent of the configuration read-only', async () => {
  const registry = await Registry.open({ dataDir, ...configured([{ name: 'bot', password: 'x' }]) });
  expect(registry.agent('bot')?.access).toBe('read-write');
  await registry.reload(configured([{ name: 'bot', password: 'x', access: 'read-only' }]));
  expect(registry.agent('bot')?.access).toBe('read-only');
});

test('a running registry sees at the next refresh what a command wrote', async () => {
  const running = await Registry.open({ dataDir });
  const command = await Registry.open({ dataDir });
  await command.addAgent({ name: 'bot', password: 'x', targets: ['shop'], createdAt: at });
  expect(running.agent('bot')).toBeUndefined();
  await running.refresh();
  expect(running.agent('bot')?.revokedAt).toBeUndefined();
  await command.revokeAgent('bot', at);
  await running.refresh();
  expect(running.agent('bot')?.revokedAt).toBe(at);
});

test('a broken file leaves the old entries in force and says so', async () => {
  const registry = await Registry.open({ dataDir });
  await registry.addAgent({ name: 'bot', password: 'x', targets: ['shop'], createdAt: at });
  const file = join(dataDir, 'agents.json');
  for (const broken of [
    '{',
    '[]',
    '{"v":1,"agents":{"bot":{"verifier":"md5x","targets":[],"created":"now"}}}',
  ]) {
    writeFileSync(file, broken);
    await expect(registry.refresh()).rejects.toThrow(file);
    expect(registry.agent('bot')).toBeDefined();
  }
});

test('commands that write at the same time lose nothing', async () => {
  const registries = await Promise.all(Array.from({ length: 8 }, () => Registry.open({ dataDir })));
  await Promise.all(
    registries.map((registry, n) =>
      registry.addAgent({ name: `bot${n}`, password: 'x', targets: ['shop'], createdAt: at }),
    ),
  );
  const { agents } = JSON.parse(readFileSync(join(dataDir, 'agents.json'), 'utf8')) as { agents: object };
  expect(Object.keys(agents).sort()).toEqual(registries.map((_, n) => `bot${n}`));
});

test('a password of the configuration becomes a verifier that a reload keeps', async () => {
  const registry = await Registry.open({ dataDir, ...configured([{ name: 'bot', password: 'x' }]) });
  const { verifier } = registry.agent('bot')!;
  await registry.reload(configured([{ name: 'bot', password: 'x' }]));
  expect(registry.agent('bot')?.verifier).toBe(verifier);
  await registry.reload(configured([{ name: 'bot', password: 'y' }]));
  expect(registry.agent('bot')?.verifier).not.toBe(verifier);
  await expect(registry.revokeAgent('bot', at)).rejects.toThrow('stands in the configuration file');
});

test('an agent and an approver never share a name, whatever the source and the spelling', async () => {
  const registry = await Registry.open({ dataDir, ...configured([{ name: 'claude', password: 'x' }]) });
  await expect(registry.addApprover('Claude', jwk(), at)).rejects.toThrow('taken by an agent');
  await registry.addApprover('dba', jwk(), at);
  await expect(registry.addAgent({ name: 'DBA', password: 'x', targets: [], createdAt: at })).rejects.toThrow(
    'taken by an approver',
  );
  await expect(registry.reload(configured([{ name: 'Dba', password: 'x' }]))).rejects.toThrow(
    'both an agent and an approver',
  );
  expect(registry.isAgent(' CLAUDE ')).toBe(true);
  expect(registry.isAgent('dba')).toBe(false);
});

test('a name that clashes is set aside while running, and keeps no revocation from coming into force', async () => {
  const named = configured([{ name: 'claude', password: 'x' }]);
  // A command that was not told of the configuration cannot see the clash.
  const command = await Registry.open({ dataDir });
  await command.addAgent({ name: 'bot', password: 'x', targets: ['shop'], createdAt: at });
  const running = await Registry.open({ dataDir, ...named });
  const { keys } = await command.addApprover('Claude', jwk(), at);
  await command.addAgent({ name: 'CLAUDE-2', password: 'x', targets: ['shop'], createdAt: at });
  await command.revokeAgent('bot', at);
  await running.refresh();
  expect(running.agent('bot')?.revokedAt).toBe(at);
  expect(running.agent('CLAUDE-2')).toBeDefined();
  expect(running.key(keys[0]!.kid)).toBeUndefined();
  expect(running.approver('Claude')).toBeUndefined();
  expect(running.clashes).toEqual([
    'the approver Claude of the data folder is set aside: there is an agent of the configuration already; rename one',
  ]);
  await expect(Registry.open({ dataDir, ...named })).rejects.toThrow('both an agent and an approver');
});

test("a retired approver's keys count no more, and one key is never two people's", async () => {
  const registry = await Registry.open({ dataDir });
  const [first, second] = [jwk(), jwk()];
  await registry.addApprover('ada', first, at);
  const { keys } = await registry.addApprover('ada', second, at);
  expect(keys).toHaveLength(2);
  expect(registry.key(keys[1]!.kid)?.approver).toBe('ada');
  await expect(registry.addApprover('eve', first, at)).rejects.toThrow('ada has this key already');
  expect(registry.approver('eve')).toBeUndefined();
  await registry.retireApprover('ada', at);
  expect(keys.map(({ kid }) => registry.key(kid))).toEqual([undefined, undefined]);
  await expect(registry.addApprover('ada', jwk(), at)).rejects.toThrow('ada is retired');
});

test('a private key given for an approver is stored without its private part', async () => {
  const registry = await Registry.open({ dataDir });
  const secret = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }) as JWK;
  await registry.addApprover('ada', secret, at);
  expect(readFileSync(join(dataDir, 'approvers.json'), 'utf8')).not.toContain(secret.d);
});

test('a data folder that cannot be written is one sentence', async () => {
  const registry = await Registry.open({ dataDir: '/etc/passwd/data' });
  await expect(registry.addAgent({ name: 'bot', password: 'x', targets: [], createdAt: at })).rejects.toThrow(
    'cannot write in the data folder /etc/passwd/data: ENOTDIR',
  );
});

test('an approver has credentials of every kind, each found by its own name while its owner is present', async () => {
  const registry = await Registry.open({ dataDir });
  const { line } = edwardsSecurityKey();
  await registry.addSsh('ada', `${line} ada@desk`, at);
  await registry.addPasskey('ada', passkey('c29tZSBwYXNza2V5'));
  await registry.addOidc('ada', { issuer: 'https://id.example.com', subject: '42' }, at);
  await registry.addSlack('ada', { team: 'T012AB3CD', user: 'U012AB3CD' }, at);
  await registry.addApprover('ada', jwk(), at);
  await registry.allowBreakGlass('ada');
  expect(readFileSync(join(dataDir, 'approvers.json'), 'utf8')).not.toContain('ada@desk');

  const again = await Registry.open({ dataDir });
  const ada = again.approver('ada')!;
  expect(ada).toEqual(registry.approver('ada'));
  expect(ada).toMatchObject({ breakGlass: true, ssh: [{ line }], passkeys: [passkey('c29tZSBwYXNza2V5')] });
  const found = () => [
    again.key(ada.keys[0]!.kid)?.approver,
    again.sshKey(ada.ssh[0]!.fingerprint)?.approver,
    again.passkey('c29tZSBwYXNza2V5')?.approver,
    again.oidcSubject('https://id.example.com', '42')?.approver,
    again.slackUser('T012AB3CD', 'U012AB3CD')?.approver,
    again.isApprover('ADA') ? 'ada' : undefined,
  ];
  expect(found()).toEqual(Array(6).fill('ada'));
  expect(again.slackUser('T999AB3CD', 'U012AB3CD')).toBeUndefined();
  expect(again.oidcSubject('https://id.example.org', '42')).toBeUndefined();
  await again.retireApprover('ada', at);
  expect(found()).toEqual(Array(6).fill(undefined));
});

test("a credential is never two people's, also where one key stands in two formats", async () => {
  const registry = await Registry.open({ dataDir });
  const { publicKey } = generateKeyPairSync('ed25519');
  const own = publicKey.export({ format: 'jwk' }) as JWK;
  const blob = Buffer.concat([sshString('ssh-ed25519'), sshString(Buffer.from(own.x!, 'base64url'))]);
  const account = { issuer: 'https://id.example.com', subject: '42' };
  await registry.addSsh('ada', `ssh-ed25519 ${blob.toString('base64')}`, at);
  await registry.addPasskey('ada', passkey('c29tZSBwYXNza2V5'));
  await registry.addOidc('ada', account, at);
  await expect(registry.addApprover('eve', own, at)).rejects.toThrow('ada has this key already');
  await expect(registry.addPasskey('eve', passkey('c29tZSBwYXNza2V5'))).rejects.toThrow(
    'ada has this passkey already',
  );
  await expect(
    registry.addOidc('eve', { ...account, issuer: 'https://id.example.com/' }, at),
  ).rejects.toThrow('ada has this account already');
  await expect(registry.addPasskey('eve', { ...passkey('ZXZlcyBwYXNza2V5'), counter: -1 })).rejects.toThrow(
    'eve.passkeys.0.counter',
  );
  expect(registry.approver('eve')).toBeUndefined();
  expect((await registry.addApprover('ada', own, at)).keys).toHaveLength(1);
});

test('one passkey is retired without the others', async () => {
  const registry = await Registry.open({ dataDir });
  await registry.addPasskey('ada', passkey('Zmlyc3QgcGFzc2tleQ'));
  await registry.addPasskey('ada', passkey('c2Vjb25kIHBhc3NrZXk'));
  await registry.retirePasskey('ada', 'Zmlyc3QgcGFzc2tleQ');
  expect(registry.passkey('Zmlyc3QgcGFzc2tleQ')).toBeUndefined();
  expect(registry.passkey('c2Vjb25kIHBhc3NrZXk')?.approver).toBe('ada');
  await expect(registry.retirePasskey('ada', 'Zmlyc3QgcGFzc2tleQ')).rejects.toThrow('ada has no passkey');
});

test('the counter of a passkey only goes forward, over restarts and commands, or is 0 for ever', async () => {
  const registry = await Registry.open({ dataDir });
  await registry.addPasskey('ada', { ...passkey('Y291bnRzIHRoZW0'), counter: 5 });
  await registry.addPasskey('ada', passkey('bmV2ZXIgY291bnRz'));
  const raise = async (id: string, ...counters: number[]) => {
    const told: boolean[] = [];
    for (const counter of counters) told.push(await registry.passkeyCounter(id, counter));
    return told;
  };
  expect(await raise('Y291bnRzIHRoZW0', 5, 6, 6, 4, 0, 9)).toEqual([false, true, false, false, false, true]);
  expect(await raise('bmV2ZXIgY291bnRz', 0, 0, 3, 0)).toEqual([true, true, true, false]);
  expect(await raise('nobody', 0)).toEqual([false]);
  const again = await Registry.open({ dataDir });
  expect(await again.passkeyCounter('Y291bnRzIHRoZW0', 9)).toBe(false);
  const racing = await Promise.all(
    [10, 10, 10].map((counter) => again.passkeyCounter('Y291bnRzIHRoZW0', counter)),
  );
  expect(racing.filter(Boolean)).toHaveLength(1);
});

test('an agent keeps on whose behalf it works, also in a file from before there was that', async () => {
  const registry = await Registry.open({ dataDir });
  await registry.addAgent({
    name: 'bot',
    password: 'x',
    targets: ['shop'],
    onBehalfOf: ['ada'],
    createdAt: at,
  });
  expect((await Registry.open({ dataDir })).onBehalfOf('bot')).toEqual(['ada']);
  const file = join(dataDir, 'agents.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace(/"onBehalfOf": \[[^\]]*\],/, ''));
  expect((await Registry.open({ dataDir })).onBehalfOf('bot')).toEqual([]);
});
