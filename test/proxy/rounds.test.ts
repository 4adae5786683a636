// A relay whose session repeats a prepared read, between two connections of this machine: what goes by the lane, what is
// judged, and that the records say what was sent. The session, the parser and the rules are the real ones. Where the hop
// is not built there are no lanes.

import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { spelling } from '../../src/audit/frequent.ts';
import type { StatementBody } from '../../src/audit/record.ts';
import type { Catalog } from '../../src/catalog/names.ts';
import { Ledger } from '../../src/policy/budget.ts';
import type { Policy } from '../../src/policy/rules.ts';
import type { RelayBook, RepeatBook } from '../../src/proxy/book.ts';
import { Relay } from '../../src/proxy/relay.ts';
import type { RoundsLog } from '../../src/proxy/rounds.ts';
import type { RelayLog } from '../../src/proxy/uplink.ts';
import type { Gate } from '../../src/session/gate.ts';
import { Session } from '../../src/session/session.ts';
import { bind, close, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { statement } from '../audit/fixture.ts';
import { answer, FakeLog, round, stamp } from '../hop/lane.ts';
import { closeAll, connected, type Pair } from '../hop/pair.ts';
import { analyzer, C, defaultRules, ok, parameterStatus, Z } from '../session/transcript.ts';
import { plainCatalog } from '../support/catalog.ts';
import { bindComplete, closeComplete } from '../support/frames.ts';

const isBuilt = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);

afterEach(closeAll);
afterAll(() => analyzer.close());

/** A record of a statement, by what the lane or the book says of it. */
interface Said {
  readonly by: 'lane' | 'session';
  readonly sql: string;
  readonly n: number;
}

class Repeating {
  readonly client: Pair['far'];
  readonly server: Pair['far'];
  readonly session: Session;
  readonly relay: Relay;
  readonly log = new FakeLog();
  readonly said: Said[] = [];
  readonly outcomes: string[] = [];
  policy: Policy = defaultRules;
  readonly catalog: { -readonly [M in keyof Catalog]: Catalog[M] } = plainCatalog();
  #toClient = 0;
  #toServer = 0;

  private constructor(client: Pair, server: Pair) {
    this.client = client.far;
    this.server = server.far;
    const policy = (): Policy => this.policy;
    this.session = new Session({
      analyzer,
      catalog: this.catalog,
      policy,
      spending: new Ledger(() => 0),
      actor: { agent: 'claude', target: 'shop', environment: 'production' },
      user: 'owner',
      parameters: new Map([['server_encoding', 'UTF8']]),
      newId: () => '0'.repeat(32),
      finished: (gate) => this.outcomes.push(`${gate.n} ${gate.state}`),
    });
    const adopt = this.log.adopt.bind(this.log);
    this.log.adopt = (records, values) => {
      const before = this.log.records.length;
      const first = adopt(records, values);
      for (const { line } of this.log.records.slice(before)) {
        const { kind, n, sql, ref, st } = JSON.parse(line);
        if (kind === 'stmt') this.said.push({ by: 'lane', sql, n });
        else this.outcomes.push(`of ${ref} ${st}`);
      }
      return first;
    };
    const log = this.#log();
    const book = this.#book();
    const [near, far] = [client.near(), server.near()];
    this.relay = new Relay({
      client: near,
      server: far,
      session: this.session,
      log,
      book,
      repeats: { book, log, cutsOf: (sql) => analyzer.cutsOf(sql) },
      statementBytesMax: 1 << 20,
      bindBytesMax: 1 << 20,
      ended: () => undefined,
    });
    for (const end of [this.client, this.server]) end.setNoDelay(true);
    this.client.on('data', (chunk: Buffer) => {
      this.#toClient += chunk.length;
      this.log.changes.tell();
    });
    this.server.on('data', (chunk: Buffer) => {
      this.#toServer += chunk.length;
      this.log.changes.tell();
    });
    this.relay.start(Buffer.alloc(0), Buffer.alloc(0));
    near.resume();
    far.resume();
  }

