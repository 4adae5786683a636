// Witness's book: which checkpoint of each log this witness cosigned last, one file a log. C2SP tlog-witness.
// Comparing with the last and writing down the new are one step of the event loop, and a cosignature is given only
// once it is on disk: of two requests at once the second meets what the first has written, also after a kill.
// Refuses to know HTTP, and what the records of a log say.

import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type Hash, verifyConsistency } from '../../verify/src/merkle.ts';
import { folderName } from '../../verify/src/names.ts';
import {
  type Checkpoint,
  goodSignatures,
  type Note,
  type NoteKey,
  noteOf,
  readCheckpoint,
  readNote,
} from '../../verify/src/note.ts';
import { syncFolder, systemFs, writeWhole } from '../audit/folder.ts';
import type { NoteSigner } from '../audit/note-signer.ts';

/** Evidence of one log's forks is kept up to this size: whoever holds its key could fill the disk otherwise. */
const evidenceBytesMax = 1 << 20;

/** What a log asks: the size it believes cosigned last, the proof from there, and its signed note. */
export interface Submission {
  readonly old: number;
  readonly proof: readonly Hash[];
  readonly note: Note;
}

/** What it is answered, in the statuses of tlog-witness. */
export type Verdict =
  | { readonly status: 200; readonly line: string }
  | { readonly status: 409; readonly size: number }
  | { readonly status: 400 | 403 | 404 | 422; readonly message: string };

export interface BookOptions {
  readonly dir: string;
  readonly signer: NoteSigner;
  /** The logs this witness knows, by their keys; a key's name is its log's origin. Several keys may be of one log. */
  readonly logs: readonly NoteKey[];
  /** ms since 1970. */
  readonly now: () => number;
  /** A log was caught saying two things. */
  readonly forked?: ((origin: string, path: string) => void) | undefined;
}

interface Cosigned {
  readonly checkpoint: Checkpoint;
  readonly text: string;
  readonly seconds: number;
}

/** The book of one witness. */
export class WitnessBook {
  readonly #options: BookOptions;
  readonly #last = new Map<string, Cosigned>();

  /** Reads what was cosigned before. Throws Error on a file that is no cosigned checkpoint. */
  constructor(options: BookOptions) {
    this.#options = options;
    mkdirSync(join(options.dir, 'logs'), { recursive: true, mode: 0o700 });
    for (const origin of new Set(options.logs.map(({ name }) => name))) {
      const path = this.#path(origin, 'checkpoint');
      if (!existsSync(path)) continue;
      const note = readNote(readFileSync(path));
      const [mine] = goodSignatures(note, [options.signer.key]);
      const checkpoint = readCheckpoint(note.text);
      if (mine === undefined || checkpoint.origin !== origin)
        throw new Error(`${path} is not a checkpoint of ${origin} that this witness cosigned`);
      this.#last.set(origin, { checkpoint, text: note.text, seconds: mine.seconds! });
    }
  }

  /** What was cosigned last of a log; undefined if nothing was. */
  last(origin: string): Checkpoint | undefined {
    return this.#last.get(origin)?.checkpoint;
  }

