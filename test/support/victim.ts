// A whole Holdpoint in a process of its own that ends itself by SIGKILL at one step of a release: no handler runs, no
// buffer is flushed. Argument: JSON of the guard's options and the step. Prints one line of JSON once it listens.

import { AuditLog } from '../../src/audit/log.ts';
import { SessionBook } from '../../src/proxy/bookkeeping.ts';
import { Session } from '../../src/session/session.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { RedisStore } from '../../src/store/redis.ts';
import { type GuardOptions, startGuard } from './holdpoint.ts';

export interface Listening {
  readonly port: number;
  readonly http: string;
  readonly keyFile: string;
}

/** In the order of a release. `never`: somebody else ends it. */
export const steps = [
  'the decision is appended to the log',
  'the decision is on disk',
  'the store has the decision',
  'the store has given the use away',
  'the use is in the log',
  'the intent is appended to the log',
  'the intent is on disk',
  'the bytes are handed to the socket',
  'the server has answered',
  'never',
] as const;
export type Step = (typeof steps)[number];

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  // Nothing of ours runs any more; the signal may take a moment to arrive.
  for (;;);
}

type Method = (...args: never[]) => unknown;

/** Ends the process before the method runs, or once it is done, where `when` says so of its arguments. */
function deadly(
  owner: object,
  name: string,
  at: 'before' | 'after',
  when: (...args: readonly unknown[]) => boolean = () => true,
): void {
  const prototype = owner as Record<string, Method>;
  const method = prototype[name]!;
  prototype[name] = function (this: unknown, ...args: never[]) {
    if (!when(...args)) return method.apply(this, args);
    if (at === 'before') die();
    const done = method.apply(this, args);
    return done instanceof Promise ? done.then(die) : die();
  };
}

const kind = (wanted: string) => (body: unknown) => (body as { kind: string }).kind === wanted;
const inTheStore = (name: string, at: 'before' | 'after'): void => {
  deadly(MemoryStore.prototype, name, at);
  deadly(RedisStore.prototype, name, at);
};

const faults: Readonly<Record<Step, () => void>> = {
  'the decision is appended to the log': () =>
    deadly(AuditLog.prototype, 'append', 'after', kind('decision')),
  'the decision is on disk': () => inTheStore('vote', 'before'),
  'the store has the decision': () => inTheStore('consume', 'before'),
  'the store has given the use away': () => inTheStore('consume', 'after'),
  'the use is in the log': () => deadly(AuditLog.prototype, 'append', 'before', kind('intent')),
  'the intent is appended to the log': () => deadly(AuditLog.prototype, 'append', 'after', kind('intent')),
  'the intent is on disk': () => deadly(SessionBook.prototype, 'intent', 'after'),
  'the bytes are handed to the socket': () => {
    const { released } = Session.prototype;
    Session.prototype.released = function (...args) {
      released.apply(this, args);
      // The relay writes in this turn of the event loop.
      setImmediate(die);
    };
  },
  'the server has answered': () =>
    deadly(SessionBook.prototype, 'finished', 'before', (gate) => (gate as { ref: number }).ref >= 0),
  never: () => undefined,
};

const { options, step } = JSON.parse(process.argv[2]!) as { options: GuardOptions; step: Step };
faults[step]();
const { port, http, keyFile } = await startGuard(options);
const listening: Listening = { port, http, keyFile };
process.stdout.write(`${JSON.stringify(listening)}\n`);