  static async make(): Promise<Repeating> {
    return new Repeating(await connected(), await connected());
  }

  /** Resolves when the server has all of it. */
  async asks(...frames: Buffer[]): Promise<void> {
    const bytes = Buffer.concat(frames);
    const all = this.#toServer + bytes.length;
    this.client.write(bytes);
    await this.log.changes.until(() => this.#toServer >= all);
  }

  /** Resolves when the client has all of it. */
  async answers(...frames: Buffer[]): Promise<void> {
    const bytes = Buffer.concat(frames);
    const all = this.#toClient + bytes.length;
    this.server.write(bytes);
    await this.log.changes.until(() => this.#toClient >= all);
  }

  /** A statement is prepared. */
  async prepares(name: string, sql: string): Promise<void> {
    await this.asks(parse(name, sql), sync());
    await this.answers(ok('1'), Z());
  }

  /** A round and its answer; who judged it. */
  async runs(name: string, ...given: Buffer[]): Promise<Said> {
    const { length } = this.said;
    await this.asks(round([], { name }));
    if (given.length === 0) await this.answers(answer());
    else for (const each of given) await this.answers(each);
    expect(this.said).toHaveLength(length + 1);
    return this.said.at(-1)!;
  }

  #log(): RelayLog & RoundsLog {
    const { log } = this;
    return {
      get takes() {
        return log.takes;
      },
      get isClosing() {
        return log.isClosing;
      },
      hasEnded: (ref) => log.hasEnded(ref),
      adopt: (records, values) => log.adopt(records, values),
      writeNow: () => log.writeNow(),
      written: (done: (error?: never) => void) => {
        setImmediate(done);
      },
      spelling: (body: StatementBody, tag: string) => spelling(body, tag, { ...stamp, seq: 0 }),
      congested: false,
      get size() {
        return log.times.seq;
      },
      get onDisk() {
        return log.times.seq;
      },
      get sealed() {
        return log.times.seq;
      },
      synced: async () => undefined,
      durable: async () => undefined,
    };
  }

  #book(): RelayBook & RepeatBook {
    const recorded = (gate: Gate): void => {
      const { seq } = this.log.times;
      this.log.times = { ...this.log.times, seq: seq + 1 };
      gate.ref = seq;
      this.said.push({ by: 'session', sql: String(gate.sql), n: gate.n });
    };
    return {
      passing: recorded,
      passed: () => undefined,
      alike: (gate) => ({
        body: statement(0, { proto: 'X', sql: String(gate.sql) }),
        literals: [],
        keepsValues: false,
      }),
      overhead: () => undefined,
      refused: () => expect.unreachable(),
      park: () => expect.unreachable(),
      change: () => expect.unreachable(),
      intent: () => expect.unreachable(),
      unreleased: () => expect.unreachable(),
      superseded: () => expect.unreachable(),
    };
  }
}

/** As often as it takes until it goes by the lane: what came to nothing lets the next ones be. */
async function untilLane(talk: Repeating, name: string): Promise<Said> {
  for (let tries = 0; tries < 8; tries += 1) {
    const said = await talk.runs(name);
    if (said.by === 'lane') return said;
  }
  throw new Error('it is not repeated');
}

/** A session that repeats `select a from t` as s, by its lane from the next round on. */
async function repeating(): Promise<Repeating> {
  const talk = await Repeating.make();
  await talk.prepares('s', 'select a from t');
  expect((await talk.runs('s')).by).toBe('session');
  await untilLane(talk, 's');
  return talk;
}

/** Two pieces, of which neither is an answer. */
function halves(bytes: Buffer): [Buffer, Buffer] {
  const { length } = bindComplete();
  return [bytes.subarray(0, length), bytes.subarray(length)];
}

