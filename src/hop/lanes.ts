// Lanes: what JavaScript has to do with the rounds that the addon takes on without the session (native/lane.h), asked of it
// many at once: whether they may go, their records, and the word to go once they are in the file; and what was recorded
// without asking (pens.ts). Refuses to know what a round means and when it may go. Where there is no hop there are no lanes.

import { Descriptor, hopHere, onRounds, readOf } from './descriptor.ts';
import type { Hop } from './hop.ts';
import { type Admission, Lane, type LaneEnds, type LaneUser } from './lane.ts';
import { type LaneLog, type LaneRecords, type LaneValue, passedBrief } from './lane-log.ts';
import type { Line } from './line.ts';
import { Numbers } from './numbers.ts';
import { allPens, Pen, type PenEnds } from './pens.ts';

/** Of event kinds in native/lines.h; those with a line already come first, and from `gone` on. */
const voided = 0;
const round = 1;
const gone = 3;
const left = 4;
const unwritten = 5;
const ended = 6;
const waits = 7;
const freed = 8;
const unsynced = 9;
const roundHead = 12;
const valueHead = 5;

interface Entry {
  readonly lane: Lane;
  readonly pen: Pen | undefined;
}

/** By their numbers. */
const entries: (Entry | undefined)[] = [];

/** What the next rounds of a form and session may do without being asked about: lane.h has the numbers. */
const grants = { none: 0, onceWritten: 1, onceSynced: 2 };

function grantOf(how: Admission, { keepsValues }: LaneUser): number {
  if (how === 'kill') return grants.onceWritten;
  // Values that are put aside are synced by the log.
  return how === 'disk' && !keepsValues ? grants.onceSynced : grants.none;
}

const laneEnds: LaneEnds = {
  fed() {
    flush(hopHere()!);
    released();
  },
  flush: () => flush(hopHere()!),
  gone(number) {
    const pen = entries[number]?.pen;
    entries[number] = undefined;
    pen?.drop();
  },
};

/**
 * A lane between two lines, shut; undefined where there is none. A client that is no descriptor, one behind TLS, has what it
 * sends fed to the lane.
 */
export function laneBetween(client: Line, server: Line, user: LaneUser): Lane | undefined {
  const hop = hopHere();
  if (hop === undefined || !(server instanceof Descriptor)) return undefined;
  const pen = Pen.of(hop, user.log, penEnds);
  const fd = client instanceof Descriptor ? client.fd : -1;
  const number = hop.laneTake(fd, server.fd, pen?.number ?? -1);
  if (number < 0) {
    pen?.drop();
    return undefined;
  }
  const lane = new Lane(hop, number, fd, user, laneEnds);
  entries[number] = { lane, pen };
  for (const end of [client, server]) if (end instanceof Descriptor) end.onClosing(() => lane.cut());
  onRounds({ rounds, ended: released, answered });
  isUsed = true;
  return lane;
}

function answered(number: number, bytes: Buffer): void {
  entries[number]?.lane.user.answered(bytes);
}

/** There are lanes. */
let isUsed = false;

