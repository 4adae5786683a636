// Server pins: which server each target means, remembered in servers.json of the data folder from the first time it was
// met. A production target serves no other; a target that is not production serves none that was ever pinned as
// production. Knows identifiers as the servers tell them; refuses to know how they are asked. A physical copy (replica,
// restored snapshot) has the identifier of its original and is not told apart from it.
// Source: PostgreSQL manual, "Control Data Functions"; the identifier is made by initdb.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { HoldpointError } from './errors.ts';
import { readJson, writeWhole } from './json-file.ts';
import type { Environment } from './policy/verdict.ts';

/** What a server says of itself right after login. Its word, not verified. */
export interface ServerIdentity {
  /** pg_control_system(), in digits; undefined where the target's role may not ask. */
  readonly systemIdentifier: string | undefined;
  /** Of the database of the connection. */
  readonly databaseOid: number;
  /** version() */
  readonly version: string;
}

/** What a pin is about. `systemIdentifier`: the server that the configuration names, which then is the only one. */
export interface PinnedTarget {
  readonly name: string;
  readonly environment: Environment;
  readonly systemIdentifier: string | undefined;
  readonly database: string;
}

/** A server that a target was once found to mean. `learnedAt`: milliseconds since the epoch. */
export interface Pin {
  readonly target: string;
  readonly environment: Environment;
  readonly systemIdentifier: string;
  readonly database: string;
  readonly databaseOid: number;
  readonly learnedAt: number;
}

/**
 * Whether the target may be served by the server that answered. `learn`: not remembered yet. `warning`: a sentence for
 * the operator. `sentence` says target, expected and found; `mend` is for the operator only, since it tells how to go on.
 */
export type Judgement =
  | { readonly kind: 'serve'; readonly learn: boolean; readonly warning?: string }
  | { readonly kind: 'refuse'; readonly sentence: string; readonly mend: string };

/** `pins` in the order they were learned; `targets`: all of the configuration. */
export function judge(
  target: PinnedTarget,
  found: ServerIdentity,
  pins: readonly Pin[],
  targets: readonly PinnedTarget[],
): Judgement {
  const { name, environment, systemIdentifier: named } = target;
  const own = pins.findLast((pin) => pin.target === name && pin.environment === environment);
  const id = found.systemIdentifier;
  if (id === undefined) return unknownServer(target, own);
  const learn = own?.systemIdentifier !== id || own.databaseOid !== found.databaseOid;
  if (named !== undefined) {
    if (named === id) return { kind: 'serve', learn };
    return other(target, `server ${named}, which its configuration names`, id);
  }
  if (environment === 'production') {
    if (own === undefined || own.systemIdentifier === id) return { kind: 'serve', learn };
    return other(target, `server ${own.systemIdentifier}, which it was on ${day(own.learnedAt)}`, id);
  }
  const owner =
    pins.find((pin) => pin.environment === 'production' && pin.systemIdentifier === id)?.target ??
    targets.find((each) => each.environment === 'production' && each.systemIdentifier === id)?.name;
  if (owner !== undefined) {
    return {
      kind: 'refuse',
      sentence: `target ${name} is ${environment}, but it leads to server ${id}, which is pinned as production by target ${owner}`,
      mend: `point it at another server; if it shares that one deliberately, set targets.${name}.systemIdentifier: "${id}" and start again`,
    };
  }
  if (own === undefined || own.systemIdentifier === id) return { kind: 'serve', learn };
  const warning = `target ${name} leads to another server than before: ${id}, no longer ${own.systemIdentifier}; to pin a ${environment} target, set targets.${name}.systemIdentifier`;
  return { kind: 'serve', learn, warning };
}

function other({ name, environment }: PinnedTarget, expected: string, id: string): Judgement {
  return {
    kind: 'refuse',
    sentence: `target ${name} is ${environment} and means ${expected}; it now leads to server ${id}`,
    mend: `find out why; if server ${id} is the one you mean, set targets.${name}.systemIdentifier: "${id}" and start again`,
  };
}

function unknownServer({ name, systemIdentifier }: PinnedTarget, own: Pin | undefined): Judgement {
  const grant = "let the target's role ask: GRANT EXECUTE ON FUNCTION pg_control_system() TO it";
  const expected = systemIdentifier ?? (own?.environment === 'production' ? own.systemIdentifier : undefined);
  if (expected === undefined) {
    const warning = `target ${name} cannot be pinned: its server does not say which one it is, so that another in its place is not noticed; ${grant}`;
    return { kind: 'serve', learn: false, warning };
  }
  return {
    kind: 'refuse',
    sentence: `target ${name} means server ${expected}; the server it leads to does not say which one it is`,
    mend: grant,
  };
}

