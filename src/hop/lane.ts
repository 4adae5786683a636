// Lane: the way of one session's rounds past the session (native/lane.h): the forms that it knows, and whether it is open.
// Refuses to know what a round means, when it may go, and what becomes of it.

import type { Hop } from './hop.ts';
import type { LaneLog } from './lane-log.ts';

/** What a round is like, and what its records say. Bytes are copied when they are handed over. */
export interface Form {
  readonly shape: FormShape;
  /** Where it stands, and where it leads. */
  readonly from: Status;
  readonly to: Status;
  /** Its command tag, up to the number that ends it, if one does. */
  readonly tag: string;
  readonly isCounted: boolean;
  /** Bytes of its text; of a Query, counted anew each time. */
  readonly textBytes: number;
  /** Type OIDs of all values. */
  readonly oids: readonly number[];
  /** What stands between the values of its lines. */
  readonly stmt: readonly string[];
  readonly outcome: readonly string[];
}

/** Between transactions, within one, within one that has written, or within one that has destroyed. */
export type Status = 'I' | 'T' | 'W' | 'D';

export type FormShape =
  /** As Round of wire has it. `literals`: values that its text has, which come before its parameters. */
  | (Round & { readonly literals: readonly Uint8Array[] })
  /** A Query: what stands in front of, between and behind its integers. */
  | { readonly query: readonly Uint8Array[] };

interface Round {
  readonly lead: Uint8Array;
  readonly prefix: Uint8Array;
  readonly suffix: Uint8Array;
  readonly bindBytes: number;
  readonly isDescribed: boolean;
}

/** Whether a round may go, and what its record must be before. */
export type Admission = 'no' | 'kill' | 'disk' | 'seal';

/** Whose lane it is. */
export interface LaneUser {
  readonly log: LaneLog;
  /** The values of its rounds are put aside. */
  readonly keepsValues: boolean;
  /** How many forms it has: one in each place below that. */
  readonly places: number;
  /**
   * Whether a round of the form in that place may go now, as one went before: `no`, or once its record is in the file
   * (`kill`), on disk (`disk`), or sealed there (`seal`). With `kill` and `disk`, so may the next ones for a moment, unless
   * `revokeRounds` is called.
   */
  admits(place: number): Admission;
  /** The same of the next rounds, of each form of a lane that is in use: none waits for the answer. */
  admitsStill(place: number): Admission;
  /** A round of the form in that place goes. Of one that is admitted, and of those like it that went then unasked. */
  passed(place: number): void;
  /** A round is the server's, `seconds` after it came. */
  went(seconds: number): void;
  /** The server did not take all of a round whose record is in the file: the lane is to be shut. */
  stuck(): void;
  /** A record could not be written: nothing goes on. */
  failed(error: Error): void;
  /** Of a client that is no descriptor: it is to be given this, the answer to its round, before anything else. */
  answered(bytes: Buffer): void;
}

/** How a lane stood when it was shut. */
export interface Standing {
  /** `staged`: a round waits for its record to be in the file. `stuck`: it is. `flight`: the server has it. */
  readonly state: 'idle' | 'staged' | 'stuck' | 'flight';
  /** Begun since the lane was opened. */
  readonly rounds: number;
  /** Of the last of them, where there is one: the place of its form, and the seq of its record. */
  readonly place: number;
  readonly ref: number;
  /** The place of the form of the last one that was answered and had a Parse; -1. */
  readonly lead: number;
  /** Behind the last answer. */
  readonly status: Status;
  /** Of the one under way: since when, and what the server does not have of it. */
  readonly milliseconds: number;
  readonly bytes: Buffer | undefined;
}

/** Forms that a lane knows at a time; values of a round; bytes of a round, and of the values of a text. */
export const formsMax = 16;
export const valuesMax = 32;
export const roundBytesMax = 4096;

const nothing = Buffer.alloc(0);
const noRound: Round = { lead: nothing, prefix: nothing, suffix: nothing, bindBytes: 0, isDescribed: false };

/** What becomes of what is fed: native/hop.c has the numbers. */
const feeds = { taken: 1, told: 2 };

const states = ['idle', 'idle', 'staged', 'stuck', 'flight'] as const;
const shut: Standing = {
  state: 'idle',
  rounds: 0,
  place: -1,
  ref: -1,
  lead: -1,
  status: 'I',
  milliseconds: 0,
  bytes: undefined,
};

/** Of a lane, whoever tells lanes apart. */
export interface LaneEnds {
  /** A round that was fed waits to be told. */
  fed(): void;
  /** Has what happened in lanes told that was not told yet. */
  flush(): void;
  /** The lane of that number is none any more. */
  gone(number: number): void;
}

