// The end of a log that lanes write to while it is lent: what goes unasked then, and what does not; that a record is in the
// file before its round is anywhere; that the log has it all back before it is used. With the log itself, with files that
// take nothing, and with as little room as there can be. Where the hop is not built there are no lanes.

import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { systemFs } from '../../src/audit/folder.ts';
import type { AuditLog } from '../../src/audit/log.ts';
import type { Borrower, LaneRecords, LaneValue, Loan, Written } from '../../src/hop/lane-log.ts';
import { revokeRounds } from '../../src/hop/lanes.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import { leafHash } from '../../verify/src/leaf.ts';
import { openTestLog, statement, temporaryFolder } from '../audit/fixture.ts';
import { mayMount, smallDisk } from '../support/smalldisk.ts';
import { type Line, records, verified } from '../support/trail.ts';
import { answer, FakeLog, formOf, round, spoken, stamp, Way } from './lane.ts';
import { closeAll } from './pair.ts';

const isBuilt = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);

afterEach(closeAll);

const body = statement(1, { proto: 'X' });
const grantMs = 100;
const roundOf = (text: string) => round([Buffer.from(text)]);

/** A real log as lanes have it. */
class RealLog extends FakeLog {
  readonly log: AuditLog;
  isLending = true;
  /** How many records each loan came to that came to any. */
  readonly settled: number[] = [];

  constructor(log: AuditLog) {
    super();
    this.log = log;
  }

  override adopt(records: LaneRecords, values: readonly (readonly LaneValue[] | undefined)[]): number {
    this.calls.push(`adopt ${records.briefs.length}`);
    return this.log.adopt(records, values);
  }

  override writeNow(): boolean {
    return this.log.writeNow();
  }

  override written(done: (error?: Error) => void): void {
    this.log.written(done);
  }

  override synced(seq: number): Promise<void> {
    return this.log.synced(seq);
  }

  override durable(seq: number): Promise<void> {
    return this.log.durable(seq);
  }

  lend(borrower: Borrower): Loan | undefined {
    return this.isLending ? this.log.lend(borrower) : undefined;
  }

  settle(written: Written, briefs: LaneRecords['briefs']): void {
    this.log.settle(written, briefs, []);
    if (briefs.length > 0) this.settled.push(briefs.length);
    this.changes.tell();
  }
}

async function realWay(path = temporaryFolder()): Promise<{ path: string; log: RealLog; way: Way }> {
  const { log } = await openTestLog(path, { values: 'none' });
  const real = new RealLog(log);
  const way = await Way.make(real);
  way.user.keepsValues = false;
  way.lane.learn(0, { ...formOf(roundOf('a')), ...log.spelling(body, 'SELECT ') });
  way.lane.open(0, 'I');
  return { path, log: real, way };
}

/** One more of the same log. */
async function otherWay(log: RealLog): Promise<Way> {
  const way = await Way.make(log);
  way.user.keepsValues = false;
  way.lane.learn(0, { ...formOf(roundOf('a')), ...log.log.spelling(body, 'SELECT ') });
  way.lane.open(0, 'I');
  return way;
}

function lines(path: string): Line[] {
  return records(join(path, 'audit'));
}

async function whole(path: string): Promise<void> {
  expect(await verified(join(path, 'audit'))).toMatchObject({ code: 0 });
}

