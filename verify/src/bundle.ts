// Bundle: everything that a log has on one request, and why each record is in the log, as one JSON file for somebody who
// has no log: the records, their RFC 6962 inclusion proofs in one sealed tree, the keys from the root to that seal, long
// members and ID tokens. audit-approval §19, B18. Pure. A bundle can leave records out; what it needs to say yes it cannot.

import { hash } from 'node:crypto';
import type { JWK } from 'jose';
import type { ChainedRecord } from './chain.ts';
import type { Credential } from './credentials.ts';
import { canonical } from './jcs.ts';
import type { Moved } from './leaf.ts';
import { verifyInclusion } from './merkle.ts';
import type { LogSource } from './port.ts';
import { isBase64url } from './proof/base64url.ts';
import { leafOf, sealedBy, seenBy } from './proof.ts';
import { type Aids, provedUnder, sealOver } from './prover.ts';
import { Releases, type Story } from './releases.ts';
import { plainWitnessed, type SeenBy, type Witnessed, type Witnesses } from './witnessed.ts';

export interface Bundle {
  readonly typ: 'holdpoint.bundle.v1';
  readonly origin: string;
  /** The request that it is about; or, where there was none, a record of the statement or of whatever else it is about. */
  readonly rid?: string;
  readonly seq?: number;
  /** In log order: the line, exactly, and base64url hashes from its leaf upwards. */
  readonly records: readonly {
    readonly index: number;
    readonly line: string;
    readonly inclusion: readonly string[];
  }[];
  /** A seal line that covers all of them. */
  readonly seal: string;
  readonly root: JWK;
  readonly keys: readonly { readonly jwk: JWK; readonly cert: string }[];
  /** Where the log had one over as much as the seal: who saw it, and when. */
  readonly checkpoint?: Witnessed | undefined;
  /** Long members of records, by the SHA-256 of their text in hex. */
  readonly blobs: Readonly<Record<string, string>>;
  /** ID tokens, by their SHA-256 in hex. */
  readonly evidence: Readonly<Record<string, string>>;
}

/** The one text of a bundle. */
export function bundleText(bundle: Bundle): string {
  return `${canonical(bundle)}\n`;
}

/** What a bundle is about, and the records, in log order, that tell of it. */
export interface Told {
  readonly rid: string | undefined;
  readonly seq: number | undefined;
  readonly lines: ReadonlyMap<number, string>;
  readonly blobs: Readonly<Record<string, string>>;
  readonly evidence: Readonly<Record<string, string>>;
}

/**
 * Bundles records of a log under the first seal that covers the last of them, and checks the bundle as whoever gets it
 * will. Throws Unprovable if no seal does, Error or Offence if what is there proves nothing.
 */
export async function makeBundle(
  source: LogSource,
  told: Told,
  options: CheckOptions = {},
): Promise<Aids & { bundle: Bundle; shows: Bundled }> {
  const { lines, rid, seq, blobs, evidence } = told;
  const seqs = [...lines.keys()];
  const sealed = await sealOver(source, seqs.at(-1)!);
  const { origin, seal, root, keys } = sealed;
  const { made, ...aids } = await provedUnder(source, sealed, seqs, async (inclusion, checkpoint) => {
    const bundle: Bundle = {
      typ: 'holdpoint.bundle.v1',
      origin,
      ...(rid === undefined ? { seq: seq! } : { rid }),
      records: [...lines].map(([index, line]) => ({
        index,
        line,
        inclusion: inclusion.get(index)!.map((hash) => hash.toString('base64url')),
      })),
      seal,
      root,
      keys,
      checkpoint,
      blobs,
      evidence,
    };
    return { bundle, shows: await checkBundle(bundleText(bundle), options) };
  });
  return { ...made, ...aids };
}

/** What a good bundle shows. */
export interface Bundled {
  readonly origin: string;
  readonly rootKid: string;
  /** µs since 1970, as the seal says: nothing in it is younger. */
  readonly sealedAt: number;
  /** Who had seen a log with all of it, where the bundle has its checkpoint. */
  readonly seen: SeenBy | undefined;
  readonly records: readonly ChainedRecord[];
  /** Of the request that it is about. */
  readonly story: Story | undefined;
  readonly releases: Releases['counts'];
}