  /** Judges a submission and, if it is good, writes it down and cosigns it. Throws what the disk throws. */
  add({ old, proof, note }: Submission): Verdict {
    let checkpoint: Checkpoint;
    try {
      checkpoint = readCheckpoint(note.text);
    } catch (error) {
      return { status: 400, message: (error as Error).message };
    }
    const { origin, size, root } = checkpoint;
    const keys = this.#options.logs.filter(({ name }) => name === origin);
    if (keys.length === 0) return { status: 404, message: 'this log is not known here' };
    if (!isSignedBy(keys, note))
      return { status: 403, message: 'no key that is known of this log signed it' };
    if (old > size) return { status: 400, message: 'the old size is larger than the checkpoint' };
    const last = this.#last.get(origin);
    const known = last?.checkpoint.size ?? 0;
    if (old !== known) return { status: 409, size: known };
    if (last !== undefined && size === known && !root.equals(last.checkpoint.root)) {
      this.#keepEvidence(origin, note);
      return { status: 409, size: known };
    }
    const follows =
      last === undefined || known === 0
        ? proof.length === 0
        : verifyConsistency(known, last.checkpoint.root, size, root, proof);
    if (!follows) {
      this.#keepEvidence(origin, note);
      return { status: 422, message: `the proof does not lead from ${known} records to ${size}` };
    }
    return { status: 200, line: this.#cosign(note, checkpoint) };
  }

  #cosign(note: Note, checkpoint: Checkpoint): string {
    const { signer, now } = this.#options;
    const { origin } = checkpoint;
    // Not before the last: a cosignature says that nothing larger had been seen by then.
    const seconds = Math.max(Math.floor(now() / 1000), this.#last.get(origin)?.seconds ?? 0);
    const line = signer.sign(note.text, seconds);
    const lines = note.signatures.filter(({ name }) => name === origin).map((signature) => signature.line);
    writeWhole(systemFs, this.#path(origin, 'checkpoint'), noteOf(note.text, [...lines, line]));
    syncFolder(systemFs, join(this.#options.dir, 'logs'));
    this.#last.set(origin, { checkpoint, text: note.text, seconds });
    return line;
  }

  /** Two notes by the log's own key of which one cannot be the continuation of the other. */
  #keepEvidence(origin: string, note: Note): void {
    if (!this.#last.has(origin)) return;
    const path = this.#path(origin, 'evidence');
    if (existsSync(path) && statSync(path).size > evidenceBytesMax) return;
    const cosigned = readFileSync(this.#path(origin, 'checkpoint'), 'utf8');
    const lines = note.signatures.filter(({ name }) => name === origin).map(({ line }) => line);
    const seen = { at: this.#options.now(), cosigned, refused: noteOf(note.text, lines) };
    appendFileSync(path, `${JSON.stringify(seen)}\n`, { mode: 0o600 });
    this.#options.forked?.(origin, path);
  }

  #path(origin: string, kind: 'checkpoint' | 'evidence'): string {
    return join(this.#options.dir, 'logs', `${folderName(origin)}.${kind}`);
  }
}

/**
 * Moves what was cosigned of a log to its evidence, so that the next checkpoint begins it anew; no witness may be
 * running in `dir`. Returns where it is; undefined if nothing was cosigned.
 */
export function forget(dir: string, origin: string, now: number): string | undefined {
  const name = join(dir, 'logs', folderName(origin));
  if (!existsSync(`${name}.checkpoint`)) return undefined;
  const seen = { at: now, forgotten: readFileSync(`${name}.checkpoint`, 'utf8') };
  appendFileSync(`${name}.evidence`, `${JSON.stringify(seen)}\n`, { mode: 0o600, flush: true });
  unlinkSync(`${name}.checkpoint`);
  syncFolder(systemFs, join(dir, 'logs'));
  return `${name}.evidence`;
}

function isSignedBy(keys: readonly NoteKey[], note: Note): boolean {
  try {
    return goodSignatures(note, keys).length > 0;
  } catch {
    return false;
  }
}

/** A submission's body. Throws Error with a reason on anything but tlog-witness has it. */
export function readSubmission(body: Buffer): Submission {
  const end = body.indexOf('\n\n');
  const [first = '', ...hashes] = body.toString('utf8', 0, Math.max(0, end)).split('\n');
  const old = Number(/^old (0|[1-9]\d{0,15})$/.exec(first)?.[1] ?? Number.NaN);
  if (end < 0 || !Number.isSafeInteger(old)) throw new Error('the first line is not `old SIZE`');
  if (hashes.length > 63) throw new Error('a proof has at most 63 hashes');
  const proof = hashes.map((line) => {
    const bytes = Buffer.from(line, 'base64');
    if (bytes.length !== 32 || bytes.toString('base64') !== line)
      throw new Error('a line of the proof is not a hash in base64');
    return bytes;
  });
  return { old, proof, note: readNote(body.subarray(end + 2)) };
}
