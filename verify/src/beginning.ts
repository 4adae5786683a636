// Beginning: from where a log whose first segments were pruned can be verified. audit-approval §11.
// The manifest keeps the signed lines of the segments that are gone, and keys/ the keys with their certificates, each by
// the key before and the first by the root. So what the first record that is left must follow is known without those
// before it. That they were pruned, and not removed, the log says itself, in a record. Pure.

import { certifierOf, type EpochKey, refuseForeignKey, type WalkStart } from './chain.ts';
import { claimsOf, type Manifest, placeOfLine, verifiedClaims } from './manifest.ts';
import { Offence, type Place } from './offence.ts';
import type { LogSource } from './port.ts';
import { openMax } from './statements.ts';
import { digest, publicKeyOf, type SegmentSeal } from './token.ts';

/** Where a log begins that has lost segments 0 to `segments` − 1. */
export interface Beginning {
  readonly start: WalkStart;
  readonly root: { readonly kid: string; readonly jwk: object };
  readonly segments: number;
  /** Hash of the manifest line of the last of them. */
  readonly pmh: string;
  /** Bytes that they had. */
  readonly bytes: number;
  /** Epochs that began in them. */
  readonly epochs: number;
  /** Statements that had no outcome there, by the manifest. */
  readonly open: readonly (readonly [number, Place])[];
}

/**
 * Follows manifest and keys up to segment `least`, and beyond it, but not to the last, while the records that end there
 * are before `from`. Throws Offence if they do not lead there.
 */
export async function beginningAt(
  { least, last: lastSegment, from }: { least: number; last: number; from: number },
  source: LogSource,
  origin: string,
  manifest: Manifest,
): Promise<Beginning | undefined> {
  const keys = new Keychain(source, origin);
  let pmh = digest(`holdpoint-manifest-v1\n${origin}`);
  let last: SegmentSeal | undefined;
  let bytes = 0;
  let n = 0;
  for (let i = 0; i < lastSegment; i += 1) {
    const line = await manifest.line(i);
    if (i >= least && !(Number(line && claimsOf(line)?.size) <= from)) break;
    if (line === undefined)
      throw new Offence(
        'chain',
        placeOfLine(i),
        `segment ${i} is missing, and there is no manifest line that says what it was`,
      );
    const claims = verifiedClaims(line, await keys.of(signerOf(line.line)));
    const follows =
      claims.origin === origin &&
      claims.n === i &&
      claims.pmh === pmh &&
      claims.first === (last?.size ?? 0) &&
      Number.isSafeInteger(claims.size) &&
      claims.size > claims.first &&
      claims.epoch === keys.epoch;
    if (!follows)
      throw new Offence(
        'root',
        line.place,
        `the manifest line of segment ${i} does not follow the one above`,
      );
    pmh = digest(line.line);
    bytes += Number(claims.bytes);
    last = claims;
    n = i + 1;
  }
  if (last === undefined) return undefined;
  manifest.forget(n - 1);
  const place = placeOfLine(n - 1);
  try {
    const range = last.end_range.map((peak) => Buffer.from(peak, 'base64url'));
    const { size, end_head, psh } = last;
    const key = await keys.of(undefined);
    const start: WalkStart = { size, head: String(end_head), range, psh: String(psh), key };
    const open = openStatements(last).map((seq) => [seq, place] as const);
    return { start, root: keys.root!, segments: n, pmh, bytes, epochs: key.epoch + 1, open };
  } catch (error) {
    if (error instanceof Offence) throw error;
    throw new Offence('root', place, `the manifest line is of no use: ${(error as Error).message}`);
  }
}

/** The statements that a manifest line names as open. */
function openStatements({ intents, waits = [], passes = [] }: SegmentSeal): number[] {
  const open = [...intents, ...waits];
  for (let i = 0; i + 1 < passes.length; i += 2)
    for (let k = 0; k < Math.min(passes[i + 1]!, openMax); k += 1) open.push(passes[i]! + k);
  return open.sort((a, b) => a - b);
}

/** The keys of a log in their order, each by the word of the one before. */
class Keychain {
  root: { readonly kid: string; readonly jwk: object } | undefined;
  #key: EpochKey | undefined;
  readonly #source: LogSource;
  readonly #origin: string;

  constructor(source: LogSource, origin: string) {
    this.#source = source;
    this.#origin = origin;
  }

  get epoch(): number {
    return this.#key?.epoch ?? -1;
  }

  /** The key of that thumbprint, which is the one at hand or comes behind it; the one at hand if undefined. */
  async of(kid: string | undefined): Promise<EpochKey> {
    while (this.#key === undefined || (kid !== undefined && this.#key.kid !== kid)) {
      const epoch = this.epoch + 1;
      const name = `keys/${epoch}`;
      try {
        this.root ??= publicKeyOf(JSON.parse(await this.#text('keys/root.jwk')));
        const key = publicKeyOf(JSON.parse(await this.#text(`${name}.jwk`)));
        const cert = (await this.#text(`${name}.cert`)).trimEnd();
        const before = this.#key ?? (this.root as EpochKey);
        refuseForeignKey(
          cert,
          certifierOf(cert, before, this.root as EpochKey),
          this.#origin,
          epoch,
          key.kid,
        );
        this.#key = { ...key, epoch };
      } catch (error) {
        throw new Offence(
          'keys',
          { file: `${name}.cert`, line: 0 },
          `the key chain of a log whose beginning is gone is broken at epoch ${epoch}: ${(error as Error).message}`,
        );
      }
    }
    return this.#key;
  }

  async #text(name: string): Promise<string> {
    const bytes = await this.#source.read(name);
    if (bytes === undefined) throw new Error(`${name} is not there`);
    return bytes.toString('utf8');
  }
}

/** The thumbprint that a token names; of no worth until it is verified by that key. */
function signerOf(token: string): string {
  try {
    const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString('utf8')) as {
      kid?: unknown;
    };
    return String(header.kid);
  } catch {
    return '';
  }
}
