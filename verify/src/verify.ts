// Verifier: whether a log is what its keys signed, from its files alone. audit-approval §12.
// Pure and strict; imports nothing of the proxy and asks nobody. Files come through a port, so that a bundle or a
// remote copy can stand in for a folder. Nothing checked is never a success, and the report says what no look at these
// files can tell.

import { createHash, hash } from 'node:crypto';
import {
  type ChainedRecord,
  type EpochKey,
  linesOf,
  Offence,
  type OffenceKind,
  offenceCodes,
  type Place,
  prevOf,
  Walk,
} from './chain.ts';
import type { Credential } from './credentials.ts';
import { leafHash, type Moved } from './leaf.ts';
import { Outcomes } from './outcomes.ts';
import { Releases, type Story } from './releases.ts';
import { digest, type SegmentSeal, verifyToken } from './token.ts';

/** The files of one log. */
export interface LogSource {
  /** Names of its segments, `seg-00000000.jsonl` and so on, in order. */
  segments(): Promise<readonly string[]>;
  /** A whole file by its name, `manifest.jsonl` or `blobs/…` as well; undefined if it is not there. */
  read(name: string): Promise<Buffer | undefined>;
}

export interface VerifyOptions {
  /** RFC 7638 thumbprint of the root key that the caller trusts. Without it the log's own word is taken, and said. */
  readonly rootKid?: string | undefined;
  /** What the caller remembers of an earlier verification; the log must be a continuation of it. */
  readonly expect?: { readonly size: number; readonly root: string } | undefined;
  /** Approvers' public keys that the caller brings, by `kid`, beside those in the log. */
  readonly approvers?: ReadonlyMap<string, Credential> | undefined;
  /** A request whose story the report tells. */
  readonly about?: string | undefined;
  /** The log is being written: what stands behind its last seal is counted and noted, not refused. */
  readonly live?: boolean | undefined;
  /** Whether crashes and gaps that the log itself declares are failures. */
  readonly noGaps?: boolean | undefined;
}

/** What was wrong, where, and the exit code for it. */
export interface Finding {
  readonly kind: OffenceKind | 'nothing';
  readonly code: number;
  readonly file: string;
  /** From 1; 0 where no line is at fault. */
  readonly line: number;
  readonly message: string;
}

export interface Report {
  /** True only if records were checked, signatures cover all of them (`live`: all but the newest), and all of it held. */
  readonly ok: boolean;
  /** 0, or the code of the first finding. */
  readonly code: number;
  readonly findings: readonly Finding[];
  readonly origin: string;
  readonly root: { readonly kid: string; readonly pinned: boolean } | undefined;
  readonly segments: number;
  readonly records: number;
  readonly seals: number;
  /** What the last seal vouches for: remember it, and give it to `expect` next time. */
  readonly sealed: { readonly size: number; readonly root: string; readonly ts: number } | undefined;
  readonly epochs: number;
  readonly kinds: Readonly<Record<string, number>>;
  /** Places where the log itself says that a crash or a gap was. */
  readonly breaks: readonly { readonly seq: number; readonly kind: string }[];
  /** Held statements that were released, by what the evidence proves to somebody who has these files only. */
  readonly releases: Releases['counts'];
  /** Of the request that was asked about. */
  readonly story: Story | undefined;
  /** Statements that had no outcome yet when the log was read, while its process may still be running. */
  readonly running: number;
  /** True if the last record is a clean end. */
  readonly ended: boolean;
  readonly notes: readonly string[];
}

/** Checks a whole log. Never throws for what is in it; throws what the source throws. */
export async function verifyLog(source: LogSource, options: VerifyOptions = {}): Promise<Report> {
  // Before the segments: a log that grows meanwhile has a segment more than its manifest knows, never one less.
  const manifest = (await source.read('manifest.jsonl')) ?? Buffer.alloc(0);
  const names = await source.segments();
  const check = new Check(source, options, await originOf(source, names), manifest);
  const findings: Finding[] = [];
  try {
    for (const [i, name] of names.entries()) await check.segment(name, i, names.length);
    check.finish(names.length);
  } catch (error) {
    if (!(error instanceof Offence)) throw error;
    const { kind, place, message } = error;
    findings.push({ kind, code: offenceCodes[kind], file: place.file, line: place.line, message });
  }
  if (findings.length === 0 && (check.walk.size === 0 || check.walk.seals === 0))
    findings.push({
      kind: 'nothing',
      code: 1,
      file: '',
      line: 0,
      message: 'there is no signed record here: nothing was checked',
    });
  return check.report(findings, names.length);
}

/** The check of one log in progress. */
class Check {
  readonly walk: Walk;
  readonly #source: LogSource;
  readonly #options: VerifyOptions;
  readonly #releases: Releases;
  readonly #outcomes = new Outcomes();
  readonly #keys = new Map<number, EpochKey>();
  readonly #kinds: Record<string, number> = {};
  readonly #breaks: { seq: number; kind: string; place: Place }[] = [];
  readonly #notes: string[] = [];
  #last: ChainedRecord | undefined;
  #lastPlace: Place = { file: '', line: 0 };
  #remembered: string | undefined;
  readonly #manifest: readonly Line[];
  readonly #manifestError: Offence | undefined;
  #pmh: string;
  #running = 0;

