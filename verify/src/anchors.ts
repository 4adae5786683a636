// Anchors: what others have seen of a log, beside its files: checkpoints that witnesses cosigned, and those that the
// caller remembers. audit-approval §5 and §12. Files alone cannot show that their end was cut off, that all of them were
// put back to an older copy, or that whoever holds the keys wrote them anew; a checkpoint from outside can.
// Pure: takes notes as texts and the time as a number; the walk over the log tells it records and roots.

import type { JWK } from 'jose';
import { canonical } from './jcs.ts';
import {
  asCosigner,
  type Checkpoint,
  type GoodSignature,
  goodSignatures,
  type Note,
  type NoteKey,
  noteKey,
  noteType,
  readCheckpoint,
  readNote,
} from './note.ts';
import { Offence, type Place } from './offence.ts';
import { checkToken, publicKeyOf } from './token.ts';

/** What the caller asks of the outside. */
export interface AnchorOptions {
  /** Keys of the witnesses that the caller trusts. */
  readonly witnesses?: readonly NoteKey[] | undefined;
  /** How many of them have to have cosigned; all of them if left out. */
  readonly need?: number | undefined;
  /** How old the newest checkpoint may be that so many cosigned, and the time now: ms, ms since 1970. */
  readonly maxAgeMs?: number | undefined;
  readonly now?: number | undefined;
  /** Checkpoint notes that the caller remembers or has from elsewhere; the log must continue each of them. */
  readonly remembered?: readonly string[] | undefined;
  /** Others that lie beside the log: believed where witnesses cosigned them. */
  readonly kept?: readonly string[] | undefined;
  /** Words of the root on keys that may be in other hands, one token a line, beside those that lie with the log. */
  readonly revocations?: readonly string[] | undefined;
}

/** The newest checkpoint that enough witnesses cosigned. */
export interface Witnessed {
  readonly size: number;
  /** base64url. */
  readonly root: string;
  readonly witnesses: readonly { readonly name: string; readonly seconds: number }[];
  readonly need: number;
  /** By when as many had seen it as were asked for: s since 1970. */
  readonly seconds: number;
  /** Records behind it, for which no witness speaks. */
  readonly behind: number;
}

/** Where the walk over a log came to. `roots`: base64url, at the sizes that were asked for. */
export interface Walked {
  readonly origin: string;
  readonly size: number;
  readonly sealed: number;
  readonly sealedRoot: string | undefined;
  readonly root: { readonly kid: string; readonly jwk: JWK } | undefined;
  readonly roots: ReadonlyMap<number, string>;
  /** The keys that may sign its notes, as its records name them. */
  readonly checkpointKeys: readonly { readonly jwk: JWK }[];
  /** Records that were pruned from the beginning. */
  readonly pruned: number;
}

interface Named {
  readonly note: Note;
  readonly checkpoint: Checkpoint;
}

type Read = (name: string) => Promise<Buffer | undefined>;

const newestName = 'checkpoint';

/** The comparison of one log with what is known of it outside. */
export class AnchorCheck {
  readonly #options: AnchorOptions;
  readonly #read: Read;
  readonly #newest: Named | Offence | undefined;
  readonly #remembered: readonly (Named | Offence)[];
  readonly #kept: readonly Named[];

  private constructor(
    options: AnchorOptions,
    read: Read,
    newest: Named | Offence | undefined,
    remembered: readonly (Named | Offence)[],
    kept: readonly Named[],
  ) {
    this.#kept = kept;
    this.#options = options;
    this.#read = read;
    this.#newest = newest;
    this.#remembered = remembered;
  }

  /** Reads the notes: before the segments, so that a log that grows meanwhile is never behind them. */
  static async open(options: AnchorOptions, read: Read): Promise<AnchorCheck> {
    const bytes = await read(newestName);
    const remembered = (options.remembered ?? []).map((text, i) =>
      namedBy('expectation', `remembered checkpoint ${i + 1}`, text),
    );
    const kept = (options.kept ?? []).map((text) => namedBy('stale', 'checkpoints', text));
    const readable = kept.filter((named): named is Named => !(named instanceof Offence));
    return new AnchorCheck(options, read, bytes && namedBy('stale', newestName, bytes), remembered, readable);
  }

  /** The sizes of the log at which its root is wanted. */
  get sizes(): readonly number[] {
    return [this.#newest, ...this.#remembered, ...this.#kept].flatMap((named) =>
      named === undefined || named instanceof Offence ? [] : [named.checkpoint.size],
    );
  }