/** What rounds that may go rest on is not what it was: every lane is asked about the next one. */
export function revokeRounds(): void {
  if (isUsed) hopHere()!.laneRevoke();
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
      if (lane.isOpen && entries[this.#rounds[2 * at]!]?.lane === lane) lane.user.went(seconds);
    }
    for (const number of stuck) entries[number]?.lane.user.stuck();
  }

  fail(error: Error): void {
    // Whoever was cut meanwhile is not meant: another may have the number.
    for (const [at, lane] of this.#lanes.entries())
      if (entries[this.#rounds[2 * at]!]?.lane === lane) lane.user.failed(error);
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

/** Events of one log that have no line yet, one after the other. */
class Gathering {
  readonly log: LaneLog;
  readonly #from: number;
  readonly #isTaking: boolean;
  readonly #briefs = new Numbers();
  readonly #values: (readonly LaneValue[] | undefined)[] = [];
  #bytesMax = 0;
  /** By what their records are to be before: in the file, on disk, or sealed there. */
  readonly #kill: Going;
  readonly #disk: Going;
  readonly #seal: Going;
  /** The seq of the last of all. */
  #last = -1;

  /** `from`: the first of them; `since`: when they were told. */
  constructor(log: LaneLog, from: number, since: number) {
    this.log = log;
    this.#from = from;
    this.#isTaking = log.takes;
    this.#kill = new Going(since);
    this.#disk = new Going(since);
    this.#seal = new Going(since);
  }

  /** False if the round is not to go. */
  round(lane: Lane, at: number, ints: Int32Array): boolean {
    const place = ints[at + 3]!;
    const { user } = lane;
    const how = this.#isTaking ? user.admits(place) : 'no';
    if (how === 'no') return false;
    user.passed(place);
    if (user.keepsValues) this.#values[this.#briefs.length] = valuesAt(at, ints, lane.oids(place));
    this.#briefs.push(passedBrief);
    this.#bytesMax += lane.lineBytes(place);
    const isKill = how === 'kill';
    (isKill ? this.#kill : how === 'disk' ? this.#disk : this.#seal).add(lane, ints[at + 2]!, ints[at + 8]!);
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
    const records = { briefs: this.#briefs.take(), bytesMax: this.#bytesMax, make };
    this.#last = this.log.adopt(records, this.#values) + records.briefs.length - 1;
    if (!this.#kill.isEmpty || !this.#disk.isEmpty || !this.#seal.isEmpty) waiting.push(this);
  }

  /** Lets the rounds go as soon as their records are as they must be. */
  release(hop: Hop): void {
    if (this.log.writeNow()) this.#kill.go(hop);
    else goOnceWritten(hop, this.log, this.#kill);
    const [disk, seal] = [this.#disk, this.#seal];
    if (!disk.isEmpty) goOnce(hop, this.log.synced(this.#last), disk);
    if (!seal.isEmpty) goOnce(hop, this.log.durable(this.#last), seal);
  }
}

function goOnce(hop: Hop, isSo: Promise<void>, going: Going): void {
  isSo.then(
    () => going.go(hop),
    (error: Error) => going.fail(error),
  );
}

function goOnceWritten(hop: Hop, log: LaneLog, going: Going): void {
  if (!going.isEmpty) log.written((error) => (error === undefined ? going.go(hop) : going.fail(error)));
}

/** Those with rounds in them, of the present call of the addon. */
let waiting: Gathering[] = [];
/** Whose round went in part; and those whose records a pen could not write, by their log. */
let stuck: Lane[] = [];
let unwrittens = new Map<LaneLog, Going>();
/** Those that the disk did not confirm to a pen, by their log, with the seq of the last of them. */
let unsynceds = new Map<LaneLog, { readonly going: Going; last: number }>();

/** What happened in lanes, in order. A round that does not go comes to its session as if there were no lane. */
function rounds(to: number): void {
  const hop = hopHere()!;
  const { ints, doubles } = viewsOf(hop);
  const returned: { readonly fd: number; readonly at: number }[] = [];
  const asked = new Set<number>();
  let gathering: Gathering | undefined;
  const since = performance.now();
  for (let at = settled(to, ints, doubles, since, asked); at < to; at += ints[at + 1]!) {
    const { lane } = entries[ints[at + 2]!]!;
    if (gathering?.log !== lane.user.log) {
      gathering?.record(hop, at);
      gathering = new Gathering(lane.user.log, at, since);
    }
    if (ints[at] !== round) {
      if (!gathering.outcome(lane, at, ints, doubles)) ints[at] = voided;
    } else if (!gathering.round(lane, at, ints)) {
      ints[at] = voided;
      hop.laneUndo(ints[at + 2]!);
      if (lane.fd < 0) lane.undo();
      else returned.push({ fd: lane.fd, at });
    } else asked.add(ints[at + 2]!);
  }
  gathering?.record(hop, to);
  if (asked.size > 0) grant(hop, asked);
  for (const { fd, at } of returned) readOf(fd, ints[at + 6]!, ints[at + 7]!);
}

/**
 * Says of all forms of these lanes whether their next rounds may go, since what is asked about one of them is true of most:
 * a transaction of seven statements is not asked about seven times. After all that may have made it untrue.
 */
function grant(hop: Hop, lanes: ReadonlySet<number>): void {
  const granted: number[] = [];
  for (const number of lanes) {
    const user = entries[number]?.lane.user;
    if (user === undefined || !user.log.takes) continue;
    for (let place = 0; place < user.places; place += 1) {
      const how = grantOf(user.admitsStill(place), user);
      if (how !== grants.none) granted.push(number, place, how);
    }
  }
  if (granted.length > 0) hop.laneGrant(numbersOf(granted).bytes, granted.length / 3);
}

/**
 * Gives logs back what pens have, with what was written with them. Returns where events begin that have no line yet. `asked`:
 * lanes of which is to be said again that their rounds may go.
 */
function settled(
  to: number,
  ints: Int32Array,
  doubles: Float64Array,
  since: number,
  asked: Set<number>,
): number {
  let at = 0;
  for (const pen of allPens()) pen.take();
  for (; at < to && ints[at]! >= gone; at += ints[at + 1]!) {
    const { lane, pen } = entries[ints[at + 2]!]!;
    const kind = ints[at]!;
    if (kind === ended) {
      pen!.record(doubles[(at + 4) >> 1]!, undefined);
      continue;
    }
    const { user } = lane;
    if (kind === freed) {
      user.went(ints[at + 4]! / 1e9);
      if (ints[at + 5] === 0) stuck.push(lane);
      continue;
    }
    if (kind === unsynced) {
      pen!.unsynced();
      awaitDisk(lane, ints[at + 2]!, ints[at + 6]!, doubles[(at + 4) >> 1]!, since);
      continue;
    }
    const place = ints[at + 3]!;
    user.passed(place);
    if (ints[at + 7] !== 0) asked.add(ints[at + 2]!);
    pen!.record(passedBrief, user.keepsValues ? valuesAt(at, ints, lane.oids(place)) : undefined);
    if (kind === waits) {
      if (ints[at + 6] !== 0) awaitDisk(lane, ints[at + 2]!, ints[at + 8]!, doubles[(at + 10) >> 1]!, since);
      continue;
    }
    if (kind !== unwritten) user.went(ints[at + 10]! / 1e9);
    if (kind === left) stuck.push(lane);
    if (kind === unwritten) {
      const going = unwrittens.get(user.log) ?? new Going(since);
      going.add(lane, ints[at + 2]!, ints[at + 8]!);
      unwrittens.set(user.log, going);
    }
  }
  for (const pen of allPens()) pen.settle();
  return at;
}

/** The log is to be asked when record `ref` is on disk. */
function awaitDisk(lane: Lane, number: number, serial: number, ref: number, since: number): void {
  const { log } = lane.user;
  const late = unsynceds.get(log) ?? { going: new Going(since), last: ref };
  late.going.add(lane, number, serial);
  late.last = Math.max(late.last, ref);
  unsynceds.set(log, late);
}

/** All that came in the same call was seen: one write has the records of all of it. */
function released(): void {
  const hop = hopHere()!;
  const [all, parts, late, lost] = [waiting, stuck, unwrittens, unsynceds];
  waiting = [];
  stuck = [];
  if (late.size > 0) unwrittens = new Map();
  if (lost.size > 0) unsynceds = new Map();
  for (const gathering of all) gathering.release(hop);
  for (const lane of parts) if (lane.isOpen) lane.user.stuck();
  for (const [log, going] of late) goOnceWritten(hop, log, going);
  for (const [log, { going, last }] of lost) goOnce(hop, log.synced(last), going);
  for (const pen of allPens()) pen.lend();
}

const penEnds: PenEnds = {
  recall: () => rounds(hopHere()!.lanePending()),
  abandon(number) {
    const hop = hopHere()!;
    flush(hop);
    hop.penAbandon(number);
    flush(hop);
    released();
  },
};

/** Has told what was not yet: outcomes, and what was recorded; for other rounds are told at once. */
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
