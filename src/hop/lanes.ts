// Lanes: rounds that the addon takes on without the session (native/lane.h), a lane a session. What JavaScript has to do
// with each is asked of it many at once: whether it may go, its records, and the word to go once they are in the file.
// Refuses to know what a round means and when it may go. Where there is no hop there are no lanes.

import { Descriptor, hopHere, onRounds, readOf } from './descriptor.ts';
import type { Hop } from './hop.ts';
import type { Line } from './line.ts';

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

/** Between transactions, within one, or within one that has written. */
export type Status = 'I' | 'T' | 'W';

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

/** One of the values of a round. `value`: a view that is written over later; undefined for NULL. */
export interface LaneValue {
  readonly index: number;
  readonly oid: number;
  readonly salt: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** Records of rounds and of outcomes, in order; an outcome by the seq that it is of. */
export interface LaneRecords {
  readonly briefs: readonly ('passed' | number)[];
  readonly bytesMax: number;
  readonly make: (block: Buffer, at: number, seq: number, ts: number, mono: number) => number;
}

/** Where a lane's records go. */
export interface LaneLog {
  /** Rounds are taken now. */
  readonly takes: boolean;
  /** No outcome is taken any more. */
  readonly isClosing: boolean;
  /** The outcome of that record is not wanted. */
  hasEnded(ref: number): boolean;
  /** Returns the seq of the first. `values`: of each round whose user keeps them. */
  adopt(records: LaneRecords, values: readonly (readonly LaneValue[] | undefined)[]): number;
  /** Writes what was adopted; true if all of it is in the file. Else `written` says when it is. */
  writeNow(): boolean;
  written(done: (error?: Error) => void): void;
  /** Settles once record `seq` and all before it are on disk. */
  durable(seq: number): Promise<void>;
}

/** Whose lane it is. */
export interface LaneUser {
  readonly log: LaneLog;
  /** The values of its rounds are put aside. */
  readonly keepsValues: boolean;
  /**
   * Whether a round of the form in that place may go now, as one went before: `no`, or once its record is in the file
   * (`kill`) or on disk (`disk`).
   */
  admits(place: number): 'no' | 'kill' | 'disk';
  /** A round is the server's, `seconds` after it came. */
  went(seconds: number): void;
  /** The server did not take all of a round whose record is in the file: the lane is to be shut. */
  stuck(): void;
  /** A record could not be written: nothing goes on. */
  failed(error: Error): void;
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

/** Of event kinds in native/lane.h. */
const voided = 0;
const round = 1;
const roundHead = 10;
const valueHead = 5;
/** Digits of the numbers in a line, all together, and a commitment with its quotes and comma. */
const numbersBytes = 8 * 20;
const commitmentBytes = 46;

/** The lane of one session. */
export class Lane {
  readonly #hop: Hop;
  readonly user: LaneUser;
  /** The client's descriptor. */
  readonly fd: number;
  /** -1 once one of its descriptors is closed. */
  #number: number;
  #isOpen = false;
  /** How it stood when that happened. */
  #last = shut;
  readonly #lineBytes: number[] = [];
  readonly #oids: (readonly number[])[] = [];