async function soon(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function goes(way: Way, text: string): Promise<void> {
  expect(await way.sends(roundOf(text))).toBe('server');
  expect(await way.answers(answer())).toBe('client');
}

const asked = (way: Way) => way.user.told.filter((what) => /^admits \d/.test(what)).length;
const renewed = (way: Way) => way.user.stills.length;

/** Rounds until one was not asked about: a busy machine may take longer for one than a grant lasts. Returns how many. */
async function unasked(way: Way): Promise<number> {
  for (let many = 1; ; many += 1) {
    const before = asked(way);
    await goes(way, `${many}`);
    if (asked(way) === before) return many;
  }
}

describe.skipIf(!isBuilt)('with the log itself', () => {
  test('a round like one that was let go is not asked about, and its record is in the file when it arrives', async () => {
    const { path, log, way } = await realWay();
    let many = 0;
    for (let times = 0; times < 3; times += 1) {
      many += await unasked(way);
      const before = lines(path);
      expect(before.filter(({ kind, n }) => kind === 'stmt' && n === many)).toHaveLength(1);
    }
    await soon(() => way.user.passes.length === many);
    expect(way.user.told.filter((what) => what === 'went')).toHaveLength(many);
    expect(way.lane.shut()).toMatchObject({ state: 'idle', rounds: many });
    expect(log.settled.length).toBeGreaterThan(0);
    await log.log.close();
    await whole(path);
    const all = lines(path);
    const stmts = all.filter(({ kind }) => kind === 'stmt');
    expect(stmts.map(({ n }) => n)).toEqual(stmts.map((_, at) => at + 1));
    expect(stmts).toHaveLength(many);
    const outcomes = all.filter(({ kind }) => kind === 'outcome');
    expect(outcomes.map(({ ref }) => ref)).toEqual(stmts.map(({ seq }) => seq));
  });

  test('it is asked about again once rounds were revoked, once there is news in the log, and in a while', async () => {
    const { path, log, way } = await realWay();
    const again: (() => unknown)[] = [
      revokeRounds,
      () => log.log.append({ kind: 'policy', target: 'shop', digest: 'other' }),
      // News while it is not lent.
      () => {
        log.log.append(statement(1000));
        log.log.append({ kind: 'policy', target: 'shop', digest: 'another' });
      },
      () => new Promise((resolve) => setTimeout(resolve, grantMs + 10)),
    ];
    for (const [at, happens] of again.entries()) {
      await unasked(way);
      const before = asked(way);
      await happens();
      await goes(way, 'then');
      expect(`${at}: ${asked(way) - before}`).toBe(`${at}: 1`);
    }
    way.lane.shut();
    await log.log.close();
    await whole(path);
  });

  test('whatever is done with the log meanwhile finds all that was written', async () => {
    const { path, log, way } = await realWay();
    const uses: (() => unknown)[] = [
      () => log.log.append(statement(1000)),
      () => log.log.appendLate(statement(1001)),
      () => log.log.size,
      () => log.log.health,
      () => log.log.changeKey(),
      () => log.log.durable(0),
      () => log.log.synced(log.log.size - 1),
    ];
    let many = 0;
    for (const use of uses) {
      many += await unasked(way);
      await use();
      await soon(() => way.user.passes.length === many);
      const stmts = lines(path).filter(({ kind, n }) => kind === 'stmt' && Number(n) < 1000);
      expect(stmts.map(({ n }) => n)).toEqual(Array.from({ length: many }, (_, at) => at + 1));
    }
    expect(log.log.size).toBeGreaterThan(many);
    way.lane.shut();
    await log.log.close();
    await whole(path);
  });

  test('what is appended comes behind what was written meanwhile', async () => {
    const { path, log, way } = await realWay();
    const many = await unasked(way);
    const seq = log.log.append(statement(1000));
    const before = lines(path).filter((line) => line.seq < seq);
    expect(before.filter(({ kind }) => kind === 'stmt').at(-1)).toMatchObject({ n: many });
    await log.log.durable(seq);
    expect(lines(path).find((line) => line.seq === seq)).toMatchObject({ n: 1000 });
    way.lane.shut();
    await log.log.close();
    await whole(path);
  });

  test('many rounds of many lanes, while the log is written, sealed and used otherwise, are one chain', async () => {
    const { path, log, way } = await realWay();
    const ways = [way];
    for (let each = 1; each < 6; each += 1) {
      const more = await Way.make(log);
      more.user.keepsValues = false;
      more.lane.learn(0, { ...formOf(roundOf('a')), ...log.log.spelling(body, 'SELECT ') });
      more.lane.open(0, 'I');
      ways.push(more);
    }
    let isOver = false;
    const others = (async () => {
      for (let n = 0; !isOver; n += 1) {
        const seq = log.log.append(statement(10_000 + n));
        if (n % 3 === 0) await log.log.durable(seq);
        log.log.append({ kind: 'outcome', ref: seq, st: 'ok', dur_us: 1 });
        await new Promise((resolve) => setTimeout(resolve, n % 4));
      }
    })();
    await Promise.all(
      ways.map(async (each) => {
        for (let n = 0; n < 120; n += 1) await goes(each, `${n}`);
      }),
    );
    isOver = true;
    await others;
    for (const { lane } of ways) expect(lane.shut()).toMatchObject({ rounds: 120 });
    // Some were asked about, and most were not.
    expect(ways.reduce((sum, each) => sum + asked(each), 0)).toBeLessThan(6 * 120);
    await log.log.close();
    await whole(path);
    const all = lines(path);
    expect(all.map(({ seq }) => seq)).toEqual(all.map((_, at) => at));
    expect(all.filter(({ kind, n }) => kind === 'stmt' && Number(n) < 10_000)).toHaveLength(6 * 120);
  });

  test('a grant ends in its time, also while others are let go', async () => {
    const { log, way } = await realWay();
    const other = await otherWay(log);
    await unasked(way);
    const begun = performance.now();
    while (performance.now() - begun < 2 * grantMs) await goes(other, 'x');
    // Whoever is not asked about now goes by a grant that is older than it may be.
    let before = asked(way);
    await goes(way, 'y');
    expect(asked(way)).toBe(before + 1);
    // And a lane that was shut has none, though the end of the log is lent.
    await unasked(way);
    way.lane.shut();
    way.lane.open(1000, 'I');
    await unasked(other);
    await unasked(other);
    before = asked(way);
    await goes(way, 'z');
    expect(asked(way)).toBe(before + 1);
  });

  test('a disk that did not keep what was written takes nothing back: the lines are written again, and in order', async () => {
    const path = temporaryFolder();
    let fails = 0;
    const held: (() => void)[] = [];
    const { log } = await openTestLog(path, {
      values: 'none',
      sealMs: 1,
      retryMs: 1,
      fs: {
        ...systemFs,
        fdatasync: ((fd: number, done: (error: Error | null) => void) => {
          if (fails <= 0) fs.fdatasync(fd, done);
          else held.push(() => done(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })));
        }) as typeof fs.fdatasync,
      },
    });
    const real = new RealLog(log);
    const way = await otherWay(real);
    await unasked(way);
    for (const times of [1, 2, 3]) {
      fails = 1;
      // While the disk is at it, rounds go on.
      while (held.length === 0) await unasked(way);
      await unasked(way);
      expect(await way.sends(roundOf(`${times}`))).toBe('server');
      fails = 0;
      for (const fail of held.splice(0)) fail();
      await way.answers(answer());
      await goes(way, 'then');
    }
    way.lane.shut();
    await log.close();
    await whole(path);
    const all = lines(path);
    expect(all.map(({ seq }) => seq)).toEqual(all.map((_, at) => at));
    expect(all.filter(({ kind }) => kind === 'gap').length).toBeGreaterThan(0);
  });

  test('while the log is stopped nothing goes', async () => {
    const path = temporaryFolder();
    let isFailing = false;
    const { log } = await openTestLog(path, {
      values: 'none',
      sealMs: 1,
      retryMs: 20,
      fs: {
        ...systemFs,
        fdatasync: ((fd: number, done: (error: Error | null) => void) => {
          if (isFailing) setImmediate(done, Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }));
          else fs.fdatasync(fd, done);
        }) as typeof fs.fdatasync,
      },
    });
    const real = new RealLog(log);
    const way = await otherWay(real);
    await unasked(way);
    isFailing = true;
    const failed = () => way.user.told.some((what) => what.startsWith('failed'));
    while (!failed()) {
      const before = way.atServer.bytes;
      way.client.write(roundOf('x'));
      await soon(() => way.atServer.bytes > before || failed());
      if (!failed()) await way.answers(answer());
    }
    const { rounds } = way.lane.shut()!;
    way.lane.open(rounds, 'I');
    Object.defineProperty(real, 'takes', { get: () => log.takes });
    for (let times = 0; times < 5; times += 1) expect(await way.sends(roundOf('y'))).toBe('session');
    isFailing = false;
    await soon(() => log.failed === undefined);
    await goes(way, 'z');
    way.lane.shut();
    await log.close();
    await whole(path);
  });

  test.skipIf(!mayMount())(
    'on a disk that is full nothing goes, and once it is not, it goes on',
    async () => {
      const disk = smallDisk(4 << 20);
      onTestFinished(() => disk.unmount());
      const { log } = await openTestLog(disk.path, { values: 'none', retryMs: 50, ballastBytes: 0 });
      const real = new RealLog(log);
      onTestFinished(() => log.close());
      const way = await Way.make(real);
      way.user.keepsValues = false;
      way.lane.learn(0, { ...formOf(roundOf('a')), ...log.spelling(body, 'SELECT ') });
      way.lane.open(0, 'I');
      for (let many = 0; many < 3; many += 1) await goes(way, 'a');
      const before = way.atServer.bytes;
      disk.fill();
      // The file has room in its last block: some rounds go until there is none.
      const failed = () => way.user.told.some((what) => what.startsWith('failed'));
      let sent = 0;
      for (const one = roundOf('b'); ; sent += one.length) {
        way.client.write(one);
        const has = () => way.atServer.bytes >= before + sent + one.length;
        await soon(() => has() || failed());
        if (!has()) break;
        await way.answers(answer());
      }
      const standing = way.lane.shut()!;
      expect(standing).toMatchObject({ state: 'staged', rounds: 4 + sent / roundOf('b').length });
      expect(way.atServer.bytes).toBe(before + sent);
      expect(log.failed?.message).toContain('no space');
      disk.free();
      while (log.failed !== undefined) await new Promise((resolve) => setTimeout(resolve, 20));
      way.lane.open(standing.rounds, 'I');
      await goes(way, 'c');
      await goes(way, 'd');
      way.lane.shut();
      await log.close();
      await whole(disk.path);
    },
  );
});

