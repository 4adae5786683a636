// holdpoint.yaml: defaults, refusals, and errors that name file, line, key and the nearest known key.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Config, configFromEnv, demoConfig, loadConfig, parseConfig } from '../src/config.ts';
import { configSchemaText } from '../src/config-shape.ts';
import { HoldpointError } from '../src/errors.ts';

const key = '{ kty: OKP, crv: Ed25519, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo }';
const least =
  'targets:\n  shop:\n    url: postgres://owner:secret@127.0.0.1/shop\n    environment: development\n';

function parse(text: string, env: Record<string, string> = {}): Config {
  return parseConfig(text, { file: '/etc/holdpoint/holdpoint.yaml', env });
}

function refusal(text: string, env: Record<string, string> = {}): string {
  try {
    parse(text, env);
  } catch (error) {
    expect(error).toBeInstanceOf(HoldpointError);
    return (error as HoldpointError).message.replaceAll('/etc/holdpoint/holdpoint.yaml:', '');
  }
  throw new Error('it was accepted');
}

test('a file with one target has every default of the contract', () => {
  const config = parse(least);
  expect(config).toMatchObject({
    listen: { postgres: { host: '127.0.0.1', port: 6432 }, http: { host: '127.0.0.1', port: 8432 } },
    publicUrl: 'http://127.0.0.1:8432',
    dataDir: '/etc/holdpoint/holdpoint-data',
    tls: undefined,
    hold: { waitMs: 60_000, expiresMs: 3_600_000, pendingMax: 20, heartbeatMs: 15_000 },
    store: { kind: 'memory' },
    node: 'holdpoint',
    audit: { reads: 'kill-safe', sealMs: 5, segmentBytesMax: 67_108_864, values: 'none' },
    limits: { connectionsMax: 1000, statementBytesMax: 16_777_216, loginMs: 10_000, drainMs: 30_000 },
  });
  expect(config.targets.get('shop')).toMatchObject({
    rules: 'default',
    approval: { level: 'key', quorum: 1 },
  });
});

test('the example of the contract is read whole', () => {
  const config = parse(
    `listen: { postgres: "0.0.0.0:6432", http: "[::1]:8432" }
tls: { cert: server.crt, key: server.key, required: true }
targets:
  shop:
    url: postgres://owner:s%40cret@10.0.0.5:5433/shop?sslmode=verify-ca&sslrootcert=ca.pem
    environment: production
    rules: ./mine.yaml
    approval: { level: key, quorum: 2 }
    hold: { waitMs: 5000 }
agents:
  claude: { password: \${CLAUDE_PASSWORD}, targets: [shop], expires: 2030-01-01T00:00:00Z }
approvers:
  dba: { key: ${key} }
hold: { pendingMax: 3 }
limits: { connectionsMax: \${CONNECTIONS} }
`,
    { CLAUDE_PASSWORD: '12345', CONNECTIONS: '7' },
  );
  const shop = config.targets.get('shop');
  expect(shop?.address).toEqual({
    host: '10.0.0.5',
    port: 5433,
    database: 'shop',
    user: 'owner',
    password: 's@cret',
    sslMode: 'verify-ca',
    sslRootCert: '/etc/holdpoint/ca.pem',
    connectTimeoutMs: 10_000,
  });
  expect(shop?.hold).toEqual({ waitMs: 5000, expiresMs: 3_600_000, pendingMax: 3, heartbeatMs: 15_000 });
  expect(config.listen.http).toEqual({ host: '::1', port: 8432 });
  expect(config.agents.get('claude')).toMatchObject({ password: '12345', expiresAt: Date.UTC(2030, 0, 1) });
  expect(config.approvers.get('dba')?.keys).toHaveLength(1);
  expect(config.limits.connectionsMax).toBe(7);
});

