// A lane between two connections of this machine, with a log that is kept in memory and a user who says what the test
// wants. Whatever arrives anywhere is gathered, so that a test can wait for so many bytes, wherever they come.

import type { EventEmitter } from 'node:events';
import type net from 'node:net';
import { spelling } from '../../src/audit/frequent.ts';
import type { Stamp, StatementBody } from '../../src/audit/record.ts';
import type { Descriptor } from '../../src/hop/descriptor.ts';
import type { Admission, Form, FormShape, Lane, LaneUser } from '../../src/hop/lane.ts';
import { type LaneLog, type LaneRecords, type LaneValue, passedBrief } from '../../src/hop/lane-log.ts';
import { laneBetween } from '../../src/hop/lanes.ts';
import { readyForQuery } from '../../src/wire/messages/backend.ts';
import { bind, describe, execute, parse, sync } from '../../src/wire/messages/frontend.ts';
import { readRound } from '../../src/wire/round.ts';
import { statement } from '../audit/fixture.ts';
import { bindComplete, commandComplete, dataRow, parseComplete, rowDescription } from '../support/frames.ts';
import { connected, type Pair } from './pair.ts';

/** Wakes those who wait for something whenever something has happened. */
class Changes {
  #waiting: { isSo: () => boolean; resolve: () => void }[] = [];

  tell(): void {
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ isSo }) => !isSo());
    for (const each of waiting) if (!this.#waiting.includes(each)) each.resolve();
  }

  async until(isSo: () => boolean): Promise<void> {
    if (isSo()) return;
    await new Promise<void>((resolve) => this.#waiting.push({ isSo, resolve }));
  }
}

/** A record as the log was given it. */
export interface Adopted {
  readonly seq: number;
  readonly brief: 'passed' | number;
  readonly line: string;
  readonly values: readonly LaneValue[] | undefined;
}

export const stamp: Omit<Stamp, 'seq'> = {
  prev: 'p'.repeat(43),
  ts: 1_700_000_000_000_001,
  mono: 12,
  node: 'holdpoint/test',
  boot: 'b',
};

/** What briefs say. */
export function spoken(briefs: LaneRecords['briefs']): ('passed' | number)[] {
  return [...briefs].map((brief) => (brief === passedBrief ? 'passed' : brief));
}

export class FakeLog implements LaneLog {
  takes = true;
  isClosing = false;
  /** What `writeNow` says. */
  isQuick = true;
  /** Everything is on disk at once. */
  isSealing = true;
  /** Those who wait for it. */
  readonly durables: { readonly seq: number; readonly done: (error?: Error) => void }[] = [];
  /** Statements that the log has ended itself. */
  readonly ended = new Set<number>();
  readonly records: Adopted[] = [];
  /** What it was asked, in order. */
  readonly calls: string[] = [];
  times: { seq: number; ts: number; mono: number } = { seq: 0, ts: stamp.ts, mono: stamp.mono };
  readonly changes = new Changes();
  #waiting: ((error?: Error) => void)[] = [];

  hasEnded(ref: number): boolean {
    return this.ended.delete(ref);
  }

  adopt(
    { briefs, bytesMax, make }: LaneRecords,
    values: readonly (readonly LaneValue[] | undefined)[],
  ): number {
    const { seq, ts, mono } = this.times;
    // No more room than was asked for, in the middle of something else.
    const block = Buffer.alloc(bytesMax + 2, '!');
    const end = make(block.subarray(0, bytesMax + 1), 1, seq, ts, mono);
    if (block[0] !== 0x21 || block[bytesMax + 1] !== 0x21) throw new Error('written beside the block');
    const text = block.toString('utf8', 1, end);
    const lines = text.split('\n');
    if (lines.pop() !== '' || lines.length !== briefs.length)
      throw new Error(`not ${briefs.length} lines: ${text}`);
    const told = spoken(briefs);
    for (const [at, line] of lines.entries())
      this.records.push({
        seq: seq + at,
        brief: told[at]!,
        line,
        values: values[at]?.map((each) => ({
          ...each,
          salt: Buffer.from(each.salt),
          value: each.value && Buffer.from(each.value),
        })),
      });
    this.times = { ...this.times, seq: seq + briefs.length };
    this.calls.push(`adopt ${briefs.length}`);
    this.changes.tell();
    return seq;
  }

  writeNow(): boolean {
    this.calls.push('write');
    return this.isQuick;
  }

  written(done: (error?: Error) => void): void {
    this.#waiting.push(done);
    this.changes.tell();
  }