describe.skipIf(!isBuilt)('a prepared read that is repeated', () => {
  test('is judged once, and goes by the lane then, as often as it comes', async () => {
    const talk = await repeating();
    const { n } = talk.said.at(-1)!;
    for (let each = 1; each < 20; each += 1)
      expect(await talk.runs('s')).toEqual({ by: 'lane', sql: 'select a from t', n: n + each });
    // The session counts on.
    await talk.asks(query('select 1'));
    expect(talk.said.at(-1)).toEqual({ by: 'session', sql: 'select 1', n: n + 20 });
  });

  test.each<[string, (talk: Repeating) => unknown]>([
    ['the rules are others', (talk) => (talk.policy = { ...talk.policy })],
    ['the catalog is another', (talk) => (talk.catalog.reach = { ...talk.catalog.reach! })],
    ['a cancel request comes', (talk) => talk.relay.busy],
    [
      'something else was sent',
      async (talk) => {
        await talk.asks(query("set search_path = 'x'"));
        await talk.answers(C('SET'), Z());
      },
    ],
    ['the server says something', (talk) => talk.answers(parameterStatus('TimeZone', 'UTC'))],
  ])('is judged again if %s', async (_, happens) => {
    const talk = await repeating();
    await happens(talk);
    const { n } = talk.said.at(-1)!;
    expect(await talk.runs('s')).toEqual({ by: 'session', sql: 'select a from t', n: n + 1 });
    expect((await untilLane(talk, 's')).n).toBe(talk.said.length);
  });

  test('is answered in pieces through the session, and told once', async () => {
    const talk = await repeating();
    const before = talk.outcomes.length;
    const { by, n } = await talk.runs('s', ...halves(answer(['1', '2'])));
    expect(by).toBe('lane');
    await talk.asks(sync());
    await talk.answers(Z());
    const lane = talk.said.filter(({ by }) => by === 'lane').length;
    expect(talk.log.records.filter(({ brief }) => brief === 'passed')).toHaveLength(lane);
    // The log was told of the one before it, and the session of its own.
    expect(talk.outcomes.slice(before - 1).at(-1)).toBe(`${n} ok`);
    expect(talk.outcomes).toHaveLength(talk.said.length);
  });

  /** What makes the name stand for something else, while what was learned of it is let be. */
  const changes: [string, (talk: Repeating) => Promise<void>][] = [
    [
      'is prepared anew behind a round',
      async (talk) => {
        await talk.asks(
          ...[bind('', 'other'), execute(''), sync()],
          ...[close('S', 's'), parse('s', 'insert into t values (1)'), sync()],
        );
        await talk.answers(bindComplete(), C('SELECT 1'), Z(), closeComplete(), ok('1'), Z());
      },
    ],
    [
      'reads what another prepared statement has put in front of it',
      async (talk) => {
        await talk.asks(bind('', 'temporary'), execute(''), sync());
        await talk.answers(bindComplete(), C('CREATE VIEW'), Z());
      },
    ],
    [
      'reads elsewhere, since another prepared statement has set the search_path',
      async (talk) => {
        await talk.asks(bind('', 'path'), execute(''), sync());
        await talk.answers(bindComplete(), C('SET'), Z());
      },
    ],
  ];

  // The answers of some rounds come in pieces: what comes then is let be for a while, and not learned.
  const pauses = [0, 1, 2, 3];

  test.each(changes.flatMap(([what, change]) => pauses.map((many) => [what, many, change] as const)))(
    'is judged again if it %s, after %i answers in pieces',
    async (_, many, change) => {
      const talk = await Repeating.make();
      await talk.prepares('s', 'select a from t');
      await talk.prepares('other', 'select 1');
      await talk.prepares('path', "set search_path = 'x'");
      await talk.prepares('temporary', 'create temp view t as select 1 as a');
      await talk.runs('s');
      for (let each = 0; each < many; each += 1) await talk.runs('s', ...halves(answer(['1', '2'])));
      await change(talk);
      // Others are learned, and the lane is opened for them.
      for (let each = 0; each < 10; each += 1) await talk.runs('other');
      const { by } = await talk.runs('s');
      expect(by).toBe('session');
    },
  );
});
