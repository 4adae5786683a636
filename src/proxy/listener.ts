// Listener: accepts clients, within limits, and takes each from its first byte to a running session; ends them all when
// the process stops. The only place that knows all sessions. Refuses to know frames and statements.

import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { ownRequests } from '../approval/own.ts';
import type { RecordBody } from '../audit/record.ts';
import { HoldpointError } from '../errors.ts';
import { hasHop } from '../hop/descriptor.ts';
import { takeOver } from '../hop/takeover.ts';
import type { Ledger } from '../policy/budget.ts';
import type { Policy } from '../policy/rules.ts';
import type { Actor, Environment } from '../policy/verdict.ts';
import type { ServerIdentity } from '../server-pins.ts';
import type { Reads } from '../session/durability.ts';
import { Session } from '../session/session.ts';
import type { Analyzer } from '../sql/parse.ts';
import type { TargetAddress } from '../target-url.ts';
import { backendKeyData, errorFrom, parameterStatus, readyForQuery } from '../wire/messages/backend.ts';
import { readOnlySettings } from '../wire/startup-settings.ts';
import type { Blast } from './blast.ts';
import { type BookLog, type BookMetrics, SessionBook } from './bookkeeping.ts';
import { CancelKeys } from './cancel.ts';
import { catalogOf, type WatchedCatalog } from './catalog-of.ts';
import { Door, type DoorLimits } from './door.ts';
import { type EscortPlans, PlanEscort } from './escort.ts';
import { type Login, LoginFailure, type LoginOptions, login } from './login.ts';
import type { TargetNeed } from './need.ts';
import type { ParkingDesk } from './parking.ts';
import type { Privacy } from './recording.ts';
import { Relay } from './relay.ts';
import type { RoundsLog } from './rounds.ts';
import { shapeOf } from './shape.ts';
import { shortageOf, shortageRemedy } from './shortage.ts';
import type { RelayLog } from './uplink.ts';
import { type Admit, cancelUpstream, connectUpstream, type Upstream } from './upstream.ts';

/** One database behind the proxy. */
export interface Target {
  readonly name: string;
  readonly address: TargetAddress;
  readonly environment: Environment;
  readonly approval: TargetNeed;
  readonly hold: { readonly waitMs: number; readonly expiresMs: number; readonly heartbeatMs: number };
  /** Settles once record `seq` is vouched for outside; absent where held statements do not wait for that. */
  readonly outside?: ((seq: number) => Promise<void>) | undefined;
  /** The rules in force; changes with a reload. */
  readonly policy: () => Policy;
  /** Whether the server that answers is the one this target means. */
  readonly admit: Admit;
  /** As `admit`, for connections of ours beside those of sessions, which are noted in the log. */
  readonly admitOwn?: Admit;
  /** Measures what held statements would touch. */
  readonly blast?: Pick<Blast, 'measure' | 'close'>;
  /** Told when sessions begin and end, so that it is read while there are any. */
  readonly catalog: WatchedCatalog & { enter(database: ServerIdentity): void; leave(): void; close(): void };
}

export interface ListenerMetrics {
  /** What a session of that target counts. */
  book(target: string): BookMetrics;
  opened(): void;
  closed(): void;
  authFailure(): void;
  upstreamError(target: string): void;
}

/** What an operator should read in the process's own log. Never holds an agent's text. */
export type Report = (
  level: 'info' | 'warn' | 'error',
  message: string,
  fields: Record<string, unknown>,
) => void;

