// Real Redis servers for the tests: the machine's redis-server, else one in a Docker container. One alone, three as a
// Cluster, or a primary with a replica and a Sentinel. They keep nothing unless told to, and end when the process that
// started them does.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../../src/demo/postgres.ts';
import { dockerAnswers, findProgram, programs } from './programs.ts';

export interface TestRedis {
  /** `redis://127.0.0.1:PORT` */
  readonly url: string;
  readonly port: number;
  /** Where it keeps its files. */
  readonly dir: string;
  /** A connection of the test's own. */
  readonly admin: Redis;
  /** Ends it as a power cut would: nothing is saved, nobody is told. */
  kill(): Promise<void>;
  /** Starts it again at the same place, with what it finds in its folder. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

// Ends the server when its standard input ends, which it does when the test process is gone, however it went.
const keeper = `exec 3<&0 </dev/null
"$@" 3<&- & server=$!
{ read -r how <&3; [ "$how" = kill ] && kill -9 $server || kill $server; } 2>/dev/null & watch=$!
exec 3<&-
{ wait $server; kill $watch; } 2>/dev/null`;

function command(dir: string, settings: readonly string[]): string[] {
  const program = findProgram(programs['redis-server']);
  if (program !== undefined) return [program, ...settings];
  if (!dockerAnswers()) {
    throw new Error('There is no redis-server on PATH; install it (Debian: redis-server), or start Docker.');
  }
  const container = ['run', '--rm', '--init', '--network', 'host', '--volume', `${dir}:${dir}`];
  return ['docker', ...container, 'redis:8', 'redis-server', ...settings];
}

interface Running {
  end(how: 'kill' | 'stop'): Promise<void>;
}

async function run(dir: string, settings: readonly string[]): Promise<Running> {
  const child = spawn('/bin/sh', ['-c', keeper, 'keeper', ...command(dir, settings)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  child.stdin.on('error', () => {});
  await new Promise<void>((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output = (output + chunk).slice(-4096);
      if (/Ready to accept connections|Sentinel ID is/.test(output)) resolve();
    });
    child.once('error', reject);
    void gone.then(() => reject(new Error(`redis-server ended: ${output}`)));
  });
  return {
    async end(how) {
      child.stdin.end(`${how}\n`);
      await gone;
    },
  };
}

/** `settings` as on the command line of redis-server. */
export async function startRedis(...settings: string[]): Promise<TestRedis> {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), 'holdpoint-redis-'));
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir];
  const start = () => run(dir, [...place, '--save', '', '--appendonly', 'no', ...settings]);
  let running: Running | undefined = await start();
  const admin = new Redis(port, '127.0.0.1', { lazyConnect: true, retryStrategy: () => 50 });
  admin.on('error', () => {});
  const end = async (how: 'kill' | 'stop'): Promise<void> => {
    await running?.end(how);
    running = undefined;
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    dir,
    admin,
    async kill() {
      // What SIGKILL ends is the docker command, not what it runs.
      if (findProgram(programs['redis-server']) === undefined) await admin.shutdown('NOSAVE').catch(() => {});
      await end('kill');
    },
    async start() {
      running ??= await start();
    },
    async stop() {
      admin.disconnect();
      await end('stop');
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Polls what the servers work out among themselves. */
export async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 100_000; ; ) {
    if (await holds().catch(() => false)) return;
    if (Date.now() > end) throw new Error(`it never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export interface TestCluster {
  /** `redis-cluster://127.0.0.1:PORT,…` */
  readonly url: string;
  readonly nodes: readonly TestRedis[];
  stop(): Promise<void>;
}

/** Three primaries that share the slots. */
export async function startRedisCluster(): Promise<TestCluster> {
  const nodes: TestRedis[] = [];
  const buses: number[] = [];
  for (let index = 0; index < 3; index += 1) {
    const bus = await freePort();
    buses.push(bus);
    nodes.push(
      await startRedis(
        '--cluster-enabled',
        'yes',
        '--cluster-port',
        String(bus),
        '--cluster-node-timeout',
        '2000',
      ),
    );
  }
  const [first] = nodes;
  for (const [index, { admin }] of nodes.entries()) {
    const from = Math.floor((16_384 * index) / 3);
    const to = Math.floor((16_384 * (index + 1)) / 3) - 1;
    await admin.call('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1));
    await admin.call('CLUSTER', 'ADDSLOTSRANGE', String(from), String(to));
    if (index > 0) await admin.call('CLUSTER', 'MEET', '127.0.0.1', String(first!.port), String(buses[0]));
  }
  for (const { admin } of nodes) {
    await eventually('the Cluster is whole', async () => {
      const info = String(await admin.call('CLUSTER', 'INFO'));
      return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3');
    });
  }
  return {
    url: `redis-cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    nodes,
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

export interface TestSentinel {
  /** `redis-sentinel://127.0.0.1:PORT/mymaster/0` */
  readonly url: string;
  readonly primary: TestRedis;
  readonly replica: TestRedis;
  /** Cuts the replica off from its primary: from here on it is stale. */
  cutOff(): Promise<void>;
  /** Resolves when the replica has been made the primary. */
  promoted(): Promise<void>;
  stop(): Promise<void>;
}

/** A primary, its replica, and one Sentinel that promotes the replica a second after the primary is gone. */
export async function startRedisSentinel(): Promise<TestSentinel> {
  const primary = await startRedis();
  const replica = await startRedis('--replicaof', '127.0.0.1', String(primary.port));
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), 'holdpoint-sentinel-'));
  const file = join(dir, 'sentinel.conf');
  const watched = `sentinel monitor mymaster 127.0.0.1 ${primary.port} 1
sentinel down-after-milliseconds mymaster 1000
sentinel failover-timeout mymaster 3000`;
  writeFileSync(file, `port ${port}\nbind 127.0.0.1\ndir ${dir}\n${watched}\n`);
  const sentinel = await run(dir, [file, '--sentinel']);
  const asked = new Redis(port, '127.0.0.1', { retryStrategy: () => 50 });
  asked.on('error', () => {});
  const isReplica = async (up: boolean) =>
    String(await replica.admin.info('replication')).includes(`master_link_status:${up ? 'up' : 'down'}`);
  await eventually('the replica follows', () => isReplica(true));
  await eventually('the Sentinel knows the replica', async () => {
    const known = (await asked.call('SENTINEL', 'REPLICAS', 'mymaster')) as unknown[];
    return known.length === 1;
  });
  return {
    url: `redis-sentinel://127.0.0.1:${port}/mymaster/0`,
    primary,
    replica,
    async cutOff() {
      // It logs in as nobody, and is turned away.
      await replica.admin.config('SET', 'masteruser', 'nobody');
      await replica.admin.config('SET', 'masterauth', 'wrong');
      await primary.admin.call('CLIENT', 'KILL', 'TYPE', 'replica');
      await eventually('the replica is cut off', () => isReplica(false));
    },
    async promoted() {
      await eventually('the replica is promoted', async () =>
        String(await replica.admin.info('replication')).includes('role:master'),
      );
    },
    async stop() {
      asked.disconnect();
      await sentinel.end('stop');
      await Promise.all([primary.stop(), replica.stop()]);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
