// One deletion, from the agent's connection to the approver's signature, with the proxy, its store and its database gone:
// by the verifier alone in an empty folder, and then by hand, with SHA-256 and ssh-keygen. audit-approval §19, B18.

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { who } from '../../src/cli/audit-who.ts';
import type { Output } from '../../src/cli/outcome.ts';
import { decideRequest } from '../../src/cli/requests.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import { startGuard } from '../support/holdpoint.ts';
import { createDatabase } from '../support/postgres.ts';
import { records } from '../support/trail.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdpoint-deletion-'));
const key = join(folder, 'carla');
const log = join(folder, 'log');
/** An empty machine: the verifier, its one dependency, a bundle, and the approver's public key. */
const empty = join(folder, 'empty');
const marker = randomUUID();
const sql = `delete from coupons where code in ('SAVE1', 'SAVE2') -- ${marker}`;
let rid: string;
let client: string;

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
  const database = await createDatabase({ shop: true });
  const guard = await startGuard({ url: database.url });
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'carla', '-f', key]);
  await guard.registry.addSsh('carla', readFileSync(`${key}.pub`, 'utf8'), Date.now());
  const agent = await guard.connect();
  agent.send(query('select 1'));
  await agent.until('Z');
  agent.send(query(sql));
  const [waiting] = await guard.pending(1);
  rid = waiting!.id;
  const carla = { url: guard.http, as: 'carla', sshKey: key, reason: 'ticket 4711' };
  expect(await decideRequest('approve', rid, carla, new Captured())).toBe(0);
  await agent.until('Z');
  agent.destroy();
  await vi.waitUntil(
    async () => {
      rmSync(log, { recursive: true, force: true });
      cpSync(guard.auditDir, log, { recursive: true });
      return (await who(log, { request: rid }, new Captured())) === 0;
    },
    { timeout: 20_000 },
  );
  client = String(records(guard.auditDir).find(({ kind }) => kind === 'auth')!.client);
  await guard.close();
  await database.drop();

  mkdirSync(join(empty, 'node_modules'), { recursive: true });
  const home = join(import.meta.dirname, '..', '..');
  cpSync(join(home, 'verify'), join(empty, 'verify'), { recursive: true });
  cpSync(join(home, 'node_modules', 'jose'), join(empty, 'node_modules', 'jose'), { recursive: true });
  cpSync(`${key}.pub`, join(empty, 'carla.pub'));
  expect(await who(log, { request: rid, bundle: join(empty, 'bundle.json') }, new Captured())).toBe(0);
});

afterAll(() => rmSync(folder, { recursive: true }));

interface Told {
  records: { kind: string; seq: number; members: Record<string, unknown> }[];
  story: {
    asked: Record<string, unknown>;
    text: string;
    ballots: Record<string, unknown>[];
    uses: { wire: string; sameBytes: boolean; outcome: Record<string, unknown> }[];
  };
  releases: Record<string, number>;
}

/** Runs the verifier in the empty folder, in a process that knows nothing else. */
function verifyThere(): { status: number | null; told: Told; said: string } {
  const program = `
    import { readFileSync } from 'node:fs';
    import { checkBundle } from './verify/src/bundle.ts';
    import { givenCredential } from './verify/src/credentials.ts';
    const carla = await givenCredential(readFileSync('carla.pub', 'utf8').trim());
    const shown = await checkBundle(readFileSync('bundle.json', 'utf8'), { given: new Map([[carla.kid, carla]]) });
    process.stdout.write(JSON.stringify(shown));`;
  const run = spawnSync(process.execPath, ['--input-type=module-typescript', '--eval', program], {
    cwd: empty,
    env: {},
    encoding: 'utf8',
  });
  return {
    status: run.status,
    said: run.stderr,
    told: run.status === 0 ? JSON.parse(run.stdout) : undefined,
  };
}

test('in an empty folder the verifier tells who was connected, what ran, who allowed it and what came of it', () => {
  const { status, told, said } = verifyThere();
  expect(said).not.toContain('Error');
  expect(status).toBe(0);
  expect(told.records.map(({ kind }) => kind)).toEqual(
    expect.arrayContaining([
      'auth',
      'approver',
      'stmt',
      'hold',
      'decision',
      'grant_use',
      'intent',
      'outcome',
    ]),
  );
  const of = (kind: string) => told.records.find((record) => record.kind === kind)!.members;
  expect(of('auth')).toMatchObject({ agent: 'claude', client, ok: true, sid: of('stmt').sid });
  expect(of('stmt')).toMatchObject({ cmd: ['DELETE'], dec: 'hold' });
  const { story } = told;
  expect(JSON.parse(story.text)).toMatchObject({ sql, rid });
  expect(story.asked).toMatchObject({ agent: 'claude', quorum: 1, rid });
  expect(story.ballots).toMatchObject([
    {
      approver: 'carla',
      approves: true,
      reason: 'ticket 4711',
      proof: 'proved',
      credential: { given: true },
    },
  ]);
  expect(story.uses).toMatchObject([
    {
      sameBytes: true,
      wire: JSON.parse(story.text).wire,
      outcome: { st: 'ok', tags: ['DELETE 2'], rows: 2 },
    },
  ]);
  expect(told.releases).toMatchObject({ proved: 1, unproved: 0 });
});

