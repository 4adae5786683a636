// One session in a test: frames of the client in, what becomes of them out as words; answers of the server in, what
// the client sees out. With PostgreSQL's own parser and the shipped rules, without sockets, clocks and log.

import type { Catalog } from '../../src/catalog/names.ts';
import { Ledger } from '../../src/policy/budget.ts';
import { loadPolicy } from '../../src/policy/packs.ts';
import type { Policy } from '../../src/policy/rules.ts';
import type { Actor } from '../../src/policy/verdict.ts';
import type { Reads } from '../../src/session/durability.ts';
import type { Gate } from '../../src/session/gate.ts';
import type { OwnRequest } from '../../src/session/listing.ts';
import { Session } from '../../src/session/session.ts';
import type { FrontendStep } from '../../src/session/step.ts';
import { Analyzer } from '../../src/sql/parse.ts';
import { FRAME, Framer } from '../../src/wire/framer.ts';
import {
  backendFrameBytesMax,
  backendKnown,
  errorResponse,
  parameterStatus,
  readErrorFields,
  readyForQuery,
} from '../../src/wire/messages/backend.ts';
import { plainCatalog } from '../support/catalog.ts';
import { asFrame, commandComplete, rawFrame } from '../support/frames.ts';

export const defaultRules: Policy = loadPolicy('default', '/');

/** Loaded once a test file; close it in afterAll. */
export const analyzer: Analyzer = await Analyzer.load();

export class Transcript {
  readonly session: Session;
  /** Outcomes in the order they became certain: `1 ok DELETE 3`, `2 error 23505`. */
  readonly outcomes: string[] = [];
  readonly gates: Gate[] = [];
  /** The last step, for what the words leave out. */
  step: FrontendStep = { kind: 'barrier' };
  readonly #catalog: Catalog;
  #ids = 0;

  constructor(
    options: {
      encoding?: string;
      policy?: Policy;
      catalog?: Catalog;
      spending?: Ledger;
      actor?: Partial<Actor>;
      requests?: () => Promise<readonly OwnRequest[]>;
      reads?: Reads;
    } = {},
  ) {
    this.#catalog = options.catalog ?? plainCatalog();
    this.session = new Session({
      analyzer,
      catalog: this.#catalog,
      policy: () => options.policy ?? defaultRules,
      spending: options.spending ?? new Ledger(() => 0),
      actor: { agent: 'claude', target: 'shop', environment: 'production', ...options.actor },
      user: 'shop_owner',
      parameters: new Map([['server_encoding', options.encoding ?? 'UTF8']]),
      newId: () => (++this.#ids).toString(16).padStart(32, '0'),
      finished: (gate) => this.outcomes.push(outcomeOf(gate)),
      ...(options.reads === undefined ? {} : { reads: options.reads }),
      ...(options.requests === undefined ? {} : { requests: options.requests }),
    });
  }

  /**
   * What becomes of the frames: `pass`, `pass!` (with a gate), `defer`, `hold`, `barrier`, `refuse 42501`. A `>` in
   * front: deferred frames go to the server first. A look at the catalog that is done at once is not told.
   */
  client(...frames: Buffer[]): string[] {
    return frames.map((frame) => {
      this.step = this.session.onFrontend(asFrame(frame));
      const waits = this.#catalog.pending !== undefined;
      if (this.step.kind === 'later' && !waits) this.step = this.session.onFrontend(asFrame(frame));
      return this.#word(this.step);
    });
  }

  /** What the client sees of the server's frames: letters, and `E 42501 …` where the frame was replaced. */
  server(...frames: Buffer[]): string[] {
    const framer = new Framer({
      wanted: backendKnown,
      known: backendKnown,
      frameBytesMax: backendFrameBytesMax(1 << 20),
    });
    framer.push(Buffer.concat(frames));
    const seen: string[] = [];
    while (framer.next() === FRAME) {
      const step = this.session.onBackend(framer, 7);
      if (step.kind === 'close') seen.push(`close ${step.error.sqlstate}`);
      else if (step.kind === 'drop') continue;
      else if (step.kind === 'withhold')
        seen.push(`(${String.fromCharCode(framer.type)}${step.place === 'next' ? '' : ` ${step.place}`})`);
      else if (step.kind === 'pass') seen.push(String.fromCharCode(framer.type));
      else {
        const fields = readErrorFields(asFrame(step.bytes));
        seen.push(`E ${fields.get('C')} ${fields.get('M')}`);
      }
    }
    return seen;
  }

  /** A person releases the gate that is held. */
  release(): void {
    if (this.step.kind !== 'hold') throw new Error('nothing is held');
    this.session.released(this.step.gate, 5);
  }

  #word(step: FrontendStep): string {
    if (step.kind === 'enclose') return step.run ? 'enclose run' : 'enclose';
    if (!('gate' in step)) return step.kind;
    if (step.gate !== undefined) this.#record(step.gate);
    const flush = 'flush' in step && step.flush ? '>' : '';
    if (step.kind === 'replace') return `${flush}refuse ${step.error.sqlstate}`;
    return `${flush}${step.kind}${step.kind !== 'hold' && step.gate !== undefined ? '!' : ''}`;
  }

  /** What the relay and its book do. */
  #record(gate: Gate): void {
    this.gates.push(gate);
    gate.ref = gate.n;
    if (gate.state === 'waiting' && gate.verdict.action === 'pass') this.session.dispatched(gate, 3);
    else if (gate.state === 'skipped') this.session.dispatched(gate, 3);
  }
}

function outcomeOf(gate: Gate): string {
  return [gate.n, gate.state, gate.sqlstate, gate.tags.join('; ')]
    .filter((part) => part !== undefined && part !== '')
    .join(' ');
}

export const Z = (status = 'I'): Buffer => readyForQuery(status as 'I');
export const C = commandComplete;
/** ErrorResponse as the server sends it. */
export const E = (sqlstate: string, message = 'no'): Buffer =>
  errorResponse({ S: 'ERROR', V: 'ERROR', C: sqlstate, M: message, F: 'x.c', L: '1', R: 'f' });
export const ok = (letter: string): Buffer => rawFrame(letter);
/** The answer to a Bind's stand-in, the `n`th of the session. */
export const unknownStatement = (n: number): Buffer =>
  E('26000', `prepared statement "holdpoint_${n.toString(16).padStart(32, '0')}" does not exist`);
export const syntaxError = (n: number): Buffer =>
  E('42601', `syntax error at or near "holdpoint_${n.toString(16).padStart(32, '0')}"`);
export { parameterStatus };
