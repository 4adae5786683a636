// Verifier: whether a log is what its keys signed, from its files alone. audit-approval §12.
// Pure and strict; imports nothing of the proxy and asks nobody. Files come through a port, so that a bundle or a
// remote copy can stand in for a folder. Nothing checked is never a success, and the report says what no look at these
// files can tell. Nothing that is kept grows with the log.

import { hash } from 'node:crypto';
import { follows, joined, type ReadAhead, type Readers } from './ahead.ts';
import type { AnchorOptions, Witnessed } from './anchors.ts';
import { type Beginning, beginningAt } from './beginning.ts';
import { keptBytes } from './brokenoff.ts';
import { type ChainedRecord, Walk, type WalkStart, type WalkState } from './chain.ts';
import type { Credential } from './credentials.ts';
import type { Moved } from './leaf.ts';
import { claimsOf, compareSegment, hintOf, Manifest, placeOfLine, type ReadSegment } from './manifest.ts';
import { segmentNumber } from './names.ts';
import { Offence, offenceCodes, type Place } from './offence.ts';
import { Outside } from './outside.ts';
import type { LogSource } from './port.ts';
import { Releases } from './releases.ts';
import type { Finding, Progress, Report } from './report.ts';
import { SegmentScan } from './scan.ts';
import { Statements } from './statements.ts';
import { digest } from './token.ts';

export interface VerifyOptions {
  /** RFC 7638 thumbprint of the root key that the caller trusts. Without it the log's own word is taken, and said. */
  readonly rootKid?: string | undefined;
  /** What the caller remembers of an earlier verification; the log must be a continuation of it. */
  readonly expect?: { readonly size: number; readonly root: string } | undefined;
  /** What the caller knows of the log from outside: witnesses, checkpoints, keys that were revoked. */
  readonly anchors?: AnchorOptions | undefined;
  /** Approvers' public keys that the caller brings, by `kid`, beside those in the log. */
  readonly approvers?: ReadonlyMap<string, Credential> | undefined;
  /** A request whose story the report tells. */
  readonly about?: string | undefined;
  /** The log is being written: what stands behind its last seal is counted and noted, not refused. */
  readonly live?: boolean | undefined;
  /** Whether crashes and gaps that the log itself declares are failures. */
  readonly noGaps?: boolean | undefined;
  /** Only the segments that hold records from this one on, or up to this one. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  /** Threads that read segments ahead. Without them the log is read in order; what is found is the same. */
  readonly readers?: Readers | undefined;
  /** Told now and then how far it is. */
  readonly progress?: ((progress: Progress) => void) | undefined;
}

const breaksMax = 1000;

/** Checks a whole log. Never throws for what is in it; throws what the source throws. */
export async function verifyLog(source: LogSource, options: VerifyOptions = {}): Promise<Report> {
  // Before the segments: a log that grows meanwhile has a segment more than its manifest knows, never one less.
  const manifest = await Manifest.open(source, options.live === true);
  try {
    return await verifyBy(manifest, source, options);
  } finally {
    await manifest.close();
  }
}

async function verifyBy(manifest: Manifest, source: LogSource, options: VerifyOptions): Promise<Report> {
  const outside = await Outside.open(source, options.anchors ?? {});
  const names = await source.segments();
  // A log that is not read from its first record takes its name from the manifest, which the keys must then bear out.
  const isPart = (options.from ?? 0) > 0 || segmentNumber(names[0] ?? '') !== 0;
  const line = isPart ? await manifest.line(0) : undefined;
  const origin = (line && claimsOf(line)?.origin) ?? (await originOf(source, names[0]));
  const check = new Check(source, options, String(origin), manifest, names, outside);
  const findings: Finding[] = [];
  try {
    await check.run();
  } catch (error) {
    if (!(error instanceof Offence)) throw error;
    const { kind, place, message } = error;
    findings.push({ kind, code: offenceCodes[kind], file: place.file, line: place.line, message });
  }
  if (findings.length === 0 && (check.records === 0 || check.walk.seals === 0))
    findings.push({
      kind: 'nothing',
      code: 1,
      file: '',
      line: 0,
      message: 'there is no signed record here: nothing was checked',
    });
  return check.report(findings);
}