test.each([
  ['an unknown key', `${least}lisen: {}\n`, '5: unknown key "lisen" (did you mean "listen"?)'],
  [
    'an unknown key inside a target',
    `${least}    environmnt: production\n`,
    '5: targets.shop: unknown key "environmnt" (did you mean "environment"?)',
  ],
  [
    'a wrong word',
    least.replace('development', 'produktion'),
    '4: targets.shop.environment: "produktion" is not known (did you mean "production"?); one of production, staging, development',
  ],
  ['a wrong type', `${least}hold: { waitMs: soon }\n`, '5: hold.waitMs: must be a number'],
  ['a number out of bounds', `${least}hold: { waitMs: 5 }\n`, '5: hold.waitMs: must be at least 100'],
  [
    'a system identifier without quotes',
    `${least}    systemIdentifier: 7711079308823436947\n`,
    '5: targets.shop.systemIdentifier: must be text: put its digits in quotes',
  ],
  [
    'a system identifier that is none',
    `${least}    systemIdentifier: "0x6B03"\n`,
    '5: targets.shop.systemIdentifier: must be the digits that SELECT system_identifier FROM pg_control_system() gives',
  ],
  [
    'an access that is none',
    `${least}agents: { bot: { password: x, targets: [shop], access: readonly } }\n`,
    '5: agents.bot.access: "readonly" is not known (did you mean "read-only"?); one of read-write, read-only',
  ],
  ['a missing key', 'targets:\n  shop: {}\n', '2: targets.shop.url: is missing'],
  ['a broken address', `${least}listen: { http: 8432 }\n`, '5: listen.http: must be text'],
  [
    'a port that is none',
    `${least}listen: { http: "a:70000" }\n`,
    '5: listen.http: 70000 is not a port; the highest is 65535',
  ],
  ['no target at all', 'targets: {}\n', '1: targets: names no database to guard; add one with its url'],
  [
    'broken YAML',
    'targets: [\n',
    '2: Flow sequence in block collection must be sufficiently indented and end with a ]',
  ],
  [
    'a URL of something else',
    'targets: { shop: { url: "mysql://a@b/c" } }\n',
    "1: targets.shop.url: the target's url must begin with postgres://, not mysql://",
  ],
  [
    'an unknown parameter of the URL',
    'targets: { shop: { url: "postgres://a@b/c?sslmod=require" } }\n',
    '1: targets.shop.url: the target\'s url has the parameter "sslmod" (did you mean "sslmode"?), which Holdpoint does not know; known: sslmode, sslrootcert, connect_timeout, host',
  ],
])('%s is refused with its line and the mend', (_name, text, message) => {
  expect(refusal(text)).toBe(message);
});

test('a missing environment variable is refused with the line that wants it', () => {
  expect(refusal(`${least}agents:\n  bot: { password: \${BOT}, targets: [shop] }\n`)).toBe(
    '6: agents.bot.password: the environment variable BOT is not set; set it, or write the value here',
  );
});

test('a target names its server, and an agent its access, which is read-write unless it says otherwise', () => {
  const config = parse(`${least}    systemIdentifier: "7711079308823436947"
    server: patched
agents:
  reader: { password: x, targets: [shop], access: read-only }
  writer: { password: x, targets: [shop] }
`);
  expect(config.targets.get('shop')).toMatchObject({
    systemIdentifier: '7711079308823436947',
    server: 'patched',
  });
  expect(parse(least).targets.get('shop')).toMatchObject({
    systemIdentifier: undefined,
    server: 'community',
  });
  expect([...config.agents.values()].map(({ access }) => access)).toEqual(['read-only', 'read-write']);
});

test("a variable's value is never read as YAML", () => {
  const value = 'x, targets: [other] } # "\n- $'.concat('{HOME}');
  const config = parse(`${least}agents: { bot: { password: \${BOT}, targets: [shop] } }\n`, { BOT: value });
  expect(config.agents.get('bot')).toMatchObject({ password: value, targets: ['shop'] });
});

test('two dollar signs stand for one', () => {
  const config = parse(`${least}agents: { bot: { password: "$\${HOME}", targets: [shop] } }\n`);
  expect(config.agents.get('bot')?.password).toBe(['$', '{HOME}'].join(''));
});

test('a message about a broken URL does not repeat its password', () => {
  expect(refusal('targets: { shop: { url: "postgres://a:hunter2@b:port/c" } }\n')).not.toContain('hunter2');
});

test.each(['production', 'staging'])('%s at level link refuses to start', (environment) => {
  const text = `${least.replace('development', environment)}    approval: { level: link }\n`;
  expect(refusal(text)).toContain('5: targets.shop.approval.level: whoever has the link could approve');
});

