// A guard as a process of its own that may have few files open: whoever does not fit is told so, whoever does works on, the
// pages answer and the log goes on, whatever crowd there is; and what becomes of a login when there is no descriptor left.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { share } from '../../src/open-files.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import { cancelRequest } from '../../src/wire/startup.ts';
import { canLimit, descriptorsOf, exhaust, limitDescriptors, socketsOf } from '../support/descriptors.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { errorFields, RawClient, type ServerError } from '../support/raw.ts';

const run = promisify(execFile);
const command = join(import.meta.dirname, '..', '..', 'bin', 'holdpoint');
const host = '127.0.0.1';
const login = { user: 'claude', password: 'agent secret', database: 'shop' };
const filesMax = 200;
const room = share(filesMax, { connectionsMax: 1000, targets: 1, peers: 0 });

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase({ shop: true });
});
afterAll(() => database?.drop());

interface Limited {
  readonly pid: number;
  readonly port: number;
  readonly http: string;
  readonly auditDir: string;
  /** What it has said in its own log. */
  said(): string;
  stop(): Promise<number | null>;
}

function launch(limit: number): {
  child: ChildProcess;
  dataDir: string;
  output: () => string;
  errors: () => string;
} {
  const folder = mkdtempSync(join(tmpdir(), 'holdpoint-files-'));
  const dataDir = join(folder, 'data');
  const config = {
    listen: { postgres: `${host}:0`, http: `${host}:0` },
    dataDir,
    targets: { shop: { url: database.url, environment: 'development', approval: { level: 'link' } } },
    agents: { claude: { password: login.password, targets: ['shop'] } },
    audit: { values: 'clear', segmentBytesMax: 65_536, ballastBytes: 0 },
  };
  writeFileSync(join(folder, 'holdpoint.yaml'), stringify(config));
  const limited = ['-c', 'ulimit -n "$0"; exec "$@"', String(limit), command, 'start'];
  const child = spawn('sh', [...limited, '--config', join(folder, 'holdpoint.yaml')]);
  onTestFinished(async () => {
    if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'close');
    rmSync(folder, { recursive: true, force: true });
  });
  let [output, errors] = ['', ''];
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (errors += chunk));
  return { child, dataDir, output: () => output, errors: () => errors };
}