const entry = z.strictObject({
  target: z.string(),
  environment: z.enum(['production', 'staging', 'development']),
  systemIdentifier: z.string().regex(/^\d{1,20}$/),
  database: z.string(),
  databaseOid: z.int().min(0),
  learned: z.iso.datetime().transform((text) => Date.parse(text)),
});
const serversFile = z.strictObject({ v: z.literal(1), servers: z.array(entry) });

/** Tells the operator what was learned and what has changed. */
type Report = (level: 'info' | 'warn', message: string, fields: Record<string, unknown>) => void;

export interface ServerPinsOptions {
  readonly dataDir: string;
  readonly targets: readonly PinnedTarget[];
  readonly now: () => number;
  readonly report: Report;
}

/** The pins of one process, and their file. Nobody else writes it: the log's lock keeps the data folder to one process. */
export class ServerPins {
  readonly #options: ServerPinsOptions;
  #pins: readonly Pin[];
  /** Learning, one at a time: what is judged is what was written. */
  #learning: Promise<unknown> = Promise.resolve();

  private constructor(options: ServerPinsOptions, pins: readonly Pin[]) {
    this.#options = options;
    this.#pins = pins;
  }

  /** Throws HoldpointError('bad-config') if the file is broken. */
  static async open(options: ServerPinsOptions): Promise<ServerPins> {
    const file = await readJson(fileOf(options.dataDir), serversFile);
    const pins = (file?.servers ?? []).map(({ learned, ...pin }) => ({ ...pin, learnedAt: learned }));
    return new ServerPins(options, pins);
  }

  /**
   * Resolves if the target may be served by the server that answered, remembering it first where it is new, with what
   * the operator should know for as long as it is so. Throws HoldpointError('wrong-server'), whose `cause` is for the operator only, or 'store-unreachable' if the file cannot
   * be written.
   */
  async admit(target: PinnedTarget, found: ServerIdentity): Promise<readonly string[]> {
    const { learn, warning } = this.#judge(target, found);
    if (!learn) return warning === undefined ? [] : [warning];
    await this.#inTurn(() => this.#learn(target, found));
    return [];
  }

  #judge(target: PinnedTarget, found: ServerIdentity): Extract<Judgement, { kind: 'serve' }> {
    const judgement = judge(target, found, this.#pins, this.#options.targets);
    if (judgement.kind === 'serve') return judgement;
    const { sentence, mend } = judgement;
    throw new HoldpointError('wrong-server', sentence, {
      hint: 'No statement was sent to it. The operator of this proxy has to look at it first.',
      cause: new Error(`${sentence}; ${mend}`),
    });
  }

  #inTurn(learn: () => Promise<void>): Promise<void> {
    const turn = this.#learning.then(learn);
    this.#learning = turn.catch(() => undefined);
    return turn;
  }

  async #learn(target: PinnedTarget, found: ServerIdentity): Promise<void> {
    const { learn, warning } = this.#judge(target, found);
    const { systemIdentifier, databaseOid } = found;
    if (!learn || systemIdentifier === undefined) return;
    const { now, report } = this.#options;
    const { name, environment, database } = target;
    const pin = { target: name, environment, systemIdentifier, database, databaseOid, learnedAt: now() };
    const pins = [...this.#pins.filter((each) => !replaces(pin, each)), pin];
    await this.#write(pins);
    this.#pins = pins;
    if (warning !== undefined) report('warn', warning, { target: name });
    else if (environment === 'production')
      report('info', 'the server of a production target is remembered', { target: name, systemIdentifier });
  }

  async #write(pins: readonly Pin[]): Promise<void> {
    const { dataDir } = this.#options;
    const servers = pins.map(({ learnedAt, ...pin }) => ({
      ...pin,
      learned: new Date(learnedAt).toISOString(),
    }));
    try {
      await mkdir(dataDir, { recursive: true, mode: 0o700 });
      await writeWhole(fileOf(dataDir), { v: 1, servers });
    } catch (cause) {
      const why = (cause as NodeJS.ErrnoException).code ?? String(cause);
      throw new HoldpointError('store-unreachable', 'the server of this target cannot be remembered', {
        cause: new Error(`${fileOf(dataDir)} cannot be written: ${why}; make the data folder writable`, {
          cause,
        }),
      });
    }
  }
}

/** What was production once stays known, so that nothing else is pointed at it unawares. */
function replaces(pin: Pin, before: Pin): boolean {
  if (before.target !== pin.target || before.environment !== pin.environment) return false;
  return pin.environment !== 'production' || before.systemIdentifier === pin.systemIdentifier;
}

function fileOf(dataDir: string): string {
  return join(dataDir, 'servers.json');
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