test('a Slack button releases nothing in production, and is enough in staging', () => {
  const at = (environment: string) =>
    `${least.replace('development', environment)}    approval: { level: slack }\n`;
  expect(refusal(at('production'))).toContain('5: targets.shop.approval.level: a Slack button');
  expect(parse(at('staging')).targets.get('shop')?.approval.level).toBe('slack');
});

test('ssh and oidc are other words for the level of a key', () => {
  const level = (word: string) =>
    parse(`${least}    approval: { level: ${word} }\n`).targets.get('shop')?.approval.level;
  expect(['key', 'ssh', 'oidc', 'passkey'].map(level)).toEqual(['key', 'key', 'key', 'passkey']);
});

test('people have credentials of every kind, agents work for people, targets name who counts', () => {
  const line = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIINcUVqBk5rEe/ibxD8IIk+FTwRCfPS6hbX3lg0AkMaX';
  const config = parse(`${least}    approval: { quorum: 2, approvers: [alice, bob] }
agents: { bot: { password: x, targets: [shop], onBehalfOf: [alice] } }
approvers:
  alice: { ssh: ["${line} alice@desk"], breakGlass: true }
  bob:
    passkeys: [{ id: AAAAAAAAAAAAAAAA, algorithm: -7, jwk: { kty: EC, crv: P-256, x: ${'A'.repeat(43)}, y: ${'B'.repeat(43)} } }]
    oidc: [{ issuer: "https://id.example.com", subject: "248289761001" }]
    slack: [{ team: T012AB3CD, user: U012AB3CD }]
oidc: { issuer: "https://id.example.com", clientId: holdpoint, clientSecret: x, acr: [phr] }
`);
  expect(config.targets.get('shop')?.approval).toEqual({
    level: 'key',
    quorum: 2,
    approvers: ['alice', 'bob'],
  });
  expect(config.agents.get('bot')?.onBehalfOf).toEqual(['alice']);
  expect(config.approvers.get('alice')).toMatchObject({
    ssh: [{ line, fingerprint: expect.stringMatching(/^SHA256:[A-Za-z0-9+/]{43}$/) }],
    breakGlass: true,
    keys: [],
  });
  expect(config.approvers.get('bob')).toMatchObject({
    passkeys: [{ id: 'AAAAAAAAAAAAAAAA', counter: 0, createdAt: 0 }],
    oidc: [{ subject: '248289761001' }],
    slack: [{ team: 'T012AB3CD' }],
    breakGlass: false,
  });
  expect(config.oidc).toMatchObject({ clientId: 'holdpoint', acr: ['phr'], maxAgeSeconds: 300 });
  expect(refusal(`${least}approvers: { eve: { ssh: ["ssh-dss AAAAB3NzaC1kc3M="] } }\n`)).toContain(
    '5: approvers.eve.ssh.0: keys of type ssh-dss are not accepted',
  );
  expect(refusal(`${least}approvers: { eve: {} }\n`)).toContain('5: approvers.eve: has no credential');
});

test('a listener that other machines can reach needs TLS or insecure: true', () => {
  const open = `${least}listen: { postgres: "0.0.0.0:6432" }\n`;
  expect(refusal(open)).toContain('5: listen.postgres: other machines could reach this listener without TLS');
  expect(refusal(`${least}listen: { http: "10.1.2.3:8432" }\n`)).toContain('5: listen.http: other machines');
  expect(parse(`${open}insecure: true\n`).listen.postgres.host).toBe('0.0.0.0');
  expect(parse(`${open}tls: { cert: a, key: b }\n`).tls?.cert).toBe('/etc/holdpoint/a');
  expect(refusal(`${open}tls: { cert: a, key: b, required: false }\n`)).toContain('other machines');
});

test('a name that is both agent and approver is refused however it is spelled', () => {
  const text = `${least}agents: { Claude: { password: x, targets: [shop] } }\napprovers: { claude: { key: ${key} } }\n`;
  expect(refusal(text)).toBe(
    '6: approvers.claude: is also the name of an agent; nobody may approve for themselves',
  );
});