  synced(seq: number): Promise<void> {
    this.calls.push('sync');
    return this.#confirmed(seq);
  }

  durable(seq: number): Promise<void> {
    this.calls.push('seal');
    return this.#confirmed(seq);
  }

  async #confirmed(seq: number): Promise<void> {
    if (this.isSealing) return;
    await new Promise<void>((resolve, reject) => {
      this.durables.push({ seq, done: (error) => (error === undefined ? resolve() : reject(error)) });
      this.changes.tell();
    });
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** The file has what the first of those who wait told, or will not have it. */
  answer(error?: Error): void {
    this.#waiting.shift()!(error);
  }
}

export class FakeUser implements LaneUser {
  readonly log: LaneLog;
  keepsValues = true;
  places = 1;
  isAdmitting = true;
  /** What it was told, in order. */
  readonly told: string[] = [];
  /** Places of forms of whose next rounds it was asked. */
  readonly stills: number[] = [];
  /** Places of forms whose rounds went. */
  readonly passes: number[] = [];
  /** Places of forms of which every round is to be asked about. */
  readonly exceptions = new Set<number>();
  /** What its client is to be given, if that is no descriptor. */
  readonly answers: Buffer[] = [];
  /** What to do when the lane is stuck. */
  onStuck: () => void = () => undefined;
  /** What the records of its rounds are to be before they go. */
  how: Exclude<Admission, 'no'> = 'kill';

  constructor(log: LaneLog) {
    this.log = log;
  }

  admits(place: number): Admission {
    this.told.push(`admits ${place}`);
    return this.isAdmitting ? this.how : 'no';
  }

  admitsStill(place: number): Admission {
    this.stills.push(place);
    return this.isAdmitting && !this.exceptions.has(place) ? this.how : 'no';
  }

  passed(place: number): void {
    this.passes.push(place);
  }

  went(seconds: number): void {
    this.told.push(seconds >= 0 ? 'went' : `went in ${seconds}`);
  }

  stuck(): void {
    this.told.push('stuck');
    this.onStuck();
  }

  failed(error: Error): void {
    this.told.push(`failed ${error.message}`);
  }

  answered(bytes: Buffer): void {
    this.answers.push(bytes);
  }
}

/** What arrived at one place. */
class Gathered {
  #chunks: Buffer[] = [];
  bytes = 0;

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.bytes += chunk.length;
  }

  get all(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** And forgets it. */
  take(): Buffer {
    const { all } = this;
    this.#chunks = [];
    this.bytes = 0;
    return all;
  }
}

export class Way {
  readonly lane: Lane;
  readonly user: FakeUser;
  readonly log: FakeLog;
  /** The client's and the server's own ends. */
  readonly client: net.Socket;
  readonly server: net.Socket;
  readonly nearClient: Descriptor;
  readonly nearServer: Descriptor;
  /** Bytes that reached the own ends. */
  readonly atServer = new Gathered();
  readonly atClient = new Gathered();
  /** Bytes that came as `data` of the descriptors. */
  readonly ofClient = new Gathered();
  readonly ofServer = new Gathered();
  readonly #changes: Changes;

  private constructor(client: Pair, server: Pair, log: FakeLog) {
    this.client = client.far;
    this.server = server.far;
    this.log = log;
    this.#changes = log.changes;
    this.user = new FakeUser(log);
    const lines = [client.near(), server.near()] as const;
    [this.nearClient, this.nearServer] = lines as unknown as [Descriptor, Descriptor];
    const lane = laneBetween(...lines, this.user);
    if (lane === undefined) throw new Error('there is no lane to be had');
    this.lane = lane;
    this.#gather(this.client, this.atClient);
    this.#gather(this.server, this.atServer);
    this.#gather(this.nearClient, this.ofClient);
    this.#gather(this.nearServer, this.ofServer);
    // What is written arrives at once, whatever was not confirmed yet.
    for (const far of [this.client, this.server]) far.setNoDelay(true);
    for (const line of lines) line.resume();
  }

  /** `log`: one that others write to as well. */
  static async make(log = new FakeLog()): Promise<Way> {
    return new Way(await connected(), await connected(), log);
  }

