// Twin: guards in a process of its own, started, reloaded and drained by messages, so that one process can be without the
// addon while another has it: the variable is read once a process.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Guard, type GuardOptions, startGuard } from './holdpoint.ts';
import { tlsFixture } from './postgres.ts';
import { RawClient } from './raw.ts';

/** What a message can say of a guard. */
type Told = Pick<Guard, 'port' | 'http' | 'auditDir'>;

type Order =
  | { readonly id: number; readonly what: 'start'; readonly options: GuardOptions }
  | { readonly id: number; readonly what: 'reload' | 'close'; readonly port: number };
type Done = { readonly id: number; readonly told?: Told; readonly error?: string };

export interface TwinGuard extends Told {
  /** Through TLS, with the certificate of the tests, where it was started with `tls`. */
  connect(parameters?: Record<string, string>): Promise<RawClient>;
  /** Statements that went without being judged again. */
  repeated(): Promise<number>;
  /** Reads the rules again; resolves when they are in force. */
  reload(): Promise<void>;
  /** Drains and seals the log, as on SIGTERM. Its folder stays if it was given. */
  close(): Promise<void>;
}

export interface Twin {
  readonly child: ChildProcess;
  start(options: GuardOptions): Promise<TwinGuard>;
  /** By SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>;
}

/** Starts a process that has no guard yet. */
export function startTwin(native: 'on' | 'off'): Twin {
  const { HOLDPOINT_NATIVE: _, ...env } = process.env;
  const child = fork(fileURLToPath(import.meta.url), [], {
    env: native === 'off' ? { ...env, HOLDPOINT_NATIVE: 'off' } : env,
    // What vitest asks of its own workers is not for it.
    execArgv: [],
  });
  const waiting = new Map<number, (done: Done) => void>();
  child.on('message', (done: Done) => waiting.get(done.id)?.(done));
  child.once('exit', () => {
    for (const [id, settle] of waiting) settle({ id, error: 'the process has ended' });
  });
  let orders = 0;
  const told = async (order: Record<string, unknown>): Promise<Told | undefined> => {
    orders += 1;
    const id = orders;
    const { promise, resolve } = Promise.withResolvers<Done>();
    waiting.set(id, resolve);
    child.send({ ...order, id });
    const done = await promise;
    waiting.delete(id);
    if (done.error !== undefined) throw new Error(done.error);
    return done.told;
  };
  return {
    child,
    async start(options) {
      const guard = (await told({ what: 'start', options }))!;
      const { port } = guard;
      const secure = options.tls && { ca: readFileSync(tlsFixture.ca), servername: 'localhost' };
      return {
        ...guard,
        async connect(parameters = {}) {
          const client = await RawClient.connect('127.0.0.1', port, secure);
          await client.login({ user: 'claude', password: 'agent secret', database: 'shop', parameters });
          return client;
        },
        async repeated() {
          const text = await (await fetch(`${guard.http}/metrics`)).text();
          return Number(/^holdpoint_repeated_total\{[^}]*\} (\d+)$/m.exec(text)![1]);
        },
        async reload() {
          await told({ what: 'reload', port });
        },
        async close() {
          await told({ what: 'close', port });
        },
      };
    },
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const guards = new Map<number, Guard>();
  const follow = async (order: Order): Promise<Told | undefined> => {
    if (order.what === 'start') {
      const guard = await startGuard(order.options);
      guards.set(guard.port, guard);
      const { port, http, auditDir } = guard;
      return { port, http, auditDir };
    }
    await guards.get(order.port)![order.what]();
    return undefined;
  };
  process.on('message', (order: Order) => {
    const { id } = order;
    follow(order).then(
      (told) => process.send?.({ id, told }),
      (error: Error) => process.send?.({ id, error: error.stack ?? String(error) }),
    );
  });
  // It ends with whoever started it.
  process.once('disconnect', () => process.exit(0));
}