/** `rootKid`: the root that the caller trusts; `given`: approvers' keys that they bring; `witnesses`: who must have seen it. */
export interface CheckOptions {
  readonly rootKid?: string | undefined;
  readonly given?: ReadonlyMap<string, Credential> | undefined;
  readonly witnesses?: Witnesses | undefined;
}

/** Checks a bundle of unknown origin by its exact text. Throws Error that says what is wrong. */
export async function checkBundle(text: string, options: CheckOptions = {}): Promise<Bundled> {
  const read = readBundle(text);
  const sealed = await sealedBy(read, options.rootKid);
  const top = Buffer.from(String(sealed.seal.root), 'base64url');
  const releases = new Releases({
    wholeText: async (record, member) => wholeText(read, record, member),
    aside: async (sha) => read.evidence[sha],
    given: options.given,
    about: read.rid,
  });
  const records: ChainedRecord[] = [];
  for (const { index, line, inclusion } of read.records) {
    const steps = [...inclusion].map((hash) => Buffer.from(hash, 'base64url'));
    const members = JSON.parse(line) as Readonly<Record<string, unknown>>;
    const follows =
      index > (records.at(-1)?.seq ?? -1) && members.seq === index && members.node === read.origin;
    if (!follows || !verifyInclusion(leafOf(line), index, Number(sealed.seal.size), steps, top))
      throw new Error(`record ${index} is not in the tree that the seal signs, or out of its order`);
    const record: ChainedRecord = {
      seq: index,
      kind: String(members.kind),
      ts: Number(members.ts),
      boot: String(members.boot),
      members,
    };
    // Whoever makes a bundle may leave out the record that says so.
    if (record.boot !== records.at(-1)?.boot) releases.restarted();
    await releases.note(record, { file: 'bundle', line: records.length + 1 });
    records.push(record);
  }
  const { story } = releases;
  if (story !== undefined && story.asked === undefined)
    throw new Error(`the bundle holds no request ${read.rid}`);
  if (story === undefined && !records.some(({ seq }) => seq === read.seq))
    throw new Error(`the bundle holds no record ${read.seq}`);
  return {
    origin: read.origin,
    rootKid: sealed.rootKid,
    sealedAt: Number(sealed.seal.ts),
    seen: await seenBy(read, sealed, options.witnesses),
    records,
    story,
    releases: releases.counts,
  };
}

function readBundle(text: string): Bundle {
  const read = JSON.parse(text) as Bundle;
  if (typeof read !== 'object' || read === null || read.typ !== 'holdpoint.bundle.v1')
    throw new Error('this is not a bundle: typ must be "holdpoint.bundle.v1"');
  // What nobody looks at could be changed unnoticed, so nothing stands in a bundle that is not looked at.
  const about = read.rid === undefined ? 'root seal seq' : 'rid root seal';
  const checkpoint = read.checkpoint === undefined ? '' : 'checkpoint ';
  const fits =
    bundleText(read) === text &&
    (read.checkpoint === undefined || isPlain(read.checkpoint)) &&
    only(read, `blobs ${checkpoint}evidence keys origin records ${about} typ`) &&
    only(read.root, 'crv kty x') &&
    read.keys.every((key) => only(key, 'cert jwk') && only(key.jwk, 'crv kty x')) &&
    read.records.every((record) => only(record, 'inclusion index line')) &&
    read.records.every(({ inclusion }) => inclusion.every(isBase64url)) &&
    [read.blobs, read.evidence].every((kept) =>
      Object.entries(kept).every(([sha, content]) => hash('sha256', content, 'hex') === sha),
    );
  if (!fits) throw new Error('the bundle is not in its one form: it was changed');
  return read;
}

function isPlain(checkpoint: Witnessed): boolean {
  const plain = plainWitnessed(checkpoint);
  return plain !== undefined && canonical(plain) === canonical(checkpoint);
}

/** True if the object has exactly these members; `names` are sorted. */
function only(value: object, names: string): boolean {
  return Object.keys(value).sort().join(' ') === names;
}

function wholeText(read: Bundle, { members }: ChainedRecord, member: string): string {
  const moved = (members.blobs as Readonly<Record<string, Moved>> | undefined)?.[member];
  if (moved === undefined) return String(members[member]);
  const text = read.blobs[moved.sha];
  if (text === undefined) throw new Error(`the bundle lacks the long member ${moved.sha}`);
  return text;
}