test('an agent needs one of password and verifier, and a target that exists', () => {
  expect(refusal(`${least}agents: { bot: { targets: [shop] } }\n`)).toContain(
    'either a password or a verifier',
  );
  expect(refusal(`${least}agents: { bot: { password: x, targets: [shp] } }\n`)).toContain(
    'no target called "shp"',
  );
});

test('reads wait for their record to be in the file, or for more where that is asked for', () => {
  expect(parse(least).audit.reads).toBe('kill-safe');
  for (const reads of ['output-commit', 'write-ahead'])
    expect(parse(`${least}audit: { reads: ${reads} }\n`).audit.reads).toBe(reads);
  expect(refusal(`${least}audit: { reads: never }\n`)).toMatch(/audit.reads/);
});

test('a shared store needs a name for this proxy; one that is alone has one', () => {
  const shared = `${least}store: redis://cache:6379/2\n`;
  expect(refusal(shared)).toMatch(/5: store: is shared by several proxies.* add node:/);
  expect(parse(`${shared}node: n1\n`)).toMatchObject({
    node: 'n1',
    store: { kind: 'redis', mode: 'standalone', hosts: [{ host: 'cache', port: 6379 }], db: 2 },
  });
  expect(parse(least).node).toBe('holdpoint');
  expect(refusal(`${least}node: ../n1\n`)).toMatch(/5: node: a name is 1 to 63 letters/);
});

test('a store that cannot be read is refused without its password', () => {
  for (const url of [
    'redis://user:hunter2@cache:99999',
    'rediss://:hunter2@a,b',
    'postgres://hunter2@cache',
  ]) {
    const text = refusal(`${least}store: "${url}"\nnode: n1\n`);
    expect(text).toMatch(/5: store: /);
    expect(text).not.toContain('hunter2');
  }
});

const hook = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

test('Slack and webhooks have their defaults, and each webhook a name of its own', () => {
  const config = parse(
    `${least}slack: { token: xoxb-1, channel: C0123, signingSecret: s }
webhooks:
  - { url: "https://pager.example.com/x", secret: ${hook} }
  - { url: "https://mail.example.com/x", secret: ${hook}, environments: [production], targets: [shop], links: true }
  - { url: "http://127.0.0.1:9/x", secret: ${hook}, name: teams }
`,
  );
  expect(config.slack).toEqual({
    token: 'xoxb-1',
    channel: 'C0123',
    signingSecret: 's',
    apiUrl: 'https://slack.com/api/',
  });
  expect(config.webhooks.map(({ name, links }) => [name, links])).toEqual([
    ['webhook', false],
    ['webhook-2', true],
    ['teams', false],
  ]);
  expect(parse(least)).toMatchObject({ slack: undefined, webhooks: [] });
});

test.each([
  [
    'plain http to Slack',
    'slack: { token: a, channel: b, signingSecret: c, apiUrl: "http://slack.example.com/api/" }',
    '5: slack.apiUrl: would be sent over plain http; use https, or set insecure: true',
  ],
  [
    'plain http to a webhook',
    `webhooks: [{ url: "http://pager.example.com/", secret: ${hook} }]`,
    '5: webhooks.0.url: would be sent over plain http; use https, or set insecure: true',
  ],
  [
    'a secret that is too short',
    'webhooks: [{ url: "https://pager.example.com/", secret: whsec_c2hvcnQ= }]',
    '5: webhooks.0.secret: must be whsec_ and at least 16 random bytes in base64',
  ],
  [
    'a target that is none',
    `webhooks: [{ url: "https://pager.example.com/", secret: ${hook}, targets: [shp] }]`,
    '5: webhooks.0.targets.0: there is no target called "shp"',
  ],
  [
    'two webhooks of one name',
    `webhooks: [{ url: "https://a.example.com/", secret: ${hook}, name: a }, { url: "https://b.example.com/", secret: ${hook}, name: a }]`,
    '5: webhooks.1.name: the name a is taken; give each a name of its own',
  ],
])('%s is refused, and no secret is in the error', (_, line, text) => {
  const said = refusal(`${least}${line}\n`);
  expect(said).toContain(text);
  expect(said).not.toMatch(/MfKQ|c2hvcnQ/);
});