function fail(): never {
  throw new Error('it was given back');
}

/** Keeps every thread of libuv's pool busy until the returned function is called, which settles when none is any more. */
function busyPool(): () => Promise<void> {
  const path = join(temporaryFolder(), 'fifo');
  execFileSync('mkfifo', [path]);
  const threads = Number(process.env.UV_THREADPOOL_SIZE ?? 4);
  const { promise: free, resolve } = Promise.withResolvers<void>();
  // To open it waits for who writes.
  let busy = threads;
  for (let n = 0; n < threads; n += 1)
    fs.open(path, 'r', (_error, fd) => {
      fs.closeSync(fd);
      busy -= 1;
      if (busy === 0) resolve();
    });
  let released: Promise<void> | undefined;
  const release = () => {
    // Whoever writes has to stay for those that are not at it yet.
    const writer = released === undefined ? fs.openSync(path, 'r+') : -1;
    released ??= free.then(() => fs.closeSync(writer));
    return released;
  };
  onTestFinished(release);
  return release;
}

interface Returned {
  readonly seq: number;
  readonly briefs: ReturnType<typeof spoken>;
  /** Which of them have values. */
  readonly valued: readonly number[];
  readonly text: string;
  /** Hashes of what was written. */
  readonly leaves: Buffer;
}

