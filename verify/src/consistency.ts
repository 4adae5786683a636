// Consistency: that a log at one size continues what it was at another, as one small JSON file: the two roots and the RFC
// 6962 hashes between them. Whoever remembers the older one, and gets the newer from somebody, needs no log to know that
// nothing of it was rewritten. audit-approval §9. What says that the newer one is the log's: its seal and the keys that lead to that
// from the root, where the file has them.
// Pure given the source.

import type { JWK } from 'jose';
import { verifyConsistency } from './merkle.ts';
import type { LogSource } from './port.ts';
import { isBase64url } from './proof/base64url.ts';
import { sealedBy } from './proof.ts';
import { proved, sealOver, Unprovable, withKeys } from './prover.ts';
import { LineReader, type ReadSeal, readLines } from './source.ts';

/** The first `size` records; `root` is base64url. */
export interface TreeHead {
  readonly size: number;
  readonly root: string;
}

export interface Consistency {
  readonly typ: 'holdpoint.consistency.v1';
  readonly origin: string;
  readonly old: TreeHead;
  readonly new: TreeHead;
  /** Base64url, in the order of RFC 9162 §2.1.4.1. */
  readonly consistency: readonly string[];
  /** The seal over the newer one, and its keys as in a proof. Left out where the log has no seal of that size. */
  readonly sealed?: {
    readonly seal: string;
    readonly root: JWK;
    readonly keys: readonly { readonly jwk: JWK; readonly cert: string }[];
  };
}

/** The one text of it. */
export function consistencyText(given: Consistency): string {
  const { typ, origin, old, new: now, consistency, sealed } = given;
  const head = ({ size, root }: TreeHead) => ({ size, root });
  const key = (jwk: JWK | undefined) => ({ crv: jwk?.crv, kty: jwk?.kty, x: jwk?.x });
  const ordered = {
    typ,
    origin,
    old: head(old),
    new: head(now),
    consistency,
    sealed: sealed && {
      seal: sealed.seal,
      root: key(sealed.root),
      keys: sealed.keys.map(({ jwk, cert }) => ({ jwk: key(jwk), cert })),
    },
  };
  return `${JSON.stringify(ordered, null, 2)}\n`;
}

/**
 * Shows that a log continues what somebody remembers as `old`. `now`: a later state that they know, or the newest seal.
 * Throws Unprovable if the log is not long enough, Inconsistent if it is another than either remembers.
 */
export async function continues(
  source: LogSource,
  old: TreeHead,
  now?: TreeHead,
): Promise<{ shown: Consistency; tiles: 'used' | 'none' | 'wrong' }> {
  const seal = now === undefined ? await newestSeal(source) : await sealOf(source, now.size);
  const sealed = seal === undefined ? undefined : await withKeys(source, seal.line);
  const newest = now ?? (await headOf(sealed!));
  if (old.size > newest.size)
    throw new Unprovable(
      `${old.size} records are more than the ${newest.size} that they are to be followed by`,
    );
  const wanted = { inclusion: [], consistency: [{ old: old.size, size: newest.size }], size: newest.size };
  const { made, tiles } = await proved(source, wanted, async ({ consistency }) => {
    const shown: Consistency = {
      typ: 'holdpoint.consistency.v1',
      origin: sealed?.origin ?? (await originOf(source)),
      old,
      new: newest,
      consistency: consistency[0]!.map((hash) => hash.toString('base64url')),
      ...(sealed && { sealed: { seal: sealed.seal, root: sealed.root, keys: sealed.keys } }),
    };
    await checkConsistency(consistencyText(shown));
    return shown;
  });
  return { shown: made, tiles };
}

/** The older tree does not begin the newer one. */
export class Inconsistent extends Error {
  override readonly name = 'Inconsistent';
}

/** What a good proof of consistency shows. */
export interface Continued {
  readonly origin: string;
  readonly old: TreeHead;
  readonly new: TreeHead;
  /** Set where a seal says that the newer one is the log's. µs since 1970. */
  readonly sealedAt: number | undefined;
  readonly rootKid: string | undefined;
}