  /** What only the end of the log can tell. Throws Offence; returns what witnesses say, if any were named. */
  async finish(walked: Walked, place: Place): Promise<Witnessed | undefined> {
    for (const named of this.#remembered) {
      if (named instanceof Offence) throw named;
      compare(named.checkpoint, walked, place, 'you remember');
    }
    const { witnesses = [] } = this.#options;
    if (witnesses.length === 0) {
      if (this.#options.maxAgeMs !== undefined)
        throw stale('an age was asked for and no witness named: only a witness tells when a log was seen');
      return undefined;
    }
    return this.#witnessed(walked, place, witnesses.map(asCosigner));
  }

  /** The newest of all notes that enough witnesses cosigned; the one beside the log says why if there is none. */
  /** How many records enough witnesses had seen before a time, s since 1970. 0 if no witness was named. */
  async witnessedBefore(seconds: number, walked: Walked): Promise<number> {
    const { witnesses = [], need = witnesses.length } = this.#options;
    if (witnesses.length === 0) return 0;
    const keys = await this.#noteKeys(walked);
    let most = 0;
    for (const named of [this.#newest, ...this.#remembered, ...this.#kept]) {
      if (named === undefined || named instanceof Offence) continue;
      const seen = cosignedBy(named, walked, keys, witnesses.map(asCosigner), need);
      const isHere = walked.roots.get(named.checkpoint.size) === named.checkpoint.root.toString('base64url');
      if (!(seen instanceof Offence) && isHere && seen.seconds < seconds) most = Math.max(most, seen.size);
    }
    return most;
  }

  async #witnessed(walked: Walked, place: Place, witnesses: readonly NoteKey[]): Promise<Witnessed> {
    const { need = witnesses.length, maxAgeMs, now } = this.#options;
    const keys = await this.#noteKeys(walked);
    let best: Witnessed | undefined;
    let why = this.#newest ?? stale('there is no checkpoint here: no witness speaks for this log');
    for (const named of [...(this.#newest === undefined ? [] : [this.#newest]), ...this.#remembered]) {
      if (named instanceof Offence) continue;
      const seen = cosignedBy(named, walked, keys, witnesses, need);
      if (seen instanceof Offence) {
        if (named === this.#newest) why = seen;
      } else if (best === undefined || isNewer(seen, best)) best = seen;
    }
    if (best === undefined) throw why;
    compare(
      { ...best, origin: walked.origin, root: Buffer.from(best.root, 'base64url') },
      walked,
      place,
      'witnesses have cosigned',
    );
    const age = now === undefined ? 0 : now - best.seconds * 1000;
    if (maxAgeMs !== undefined && age > maxAgeMs)
      throw stale(
        `the newest checkpoint was cosigned ${Math.round(age / 1000)} s ago, and may be ${Math.round(maxAgeMs / 1000)} s old: ` +
          'what came since may have been cut off',
      );
    return best;
  }

  /** The keys of the log's notes: as its records name them, and as its files do where the beginning is gone. */
  async #noteKeys({ origin, root, pruned, checkpointKeys }: Walked): Promise<NoteKey[]> {
    const keys = checkpointKeys.map(({ jwk }) => jwk);
    const cert = pruned > 0 ? await this.#read('keys/checkpoint.cert') : undefined;
    if (cert !== undefined) {
      try {
        const jwk = await this.#read('keys/checkpoint.jwk');
        if (root === undefined) throw new Error('no root is there to certify it');
        keys.push(certifiedKey(cert.toString('utf8').trimEnd(), JSON.parse(String(jwk)), root, origin));
      } catch (error) {
        const place = { file: 'keys/checkpoint.cert', line: 0 };
        throw new Offence('keys', place, `the key of the checkpoints: ${(error as Error).message}`);
      }
    }
    return keys.map(({ x }) => noteKey(origin, noteType, Buffer.from(String(x), 'base64url')));
  }
}

function isNewer(one: Witnessed, other: Witnessed): boolean {
  return one.size > other.size || (one.size === other.size && one.seconds > other.seconds);
}

function certifiedKey(cert: string, named: unknown, by: { kid: string; jwk: JWK }, origin: string): JWK {
  const { kid, jwk } = publicKeyOf(named);
  const claims = checkToken(cert, 'holdpoint-checkpoint+jws', by);
  if (canonical(claims) !== canonical({ v: 1, origin, kid }))
    throw new Error('the certificate is not for this key');
  return jwk;
}

/** What witnesses say in a note; why they say nothing. */
function cosignedBy(
  { note, checkpoint: { origin, size, root } }: Named,
  walked: Walked,
  keys: readonly NoteKey[],
  witnesses: readonly NoteKey[],
  need: number,
): Witnessed | Offence {
  if (origin !== walked.origin)
    return stale(`the checkpoint is of ${JSON.stringify(origin)}, the log is ${walked.origin}`);
  let cosigned: readonly GoodSignature[];
  try {
    if (goodSignatures(note, keys).length === 0)
      return stale('the checkpoint is signed by no key that this log certifies for its checkpoints');
    cosigned = goodSignatures(note, witnesses);
  } catch (error) {
    return stale((error as Error).message);
  }
  if (cosigned.length < need)
    return stale(
      `${cosigned.length} of ${witnesses.length} witnesses cosigned the checkpoint; ${need} have to`,
    );
  const times = cosigned.map(({ seconds }) => seconds!).sort((a, b) => b - a);
  return {
    size,
    root: root.toString('base64url'),
    witnesses: cosigned.map(({ key, seconds }) => ({ name: key.name, seconds: seconds! })),
    need,
    seconds: times[need - 1]!,
    behind: walked.size - size,
  };
}

function compare(
  { origin, size, root }: Omit<Checkpoint, 'extensions'>,
  walked: Walked,
  place: Place,
  who: string,
): void {
  const here = walked.roots.get(size) ?? (size === walked.sealed ? walked.sealedRoot : undefined);
  if (origin === walked.origin && here === root.toString('base64url')) return;
  throw new Offence(
    'expectation',
    place,
    origin !== walked.origin
      ? `${who} the log ${JSON.stringify(origin)}; this is ${walked.origin}`
      : walked.size < size
        ? `${who} ${size} records; the log ends after ${walked.size}: its end was cut off`
        : size < walked.pruned
          ? `${who} ${size} records; the first ${walked.pruned} were pruned, so that those cannot be compared any more`
          : `the first ${size} records are not those that ${who}: the log was written anew`,
  );
}

function namedBy(kind: 'stale' | 'expectation', file: string, text: Buffer | string): Named | Offence {
  try {
    const note = readNote(text);
    return { note, checkpoint: readCheckpoint(note.text) };
  } catch (error) {
    return new Offence(kind, { file, line: 0 }, (error as Error).message);
  }
}

function stale(message: string): Offence {
  return new Offence('stale', { file: newestName, line: 0 }, message);
}