async function start(limit: number): Promise<Limited> {
  const { child, dataDir, output, errors } = launch(limit);
  await expect.poll(() => output() + errors(), { timeout: 30_000 }).toContain('Three things to try');
  const find = (pattern: RegExp): string => pattern.exec(output())![1]!;
  return {
    pid: child.pid!,
    port: Number(find(/agent's URL\s+postgres:\S+:(\d+)\/shop/)),
    http: find(/approvals\s+(\S+)\//),
    auditDir: join(dataDir, 'audit'),
    said: errors,
    async stop() {
      child.kill('SIGTERM');
      const [code] = await once(child, 'close');
      return code;
    },
  };
}

async function enter({ port }: Limited): Promise<RawClient> {
  const client = await RawClient.connect(host, port);
  onTestFinished(() => client.destroy());
  await client.login(login);
  return client;
}

function refusal(entering: Promise<unknown>): Promise<ServerError | undefined> {
  return entering.then(
    () => undefined,
    (error: ServerError) => error,
  );
}

/** Connections that say nothing. */
async function crowd(port: number, count: number): Promise<net.Socket[]> {
  const sockets = Array.from({ length: count }, () =>
    net.connect({ port, host }).on('error', () => undefined),
  );
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  return sockets;
}

/** Whether the server is at it. */
async function running(sql: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const { rowCount } = await client.query(
    "select from pg_stat_activity where datname = current_database() and state = 'active' and query = $1",
    [sql],
  );
  await client.end();
  return rowCount === 1;
}

function segmentsOf({ auditDir }: Limited): number {
  const [log] = readdirSync(auditDir);
  return readdirSync(join(auditDir, log!)).filter((name) => name.startsWith('seg-')).length;
}

/** Each session asks something long, until the log has begun so many segments more. */
async function rotate(guard: Limited, sessions: readonly RawClient[], segments: number): Promise<void> {
  const enough = segmentsOf(guard) + segments;
  for (let n = 0; segmentsOf(guard) < enough; n += 1) {
    const client = sessions[n % sessions.length]!;
    client.send(query(`select ${n}, '${'x'.repeat(4000)}'`));
    expect((await client.until('Z')).map(({ letter }) => letter).join('')).toBe('TDCZ');
  }
}

async function metrics({ http }: Limited): Promise<string> {
  const answer = await fetch(`${http}/metrics`, { headers: { connection: 'close' } });
  return answer.text();
}

describe.skipIf(!canLimit)('a guard that may have 200 files open', () => {
  test('takes as many sessions as fit, works on when there are crowds at both doors, and loses nothing of its log', async () => {
    const guard = await start(filesMax);
    const [warning] = guard
      .said()
      .split('\n')
      .filter((line) => line.includes('limits.connectionsMax'));
    expect(JSON.parse(warning ?? '{}')).toMatchObject({
      level: 40,
      openFilesMax: 200,
      configured: 1000,
      ...room,
    });

    const sessions: RawClient[] = [];
    for (let n = 0; n < room.connectionsMax; n += 1) sessions.push(await enter(guard));
    for (let n = 0; n < 5; n += 1)
      expect(await refusal(enter(guard))).toMatchObject({
        sqlstate: '53300',
        message: 'sorry, too many clients already',
      });
    await rotate(guard, sessions, 1);
    expect(await metrics(guard)).toContain(`holdpoint_sessions ${sessions.length}\n`);

    // Those that are being told that there is no room, and pages that nobody asks for.
    const atHttp = await crowd(Number(new URL(guard.http).port), 150);
    await crowd(guard.port, 150);
    await rotate(guard, sessions, 2);
    expect(descriptorsOf(guard.pid)).toBeLessThan(filesMax);

    for (const socket of atHttp) socket.destroy();
    await expect
      .poll(() => metrics(guard).catch(() => ''))
      .toContain(`holdpoint_sessions ${sessions.length}\n`);
    expect(guard.said()).not.toMatch(/E[MN]FILE/);

    // Whoever goes makes room.
    sessions.pop()!.destroy();
    await expect.poll(() => refusal(enter(guard))).toBeUndefined();
    expect(await guard.stop()).toBe(0);
    const { stdout } = await run(command, ['audit', 'verify', guard.auditDir]);
    expect(stdout).toContain('verified');
  });

  test('with none left, a login and a cancel request fail as what they are, and leave nothing behind', async () => {
    const guard = await start(filesMax);
    const inside = await enter(guard);
    // What the first session brings with it, the side connection for the catalog above all, is there.
    inside.send(query('select count(*) from orders'));
    await inside.until('Z');
    const before = socketsOf(guard.pid);
    const [stranger, canceler] = await Promise.all([
      RawClient.connect(host, guard.port),
      RawClient.connect(host, guard.port),
    ]);
    inside.send(query('select pg_sleep(600)'));
    await expect.poll(() => running('select pg_sleep(600)')).toBe(true);
    // Accepted, not only connected: that happens without the guard.
    await expect.poll(() => socketsOf(guard.pid)).toBe(before + 2);

    exhaust(guard.pid);
    canceler.send(cancelRequest(inside.pid, inside.key));
    await canceler.untilClosed();
    const error = await refusal(stranger.login(login));
    await stranger.untilClosed();
    limitDescriptors(guard.pid, filesMax);
    expect(error).toMatchObject({
      sqlstate: '53300',
      message: 'sorry, this proxy has no room for another connection',
    });
    expect(error!.fields.get('S')).toBe('FATAL');
    expect(error!.fields.get('H')).toContain('Try again later');
    await expect
      .poll(guard.said)
      .toMatch(/"target":"shop".*EMFILE.*no file descriptor left for another connection to the target/);
    await expect.poll(guard.said).toMatch(/EMFILE.*a cancel request could not be passed on/);
    await expect.poll(() => socketsOf(guard.pid)).toBe(before);

    // All is as before: a cancel arrives, a login succeeds.
    const again = await RawClient.connect(host, guard.port);
    again.send(cancelRequest(inside.pid, inside.key));
    const replies = await inside.until('Z');
    expect(
      replies.map((reply) => (reply.letter === 'E' ? errorFields(reply).get('C') : reply.letter)),
    ).toContain('57014');
    await enter(guard);
    expect(await metrics(guard)).toContain('holdpoint_upstream_errors_total{target="shop"} 0\n');
    expect(await guard.stop()).toBe(0);
    await run(command, ['audit', 'verify', guard.auditDir]);
  });
});

test.skipIf(!canLimit)(
  'where not even a handful of sessions fits, it does not start, and says what to do',
  async () => {
    const { child, errors } = launch(120);
    const [code] = await once(child, 'close');
    expect(code).toBe(1);
    expect(errors()).toMatch(
      /^holdpoint: this process may have 120 files open, and 140 are the fewest .* raise the limit .*\n$/,
    );
  },
);