/** Digits of the numbers in a line, all together, and a commitment with its quotes and comma. */
const numbersBytes = 8 * 20;
const commitmentBytes = 46;

/** The lane of one session. */
export class Lane {
  readonly #hop: Hop;
  readonly user: LaneUser;
  /** The client's descriptor; -1 if it is none. */
  readonly fd: number;
  /** -1 once one of its descriptors is closed. */
  #number: number;
  #isOpen = false;
  /** How it stood when that happened. */
  #last = shut;
  /** What was fed just now is no round that may go. */
  #isUndone = false;
  readonly #lineBytes: number[] = [];
  readonly #oids: (readonly number[])[] = [];

  readonly #ends: LaneEnds;

  constructor(hop: Hop, number: number, fd: number, user: LaneUser, ends: LaneEnds) {
    this.#hop = hop;
    this.#number = number;
    this.fd = fd;
    this.user = user;
    this.#ends = ends;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Rounds of this form may go while it is open; it takes the place of the one there. False if it cannot be had. */
  learn(place: number, form: Form): boolean {
    const { shape, oids } = form;
    const isQuery = 'query' in shape;
    const round = isQuery ? noRound : shape;
    const texts = isQuery ? shape.query : shape.literals;
    const lines = [...form.stmt, ...form.outcome].map((piece) => Buffer.from(piece));
    const pieces = [round.lead, round.prefix, round.suffix, Buffer.from(form.tag), ...lines];
    const head = [
      ...[isQuery ? 1 : 0, round.isDescribed ? 1 : 0, round.bindBytes, form.textBytes],
      ...[isQuery ? 0 : texts.length, form.from.charCodeAt(0), form.to.charCodeAt(0), form.isCounted ? 1 : 0],
      ...pieces.map(({ length }) => length),
      ...[oids.length, ...oids.map((oid) => oid | 0)],
      ...texts.map(({ length }) => length),
    ];
    const bytes = Buffer.concat([Buffer.from(Int32Array.from(head).buffer), ...pieces, ...texts]);
    if (this.#number < 0 || !this.#hop.laneLearn(this.#number, place, bytes)) return false;
    const said = lines.reduce((sum, { length }) => sum + length, 0);
    this.#lineBytes[place] = said + oids.length * commitmentBytes + numbersBytes;
    this.#oids[place] = oids;
    return true;
  }

  /** It has no form any more. */
  forget(): void {
    if (this.#number >= 0) this.#hop.laneForget(this.#number);
  }

  /** Rounds may go from now on. `n`: ordinal of the session's last statement; `status`: where it stands. */
  open(n: number, status: Status): void {
    if (this.#number < 0) return;
    this.#hop.laneOpen(this.#number, n, status.charCodeAt(0));
    this.#isOpen = true;
  }

  /** What the client sent, if it is no descriptor. False if that is the session's to see. */
  feed(bytes: Buffer): boolean {
    if (!this.#isOpen || this.#number < 0 || this.fd >= 0) return false;
    const how = this.#hop.laneFeed(this.#number, bytes);
    if (how !== feeds.told) return how === feeds.taken;
    this.#isUndone = false;
    this.#ends.fed();
    return !this.#isUndone;
  }

  /** What was fed is the session's all the same. */
  undo(): void {
    this.#isUndone = true;
  }

  /** No round goes any more. Undefined if it was not open. */
  shut(): Standing | undefined {
    if (!this.#isOpen) return undefined;
    if (this.#number >= 0) this.#ends.flush();
    this.#isOpen = false;
    if (this.#number < 0) return this.#last;
    const bytes = this.#hop.laneShut(this.#number, told);
    const [state = 0, rounds = 0, place = -1, ref = -1, micros = 0, lead = -1, code = 0] = tells;
    const status = String.fromCharCode(code) as Status;
    const milliseconds = micros / 1000;
    return { state: states[state] ?? 'idle', rounds, place, ref, lead, status, milliseconds, bytes };
  }

  /** One of its descriptors is about to be closed. */
  cut(): void {
    if (this.#number < 0) return;
    const isOpen = this.#isOpen;
    this.#last = this.shut() ?? shut;
    this.#isOpen = isOpen;
    this.#ends.gone(this.#number);
    this.#number = -1;
  }

  /** A round of the form in that place, and its outcome, at most. */
  lineBytes(place: number): number {
    return this.#lineBytes[place] ?? 0;
  }

  oids(place: number): readonly number[] {
    return this.#oids[place] ?? [];
  }
}

const told = Buffer.alloc(7 * 8);
const tells = new Float64Array(told.buffer, told.byteOffset, 7);