/** What whoever checks knows already. `rootKid`: the root that they trust. */
export interface Remembered {
  readonly old?: TreeHead | undefined;
  readonly new?: TreeHead | undefined;
  readonly rootKid?: string | undefined;
}

/** Checks a proof of consistency by its exact text. Throws Inconsistent or Error that says what is wrong. */
export async function checkConsistency(text: string, remembered: Remembered = {}): Promise<Continued> {
  const read = readConsistency(text);
  for (const [name, mine, its] of [
    ['older', remembered.old, read.old],
    ['newer', remembered.new, read.new],
  ] as const)
    if (mine !== undefined && (mine.size !== its.size || mine.root !== its.root))
      throw new Inconsistent(`the ${name} state is not the one that you remember`);
  const steps = read.consistency.map((step) => Buffer.from(step, 'base64url'));
  const [before, after] = [read.old, read.new].map(({ root }) => Buffer.from(root, 'base64url'));
  if (!verifyConsistency(read.old.size, before!, read.new.size, after!, steps))
    throw new Inconsistent(
      `the log of ${read.new.size} records does not continue the one of ${read.old.size}: it was written anew, or one of the two is of another log`,
    );
  if (read.sealed === undefined) {
    if (remembered.rootKid !== undefined)
      throw new Error('no seal in it says that the newer state is of a log under the root that you trust');
    return { origin: read.origin, old: read.old, new: read.new, sealedAt: undefined, rootKid: undefined };
  }
  const { seal, rootKid } = await sealedBy({ origin: read.origin, ...read.sealed }, remembered.rootKid);
  if (seal.size !== read.new.size || seal.root !== read.new.root)
    throw new Error('the seal is not over the newer state');
  return { origin: read.origin, old: read.old, new: read.new, sealedAt: Number(seal.ts), rootKid };
}

function readConsistency(text: string): Consistency {
  const read = JSON.parse(text) as Consistency;
  if (typeof read !== 'object' || read === null || read.typ !== 'holdpoint.consistency.v1')
    throw new Error('this is not a proof of consistency: typ must be "holdpoint.consistency.v1"');
  const fits =
    [read.old, read.new].every((head) => Number.isSafeInteger(head?.size) && isHash(head?.root)) &&
    Array.isArray(read.consistency) &&
    read.consistency.every(isHash) &&
    (read.sealed === undefined || Array.isArray(read.sealed.keys)) &&
    consistencyText(read) === text;
  if (!fits) throw new Error('the proof of consistency is not in its one form: it was changed');
  return read;
}

function isHash(value: unknown): boolean {
  return typeof value === 'string' && value.length === 43 && isBase64url(value);
}

async function headOf({ seal, root, keys, origin }: Awaited<ReturnType<typeof withKeys>>): Promise<TreeHead> {
  const { seal: claims } = await sealedBy({ origin, seal, root, keys });
  return { size: Number(claims.size), root: String(claims.root) };
}

async function newestSeal(source: LogSource): Promise<ReadSeal> {
  const names = await source.segments();
  // A segment that was begun a moment ago has none; the one before ends with one.
  for (let at = names.length - 1; at >= Math.max(0, names.length - 2); at -= 1) {
    let newest: ReadSeal | undefined;
    for await (const line of new LineReader(source, at).fresh()) if (!('kind' in line)) newest = line;
    if (newest !== undefined) return newest;
  }
  throw new Unprovable('the log has no seal');
}

async function originOf(source: LogSource): Promise<string> {
  for await (const line of readLines(source)) if ('kind' in line) return String(line.members.node);
  return '';
}

/** The seal over exactly the first `size` records, if there is one. */
async function sealOf(source: LogSource, size: number): Promise<ReadSeal | undefined> {
  if (size === 0) return undefined;
  const { seal, size: sealedSize } = await sealOver(source, size - 1);
  return sealedSize === size ? { size, line: seal } : undefined;
}