/** The check of one log in progress. */
class Check {
  walk: Walk;
  /** Records that were read. */
  records = 0;
  readonly #source: LogSource;
  readonly #options: VerifyOptions;
  #names: readonly string[];
  #next = 0;
  /** Segments at the beginning that are not there. */
  #missing = 0;
  readonly #manifest: Manifest;
  readonly #outside: Outside;
  #witnessed: Witnessed | undefined;
  readonly #releases: Releases;
  readonly #statements = new Statements();
  #beginning: Beginning | undefined;
  /** A record says that what is missing at the beginning was pruned. */
  #isPruned = false;
  #epochs = 0;
  readonly #kinds = new Map<string, number>();
  readonly #breaks: { seq: number; kind: string; place: Place }[] = [];
  readonly #notes: string[] = [];
  #last: { readonly kind: string; readonly boot: string; readonly place: Place } | undefined;
  readonly #roots = new Map<number, string>();
  readonly #sizes: ReadonlySet<number>;
  #pmh: string;
  #bytes = 0;
  /** Segments that are being read ahead, by their place in `names`. */
  readonly #ahead = new Map<number, Promise<ReadAhead | undefined>>();
  #asked = 0;

  constructor(
    source: LogSource,
    options: VerifyOptions,
    origin: string,
    manifest: Manifest,
    names: readonly string[],
    outside: Outside,
  ) {
    this.#outside = outside;
    this.#source = source;
    this.#options = options;
    this.#names = names;
    this.#manifest = manifest;
    this.walk = new Walk(origin);
    this.#sizes = new Set([...(options.expect === undefined ? [] : [options.expect.size]), ...outside.sizes]);
    this.#pmh = digest(`holdpoint-manifest-v1\n${origin}`);
    this.#releases = new Releases({
      wholeText: (record, member, place) => this.#wholeText(record, member, place),
      aside: async (sha) =>
        /^[0-9a-f]{64}$/.test(sha) ? (await source.read(`evidence/${sha}.jwt`))?.toString('utf8') : undefined,
      given: options.approvers,
      about: options.about,
    });
  }

  /** Throws Offence for the first thing that cannot be. */
  async run(): Promise<void> {
    const { to = Number.POSITIVE_INFINITY } = this.#options;
    try {
      await this.#begin();
      const skipped = this.#beginning?.segments ?? 0;
      for (; this.#next < this.#names.length && this.walk.size <= to; this.#next += 1)
        await this.#segment(this.#names[this.#next]!, this.#next, skipped + this.#next);
      await this.#finish();
    } finally {
      // Whoever still reads ahead reads for nothing.
      await Promise.allSettled(this.#ahead.values());
    }
  }

  /** Finds out where to begin: at the first segment that is there, or at the one that holds `from`. */
  async #begin(): Promise<void> {
    const { origin } = this.walk;
    const { rootKid, from = 0 } = this.#options;
    const [first, last] = [this.#names[0], this.#names.at(-1)].map((name) => segmentNumber(name ?? '') ?? 0);
    if (first === 0 && from === 0) return;
    const until = { least: first!, last: last!, from };
    const beginning = await beginningAt(until, this.#source, origin, this.#manifest);
    if (beginning === undefined) return;
    if (rootKid !== undefined && beginning.root.kid !== rootKid)
      throw foreignRoot(beginning.root.kid, rootKid, { file: 'keys/root.jwk', line: 0 });
    this.#missing = first!;
    this.#names = this.#names.filter((name) => segmentNumber(name)! >= beginning.segments);
    this.#beginning = beginning;
    this.#pmh = beginning.pmh;
    this.#epochs = beginning.epochs;
    this.walk = new Walk(origin, beginning.start);
    this.walk.root = beginning.root;
    this.#outside.beginAt(beginning.root);
    this.#statements.add(beginning.open);
    this.#releases.beginAt(beginning.start.size);
  }

  /** Reads one segment, or takes what was read of it ahead, and compares it with its line in the manifest. */
  async #segment(name: string, i: number, n: number): Promise<void> {
    if (segmentNumber(name) !== n)
      throw new Offence('chain', { file: name, line: 1 }, `segment ${n} is missing before this one`);
    await this.#askAhead(i);
    const start = this.walk.state();
    const ahead = await this.#ahead.get(i);
    this.#ahead.delete(i);
    const { bytes, sha256 } =
      ahead !== undefined && follows(start, ahead)
        ? await this.#join(name, start, ahead)
        : await this.#read(name, i);
    this.#bytes += bytes;
    this.#tellProgress(i + 1, 0);
    await this.#compareManifest({ n, file: name, bytes, sha256, start, end: this.walk.state() }, i);
  }

  /** Has the next segments read, as many as there are readers, where it is known from where. */
  async #askAhead(i: number): Promise<void> {
    const { readers } = this.#options;
    if (readers === undefined || readers.width < 2) return;
    this.#asked = Math.max(this.#asked, i);
    for (; this.#asked < this.#names.length && this.#ahead.size < readers.width * 2; this.#asked += 1) {
      const file = this.#names[this.#asked]!;
      const n = segmentNumber(file)!;
      const start: WalkStart | undefined =
        this.#asked === 0
          ? this.#beginning?.start
          : await hintOf(this.#source, await this.#manifest.line(n - 1));
      if (this.#asked > 0 && start === undefined) continue;
      const read = readers.read({
        file,
        origin: this.walk.origin,
        start: start && { ...start, range: start.range.map((peak) => peak.toString('base64url')) },
        sizes: [...this.#sizes],
        bytesMax: await this.#bytesOf(n),
      });
      // Whatever it throws it throws again where the segment is read in its turn.
      this.#ahead.set(
        this.#asked,
        read.catch(() => undefined),
      );
    }
  }

  /** Of segment `n`, as its manifest line says. */
  async #bytesOf(n: number): Promise<number | undefined> {
    const line = await this.#manifest.line(n);
    const bytes = line === undefined ? undefined : claimsOf(line)?.bytes;
    return Number.isSafeInteger(bytes) ? bytes : undefined;
  }

  async #join(file: string, start: WalkState, ahead: ReadAhead): Promise<{ bytes: number; sha256: string }> {
    for (const { line, text } of ahead.told) {
      const record = chained(text);
      const place = { file, line };
      const ref = Number(record.members.ref);
      if (record.kind === 'outcome' && ref < start.size) this.#statements.end(record.seq, ref, place);
      await this.#note(record, place);
    }
    this.#statements.add(ahead.open);
    this.walk = Walk.resume(joined(start, ahead));
    this.#count(file, ahead, new Map(ahead.kinds), new Map(ahead.roots));
    return ahead;
  }

  async #read(file: string, i: number): Promise<{ bytes: number; sha256: string }> {
    const bytesMax = await this.#bytesOf(segmentNumber(file)!);
    const pieces = await this.#source.open(file, bytesMax === undefined ? {} : { bytesMax });
    if (pieces === undefined) throw new Offence('chain', { file, line: 1 }, 'the segment cannot be read');
    const kept = await this.#keptOf(file, i);
    const scan = new SegmentScan(this.walk, this.#statements, file, this.#sizes);
    let wrong: unknown;
    try {
      for await (const piece of pieces) {
        try {
          scan.push(piece.subarray(0, kept - scan.bytes));
        } catch (error) {
          wrong = error;
          break;
        }
        await this.#drain(scan);
        this.#tellProgress(i, scan.bytes, scan.records);
      }
      if (wrong === undefined) scan.end();
    } catch (error) {
      wrong = error;
    }
    // What is wrong with a record is said before what is wrong further on.
    await this.#drain(scan);
    this.#count(file, scan, scan.kinds, scan.roots);
    const isTorn = wrong instanceof Offence && wrong.kind === 'torn';
    if (wrong !== undefined && !(isTorn && this.#options.live === true && i === this.#names.length - 1))
      throw wrong;
    return { bytes: scan.bytes, sha256: scan.sha256() };
  }

  /** How many bytes of a segment count. One that was broken off is cut before it is listed, and may not be cut yet. */
  async #keptOf(file: string, i: number): Promise<number> {
    const isUnlisted =
      i === this.#names.length - 2 && (await this.#bytesOf(segmentNumber(file)!)) === undefined;
    const content = isUnlisted ? await this.#source.read(file) : undefined;
    const next = isUnlisted ? await this.#source.read(this.#names[i + 1]!) : undefined;
    return content === undefined || next === undefined
      ? Number.POSITIVE_INFINITY
      : keptBytes(content, next, file);
  }

  async #drain(scan: SegmentScan): Promise<void> {
    const { told } = scan;
    scan.told = [];
    for (const { line, text } of told) await this.#note(chained(text), { file: scan.file, line });
  }

  #count(
    file: string,
    read: Pick<SegmentScan, 'records' | 'last'>,
    kinds: ReadonlyMap<string, number>,
    roots: ReadonlyMap<number, string>,
  ): void {
    this.records += read.records;
    if (read.last !== undefined) this.#last = { ...read.last, place: { file, line: read.last.line } };
    for (const [kind, count] of kinds) this.#kinds.set(kind, (this.#kinds.get(kind) ?? 0) + count);
    for (const [size, root] of roots) this.#roots.set(size, root);
  }

  /** A record that concerns more than the chain. */
  async #note(record: ChainedRecord, place: Place): Promise<void> {
    const { kind, seq, members } = record;
    const { rootKid } = this.#options;
    if (kind === 'genesis' && rootKid !== undefined && members.root !== rootKid)
      throw foreignRoot(String(members.root), rootKid, place);
    if (kind === 'key') this.#epochs += 1;
    this.#outside.note(record, this.walk.origin, place);
    if (kind === 'prune' && this.#beginning !== undefined) this.#notePrune(members, this.#beginning);
    if ((kind === 'recover' || kind === 'gap') && this.#breaks.length < breaksMax)
      this.#breaks.push({ seq, kind, place });
    if (members.blobs !== undefined)
      for (const member of Object.keys(Object(members.blobs))) await this.#wholeText(record, member, place);
    await this.#releases.note(record, place);
  }

  #notePrune({ last, size }: ChainedRecord['members'], { segments, start }: Beginning): void {
    if (last === segments - 1 && size === start.size) this.#isPruned = true;
  }

  /** A text member, from its blob if it was moved there; the blob must be what the record says. */
  async #wholeText(record: ChainedRecord, member: string, place: Place): Promise<string> {
    const moved = (record.members.blobs as Readonly<Record<string, Partial<Moved>>> | undefined)?.[member];
    if (moved === undefined) return String(record.members[member]);
    const sha = String(moved?.sha);
    const bytes = /^[0-9a-f]{64}$/.test(sha) ? await this.#source.read(`blobs/${sha}`) : undefined;
    if (bytes === undefined)
      throw new Offence('chain', place, `its ${member} is in blobs/${sha}, which is not there`);
    if (hash('sha256', bytes, 'hex') !== sha || bytes.length !== moved?.len)
      throw new Offence('chain', place, `its ${member} is in blobs/${sha}, which was changed`);
    return bytes.toString('utf8');
  }

  async #compareManifest(
    read: Omit<ReadSegment, 'start' | 'end'> & { readonly start: WalkState; readonly end: WalkState },
    i: number,
  ): Promise<void> {
    const { n, file } = read;
    const open = this.#names.length - 1;
    // The open segment has no line; one too many is seen at the end.
    if (i === open) return;
    const line = await this.#manifest.line(n);
    if (line === undefined) {
      if (i < open - 1) throw new Offence('chain', placeOfLine(n), `the line for ${file} is missing`);
      this.#notes.push(`${file} is closed and has no manifest line yet; its seals were checked`);
      return;
    }
    const whole = { ...read, start: wholeRange(read.start), end: wholeRange(read.end) };
    this.#pmh = compareSegment(line, this.walk.origin, this.walk.key, this.#pmh, whole);
    this.#manifest.forget(n - 1);
  }

  /** What only the end of the log can tell. */
  async #finish(): Promise<void> {
    const { walk } = this;
    const { expect, noGaps, live } = this.#options;
    const place = this.#last?.place ?? { file: '', line: 0 };
    const isWhole = this.#next === this.#names.length;
    if (isWhole) await this.#manifest.finish(this.#beginning?.segments ?? 0, this.#names.length);
    else this.#notes.push(`nothing behind record ${walk.size - 1} was looked at`);
    const unsealed = walk.size - walk.sealed;
    if (unsealed > 0 && live === true && walk.seals > 0)
      this.#notes.push(`${unsealed} newest records are under no seal yet; they are not vouched for`);
    else if (unsealed > 0)
      throw new Offence(
        'unsealed',
        place,
        `${unsealed} records at the end are under no seal: the log was killed, cut off or added to. If Holdpoint is ` +
          'writing it now, verify with --live',
      );
    this.#refuseUndeclaredBeginning();
    if (expect !== undefined) this.#compareExpected(expect, place);
    await this.#compareOutside(place);
    for (const { seq, kind, place } of noGaps === true ? this.#breaks : [])
      throw new Offence('gap', place, `record ${seq} declares a ${kind}`);
    const oldest = this.#statements.first();
    if (isWhole && oldest !== undefined && (oldest.seq < walk.bootSince || this.#last?.kind === 'bye'))
      throw new Offence('outcome', oldest.place, `statement ${oldest.seq} has no outcome`);
  }

  /** Of segments that are missing at the beginning a record must say that they were pruned, if it was looked for. */
  #refuseUndeclaredBeginning(): void {
    const beginning = this.#beginning;
    if (beginning === undefined) return;
    const { segments, bytes, start } = beginning;
    if (segments > this.#missing) {
      this.#notes.push(
        `nothing before record ${start.size} was looked at; the manifest and the keys lead there from the root`,
      );
      return;
    }
    if (!this.#isPruned && this.#next === this.#names.length)
      throw new Offence(
        'chain',
        { file: this.#names[0]!, line: 1 },
        `segments 0 to ${segments - 1} are missing, and no record says that they were pruned`,
      );
    this.#notes.push(
      `the first ${start.size} records, in ${segments} segments of ${bytes} bytes, were pruned: they are not here ` +
        'any more. Their manifest lines and keys are, and lead to the first record that is',
    );
  }

  async #compareOutside(place: Place): Promise<void> {
    const { origin, size, sealed, sealedRoot, root, checkpointKeys } = this.walk;
    const pruned = this.#beginning?.start.size ?? 0;
    const walked = { origin, size, sealed, sealedRoot, root, checkpointKeys, roots: this.#roots, pruned };
    const { witnessed, notes, breaks } = await this.#outside.finish(walked, place);
    this.#witnessed = witnessed;
    this.#notes.push(...notes);
    this.#breaks.push(...breaks);
  }

  #compareExpected(expect: { size: number; root: string }, place: Place): void {
    const { size, sealed, sealedRoot } = this.walk;
    const pruned = this.#beginning?.start.size ?? 0;
    const root = this.#roots.get(expect.size) ?? (expect.size === sealed ? sealedRoot : undefined);
    if (root === expect.root) return;
    throw new Offence(
      'expectation',
      place,
      size < expect.size
        ? `you remember ${expect.size} records; the log ends after ${size}: its end was cut off`
        : expect.size < pruned
          ? `you remember ${expect.size} records; the first ${pruned} were pruned, so that those cannot be compared any more`
          : `the first ${expect.size} records are not those that you remember: the log was written anew`,
    );
  }

  #tellProgress(segment: number, bytes: number, records = 0): void {
    this.#options.progress?.({
      segment,
      segments: this.#names.length,
      records: this.records + records,
      bytes: this.#bytes + bytes,
    });
  }

  report(findings: readonly Finding[]): Report {
    const { walk } = this;
    const { root, sealedAt, sealedRoot } = walk;
    const beginning = this.#beginning;
    return {
      ok: findings.length === 0,
      code: findings[0]?.code ?? 0,
      findings,
      origin: walk.origin,
      root: root === undefined ? undefined : { kid: root.kid, pinned: this.#options.rootKid !== undefined },
      segments: this.#names.length,
      skipped: beginning && { segments: beginning.segments, records: beginning.start.size },
      records: walk.size,
      seals: walk.seals,
      sealed:
        sealedAt === undefined ? undefined : { size: walk.sealed, root: sealedRoot ?? '', ts: sealedAt },
      witnessed: this.#witnessed,
      epochs: this.#epochs,
      kinds: Object.fromEntries(this.#kinds),
      breaks: this.#breaks.map(({ seq, kind }) => ({ seq, kind })),
      releases: this.#releases.counts,
      story: this.#releases.story,
      running: this.#statements.size,
      ended: this.#last?.kind === 'bye',
      notes: this.#notes,
    };
  }
}

function foreignRoot(kid: string, trusted: string, place: Place): Offence {
  return new Offence('keys', place, `the log begins with root key ${kid}; you trust ${trusted}`);
}

/** A record whose text the walk has accepted. */
function chained(text: string): ChainedRecord {
  const members = JSON.parse(text) as ChainedRecord['members'] & ChainedRecord;
  const { seq, kind, ts, boot } = members;
  return { seq, kind, ts, boot, members };
}

/** The state with the peaks of its whole tree, sealed or not, as a manifest line has them. */
function wholeRange(state: WalkState): WalkState {
  if (state.unsealed.lines.length === 0) return state;
  const range = Walk.resume(state)
    .tree()
    .range.map((peak) => peak.toString('base64url'));
  return { ...state, range };
}

/** The origin that the first record names; empty if it cannot be told, which the walk then refuses. */
async function originOf(source: LogSource, name: string | undefined): Promise<string> {
  let held: Buffer = Buffer.alloc(0);
  try {
    for await (const piece of (name === undefined ? undefined : await source.open(name)) ?? []) {
      held = Buffer.concat([held, piece]);
      if (held.includes(10)) break;
      if (held.length > 1 << 20) return '';
    }
    const first: unknown = JSON.parse(held.toString('utf8', 0, held.indexOf(10)));
    return String((first as { node: unknown }).node);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return '';
    throw error;
  }
}