  constructor(hop: Hop, number: number, fd: number, user: LaneUser) {
    this.#hop = hop;
    this.#number = number;
    this.fd = fd;
    this.user = user;
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

  /** No round goes any more. Undefined if it was not open. */
  shut(): Standing | undefined {
    if (!this.#isOpen) return undefined;
    if (this.#number >= 0) flush(this.#hop);
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
    users[this.#number] = undefined;
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
/** By their numbers. */
const users: (Lane | undefined)[] = [];

/** A lane between two lines, shut; undefined where there is none. */
export function laneBetween(client: Line, server: Line, user: LaneUser): Lane | undefined {
  const hop = hopHere();
  if (hop === undefined || !(client instanceof Descriptor) || !(server instanceof Descriptor))
    return undefined;
  const number = hop.laneTake(client.fd, server.fd);
  if (number < 0) return undefined;
  const lane = new Lane(hop, number, client.fd, user);
  users[number] = lane;
  for (const end of [client, server]) end.onClosing(() => lane.cut());
  onRounds({ rounds, ended });
  return lane;
}

/** Rounds that go together, which came at `since`. */
class Going {
  readonly #since: number;
  /** The lane of each, and its number and the serial of its round. */
  readonly #lanes: Lane[] = [];
  readonly #rounds: number[] = [];

  constructor(since: number) {
    this.#since = since;
  }

  get isEmpty(): boolean {
    return this.#lanes.length === 0;
  }

  add(lane: Lane, number: number, serial: number): void {
    this.#lanes.push(lane);
    this.#rounds.push(number, serial);
  }

  /** Their records are as they must be. */
  go(hop: Hop): void {
    const count = this.#lanes.length;
    if (count === 0) return;
    const { numbers, bytes } = numbersOf(this.#rounds);
    const left = hop.laneGo(bytes, count);
    const stuck = left > 0 ? [...numbers.subarray(0, left)] : [];
    const seconds = (performance.now() - this.#since) / 1000;
    for (let at = 0; at < count; at += 1) {
      const lane = this.#lanes[at]!;
      if (lane.isOpen && users[this.#rounds[2 * at]!] === lane) lane.user.went(seconds);
    }
    for (const number of stuck) users[number]?.user.stuck();
  }

  fail(error: Error): void {
    // Whoever was cut meanwhile is not meant: another may have the number.
    for (const [at, lane] of this.#lanes.entries())
      if (users[this.#rounds[2 * at]!] === lane) lane.user.failed(error);
  }
}

/** Integers as the addon takes them; written over by the next. */
function numbersOf(rounds: readonly number[]): { numbers: Int32Array; bytes: Buffer } {
  if (passing.numbers.length < rounds.length) {
    const numbers = new Int32Array(2 * rounds.length);
    passing = { numbers, bytes: Buffer.from(numbers.buffer) };
  }
  for (let at = 0; at < rounds.length; at += 1) passing.numbers[at] = rounds[at]!;
  return passing;
}

let passing = { numbers: new Int32Array(0), bytes: Buffer.alloc(0) };

/** Events of one log, one after the other. */
class Gathering {
  readonly log: LaneLog;
  readonly #from: number;
  readonly #isTaking: boolean;
  readonly #briefs: ('passed' | number)[] = [];
  readonly #values: (readonly LaneValue[] | undefined)[] = [];
  #bytesMax = 0;
  /** By what their records are to be before: in the file, or on disk. */
  readonly #kill: Going;
  readonly #disk: Going;
  /** The seq of the last of all. */
  #last = -1;

  /** `from`: the first of them; `since`: when they were told. */
  constructor(log: LaneLog, from: number, since: number) {
    this.log = log;
    this.#from = from;
    this.#isTaking = log.takes;
    this.#kill = new Going(since);
    this.#disk = new Going(since);
  }

  /** False if the round is not to go. */
  round(lane: Lane, at: number, ints: Int32Array): boolean {
    const place = ints[at + 3]!;
    const { user } = lane;
    const how = this.#isTaking ? user.admits(place) : 'no';
    if (how === 'no') return false;
    if (user.keepsValues) this.#values[this.#briefs.length] = valuesAt(at, ints, lane.oids(place));
    this.#briefs.push('passed');
    this.#bytesMax += lane.lineBytes(place);
    (how === 'kill' ? this.#kill : this.#disk).add(lane, ints[at + 2]!, ints[at + 8]!);
    return true;
  }

  /** False if it is not to be recorded. */
  outcome(lane: Lane, at: number, ints: Int32Array, doubles: Float64Array): boolean {
    const ref = doubles[(at + 4) >> 1]!;
    if (this.log.isClosing || this.log.hasEnded(ref)) return false;
    this.#briefs.push(ref);
    this.#bytesMax += lane.lineBytes(ints[at + 3]!);
    return true;
  }

  /** Chains them. */
  record(hop: Hop, to: number): void {
    if (this.#briefs.length === 0) return;
    const from = this.#from;
    const make: LaneRecords['make'] = (block, at, seq, ts, mono) =>
      hop.laneMake(block, at, from, to, seq, ts, mono);
    const records = { briefs: this.#briefs, bytesMax: this.#bytesMax, make };
    this.#last = this.log.adopt(records, this.#values) + this.#briefs.length - 1;
    if (!this.#kill.isEmpty || !this.#disk.isEmpty) waiting.push(this);
  }

  /** Lets the rounds go as soon as their records are as they must be. */
  release(hop: Hop): void {
    const kill = this.#kill;
    const disk = this.#disk;
    if (this.log.writeNow()) kill.go(hop);
    else if (!kill.isEmpty)
      this.log.written((error) => (error === undefined ? kill.go(hop) : kill.fail(error)));
    if (disk.isEmpty) return;
    this.log.durable(this.#last).then(
      () => disk.go(hop),
      (error: Error) => disk.fail(error),
    );
  }
}

/** Those with rounds in them, of the present call of the addon. */
let waiting: Gathering[] = [];

/** What happened in lanes, in order. A round that does not go comes to its session as if there were no lane. */
function rounds(to: number): void {
  const hop = hopHere()!;
  const { ints, doubles } = viewsOf(hop);
  const returned: { readonly fd: number; readonly at: number }[] = [];
  let gathering: Gathering | undefined;
  const since = performance.now();
  for (let at = 0; at < to; at += ints[at + 1]!) {
    const lane = users[ints[at + 2]!]!;
    if (gathering?.log !== lane.user.log) {
      gathering?.record(hop, at);
      gathering = new Gathering(lane.user.log, at, since);
    }
    if (ints[at] !== round) {
      if (!gathering.outcome(lane, at, ints, doubles)) ints[at] = voided;
    } else if (!gathering.round(lane, at, ints)) {
      ints[at] = voided;
      hop.laneUndo(ints[at + 2]!);
      returned.push({ fd: lane.fd, at });
    }
  }
  gathering?.record(hop, to);
  for (const { fd, at } of returned) readOf(fd, ints[at + 6]!, ints[at + 7]!);
}

/** All that came in the same call was seen: one write has the records of all of it. */
function ended(): void {
  const hop = hopHere()!;
  const all = waiting;
  waiting = [];
  for (const gathering of all) gathering.release(hop);
}

/** Has told what was not yet: outcomes, for rounds are told at once. */
function flush(hop: Hop): void {
  const pending = hop.lanePending();
  if (pending > 0) rounds(pending);
}

interface Views {
  readonly hop: Hop;
  readonly ints: Int32Array;
  readonly doubles: Float64Array;
}

let views: Views | undefined;

function viewsOf(hop: Hop): Views {
  if (views?.hop === hop) return views;
  const { buffer, byteOffset, length } = hop.rounds;
  const ints = new Int32Array(buffer, byteOffset, length / 4);
  views = { hop, ints, doubles: new Float64Array(buffer, byteOffset, length / 8) };
  return views;
}

function valuesAt(at: number, ints: Int32Array, oids: readonly number[]): LaneValue[] {
  const values: LaneValue[] = [];
  let from = at + roundHead;
  for (const [index, oid] of oids.entries()) {
    const bytes = ints[from]!;
    const start = ints.byteOffset + 4 * (from + valueHead);
    const salt = new Uint8Array(ints.buffer, ints.byteOffset + 4 * (from + 1), 16);
    values.push({
      index,
      oid,
      salt,
      value: bytes < 0 ? undefined : new Uint8Array(ints.buffer, start, bytes),
    });
    from += valueHead + (bytes > 0 ? Math.ceil(bytes / 4) : 0);
  }
  return values;
}
