// Rounds: repetitions of a statement that go by the session's lane, without the session: it judged the same before, and
// nothing has happened to it since. Learns them from what the session let pass, takes care that nothing of it is looked at
// while the lane is open, and tells it then what went meanwhile. Refuses to judge. Source: docs/cost.md; wire.md §2.

import type { Spelling } from '../audit/frequent.ts';
import type { StatementBody } from '../audit/record.ts';
import type { HoldpointError } from '../errors.ts';
import {
  type Admission,
  type FormShape,
  formsMax,
  type Lane,
  type LaneUser,
  roundBytesMax,
  type Standing,
  valuesMax,
} from '../hop/lane.ts';
import type { LaneLog } from '../hop/lane-log.ts';
import { laneBetween } from '../hop/lanes.ts';
import type { Line } from '../hop/line.ts';
import type { Policy } from '../policy/rules.ts';
import type { Gate } from '../session/gate.ts';
import type { Prepared } from '../session/prepared.ts';
import { type RepeatStatus, type Repetition, tagOf } from '../session/repeat.ts';
import type { Session } from '../session/session.ts';
import type { Cut } from '../sql/stencil.ts';
import { typeTable } from '../wire/framer.ts';
import { frontendType } from '../wire/messages/frontend.ts';
import { readOneQuery, readRound } from '../wire/round.ts';
import type { RepeatBook } from './book.ts';
import type { UnderWay } from './uplink.ts';

export interface RoundsLog extends LaneLog {
  /** What stands between the values of the lines of such a statement, whose command tag begins like that. */
  spelling(body: StatementBody, tag: string): Spelling;
}

export interface RoundsOptions {
  readonly client: Line;
  readonly server: Line;
  readonly session: Session;
  readonly book: RepeatBook;
  readonly log: RoundsLog;
  /** Nothing waits on either side, and nothing is read in part. */
  readonly isQuiet: () => boolean;
  /** As of Analyzer. */
  readonly cutsOf: (sql: Buffer) => readonly Cut[];
  /** The last record of the lane's is `ref`. */
  readonly resumed: (ref: number, underWay?: UnderWay) => void;
  readonly failed: (error: HoldpointError) => void;
  /** The client is to be given this, whole answers of the server's. */
  readonly answers: (bytes: Buffer) => void;
}

/** What is repeated. */
interface Repeated extends Repetition {
  readonly policy: Policy;
  /** Tells it from others. */
  readonly key: string;
}

/** A candidate as the lane is to know it, and as the session knows it. */
interface Learned {
  readonly shape: FormShape;
  readonly oids: readonly number[];
  readonly isDescribed: boolean;
  readonly prepared: Prepared | undefined;
}

/** A round on its way through the session, by itself. */
interface Candidate {
  readonly bytes: Buffer;
  readonly policy: Policy;
  readonly from: RepeatStatus;
  gate: Gate | undefined;
}

/** First frames of what may be repeated. */
const begins = typeTable('PBQ');
/** Characters of a line's pieces; a longer text is recorded at leisure. */
const spelledMax = 8192;
/** Candidates that are let be after one that came to nothing, at most; one at first. */
const pauseMax = 256;

export class Rounds implements LaneUser {
  readonly #options: RoundsOptions;
  #lane: Lane | undefined;
  #repeated: Repeated[] = [];
  /** Statements learned since all were forgotten; the next takes the place of the oldest. */
  #learned = 0;
  #candidate: Candidate | undefined;
  /** A round that the lane began is answered through the session. */
  #isReturning = false;
  #keepsValues = false;
  /** What the session had heard besides answers when all that is repeated was judged. */
  #asides = 0;
  /** Statements so far of the transaction that is open. */
  #gates = 0;
  /**
   * Candidates that are still let be, and how many will the next time. The first ones are: many sessions run a statement or
   * two, and what is learned takes memory.
   */
  #pause = 2;
  #nextPause = 1;

  constructor(options: RoundsOptions) {
    this.#options = options;
  }

  get log(): LaneLog {
    return this.#options.log;
  }

