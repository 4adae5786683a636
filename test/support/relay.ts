// A relay in front of a real server, without the rest of the house: the session, the rules and the parking are the real
// ones, the catalog doubts every function, the log is a list, and who decides on a hold is a function of the test's.

import { randomBytes } from 'node:crypto';
import net from 'node:net';
import type { Request, Settlement } from '../../src/approval/request.ts';
import type { Reacher } from '../../src/catalog/names.ts';
import { Ledger } from '../../src/policy/budget.ts';
import { parsePolicy } from '../../src/policy/rules.ts';
import type { RelayBook } from '../../src/proxy/book.ts';
import { Parking } from '../../src/proxy/parking.ts';
import { Relay } from '../../src/proxy/relay.ts';
import type { Gate } from '../../src/session/gate.ts';
import { Session } from '../../src/session/session.ts';
import { Analyzer } from '../../src/sql/parse.ts';
import { FRAME, Framer, NONE } from '../../src/wire/framer.ts';
import { backendKnown, backendType } from '../../src/wire/messages/backend.ts';
import { plainCatalog } from './catalog.ts';
import { type LoginOptions, RawClient } from './raw.ts';

const analyzer = await Analyzer.load();

/** What a person says of a hold, given its reason. `wait`: nothing, until the hold ends by itself. */
export type Decide = (reason: string) => 'approve' | 'reject' | 'wait';

export class RelayServer {
  /** Reasons of the holds, in order. */
  readonly held: string[] = [];
  /** Outcomes in order: `1 ok UPDATE 3`, `2 error 25006`. */
  readonly outcomes: string[] = [];
  /** Gates of statements, in the order they were recorded: `1 pass`, `2 hold`. */
  readonly records: string[] = [];
  readonly relays = new Set<Relay>();
  decide: Decide = () => 'reject';
  readonly #listener = net.createServer((socket) => this.#accept(socket));
  readonly #server: { host: string; port: number };
  readonly #rules: string;
  readonly #sockets = new Set<net.Socket>();

  private constructor(server: { host: string; port: number }, rules: string) {
    this.#server = server;
    this.#rules = rules;
  }

  /** `rules`: the text of a rules file. */
  static async start(server: { host: string; port: number }, rules: string): Promise<RelayServer> {
    const started = new RelayServer(server, rules);
    await new Promise<void>((resolve) => {
      started.#listener.listen(0, '127.0.0.1', resolve);
    });
    return started;
  }

  get port(): number {
    return (this.#listener.address() as net.AddressInfo).port;
  }

  async connect(login: LoginOptions): Promise<RawClient> {
    const client = await RawClient.connect('127.0.0.1', this.port);
    await client.login(login);
    return client;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => {
      this.#listener.close(resolve);
    });
  }

  /** The login is the server's own business; behind its first ReadyForQuery the relay begins. */
  #accept(client: net.Socket): void {
    const server = net.connect({ ...this.#server, noDelay: true });
    client.setNoDelay(true);
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
    }
    const greeting = new Framer({ wanted: backendKnown, known: backendKnown, frameBytesMax: () => 1 << 20 });
    const up = (chunk: Buffer): void => void server.write(chunk);
    const upEnd = (): void => void server.end();
    const downEnd = (): void => void client.end();
    const down = (chunk: Buffer): void => {
      greeting.push(chunk);
      for (let given = greeting.next(); given !== NONE; given = greeting.next()) {
        client.write(greeting.copy());
        if (given !== FRAME || greeting.type !== backendType.readyForQuery) continue;
        client.off('data', up).off('end', upEnd);
        server.off('data', down).off('end', downEnd);
        this.#relay(client, server);
        return;
      }
    };
    client.on('data', up);
    server.on('data', down);
    server.on('end', downEnd);
    client.on('end', upEnd);
  }

  #relay(client: net.Socket, server: net.Socket): void {
    const policy = parsePolicy({ file: 'rules.yaml', text: this.#rules }, () => {
      throw new Error('no packs here');
    });
    const session = new Session({
      analyzer,
      catalog: { ...plainCatalog(), reach: doubtful },
      policy: () => policy,
      spending: new Ledger(() => 0),
      actor: { agent: 'claude', target: 'shop', environment: 'production' },
      user: 'owner',
      parameters: new Map([['server_encoding', 'UTF8']]),
      newId: () => randomBytes(16).toString('hex'),
      finished: (gate) => this.outcomes.push(outcomeOf(gate)),
    });
    const relay = new Relay({
      client,
      server,
      session,
      log: {
        written: (done) => setImmediate(() => done()),
        congested: false,
        size: 0,
        onDisk: 0,
        sealed: 0,
        synced: async () => undefined,
        durable: async () => undefined,
      },
      book: this.#book(),
      statementBytesMax: 1 << 24,
      bindBytesMax: 1 << 24,
      ended: () => this.relays.delete(relay),
    });
    this.relays.add(relay);
    relay.start(Buffer.alloc(0), Buffer.alloc(0));
  }

  #book(): RelayBook {
    const record = (gate: Gate, decided: string): void => {
      gate.ref = gate.n;
      this.records.push(`${gate.n} ${decided}`);
    };
    return {
      passing: (gate) => record(gate, 'pass'),
      refused: (gate, _, error) => this.records.push(`${gate?.n ?? '-'} ${error.sqlstate}`),
      park: (gate, _, notify) => {
        record(gate, 'hold');
        this.held.push(gate.verdict.reason);
        return this.#parking(gate, notify);
      },
      change: async () => undefined,
      superseded: () => undefined,
      intent: async () => undefined,
      unreleased: (gate, error) => this.outcomes.push(`${gate.n} ${error?.code ?? 'gone'}`),
      overhead: () => undefined,
    };
  }

  #parking(gate: Gate, notify: (notice: Buffer) => void): Parking {
    const rid = 'r';
    const decided = this.decide(gate.verdict.reason);
    const settlement: Settlement =
      decided === 'approve'
        ? { state: 'approved', rid, by: ['dba'], decisions: [1] }
        : { state: 'rejected', rid, by: 'dba', reason: 'no', until: 0, expiresAt: 0 };
    return new Parking({
      desk: {
        claimApproved: async () => undefined,
        recall: async () => undefined,
        grants: { claim: async () => undefined, settle: async () => undefined },
        open: async () => ({
          rid,
          expiresAt: 1_700_000_000_000,
          joined: false,
          settled: decided === 'wait' ? new Promise(() => undefined) : Promise.resolve(settlement),
          claim: async () => ({ rid, by: ['dba'], decisions: [1], seq: 2 }),
          detach: () => undefined,
          cancel: async () => undefined,
        }),
        finish: async () => undefined,
      },
      request: { rid, match: 'm', agent: { id: 'claude' }, policy: { rule: 'r' } } as unknown as Request,
      values: { params: [] },
      ref: gate.n,
      waitMs: 20_000,
      heartbeatMs: 60_000,
      notify,
    });
  }
}

/** Functions of the database may write, and nothing that a READ ONLY transaction would let through. */
const doubtful: Reacher = {
  epoch: 'doubtful',
  searchPath: ['public'],
  explain: (statement) => {
    if (!statement.effects.includes('function')) return statement;
    const effects = statement.effects.map((effect) => (effect === 'function' ? 'unproven' : effect));
    return { ...statement, effects: effects.sort() };
  },
};

function outcomeOf(gate: Gate): string {
  return [gate.n, gate.state, gate.sqlstate, gate.tags.join('; ')]
    .filter((part) => part !== undefined && part !== '')
    .join(' ');
}