/** Lends what the test gives it, and remembers what came of it. */
class Lender extends FakeLog {
  path = join(temporaryFolder(), 'lines');
  /** What is opened to write to. */
  target = this.path;
  blockBytes = 1 << 16;
  /** What its clock said last. */
  mono = 7;
  leavesMax = 64;
  readonly returned: (Written & Returned)[] = [];
  isLending = true;
  /** What rounds that wait for the disk have synced. */
  isSynced: Loan['synced'];
  #block = Buffer.alloc(0);
  #leaves = Buffer.alloc(0);
  #borrower: Borrower | undefined;
  #last: Borrower | undefined;
  #fd = -1;

  lend(borrower: Borrower): Loan | undefined {
    if (!this.isLending) return undefined;
    this.#fd = fs.openSync(this.target, 'a');
    this.#block = Buffer.alloc(this.blockBytes, '!');
    this.#leaves = Buffer.alloc(this.leavesMax * 32);
    this.#borrower = borrower;
    this.#last = borrower;
    const seq = this.times.seq;
    const [blank, head] = [Buffer.from(stamp.prev), Buffer.from('h'.repeat(43))];
    return {
      fd: this.#fd,
      block: this.#block,
      at: 3,
      blank,
      head,
      leaves: this.#leaves,
      leafCount: 1,
      synced: this.isSynced,
      seq,
      start: 0,
      mono: this.mono,
    };
  }

