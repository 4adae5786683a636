// Node: a guard in a process of its own, that a test can kill, or that kills itself at a step of the store. What is left
// is what a machine that lost power leaves: the files, and what others were told.

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { RedisStore } from '../../src/store/redis.ts';
import type { Store } from '../../src/store/store.ts';
import type { RedisAddress } from '../../src/store-url.ts';
import { approverAt, type Guard, type GuardOptions, startGuard } from './holdpoint.ts';
import { RawClient } from './raw.ts';

/** A call of the store: before it is made, or when it has been answered. */
export type Step = `${'before' | 'after'} ${'create' | 'vote' | 'consume' | 'end' | 'hold'}`;

export interface NodeOptions extends Omit<GuardOptions, 'open' | 'like'> {
  readonly dataDir: string;
  readonly like?: Pick<Guard, 'keyFile' | 'publicUrl'>;
  /** Where it kills itself, the first time that it comes there. */
  readonly diesAt?: Step;
}

type Started = Pick<Guard, 'port' | 'http' | 'publicUrl' | 'keyFile' | 'auditDir'>;

export interface TestNode extends Started, Pick<Guard, 'pending' | 'show' | 'decide' | 'approveNext'> {
  connect(): Promise<RawClient>;
  /** Resolves when the process is gone. */
  readonly gone: Promise<void>;
  kill(): Promise<void>;
}

export async function startNode(options: NodeOptions): Promise<TestNode> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const started = await firstLine(child, gone);
  return {
    ...started,
    ...approverAt(started.http, started.keyFile),
    gone,
    async connect() {
      const client = await RawClient.connect('127.0.0.1', started.port);
      await client.login({ user: 'claude', password: 'agent secret', database: 'shop' });
      return client;
    },
    async kill() {
      child.kill('SIGKILL');
      await gone;
    },
  };
}

async function firstLine(child: ChildProcess, gone: Promise<void>): Promise<Started> {
  const lines = createInterface({ input: child.stdout! });
  const line = await Promise.race([
    new Promise<string>((resolve) => lines.once('line', resolve)),
    gone.then(() => {
      throw new Error('the node did not start');
    }),
  ]);
  return JSON.parse(line) as Started;
}

/** The store, and at one step of it the end of this process. */
async function fatal(address: RedisAddress, diesAt: Step | undefined): Promise<Store> {
  const store = await RedisStore.open(address);
  const [when, what] = (diesAt ?? '').split(' ');
  return new Proxy(store, {
    get(of, name) {
      const member: unknown = Reflect.get(of, name, of);
      if (typeof member !== 'function') return member;
      if (name !== what) return member.bind(of);
      return async (...args: unknown[]) => {
        if (when === 'before') process.kill(process.pid, 'SIGKILL');
        const answer: unknown = await member.apply(of, args);
        // What it had to do for that is done: only a step that took effect is one.
        if (when === 'after' && answer !== false) process.kill(process.pid, 'SIGKILL');
        return answer;
      };
    },
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { diesAt, ...options } = JSON.parse(process.argv[2] ?? '') as NodeOptions;
  const guard = await startGuard({
    ...(options as GuardOptions),
    open: (address) => fatal(address as RedisAddress, diesAt),
  });
  const { port, http, publicUrl, keyFile, auditDir } = guard;
  process.stdout.write(`${JSON.stringify({ port, http, publicUrl, keyFile, auditDir })}\n`);
  // It ends with whoever started it.
  process.stdin.resume().once('end', () => process.exit(0));
}