  #gather(from: EventEmitter, into: Gathered): void {
    from.on('data', (chunk: Buffer) => {
      into.add(chunk);
      this.#changes.tell();
    });
  }

  /** Resolves when it is so. */
  until(isSo: () => boolean): Promise<void> {
    return this.#changes.until(isSo);
  }

  /** The client sends this; resolves when all of it is somewhere. */
  async sends(bytes: Buffer): Promise<'server' | 'session'> {
    const all = this.atServer.bytes + this.ofClient.bytes + bytes.length;
    const before = this.atServer.bytes;
    this.client.write(bytes);
    await this.until(() => this.atServer.bytes + this.ofClient.bytes >= all);
    return this.atServer.bytes > before ? 'server' : 'session';
  }

  /** The server sends this; resolves when all of it is somewhere. */
  async answers(bytes: Buffer): Promise<'client' | 'session'> {
    const all = this.atClient.bytes + this.ofServer.bytes + bytes.length;
    const before = this.atClient.bytes;
    this.server.write(bytes);
    await this.until(() => this.atClient.bytes + this.ofServer.bytes >= all);
    return this.atClient.bytes > before ? 'client' : 'session';
  }

  /** A round that the log does not have in its file yet. Resolves when it was told of it. */
  async stages(bytes: Buffer): Promise<void> {
    const { waiting } = this.log;
    this.client.write(bytes);
    await this.until(() => this.log.waiting > waiting);
  }

  /** What the server has been sent up to now, not what comes later: all that lies in front of what is sent here. */
  async sentToServer(): Promise<Buffer> {
    this.nearServer.write(mark);
    await this.until(() => this.atServer.all.includes(mark));
    const all = this.atServer.take();
    return all.subarray(0, all.indexOf(mark));
  }

  /** As `sentToServer`, of the client. */
  async sentToClient(): Promise<Buffer> {
    this.nearClient.write(mark);
    await this.until(() => this.atClient.all.includes(mark));
    const all = this.atClient.take();
    return all.subarray(0, all.indexOf(mark));
  }
}

const mark = Buffer.from('<- up to here ->');

/** Bind, Describe or not, Execute and Sync of a named statement; of the unnamed one behind its Parse. */
export function round(
  values: readonly (Buffer | null)[] = [],
  { name = 's', isDescribed = true, formats = [] as number[], results = [] as number[] } = {},
): Buffer {
  return Buffer.concat([
    ...(name === '' ? [parse('', 'select 1', [23])] : []),
    bind('', name, values, formats, results),
    ...(isDescribed ? [describe('P', '')] : []),
    execute(''),
    sync(),
  ]);
}

const bodyOfRound = statement(1, { proto: 'X' });

/** Rounds that differ from this one in their parameters only. */
export function formOf(
  bytes: Buffer,
  {
    literals = [] as readonly Buffer[],
    oids = [] as readonly number[],
    body = bodyOfRound,
    ...place
  }: {
    readonly literals?: readonly Buffer[];
    readonly oids?: readonly number[];
    readonly body?: StatementBody;
  } & Partial<Pick<Form, 'from' | 'to' | 'tag' | 'isCounted'>> = {},
): Form & { readonly shape: Extract<FormShape, { literals: unknown }> } {
  const read = readRound(bytes);
  if (read === undefined) throw new Error('not a round');
  const types = [
    ...literals.map(() => 0),
    ...Array.from({ length: read.parameters }, (_, at) => oids[at] ?? 25),
  ];
  const shape = { ...read, literals };
  return { ...form(body, place), shape, oids: types };
}

/** Queries of this text with integers between its pieces. */
export function formOfQuery(pieces: readonly string[], body = statement(1)): Form {
  const query = pieces.map((piece) => Buffer.from(piece));
  return { ...form(body), shape: { query }, oids: pieces.slice(1).map(() => 0) };
}

function form(
  body: StatementBody,
  place: Partial<Pick<Form, 'from' | 'to' | 'tag' | 'isCounted'>> = {},
): Omit<Form, 'shape' | 'oids'> {
  const all = { from: 'I', to: 'I', tag: 'SELECT ', isCounted: true, ...place } as const;
  return { ...all, textBytes: body.len, ...spelling(body, all.tag, { ...stamp, seq: 0 }) };
}

/** What a round is answered with. */
export function answer(
  rows: readonly string[] = ['1'],
  { isDescribed = true, isParsed = false, isBound = true } = {},
): Buffer {
  return Buffer.concat([
    ...(isParsed ? [parseComplete()] : []),
    ...(isBound ? [bindComplete()] : []),
    ...(isDescribed ? [rowDescription('a')] : []),
    ...rows.map((row) => dataRow(row)),
    commandComplete(`SELECT ${rows.length}`),
    readyForQuery('I'),
  ]);
}