test('there it refuses a bundle in which anything was changed', () => {
  const path = join(empty, 'bundle.json');
  const good = readFileSync(path, 'utf8');
  try {
    for (const [from, to] of [
      [marker, marker.replace(/./, (first) => (first === '0' ? '1' : '0'))],
      ['ticket 4711', 'ticket 4712'],
      ['"rows":2', '"rows":1'],
    ] as const) {
      expect(good.includes(from) || good.includes(from.replaceAll('"', '\\"'))).toBe(true);
      writeFileSync(
        path,
        good.replaceAll(from, to).replaceAll(from.replaceAll('"', '\\"'), to.replaceAll('"', '\\"')),
      );
      expect(verifyThere().status).not.toBe(0);
    }
  } finally {
    writeFileSync(path, good);
  }
});

test('by hand: the digest with SHA-256, the signature with ssh-keygen, the place in the log with the hashes of the tree', () => {
  const bundle = JSON.parse(readFileSync(join(empty, 'bundle.json'), 'utf8')) as {
    records: { index: number; line: string; inclusion: string[] }[];
    seal: string;
  };
  const lines = bundle.records.map(({ line }) => JSON.parse(line) as Record<string, unknown>);
  const of = (kind: string) => lines.find((line) => line.kind === kind)!;
  const digest = createHash('sha256')
    .update(`holdpoint-request-v1\0${of('hold').R}`)
    .digest('base64url');
  const decision = JSON.parse(String(of('decision').D)) as Record<string, unknown>;
  expect([of('hold').rd, decision.rd]).toEqual([digest, digest]);
  expect(decision).toMatchObject({ approver: 'carla', verdict: 'approve', rid });
  expect(of('intent').wire).toBe((JSON.parse(String(of('hold').R)) as { wire: string }).wire);

  const [type, blob] = readFileSync(`${key}.pub`, 'utf8').split(' ');
  writeFileSync(join(folder, 'allowed'), `carla ${type} ${blob}\n`);
  writeFileSync(join(folder, 'D.sig'), String((of('decision').ev as Record<string, unknown>).signature));
  const verify = [
    '-Y',
    'verify',
    '-f',
    join(folder, 'allowed'),
    '-I',
    'carla',
    '-n',
    'holdpoint-decision@v1',
    '-s',
    join(folder, 'D.sig'),
  ];
  const check = (input: string) => spawnSync('ssh-keygen', verify, { input, encoding: 'utf8' }).status;
  expect(check(String(of('decision').D))).toBe(0);
  expect(check(String(of('decision').D).replace('approve', 'reject'))).not.toBe(0);

  const sealed = JSON.parse(Buffer.from(bundle.seal.split('.')[1]!, 'base64url').toString()) as {
    size: number;
    root: string;
  };
  for (const { index, line, inclusion } of bundle.records) {
    let hash = createHash('sha256').update(`\0${line}`).digest();
    const sides = sidesOf(index, sealed.size);
    expect(sides).toHaveLength(inclusion.length);
    for (const [i, text] of inclusion.entries()) {
      const other = Buffer.from(text, 'base64url');
      const pair = sides[i] === 'left' ? [other, hash] : [hash, other];
      hash = createHash('sha256')
        .update(Buffer.concat([Buffer.of(1), ...pair]))
        .digest();
    }
    expect(hash.toString('base64url')).toBe(sealed.root);
  }
});

/** On which side each hash of the path of a leaf stands, from the leaf upwards: RFC 6962 §2.1.1. */
function sidesOf(index: number, size: number): string[] {
  if (size === 1) return [];
  const half = 2 ** Math.floor(Math.log2(size - 1));
  return index < half ? [...sidesOf(index, half), 'right'] : [...sidesOf(index - half, size - half), 'left'];
}

test('who tells it from any of its records, also of a statement that was never held', async () => {
  const [origin] = execFileSync('ls', [log], { encoding: 'utf8' }).split('\n');
  expect(origin).not.toBe('');
  const all = records(log);
  const kindsFrom = async (seq: number, bundle?: string) => {
    const output = new Captured();
    expect(await who(log, { seq, json: true, ...(bundle && { bundle }) }, output)).toBe(0);
    return (JSON.parse(output.text) as { records: { kind: string }[] }).records.map(({ kind }) => kind);
  };
  const whole = await kindsFrom(all.find(({ kind, rid: its }) => kind === 'hold' && its === rid)!.seq);
  for (const { seq, kind } of all.filter(({ rid: its }) => its === rid))
    expect(await kindsFrom(seq), kind).toEqual(whole);
  const held = all.find(({ kind, dec }) => kind === 'stmt' && dec === 'hold')!;
  expect(await kindsFrom(held.seq)).toEqual(whole);

  const read = all.find(({ kind, dec }) => kind === 'stmt' && dec === 'pass')!;
  const bundle = join(empty, 'read.json');
  expect(await kindsFrom(read.seq, bundle)).toEqual(['auth', 'stmt', 'outcome']);
  const run = spawnSync(
    join(import.meta.dirname, '..', '..', 'bin', 'holdpoint'),
    ['audit', 'verify', bundle],
    {
      cwd: empty,
      encoding: 'utf8',
    },
  );
  expect(run.stdout).toContain(`claude from ${client} to shop: admitted`);
  expect(run.status).toBe(0);
});
