// Rounds: repetitions of a prepared read that go by the session's lane, without the session: it judged the same before, and
// nothing has happened to it since. Learns them from what the session let pass, takes care that nothing of it is looked at
// while the lane is open, and tells it then what went meanwhile. Refuses to judge. Source: docs/cost.md; wire.md §2.

import type { Spelling } from '../audit/frequent.ts';
import type { StatementBody } from '../audit/record.ts';
import type { HoldpointError } from '../errors.ts';
import {
  formsMax,
  type Lane,
  type LaneLog,
  type LaneUser,
  laneBetween,
  roundBytesMax,
  type Standing,
  valuesMax,
} from '../hop/lanes.ts';
import type { Line } from '../hop/line.ts';
import type { Policy } from '../policy/rules.ts';
import type { Gate } from '../session/gate.ts';
import type { Session } from '../session/session.ts';
import { frontendType } from '../wire/messages/frontend.ts';
import { readRound } from '../wire/round.ts';
import type { RepeatBook } from './book.ts';

export interface RoundsLog extends LaneLog {
  /** What stands between the values of the lines of such a statement. */
  spelling(body: StatementBody): Spelling;
}

export interface RoundsOptions {
  readonly client: Line;
  readonly server: Line;
  readonly session: Session;
  readonly book: RepeatBook;
  readonly log: RoundsLog;
  /** Nothing waits on either side, and nothing is read in part. */
  readonly isQuiet: () => boolean;
  /** The last record of the lane's is `ref`; of a round under way, `bytes` are not the server's yet. */
  readonly resumed: (ref: number, underWay?: { bytes: Buffer | undefined; isWritten: boolean }) => void;
  readonly failed: (error: HoldpointError) => void;
}

/** What is repeated. */
interface Repeated {
  readonly gate: Gate;
  readonly policy: Policy;
  readonly isDescribed: boolean;
  readonly prefix: Buffer;
  readonly suffix: Buffer;
}

/** A round on its way through the session, by itself. */
interface Candidate {
  readonly bytes: Buffer;
  readonly policy: Policy;
  gate: Gate | undefined;
}

/** Characters of a line's pieces; a longer text is recorded at leisure. */
const spelledMax = 8192;
/** Rounds that go through the session after ones whose answers were not for the lane, at most. */
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
  /** Rounds that still go through the session, and how many will the next time. */
  #pause = 0;
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

  admits(place: number): boolean {
    const { session, book } = this.#options;
    const { gate, policy } = this.#repeated[place]!;
    if (!session.mayRepeat(gate, policy)) return false;
    book.passed(gate);
    return true;
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

  /** Shuts the lane: the session has the connection, and what went meanwhile. Before anything else looks at it. */
  leave(): void {
    const standing = this.#lane?.shut();
    if (standing !== undefined) this.#take(standing);
  }

  /** The client sent this, and the session is about to see it. */
  comes(bytes: Buffer): void {
    const { session, isQuiet } = this.#options;
    this.#candidate = undefined;
    const isAlone = bytes[0] === frontendType.bind && bytes.length <= roundBytesMax && !this.#isReturning;
    this.#isReturning = false;
    if (isAlone && isQuiet() && session.settled) {
      this.#hear();
      this.#candidate = { bytes, policy: session.policy, gate: undefined };
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
  answered(): void {
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
    if (candidate !== undefined && this.#pause > 0) {
      this.#pause -= 1;
      return;
    }
    if (isReturning || (candidate !== undefined && this.#learn(candidate))) this.#open();
    else this.#forget();
  }

  #take({ state, rounds, place, ref, milliseconds, bytes }: Standing): void {
    const { session, resumed } = this.#options;
    if (rounds === 0) return;
    if (state === 'idle') {
      session.repeated(rounds);
      resumed(ref);
      return;
    }
    // A lane that is left again and again costs more than it saves.
    if (rounds > this.#nextPause) this.#nextPause = 1;
    else this.#nextPause = Math.min(pauseMax, this.#nextPause * 2);
    this.#pause = this.#nextPause - 1;
    session.repeated(rounds - 1);
    const { gate, isDescribed } = this.#repeated[place]!;
    session.repeats(gate, ref, isDescribed, performance.now() - milliseconds);
    this.#isReturning = true;
    resumed(ref, { bytes, isWritten: state !== 'staged' });
  }

  #open(): void {
    if (this.#pause > 0) return;
    this.#lane?.open(this.#options.session.gates);
  }

  /** False if it cannot be repeated by the lane. */
  #learn({ bytes, gate, policy }: Candidate): boolean {
    const { client, server, session, book, log } = this.#options;
    if (gate === undefined || policy !== session.policy || !session.isRepeatable(gate)) return false;
    const round = readRound(bytes);
    const alike = round && book.alike(gate);
    if (round === undefined || alike === undefined) return false;
    const { body, literals, keepsValues } = alike;
    const spelling = log.spelling(body);
    const pieces = [...spelling.stmt, ...spelling.outcome];
    if (pieces.reduce((sum, piece) => sum + piece.length, 0) > spelledMax) return false;
    if (literals.length + round.parameters > valuesMax) return false;
    if (literals.reduce((sum, { length }) => sum + length, 0) > roundBytesMax) return false;
    this.#lane ??= laneBetween(client, server, this);
    const { prefix, suffix, isDescribed } = round;
    const known = this.#repeated.findIndex((one) => one.prefix.equals(prefix) && one.suffix.equals(suffix));
    const place = known >= 0 ? known : this.#learned % formsMax;
    const parameters = Array.from({ length: round.parameters }, (_, at) => gate.parameterTypes[at] ?? 0);
    const oids = [...literals.map(() => 0), ...parameters];
    if (this.#lane?.learn(place, { ...round, literals, oids, ...spelling }) !== true) return false;
    if (known < 0) this.#learned += 1;
    this.#keepsValues = keepsValues;
    this.#repeated[place] = { gate, policy, isDescribed, prefix, suffix };
    return true;
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
