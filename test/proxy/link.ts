// A relay between two sockets in memory, with a log that writes when the test says so and a book that keeps a list.
// The session, the parser, the rules and the parking are the real ones.

import { type Duplex, duplexPair } from 'node:stream';
import { setImmediate as turnOver } from 'node:timers/promises';
import type { Grant, Hold } from '../../src/approval/hold.ts';
import type { Rejection, Request, Settlement } from '../../src/approval/request.ts';
import { HoldpointError } from '../../src/errors.ts';
import { Ledger } from '../../src/policy/budget.ts';
import { loadPolicy } from '../../src/policy/packs.ts';
import type { Policy } from '../../src/policy/rules.ts';
import type { RelayBook } from '../../src/proxy/book.ts';
import { Parking, type ParkingDesk } from '../../src/proxy/parking.ts';
import { Relay } from '../../src/proxy/relay.ts';
import type { RelayLog } from '../../src/proxy/uplink.ts';
import type { Reads } from '../../src/session/durability.ts';
import type { Gate } from '../../src/session/gate.ts';
import { Session } from '../../src/session/session.ts';
import { Analyzer } from '../../src/sql/parse.ts';
import { plainCatalog } from '../support/catalog.ts';

export const analyzer: Analyzer = await Analyzer.load();
const rules = loadPolicy('default', '/');

/** Lets what is on its way arrive: streams, promises and callbacks, no time. */
export async function turn(times = 6): Promise<void> {
  for (let each = 0; each < times; each += 1) await turnOver();
}

export const grant: Grant = { rid: 'r', by: ['dba'], decisions: [1], seq: 2 };

/** A desk with one hold, decided by the test. */
export class FakeDesk implements ParkingDesk {
  readonly calls: string[] = [];
  settle: (settlement: Settlement) => void = () => undefined;
  earlier: Grant | undefined;
  known: Hold | Rejection | undefined;
  grant: Grant | undefined = grant;
  /** Set to let `open` wait for the test. */
  opening: Promise<void> = Promise.resolve();
  failure: Error | undefined;
  covering: Grant | undefined;
  readonly grants = {
    claim: async () => this.covering,
    settle: async () => undefined,
  };

  async open(request: Request): Promise<Hold> {
    this.calls.push('open');
    await this.opening;
    if (this.failure !== undefined) throw this.failure;
    const settled = new Promise<Settlement>((resolve) => {
      this.settle = resolve;
    });
    return {
      rid: request.rid,
      expiresAt: 1_700_000_000_000,
      joined: false,
      settled,
      claim: async () => this.grant,
      detach: () => this.calls.push('detach'),
      cancel: async (by) => {
        this.calls.push(`cancel ${by}`);
      },
    };
  }

  async recall(): Promise<Hold | Rejection | undefined> {
    return this.known;
  }

  async claimApproved(): Promise<Grant | undefined> {
    this.calls.push('claimApproved');
    await this.opening;
    return this.earlier;
  }

  async finish(): Promise<void> {}

  approve(): void {
    this.settle({ state: 'approved', rid: 'r', by: ['dba'], decisions: [1] });
  }
}

export interface LinkOptions {
  readonly highWaterMark?: number;
  readonly statementBytesMax?: number;
  readonly waitMs?: number;
  /** False: the log writes at once. */
  readonly manualLog?: boolean;
  readonly reads?: Reads;
  /** Instead of the default ones. */
  readonly policy?: Policy;
}

/** Somebody who waits for the disk, or for a seal on it. */
interface Waiting {
  readonly seq: number;
  readonly seals: boolean;
  readonly done: (error?: HoldpointError) => void;
}

export class Link {
  readonly relay: Relay;
  readonly session: Session;
  readonly desk = new FakeDesk();
  /** The client's and the server's own ends. */
  readonly client: Duplex;
  readonly server: Duplex;
  /** The relay's ends. */
  readonly clientSide: Duplex;
  readonly serverSide: Duplex;
  /** What the book was told, in order: `stmt 1`, `outcome 1 ok`. */
  readonly book: string[] = [];
  ended: { error: HoldpointError | undefined } | undefined;
  /** What has changed since the hold began. */
  change: string | undefined;
  /** Settles when the intent of a release is on disk. */
  intent: () => Promise<void> = async () => undefined;
  readonly #toClient: Buffer[] = [];
  readonly #toServer: Buffer[] = [];
  #written: ((error?: HoldpointError) => void)[] = [];
  #waiting: Waiting[] = [];
  #onDisk = 0;
  /** Seq behind the last record, and behind the last that is on disk. */
  #size = 0;
  #sealed = 0;
  readonly #manualLog: boolean;
  /** So much of others waits for the disk that no client is to be read. */
  congested = false;