test('a production target on another machine is verified fully unless the URL says otherwise', () => {
  const mode = (url: string, environment: string) =>
    parse(`targets: { shop: { url: "${url}", environment: ${environment} } }\n`).targets.get('shop')?.address
      .sslMode;
  expect(mode('postgres://a@db.example.com/c', 'production')).toBe('verify-full');
  expect(mode('postgres://a@db.example.com/c?sslmode=disable', 'production')).toBe('disable');
  expect(mode('postgres://a@127.0.0.1/c', 'production')).toBe('disable');
  expect(mode('postgres://a@db.example.com/c', 'staging')).toBe('require');
  expect(() => mode('postgres://a@b/c?sslmode=prefer', 'staging')).toThrow('may fall back to plaintext');
});

test('DATABASE_URL alone is target main at level link; the demonstration is target shop', () => {
  const config = configFromEnv(
    { DATABASE_URL: 'postgres://me:pw@db/app', HOLDPOINT_LISTEN: '127.0.0.1:0' },
    '/srv',
  );
  expect([...config.targets.keys()]).toEqual(['main']);
  expect(config.targets.get('main')).toMatchObject({
    environment: 'development',
    approval: { level: 'link' },
  });
  expect(config).toMatchObject({ dataDir: '/srv/holdpoint-data', listen: { postgres: { port: 0 } } });
  expect([...demoConfig('postgres://o:p@127.0.0.1:5/shop', {}, '/srv').targets.keys()]).toEqual(['shop']);
  expect(() => configFromEnv({ DATABASE_URL: 'nonsense' }, '/srv')).toThrow(/the target's url is not a URL/);
  expect(() =>
    configFromEnv({ DATABASE_URL: 'postgres://a@b', HOLDPOINT_HTTP: '0.0.0.0:80' }, '/srv'),
  ).toThrow(/other machines/);
});

test('a file that is not there is one sentence', () => {
  expect(() => loadConfig('/no/such.yaml', {})).toThrow(
    'cannot read the configuration /no/such.yaml: there is no such file',
  );
});

test('config.schema.json is current', () => {
  // Otherwise: node scripts/write-schema.ts
  expect(readFileSync(join(import.meta.dirname, '..', 'config.schema.json'), 'utf8')).toBe(
    configSchemaText(),
  );
});

describe('values in the log', () => {
  const auditor = '{ kty: OKP, crv: X25519, x: hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo }';
  const audit = (text: string) => parse(`${least}audit: ${text}\n`).audit;
  const refused = (text: string) => refusal(`${least}audit: ${text}\n`);

  test('are put aside where an auditor is named, else forgotten, which is said', () => {
    expect(parse(least).audit).toMatchObject({ values: 'none', valuesUnsaid: true, comments: 'strip' });
    expect(audit('{ values: none }')).toMatchObject({ values: 'none', valuesUnsaid: false });
    expect(audit('{ values: clear }')).toMatchObject({ values: 'clear', comments: 'keep' });
    expect(audit(`{ auditorKeys: [${auditor}] }`)).toMatchObject({
      values: 'auditor',
      valuesUnsaid: false,
      auditors: [{ kid: expect.stringMatching(/^[\w-]{43}$/) }],
    });
  });

  test('need somebody who may open them', () => {
    expect(refused('{ values: auditor }')).toMatch(/audit\.values: auditor needs the public key/);
    expect(refused('{ values: auditor, auditorKeys: [] }')).toMatch(/auditor needs the public key/);
    expect(refused(`{ values: none, auditorKeys: [${auditor}] }`)).toMatch(/none encrypts nothing/);
    expect(refused(`{ values: clear, auditorKeys: [${auditor}] }`)).toMatch(/clear encrypts nothing/);
  });

  test('are not encrypted to what is no public key of an auditor', () => {
    const withD = auditor.replace(' }', ', d: hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo }');
    expect(refused(`{ auditorKeys: [${withD}] }`)).toMatch(/auditorKeys\.0: it is a private key/);
    expect(refused('{ auditorKeys: [{ kty: OKP, crv: X25519, x: AAAA }] }')).toMatch(/not 32 bytes/);
    expect(refused(`{ auditorKeys: [${key}] }`)).toMatch(/auditorKeys/);
    expect(refused('{ auditorKeys: [/no/such/file.jwk] }')).toMatch(
      /\/no\/such\/file\.jwk is no auditor's key/,
    );
  });
});