  constructor(source: LogSource, options: VerifyOptions, origin: string, manifest: Buffer) {
    this.#source = source;
    this.#options = options;
    this.walk = new Walk(origin);
    const { lines, error } = collect(manifest, 'manifest.jsonl');
    this.#manifest = lines;
    this.#manifestError = error;
    this.#pmh = digest(`holdpoint-manifest-v1\n${origin}`);
    this.#releases = new Releases({
      wholeText: (record, member, place) => this.#wholeText(record, member, place),
      aside: async (sha) =>
        /^[0-9a-f]{64}$/.test(sha) ? (await source.read(`evidence/${sha}.jwt`))?.toString('utf8') : undefined,
      given: options.approvers,
      about: options.about,
    });
  }

  /** Walks one segment and compares it with its line in the manifest. */
  async segment(name: string, n: number, segments: number): Promise<void> {
    const place = { file: name, line: 1 };
    if (Number(/\d+/.exec(name)?.[0]) !== n)
      throw new Offence('chain', place, `segment ${n} is missing before this one`);
    const content = await this.#source.read(name);
    if (content === undefined) throw new Offence('chain', place, 'the segment cannot be read');
    const start = { first: this.walk.size, head: this.walk.head, range: this.walk.tree().range };
    const { lines, error } = collect(content, name);
    for (const [i, { line, place }] of lines.entries())
      await this.#line(line, place, () => vouched(lines, i));
    if (error !== undefined && (this.#options.live !== true || error.kind !== 'torn' || n < segments - 1))
      throw error;
    await this.#compareManifest(n, name, content, start, segments);
  }

  /** What only the end of the log can tell. */
  finish(segments: number): void {
    const { walk } = this;
    const { expect, noGaps } = this.#options;
    if (this.#manifestError !== undefined) throw this.#manifestError;
    if (this.#manifest.length > Math.max(0, segments - 1))
      throw new Offence(
        'chain',
        this.#manifest[Math.max(0, segments - 1)]!.place,
        `the manifest tells of ${this.#manifest.length} closed segments and an open one; ${segments} are here: the last were removed`,
      );
    const unsealed = walk.size - walk.sealed;
    if (unsealed > 0 && this.#options.live === true && walk.sealed > 0)
      this.#notes.push(`${unsealed} newest records are under no seal yet; they are not vouched for`);
    else if (unsealed > 0)
      throw new Offence(
        'unsealed',
        this.#lastPlace,
        `${unsealed} records at the end are under no seal: the log was killed, cut off or added to. If Holdpoint is ` +
          'writing it now, verify with --live',
      );
    if (expect !== undefined) this.#compareExpected(expect);
    for (const { seq, kind, place } of noGaps === true ? this.#breaks : [])
      throw new Offence('gap', place, `record ${seq} declares a ${kind}`);
    for (const { seq, place, boot } of this.#outcomes.open()) {
      if (boot !== this.#last?.boot || this.#last?.kind === 'bye')
        throw new Offence('outcome', place, `statement ${seq} has no outcome`);
      this.#running += 1;
    }
  }

  report(findings: readonly Finding[], segments: number): Report {
    const { walk } = this;
    const { root, sealedAt, sealedRoot } = walk;
    return {
      ok: findings.length === 0,
      code: findings[0]?.code ?? 0,
      findings,
      origin: walk.origin,
      root: root === undefined ? undefined : { kid: root.kid, pinned: this.#options.rootKid !== undefined },
      segments,
      records: walk.size,
      seals: walk.seals,
      sealed:
        sealedAt === undefined ? undefined : { size: walk.sealed, root: sealedRoot ?? '', ts: sealedAt },
      epochs: this.#keys.size,
      kinds: this.#kinds,
      breaks: this.#breaks.map(({ seq, kind }) => ({ seq, kind })),
      releases: this.#releases.counts,
      story: this.#releases.story,
      running: this.#running,
      ended: this.#last?.kind === 'bye',
      notes: this.#notes,
    };
  }

  async #line(line: string, place: Place, vouch: () => boolean | undefined): Promise<void> {
    const { walk } = this;
    const { rootKid, expect } = this.#options;
    if (line.startsWith('e')) {
      await walk.seal(line, place);
      return;
    }
    const record = await walk.record(line, place, vouch);
    if (record.kind === 'genesis' && rootKid !== undefined && walk.root?.kid !== rootKid)
      throw new Offence(
        'keys',
        place,
        `the log begins with root key ${walk.root?.kid}; you trust ${rootKid}`,
      );
    if (walk.nextKey?.seq === record.seq) this.#keys.set(walk.nextKey.epoch, walk.nextKey);
    if (walk.size === expect?.size) this.#remembered = walk.snapshot().root;
    if (record.kind === 'recover' || record.kind === 'gap')
      this.#breaks.push({ seq: record.seq, kind: record.kind, place });
    this.#kinds[record.kind] = (this.#kinds[record.kind] ?? 0) + 1;
    this.#last = record;
    this.#lastPlace = place;
    if (record.members.blobs !== undefined) await this.#blobs(record, place);
    await this.#releases.note(record, place);
    this.#outcomes.note(record, place);
  }

  async #blobs(record: ChainedRecord, place: Place): Promise<void> {
    for (const member of Object.keys(record.members.blobs as object))
      await this.#wholeText(record, member, place);
  }

  /** A text member, from its blob if it was moved there; the blob must be what the record says. */
  async #wholeText(record: ChainedRecord, member: string, place: Place): Promise<string> {
    const moved = (record.members.blobs as Readonly<Record<string, Partial<Moved>>> | undefined)?.[member];
    if (moved === undefined) return String(record.members[member]);
    const sha = String(moved.sha);
    const bytes = /^[0-9a-f]{64}$/.test(sha) ? await this.#source.read(`blobs/${sha}`) : undefined;
    if (bytes === undefined)
      throw new Offence('chain', place, `its ${member} is in blobs/${sha}, which is not there`);
    if (hash('sha256', bytes, 'hex') !== sha || bytes.length !== moved.len)
      throw new Offence('chain', place, `its ${member} is in blobs/${sha}, which was changed`);
    return bytes.toString('utf8');
  }

  async #compareManifest(
    n: number,
    name: string,
    content: Buffer,
    start: { first: number; head: string; range: readonly Buffer[] },
    segments: number,
  ): Promise<void> {
    const entry = this.#manifest[n];
    // The open segment has no line; one too many is seen at the end.
    if (n === segments - 1) return;
    if (entry === undefined) {
      if (n < segments - 2)
        throw new Offence(
          'chain',
          { file: 'manifest.jsonl', line: n + 1 },
          `the line for ${name} is missing`,
        );
      this.#notes.push(`${name} is closed and has no manifest line yet; its seals were checked`);
      return;
    }
    const { walk } = this;
    const key = walk.key;
    if (key === undefined) throw new Offence('keys', entry.place, 'a closed segment before any seal');
    const claims = (await verifyToken(entry.line, 'holdpoint-segment+jws', key).catch((error: Error) => {
      throw new Offence('signature', entry.place, `the manifest line is not valid: ${error.message}`);
    })) as unknown as SegmentSeal;
    const text = (range: readonly Buffer[]) => range.map((peak) => peak.toString('base64url')).join();
    const fits =
      claims.origin === walk.origin &&
      claims.n === n &&
      claims.first === start.first &&
      claims.size === walk.size &&
      claims.start_head === start.head &&
      claims.end_head === walk.head &&
      String(claims.start_range) === text(start.range) &&
      String(claims.end_range) === text(walk.tree().range) &&
      claims.psh === walk.psh &&
      claims.epoch === key.epoch &&
      claims.pmh === this.#pmh;
    if (!fits) throw new Offence('root', entry.place, `the manifest says of ${name} what it is not`);
    if (
      claims.bytes !== content.length ||
      claims.sha256 !== createHash('sha256').update(content).digest('hex')
    )
      throw new Offence(
        'chain',
        { file: name, line: 1 },
        'the manifest names other bytes: lines were moved about',
      );
    this.#pmh = digest(entry.line);
  }

  #compareExpected(expect: { size: number; root: string }): void {
    if (this.#remembered === expect.root) return;
    throw new Offence(
      'expectation',
      this.#lastPlace,
      this.walk.size < expect.size
        ? `you remember ${expect.size} records; the log ends after ${this.walk.size}: its end was cut off`
        : `the first ${expect.size} records are not those that you remember: the log was written anew`,
    );
  }
}

/** The origin that the first record names; empty if it cannot be told, which the walk then refuses. */
async function originOf(source: LogSource, names: readonly string[]): Promise<string> {
  const content = names[0] === undefined ? undefined : await source.read(names[0]);
  try {
    const genesis: unknown = JSON.parse(String(content?.subarray(0, content.indexOf(10))));
    return String((genesis as { node: unknown }).node);
  } catch {
    return '';
  }
}

interface Line {
  readonly line: string;
  readonly place: Place;
}

/** The lines up to the first that cannot be one; what was before it is checked before it is complained of. */
function collect(content: Buffer, file: string): { lines: Line[]; error: Offence | undefined } {
  const lines: Line[] = [];
  try {
    for (const line of linesOf(content, file)) lines.push(line);
  } catch (error) {
    if (!(error instanceof Offence)) throw error;
    return { lines, error };
  }
  return { lines, error: undefined };
}

/** Whether the record after line `i` names its hash. */
function vouched(lines: readonly Line[], i: number): boolean | undefined {
  const next = lines.slice(i + 1).find(({ line }) => line.startsWith('{'));
  return next === undefined ? undefined : prevOf(next.line) === leafHash(lines[i]!.line);
}