  constructor(options: LinkOptions = {}) {
    const { highWaterMark = 1 << 16, statementBytesMax = 1 << 24 } = options;
    this.#manualLog = options.manualLog ?? false;
    [this.client, this.clientSide] = duplexPair({ highWaterMark });
    [this.serverSide, this.server] = duplexPair({ highWaterMark });
    let ids = 0;
    this.session = new Session({
      analyzer,
      catalog: plainCatalog(),
      policy: () => options.policy ?? rules,
      spending: new Ledger(() => 0),
      actor: { agent: 'claude', target: 'shop', environment: 'production' },
      user: 'owner',
      parameters: new Map([['server_encoding', 'UTF8']]),
      ...(options.reads && { reads: options.reads }),
      newId: () => (++ids).toString(16).padStart(32, '0'),
      finished: (gate) => this.book.push(`outcome ${gate.n} ${gate.state}`),
    });
    this.relay = new Relay({
      client: this.clientSide,
      server: this.serverSide,
      session: this.session,
      log: this.#fakeLog(),
      outputCommit: options.reads === 'output-commit',
      book: this.#fakeBook(options.waitMs ?? 60_000),
      statementBytesMax,
      bindBytesMax: statementBytesMax,
      ended: (error) => {
        this.ended = { error };
      },
    });
    this.client.on('error', () => undefined);
    this.server.on('error', () => undefined);
  }

  /** Begins, with both ends read into memory. */
  start(read: { client?: boolean; server?: boolean } = {}): this {
    if (read.client !== false) this.client.on('data', (chunk: Buffer) => this.#toClient.push(chunk));
    if (read.server !== false) this.server.on('data', (chunk: Buffer) => this.#toServer.push(chunk));
    this.relay.start(Buffer.alloc(0), Buffer.alloc(0));
    return this;
  }

  get toServer(): Buffer {
    return Buffer.concat(this.#toServer);
  }

  get toClient(): Buffer {
    return Buffer.concat(this.#toClient);
  }

  /** Letters of the whole frames that reached the client, or the server. */
  letters(side: 'client' | 'server'): string {
    const bytes = side === 'client' ? this.toClient : this.toServer;
    let letters = '';
    for (let at = 0; at + 5 <= bytes.length; at += 1 + bytes.readInt32BE(at + 1))
      letters += String.fromCharCode(bytes[at]!);
    return letters;
  }

  get unwritten(): number {
    return this.#written.length;
  }

  /** The log has written, or failed. */
  log(error?: HoldpointError): void {
    const written = this.#written;
    this.#written = [];
    for (const done of written) done(error);
  }

  /** What was recorded up to now is on disk, or nothing will be. `seal`: and sealed there. */
  sync(error?: HoldpointError, { seal = false } = {}): void {
    const size = this.#size;
    if (error === undefined) this.#onDisk = size;
    if (error === undefined && seal) this.#sealed = size;
    const isOver = ({ seq, seals }: Waiting) => error !== undefined || (seq < size && (seal || !seals));
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((each) => !isOver(each));
    for (const each of waiting) if (isOver(each)) each.done(error);
  }

  get unsynced(): number {
    return this.#waiting.length;
  }

  #fakeLog(): RelayLog {
    const size = () => this.#size;
    const onDisk = () => (this.#manualLog ? this.#onDisk : this.#size);
    const sealed = () => (this.#manualLog ? this.#sealed : this.#size);
    const congested = () => this.congested;
    const wait = (seq: number, seals: boolean) =>
      new Promise<void>((resolve, reject) => {
        this.#waiting.push({ seq, seals, done: (error) => (error ? reject(error) : resolve()) });
      });
    return {
      get congested() {
        return congested();
      },
      written: (done) => this.#onWritten(done),
      get size() {
        return size();
      },
      get onDisk() {
        return onDisk();
      },
      get sealed() {
        return sealed();
      },
      synced: async (seq) => (seq < onDisk() ? undefined : wait(seq, false)),
      durable: async (seq) => (seq < sealed() ? undefined : wait(seq, true)),
    };
  }

  #onWritten(done: (error?: HoldpointError) => void): void {
    if (this.#manualLog) this.#written.push(done);
    else setImmediate(() => done());
  }

  #fakeBook(waitMs: number): RelayBook {
    const recorded = (gate: Gate, dec: string): void => {
      gate.ref = gate.n;
      this.#size = gate.ref + 1;
      this.book.push(`stmt ${gate.n} ${dec}`);
    };
    return {
      passing: (gate) => recorded(gate, 'pass'),
      refused: (gate, _bytes, error) => this.book.push(`refused ${gate?.n ?? '-'} ${error.sqlstate}`),
      park: (gate, frames, notify) => {
        recorded(gate, 'hold');
        const request = {
          rid: 'r',
          match: 'm',
          agent: { id: 'claude' },
          policy: { rule: 'row-removal' },
          wire: Buffer.concat([...frames]).toString('hex'),
        } as unknown as Request;
        const values = { params: [] };
        return new Parking({
          desk: this.desk,
          request,
          values,
          ref: gate.n,
          waitMs,
          heartbeatMs: 60_000,
          notify,
        });
      },
      change: async () => this.change,
      superseded: (gate, _end, error) => this.book.push(`superseded ${gate.n} ${error.message}`),
      intent: async (gate) => {
        this.book.push(`intent ${gate.n}`);
        await this.intent();
      },
      unreleased: (gate, error) => this.book.push(`unreleased ${gate.n} ${error?.code ?? 'gone'}`),
      overhead: () => undefined,
    };
  }
}

export function logFailure(): HoldpointError {
  return new HoldpointError('log-unwritable', 'the disk is full');
}