export interface ListenerOptions extends LoginOptions {
  readonly host: string;
  readonly port: number;
  readonly targets: ReadonlyMap<string, Target>;
  /** What an agent that has logged in may do there; undefined: nothing any more. */
  readonly access: (agent: string, target: string) => 'read-write' | 'read-only' | undefined;
  /** The people whose work the agent does. */
  readonly onBehalfOf: (agent: string) => readonly string[];
  readonly analyzer: Analyzer;
  readonly log: RelayLog & BookLog & RoundsLog & { append(body: RecordBody): number };
  readonly desk: ParkingDesk & Parameters<typeof ownRequests>[0];
  readonly plans: EscortPlans;
  /** Why agents only read on a target now: a review that is overdue. */
  readonly overdue: (target: string) => string | undefined;
  readonly spending: Ledger;
  readonly metrics: ListenerMetrics;
  readonly report: Report;
  readonly node: string;
  readonly boot: string;
  readonly publicUrl: string;
  readonly privacy: Privacy;
  /** What is asked of the records of statements that write nothing. */
  readonly reads: Reads;
  readonly limits: DoorLimits & {
    readonly statementBytesMax: number;
    readonly bindBytesMax: number;
    readonly loginMs: number;
  };
}

export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: net.Server;
  readonly #keys = new CancelKeys();
  readonly #relays = new Map<Relay, Actor>();
  readonly #door: Door;
  #draining: HoldpointError | undefined;
  #drained: () => void = () => undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#door = new Door(options.limits, options.tls !== undefined);
    this.#server = net.createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000, pauseOnConnect: true },
      (socket) => this.#accept(socket),
    );
  }

  /** Resolves with the port once it listens. Rejects with a sentence where the address cannot be had. */
  listen(): Promise<number> {
    const { host, port } = this.#options;
    // It takes descriptors of its own, once: now, and not at a login when there may be none.
    hasHop();
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(host, port, error)));
      this.#server.listen(port, host, () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  get sessions(): number {
    return this.#relays.size;
  }

  /** Stops accepting, ends holds and idle sessions with 57P01, lets running statements finish for up to `drainMs`. */
  async close(drainMs: number): Promise<void> {
    this.#server.close();
    const error = new HoldpointError('shutdown', 'terminating connection due to administrator command', {
      detail: 'The proxy is shutting down.',
      hint: 'Connect again in a moment.',
    });
    this.#draining = error;
    this.#door.clear();
    for (const relay of [...this.#relays.keys()]) relay.drain(error);
    if (this.#relays.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, drainMs);
      this.#drained = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    for (const relay of [...this.#relays.keys()]) relay.terminate(error);
  }

  /** Ends the sessions of agents whose access has ended or is another, each as soon as its running statement is done. */
  expel(): void {
    for (const [relay, { agent, target, access = 'read-write' }] of [...this.#relays]) {
      if (this.#options.access(agent, target) !== access) relay.drain(expelledError());
    }
  }

  #accept(socket: net.Socket): void {
    socket.on('error', () => socket.destroy());
    if (!this.#door.enter(socket, this.#relays.size)) return;
    const timer = setTimeout(() => socket.destroy(), this.#options.limits.loginMs);
    // A socket that has failed no longer knows whose it was.
    const from = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`;
    this.#welcome(socket)
      .catch((error: unknown) => this.#rejected(socket, from, error))
      .finally(() => {
        clearTimeout(timer);
        this.#door.known(socket);
      });
  }

  async #welcome(socket: net.Socket): Promise<void> {
    const result = await login(socket, this.#options);
    if (result === undefined) {
      socket.destroy();
      return;
    }
    if (result.kind === 'cancel') {
      await this.#cancel(socket, result);
      return;
    }
    await this.#serve(socket, result);
  }

  async #cancel(socket: net.Socket, { pid, key }: Extract<Login, { kind: 'cancel' }>): Promise<void> {
    try {
      await this.#keys.request(pid, key, socket.remoteAddress ?? '', Date.now());
    } catch (error) {
      this.#options.report('error', `a cancel request could not be passed on: ${whyOf(error)}`, {
        cause: causeOf(error),
      });
    } finally {
      socket.destroy();
    }
  }

  #rejected(socket: net.Socket, from: string, error: unknown): void {
    const { metrics, report } = this.#options;
    if (error instanceof LoginFailure) {
      const { agent, target, reason } = error;
      metrics.authFailure();
      report('warn', 'login refused', { from, reason });
      this.#recordRefusal({ client: from, agent, target, method: 'scram-sha-256', reason });
    } else if (!(error instanceof HoldpointError))
      report('warn', 'connection failed', { from, error: String(error) });
    socket.end();
    setTimeout(() => socket.destroy(), 1000).unref();
    this.#door.leaves(socket);
  }

  async #serve(socket: net.Socket, entered: Extract<Login, { kind: 'session' }>): Promise<void> {
    const { client, startup } = entered;
    const { targets, metrics, report } = this.#options;
    // The verifier was found for this target, so it exists.
    const target = targets.get(startup.database)!;
    const access = this.#options.access(startup.user, target.name);
    if (access === undefined) {
      client.write(errorFrom(expelledError(), 'FATAL'));
      throw expelledError();
    }
    const settings = access === 'read-only' ? readOnlySettings(startup.settings) : startup.settings;
    let upstream: Upstream;
    try {
      upstream = await connectUpstream(target.address, settings, target.admit);
    } catch (error) {
      // Nobody asked the target.
      if (shortageOf(error) === undefined) metrics.upstreamError(startup.database);
      report('error', whyOf(error), { target: startup.database, cause: causeOf(error) });
      if (error instanceof HoldpointError) client.write(errorFrom(error, 'FATAL'));
      if (error instanceof HoldpointError && error.code === 'wrong-server') {
        const from = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`;
        const { auth: method } = entered;
        const reason = error.message;
        this.#recordRefusal({ client: from, agent: startup.user, target: target.name, method, reason });
      }
      throw error;
    }
    if (socket.destroyed || this.#draining !== undefined) {
      upstream.socket.destroy();
      socket.destroy();
      return;
    }
    try {
      const { environment } = target;
      const actor = { agent: startup.user, target: target.name, environment };
      this.#begin(socket, entered, target, upstream, access === 'read-only' ? { ...actor, access } : actor);
    } catch (error) {
      upstream.socket.destroy();
      if (error instanceof HoldpointError) client.write(errorFrom(error, 'FATAL'));
      throw error;
    }
  }

  #begin(
    socket: net.Socket,
    { client, startup, auth, head }: Extract<Login, { kind: 'session' }>,
    target: Target,
    upstream: Upstream,
    actor: Actor,
  ): void {
    const options = this.#options;
    const sid = randomBytes(9).toString('base64url');
    const catalog = catalogOf(target.catalog, upstream.identity);
    const systemId = upstream.identity.systemIdentifier ?? null;
    const escort = new PlanEscort({
      plans: options.plans,
      actor,
      user: target.address.user,
      db: { name: target.address.database, systemId },
      settings: () => session.settings,
      policyDigest: () => target.policy().digest,
      now: Date.now,
    });
    const book = new SessionBook({
      facts: {
        sid,
        node: options.node,
        boot: options.boot,
        actor,
        agentAuth: auth,
        onBehalfOf: () => options.onBehalfOf(actor.agent),
        user: target.address.user,
        db: {
          name: target.address.database,
          addr: `${target.address.host}:${target.address.port}`,
          version: upstream.parameters.get('server_version') ?? '',
          systemId,
        },
      },
      log: options.log,
      desk: options.desk,
      escort,
      blast: target.blast,
      backend: { pid: upstream.pid, database: upstream.identity, user: target.address.user },
      catalog,
      metrics: options.metrics.book(target.name),
      publicUrl: options.publicUrl,
      policyDigest: () => target.policy().digest,
      shape: (gate) => shapeOf(gate, (sql) => options.analyzer.syntax(sql)),
      approval: target.approval,
      hold: target.hold,
      outside: target.outside,
      privacy: options.privacy,
      now: Date.now,
      random: randomBytes,
    });
    const slot = this.#keys.allocate(startup.minor);
    // As long as the session only these two: what else there was of the login, its socket above all, may go.
    const { pid, key } = upstream;
    const session = new Session({
      escort,
      locked: () => options.overdue(target.name),
      analyzer: options.analyzer,
      catalog,
      policy: target.policy,
      spending: options.spending,
      reads: options.reads,
      actor,
      user: target.address.user,
      searchPath: new Map(startup.settings).get('search_path'),
      parameters: upstream.parameters,
      pids: { server: upstream.pid, client: slot.pid },
      newId: () => randomBytes(16).toString('hex'),
      requests: () => ownRequests(options.desk, actor.agent),
      finished: (gate) => book.finished(gate),
    });
    book.attach(session);
    options.log.append({
      kind: 'auth',
      sid,
      client: `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`,
      agent: actor.agent,
      target: target.name,
      ok: true,
      method: auth,
      server: upstream.session,
    });
    const near = takeOver(client, head);
    const far = takeOver(upstream.socket, upstream.head);
    const relay = new Relay({
      client: near.line,
      server: far.line,
      session,
      log: options.log,
      book,
      // What waits for the disk at every statement is not worth the while.
      repeats:
        options.reads === 'kill-safe'
          ? { book, log: options.log, cutsOf: (sql) => options.analyzer.cutsOf(sql) }
          : undefined,
      outputCommit: options.reads === 'output-commit',
      statementBytesMax: options.limits.statementBytesMax,
      bindBytesMax: options.limits.bindBytesMax,
      ended: (error) => {
        escort.ended();
        slot.free();
        this.#relays.delete(relay);
        this.#door.leaves(near.line);
        target.catalog.leave();
        options.metrics.closed();
        if (error !== undefined)
          options.report('warn', 'session ended', {
            sid,
            error: error.message,
            ...(error.cause !== undefined && { cause: causeOf(error) }),
          });
        if (this.#relays.size === 0) this.#drained();
      },
    });
    slot.bind({
      cancelHold: () => relay.cancelHold(),
      get busy() {
        return relay.busy;
      },
      delayForCancel: () => relay.delayForCancel(),
      cancelUpstream: () => cancelUpstream(target.address, pid, key),
    });
    this.#relays.set(relay, actor);
    target.catalog.enter(upstream.identity);
    options.metrics.opened();
    near.line.write(greeting(upstream, slot.pid, slot.key));
    relay.start(near.head, far.head);
    far.line.resume();
    near.line.resume();
  }

  #recordRefusal(refused: {
    client: string;
    agent: string;
    target: string;
    method: string;
    reason: string;
  }): void {
    try {
      this.#options.log.append({ kind: 'auth', sid: '', ok: false, ...refused });
    } catch {
      // A failed login that cannot be recorded is still a failed login; the log reports its own state.
    }
  }
}

function expelledError(): HoldpointError {
  return new HoldpointError('shutdown', "terminating connection: this agent's access has ended", {
    hint: 'Ask whoever gave you the credentials for new ones.',
  });
}

/** What the target reported, our own cancel key, and that we are ready: the target said so before. */
function greeting(upstream: Upstream, pid: number, key: Buffer): Buffer {
  const reported = [...upstream.parameters].map(([name, value]) => parameterStatus(name, value));
  return Buffer.concat([...reported, backendKeyData(pid, key), readyForQuery('I')]);
}

/** What is behind an error, in one line: an operator gets sentences, no stack. */
function causeOf(error: unknown): string {
  const { cause = error } = error as { cause?: unknown };
  return cause instanceof Error ? cause.message : String(cause);
}

/** What an operator reads of a connection to a target that could not be had. */
function whyOf(error: unknown): string {
  if (shortageOf(error) === undefined) return 'the target cannot be used';
  return `there is no file descriptor left for another connection to the target; ${shortageRemedy}`;
}

function listenError(host: string, port: number, error: NodeJS.ErrnoException): HoldpointError {
  const place = `${host}:${port}`;
  if (error.code === 'EADDRINUSE')
    return new HoldpointError(
      'bad-config',
      `the port of ${place} is in use; stop what listens there or choose another in listen.postgres`,
    );
  if (error.code === 'EACCES')
    return new HoldpointError(
      'bad-config',
      `listening on ${place} is not permitted; choose a port above 1023 in listen.postgres`,
    );
  return new HoldpointError('bad-config', `cannot listen on ${place}: ${error.message}`, { cause: error });
}