  get keepsValues(): boolean {
    return this.#keepsValues;
  }

  get places(): number {
    return this.#repeated.length;
  }

  admits(place: number): Admission {
    const { gate, policy } = this.#repeated[place]!;
    if (!this.#options.session.mayRepeat(gate, policy)) return 'no';
    // What answers wait for the disk is not repeated.
    return gate.durability === 'output' ? 'no' : gate.durability;
  }

  admitsStill(place: number): Admission {
    return this.admits(place);
  }

  passed(place: number): void {
    const { gate, from } = this.#repeated[place]!;
    this.#options.book.passed(gate);
    this.#gates = from === 'I' ? 1 : this.#gates + 1;
  }

  went(seconds: number): void {
    this.#options.book.overhead(seconds, 1);
  }

  stuck(): void {
    this.leave();
  }

  failed(error: Error): void {
    this.#options.failed(error as HoldpointError);
  }

  answered(bytes: Buffer): void {
    this.#options.answers(bytes);
  }

  /** What the client sent, if it is no descriptor, and before the session is looked at. True if it goes by the lane. */
  takes(bytes: Buffer): boolean {
    return this.#lane?.feed(bytes) === true;
  }

  /** Shuts the lane: the session has the connection, and what went meanwhile. Before anything else looks at it. */
  leave(): void {
    const standing = this.#lane?.shut();
    if (standing !== undefined) this.#take(standing);
  }

  /** The client sent this, and the session is about to see it. */
  comes(bytes: Buffer): void {
    const { session, isQuiet } = this.#options;
    this.#candidate = undefined;
    const isAlone = begins[bytes[0]!] === 1 && bytes.length <= roundBytesMax && !this.#isReturning;
    this.#isReturning = false;
    if (isAlone && isQuiet() && session.settled) {
      this.#hear();
      this.#candidate = { bytes, policy: session.policy, from: session.repeatStatus, gate: undefined };
    } else this.#forget();
  }

  /** A gate of what came is recorded and goes. */
  recorded(gate: Gate): void {
    const candidate = this.#candidate;
    if (candidate === undefined) return;
    if (candidate.gate === undefined) candidate.gate = gate;
    else this.#candidate = undefined;
  }

  /** The server said something, and the session has seen it. */
  heard(): void {
    const { session, isQuiet } = this.#options;
    if (this.#candidate === undefined && !this.#isReturning) {
      this.#forget();
      return;
    }
    if (session.busy) return;
    const candidate = this.#candidate;
    const isReturning = this.#isReturning;
    this.#candidate = undefined;
    this.#isReturning = false;
    if (!session.settled || !isQuiet() || !this.#hear()) {
      this.#forget();
      return;
    }
    if (isReturning && this.#pause === 0) this.#open();
    else if (this.#pause > 0) {
      this.#pause -= 1;
      this.#forget();
    } else if (candidate !== undefined && this.#learn(candidate)) this.#open();
    else {
      this.#forget();
      this.#rest();
    }
  }

  #take({ state, rounds, place, ref, lead, status, milliseconds, bytes }: Standing): void {
    const { session, resumed } = this.#options;
    if (rounds === 0) return;
    const parsed = this.#repeated[lead]?.prepared;
    if (rounds > this.#nextPause) this.#nextPause = 1;
    else if (state !== 'idle') this.#rest();
    if (state === 'idle') {
      session.repeated({ many: rounds, parsed, status, gates: this.#gates });
      resumed(ref);
      return;
    }
    const repetition = this.#repeated[place]!;
    session.repeated({ many: rounds - 1, parsed, status, gates: this.#gates - 1 });
    session.repeats(repetition, ref, performance.now() - milliseconds);
    this.#isReturning = true;
    const { durability } = repetition.gate;
    resumed(ref, { bytes, isWritten: state !== 'staged', durability });
  }

  /** To learn what cannot be repeated, or not for long, costs more than it saves. */
  #rest(): void {
    this.#pause = this.#nextPause;
    this.#nextPause = Math.min(pauseMax, this.#nextPause * 2);
  }

  #open(): void {
    const { gates, transactionGates, repeatStatus } = this.#options.session;
    this.#gates = transactionGates;
    this.#lane?.open(gates, repeatStatus);
  }

  /** False if it cannot be repeated by the lane. */
  #learn({ bytes, gate, policy, from }: Candidate): boolean {
    const { client, server, session, book, log } = this.#options;
    if (gate === undefined || policy !== session.policy || !session.isRepeatable(gate)) return false;
    const alike = book.alike(gate);
    const tag = tagOf(gate);
    if (alike === undefined || tag === undefined) return false;
    const { body, literals, keepsValues } = alike;
    const learned =
      bytes[0] === frontendType.query ? this.#query(bytes, literals) : this.#round(bytes, gate, literals);
    const to = session.repeatStatus;
    const spelling = log.spelling({ ...body, tx: from === 'I' ? 'I' : 'T' }, tag.text);
    const said = [...spelling.stmt, ...spelling.outcome].reduce((sum, piece) => sum + piece.length, 0);
    if (learned === undefined || said > spelledMax || learned.oids.length > valuesMax) return false;
    this.#lane ??= laneBetween(client, server, this);
    const { shape, oids } = learned;
    const key = `${from}${keyOf(shape)}`;
    const known = this.#repeated.findIndex((one) => one.key === key);
    const place = known >= 0 ? known : this.#learned % formsMax;
    const form = { shape, oids, from, to, tag: tag.text, isCounted: tag.isCounted, textBytes: body.len };
    if (this.#lane?.learn(place, { ...form, ...spelling }) !== true) return false;
    if (known < 0) this.#learned += 1;
    this.#keepsValues = keepsValues;
    const { isDescribed, prepared } = learned;
    this.#repeated[place] = { gate, policy, key, from, to, isDescribed, prepared };
    return true;
  }

  #round(bytes: Buffer, { parameterTypes }: Gate, literals: readonly Buffer[]): Learned | undefined {
    const round = readRound(bytes);
    if (round === undefined || literals.reduce((sum, { length }) => sum + length, 0) > roundBytesMax)
      return undefined;
    const prepared = round.lead.length > 0 ? this.#options.session.unnamed : undefined;
    if (round.lead.length > 0 && prepared === undefined) return undefined;
    const parameters = Array.from({ length: round.parameters }, (_, at) => parameterTypes[at] ?? 0);
    const oids = [...literals.map(() => 0), ...parameters];
    return { shape: { ...round, literals }, oids, isDescribed: round.isDescribed, prepared };
  }

  /** A Query whose literals are integers, or that has none. */
  #query(bytes: Buffer, literals: readonly Buffer[]): Learned | undefined {
    const sql = readOneQuery(bytes);
    if (sql === undefined) return undefined;
    const cuts = literals.length > 0 ? this.#options.cutsOf(sql) : [];
    if (cuts.length !== literals.length) return undefined;
    if (
      !cuts.every(
        ({ kind, start, end }, at) => kind === 'integer' && sql.subarray(start, end).equals(literals[at]!),
      )
    )
      return undefined;
    const query = cuts.map(({ start }, at) => sql.subarray(cuts[at - 1]?.end ?? 0, start));
    query.push(sql.subarray(cuts.at(-1)?.end ?? 0));
    return { shape: { query }, oids: cuts.map(() => 0), isDescribed: false, prepared: undefined };
  }

  #forget(): void {
    if (this.#repeated.length === 0) return;
    this.#repeated = [];
    this.#learned = 0;
    this.#lane?.forget();
  }

  /** False, once, if the session heard something besides answers: what was judged before counts no more. */
  #hear(): boolean {
    const { asides } = this.#options.session;
    if (asides === this.#asides) return true;
    this.#asides = asides;
    this.#forget();
    return false;
  }
}

function keyOf(shape: FormShape): string {
  const pieces = 'query' in shape ? shape.query : [shape.lead, shape.prefix, shape.suffix];
  return pieces.map((piece) => Buffer.from(piece).toString('latin1')).join('\0\0');
}