  settle(written: Written, briefs: LaneRecords['briefs'], values: Parameters<FakeLog['adopt']>[1]): void {
    fs.closeSync(this.#fd);
    this.#borrower = undefined;
    this.returned.push({
      ...written,
      seq: this.times.seq,
      briefs: spoken(briefs),
      valued: [...values.keys()].filter((at) => values[at] !== undefined),
      text: this.#block.toString('latin1', 3, written.to),
      leaves: this.#leaves,
    });
    this.times = { ...this.times, seq: this.times.seq + briefs.length };
    this.changes.tell();
  }

  recall(): void {
    this.#borrower?.recall();
  }

  /** What a loan came to that had rounds in it; the last one. */
  get came(): Written & Returned {
    return this.returned.findLast(({ briefs }) => briefs.includes('passed'))!;
  }

  /** Nothing is taken any more. */
  refuses(): void {
    this.#last?.refused();
  }
}

async function lentWay(set: Partial<Lender> = {}): Promise<{ log: Lender; way: Way }> {
  const log = Object.assign(new Lender(), set);
  const way = await Way.make(log);
  way.lane.learn(0, formOf(roundOf('a')));
  way.lane.open(0, 'I');
  return { log, way };
}

describe.skipIf(!isBuilt)('what is lent', () => {
  test('gets lines that are chained, with their hashes, and nothing beside them', async () => {
    const { log, way } = await lentWay();
    await unasked(way);
    log.recall();
    const { to, inFile, leafCount, mono, error, briefs, text, leaves, seq } = log.came;
    const count = briefs.length;
    expect({ to, leafCount, error }).toEqual({ to: inFile, leafCount: 1 + count, error: undefined });
    expect(mono).toBeGreaterThan(7);
    expect(fs.readFileSync(log.path, 'latin1')).toContain(text);
    const made = text.split('\n');
    expect(made.pop()).toBe('');
    let prev = 'h'.repeat(43);
    for (const [at, line] of made.entries()) {
      const kind = briefs[at] === 'passed' ? 'stmt' : 'outcome';
      expect(JSON.parse(line)).toMatchObject({ kind, seq: seq + at, prev, mono });
      prev = leafHash(line);
      expect(leaves.toString('base64url', 32 * (1 + at), 32 * (2 + at))).toBe(prev);
    }
    const beside = Buffer.concat([leaves.subarray(0, 32), leaves.subarray(32 * (1 + count))]);
    expect(beside.every((byte) => byte === 0)).toBe(true);
  });

  test('has a clock that never goes back, whoever looks at it', async () => {
    const later = 2 ** 52;
    const { log, way } = await lentWay({ mono: later });
    await unasked(way);
    log.recall();
    const { mono, text } = log.came;
    expect(mono).toBe(later);
    expect(JSON.parse(text.split('\n')[0]!)).toMatchObject({ mono: later });

    const path = temporaryFolder();
    const opened = await openTestLog(path);
    const { at, leafCount } = opened.log.lend({
      recall: fail,
      revoke: fail,
      again: () => undefined,
      refused: fail,
    })!;
    opened.log.settle(
      { to: at, inFile: at, leafCount, mono: later, error: undefined },
      new Float64Array(0),
      [],
    );
    await opened.log.synced(opened.log.append(statement(1)));
    expect(lines(path).at(-1)).toMatchObject({ kind: 'stmt', mono: later });
  });

  test('is not written to beyond its room: then the log is asked, as ever', async () => {
    for (const set of [{ blockBytes: 100 }, { leavesMax: 1 }]) {
      const { log, way } = await lentWay(set);
      await goes(way, 'a');
      await goes(way, 'b');
      expect(asked(way)).toBe(2);
      for (const { briefs, to } of log.returned) expect({ briefs, to }).toEqual({ briefs: [], to: 3 });
      expect(fs.readFileSync(log.path, 'utf8')).toBe('');
      expect(log.records.map(({ brief }) => brief)).toEqual(['passed', 0, 'passed']);
    }
  });

  test('is no use for what must be on disk first, nor for what another form says', async () => {
    const { way } = await lentWay();
    way.user.how = 'disk';
    await goes(way, 'a');
    await goes(way, 'b');
    expect(asked(way)).toBe(2);
    way.user.how = 'kill';
    await unasked(way);
    way.lane.shut();
    way.lane.learn(1, formOf(round([Buffer.from('x')], { name: 't' })));
    way.lane.open(9, 'I');
    expect(await way.sends(round([Buffer.from('y')], { name: 't' }))).toBe('server');
    expect(way.user.told).toContain('admits 1');
  });

  test('goes on without being asked for as long as that is said again, and not when it is not', async () => {
    const { way } = await lentWay();
    // A busy machine may take longer between two rounds than what is said again holds.
    for (let isRenewed = false; !isRenewed; ) {
      await unasked(way);
      const [asks, renewals] = [asked(way), renewed(way)];
      const since = performance.now();
      while (asked(way) === asks && performance.now() - since < 3 * grantMs) await goes(way, 'a');
      isRenewed = asked(way) === asks && renewed(way) > renewals;
    }
    way.user.isAdmitting = false;
    while ((await way.sends(roundOf('a'))) === 'server') await way.answers(answer());
    expect(way.user.told.at(-1)).toBe('admits 0');
  });

  test('who is asked about one form says of all of them whether their rounds may go', async () => {
    const { way } = await lentWay();
    const places = ['a', 't', 'u'].map((name, place) => {
      const roundOfIt = () => round([Buffer.from('x')], { name });
      way.lane.shut();
      way.lane.learn(place, formOf(roundOfIt()));
      way.lane.open(9, 'I');
      return async () => {
        const before = asked(way);
        expect(await way.sends(roundOfIt())).toBe('server');
        expect(await way.answers(answer())).toBe('client');
        return asked(way) > before;
      };
    });
    way.user.places = places.length;
    way.user.exceptions.add(2);
    // A busy machine may take longer between two rounds than what is said holds.
    for (let isTold = false; !isTold; ) {
      way.lane.shut();
      way.lane.open(9, 'I');
      expect(await places[0]!()).toBe(true);
      isTold = !(await places[1]!());
      expect(await places[2]!()).toBe(true);
    }
  });

  test('what happens while a round is recorded is heard before it is said that the next may go', async () => {
    const { log, way } = await lentWay();
    const adopt = log.adopt.bind(log);
    log.adopt = (...records) => {
      way.user.isAdmitting = false;
      return adopt(...records);
    };
    await goes(way, 'a');
    expect(await way.sends(roundOf('b'))).not.toBe('server');
    expect(asked(way)).toBe(2);
  });

  test('counts for nothing once the lane was shut, or the form learned anew', async () => {
    const { way } = await lentWay();
    for (const how of ['open', 'learn'] as const) {
      await unasked(way);
      const before = asked(way);
      way.lane.shut();
      if (how === 'learn') way.lane.learn(0, formOf(roundOf('a')));
      way.lane.open(9, 'I');
      await goes(way, 'b');
      expect(asked(way)).toBe(before + 1);
    }
  });

  test('if it takes nothing, nothing goes until the log says that it is written; or never', async () => {
    for (const isMended of [true, false]) {
      const { log, way } = await lentWay({ target: '/dev/full', isQuick: true });
      // The first that is not asked about is written to a file that takes nothing.
      const taken = roundOf('a');
      const fails = () =>
        log.returned.some(({ briefs, error }) => error !== undefined && briefs.includes('passed'));
      let many = 0;
      for (; !fails(); many += 1) {
        way.client.write(taken);
        await soon(() => fails() || way.atServer.bytes === (many + 1) * taken.length);
        if (!fails()) await way.answers(answer());
      }
      const { to, inFile, briefs, error } = log.came;
      expect(briefs.at(-1)).toBe('passed');
      expect(inFile).toBe(3);
      expect(to).toBeGreaterThan(inFile);
      expect(error).toMatchObject({ code: 'ENOSPC', syscall: 'write' });
      expect((await way.sentToServer()).length).toBe((many - 1) * taken.length);
      log.isLending = false;
      log.answer(isMended ? undefined : new Error('the disk is full'));
      if (isMended) {
        await way.until(() => way.atServer.bytes === taken.length);
        expect(way.lane.shut()).toMatchObject({ state: 'flight', rounds: many });
      } else {
        expect(way.user.told.at(-1)).toBe('failed the disk is full');
        expect(way.lane.shut()).toMatchObject({ state: 'staged', rounds: many });
        expect(String(await way.sentToServer())).toBe('');
      }
    }
  });

  test('of one log gets nothing of another', async () => {
    const one = await lentWay();
    const other = await lentWay();
    for (const { way } of [one, other]) await goes(way, 'a');
    for (const { way } of [one, other]) await unasked(way);
    for (const { log } of [one, other]) {
      log.recall();
      expect(log.returned.flatMap(({ briefs }) => briefs)).toContain('passed');
      expect(fs.readFileSync(log.path, 'latin1')).toBe(log.returned.map(({ text }) => text).join(''));
    }
  });

  test('comes back with the values of the rounds that went meanwhile, as long as they are kept', async () => {
    const { log, way } = await lentWay();
    for (const keepsValues of [true, false, true]) {
      const before = log.returned.length;
      way.user.keepsValues = keepsValues;
      await unasked(way);
      log.recall();
      const came = log.returned.slice(before).filter(({ briefs }) => briefs.includes('passed'));
      expect(came.length).toBeGreaterThan(0);
      for (const { briefs, valued } of came) {
        const passed = [...briefs.keys()].filter((at) => briefs[at] === 'passed');
        expect(valued).toEqual(keepsValues ? passed : []);
      }
    }
  });

  test('is taken back before its last lane is gone, and before the lane is shut', async () => {
    const { log, way } = await lentWay();
    const many = await unasked(way);
    expect(await way.sends(query('select 2'))).toBe('session');
    expect(way.lane.shut()).toMatchObject({ state: 'idle', rounds: many });
    expect(log.returned.flatMap(({ briefs }) => briefs)).toContain('passed');
    way.lane.open(9, 'I');
    await unasked(way);
    const before = log.returned.length;
    way.nearClient.destroy();
    expect(log.returned.length).toBeGreaterThan(before);
    const { length } = log.returned;
    log.recall();
    expect(log.returned).toHaveLength(length);
  });
});

function stmtsIn({ path }: Lender): number {
  return fs.readFileSync(path, 'latin1').split('"kind":"stmt"').length;
}

/** A log whose file and lock are synced by the addon, with a round that waits for the disk; `go` has the disk answer. */
async function waitingWay(
  set: Partial<Lender> = {},
): Promise<{ log: Lender; way: Way; go: () => void; many: number }> {
  const { log, way } = await lentWay(set);
  way.user.how = 'disk';
  way.user.keepsValues = false;
  const many = await unasked(way);
  const go = busyPool();
  const before = asked(way);
  const already = stmtsIn(log);
  way.atServer.take();
  way.client.write(roundOf('a'));
  // Its line is in the file, or it was asked about: too late on a busy machine.
  await soon(() => asked(way) > before || stmtsIn(log) > already);
  if (asked(way) === before) return { log, way, go, many: many + 1 };
  await go();
  closeAll();
  return waitingWay(set);
}

function syncedIn(log = new Lender()): {
  path: string;
  target: string;
  isSynced: NonNullable<Loan['synced']>;
} {
  const lockPath = join(temporaryFolder(), 'lock');
  const [file, lock] = [fs.openSync(log.path, 'a'), fs.openSync(lockPath, 'w')];
  onTestFinished(() => {
    for (const fd of [file, lock]) fs.closeSync(fd);
  });
  return {
    path: log.path,
    target: log.path,
    isSynced: { file: { fd: file, path: log.path }, lock: { fd: lock, path: lockPath } },
  };
}

describe.skipIf(!isBuilt)('what waits for the disk', () => {
  test('goes unasked too, once the disk has its line, and not before', async () => {
    const { log, way, go, many } = await waitingWay(syncedIn());
    expect(String(await way.sentToServer())).toBe('');
    log.recall();
    const briefs = log.returned.flatMap((each) => each.briefs);
    expect(briefs.filter((brief) => brief === 'passed').length).toBe(many - asked(way));
    expect(way.user.told.filter((what) => what === 'went')).toHaveLength(many - 1);
    const { length } = log.calls.filter((call) => call === 'sync');
    go();
    await way.until(() => way.atServer.bytes === roundOf('a').length);
    expect(await way.answers(answer())).toBe('client');
    await soon(() => way.user.told.filter((what) => what === 'went').length === many);
    // Not by the log.
    expect(log.calls.filter((call) => call === 'sync')).toHaveLength(length);
    expect(way.lane.shut()).toMatchObject({ state: 'idle', rounds: many });
  });

  test.each(['file', 'lock'] as const)(
    "is the log's to answer for if its %s was moved meanwhile",
    async (which) => {
      const set = syncedIn();
      const { log, way, go, many } = await waitingWay(set);
      log.isSealing = false;
      fs.renameSync(set.isSynced[which].path, `${set.isSynced[which].path}.moved`);
      go();
      await way.until(() => log.durables.length > 0);
      expect(String(await way.sentToServer())).toBe('');
      const { seq, done } = log.durables.at(-1)!;
      expect(log.returned.flatMap(({ seq: first, briefs }) => briefs.map((_, at) => first + at))).toContain(
        seq,
      );
      done();
      await way.until(() => way.atServer.bytes === roundOf('a').length);
      expect(way.lane.shut()).toMatchObject({ state: 'flight', rounds: many });
    },
  );

  test("is the log's to answer for where the disk does not sync", async () => {
    // What is no file is not synced.
    const set = syncedIn();
    const nothing = fs.openSync('/dev/null', 'a');
    onTestFinished(() => fs.closeSync(nothing));
    const { log, way } = await lentWay({
      ...set,
      isSealing: false,
      isSynced: { ...set.isSynced, file: { fd: nothing, path: '/dev/null' } },
    });
    way.user.how = 'disk';
    way.user.keepsValues = false;
    const unaskedFor = () =>
      log.returned.flatMap(({ briefs }) => briefs).filter((brief) => brief === 'passed').length;
    const goes = async () => {
      const { length } = log.durables;
      way.client.write(roundOf('a'));
      await way.until(() => log.durables.length > length);
      expect(String(await way.sentToServer())).toBe('');
      log.durables.at(-1)!.done();
      await way.until(() => way.atServer.bytes === roundOf('a').length);
      way.atServer.take();
      expect(await way.answers(answer())).toBe('client');
    };
    while (unaskedFor() === 0) await goes();
    // From then on the log alone is asked about that file.
    for (let n = 0; n < 5; n += 1) await goes();
    expect(unaskedFor()).toBe(1);
  });

  test('does not go with a sync that was begun before its line was there', async () => {
    for (let isTried = false; !isTried; closeAll()) {
      const { log, way } = await lentWay(syncedIn());
      const other = await Way.make(log);
      other.lane.learn(0, formOf(roundOf('a')));
      other.lane.open(0, 'I');
      const goes: (() => void)[] = [];
      for (const each of [way, other]) {
        each.user.how = 'disk';
        each.user.keepsValues = false;
        await unasked(each);
        each.atServer.take();
      }
      const asks = asked(way) + asked(other);
      for (const each of [way, other]) {
        // The second is queued in front of what follows the first sync.
        if (each === way) goes.push(busyPool());
        const before = stmtsIn(log);
        each.client.write(roundOf('a'));
        await soon(() => asked(way) + asked(other) > asks || stmtsIn(log) > before);
      }
      goes.push(busyPool());
      isTried = asked(way) + asked(other) === asks;
      goes[0]!();
      if (isTried) {
        await way.until(() => way.atServer.bytes === roundOf('a').length);
        expect(String(await other.sentToServer())).toBe('');
      }
      goes[1]!();
      if (isTried) await other.until(() => other.atServer.bytes === roundOf('a').length);
    }
  });

  test("is the session's once the lane is shut, and goes nowhere", async () => {
    const { way, go, many } = await waitingWay(syncedIn());
    const standing = way.lane.shut()!;
    expect(standing).toMatchObject({ state: 'staged', rounds: many, bytes: roundOf('a') });
    expect(standing.ref).toBeGreaterThan(0);
    go();
    way.lane.open(9, 'I');
    await goes(way, 'b');
    expect(way.user.told.filter((what) => what === 'went')).toHaveLength(many);
  });

  test('hears of it when the log takes nothing any more, whatever the disk does', async () => {
    const { log, way, go, many } = await waitingWay(syncedIn());
    log.isSealing = false;
    log.refuses();
    await way.until(() => log.durables.length > 0);
    log.durables.at(-1)!.done(new Error('the disk does not answer'));
    await soon(() => way.user.told.includes('failed the disk does not answer'));
    expect(String(await way.sentToServer())).toBe('');
    expect(way.lane.shut()).toMatchObject({ state: 'staged', rounds: many });
    go();
  });

  test('is asked about where values are put aside, which the log syncs', async () => {
    const { way } = await lentWay(syncedIn());
    way.user.how = 'disk';
    for (let n = 1; n < 5; n += 1) {
      await goes(way, 'a');
      expect(asked(way)).toBe(n);
    }
  });
});
