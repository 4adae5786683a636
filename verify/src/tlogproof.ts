// Tlog-proof: one record, and why it is in the log, as the text that C2SP defines for it (c2sp.org/tlog-proof@v1): the
// record, its index, the hashes to the root, and the checkpoint over that root, signed by the log and cosigned by its
// witnesses. Any implementation of C2SP verifies it with the log's and the witnesses' keys; it knows nothing of us.
// `extra`, which proves nothing by itself, carries the record. Pure given the source.

import { recordAt } from './extents.ts';
import { verifyInclusion } from './merkle.ts';
import { type Checkpoint, goodSignatures, type NoteKey, readCheckpoint, readNote } from './note.ts';
import type { LogSource } from './port.ts';
import { leafOf } from './proof.ts';
import { proved, Unprovable } from './prover.ts';

const heading = 'c2sp.org/tlog-proof@v1';
/** A proof has one hash a height; sizes are below 2^53. */
const hashesMax = 53;

/** A proof as read; nothing is verified. `note` is the checkpoint, verbatim. */
export interface TlogProof {
  readonly record: string;
  readonly index: number;
  readonly hashes: readonly Buffer[];
  readonly note: string;
}

/** The one text of it. */
export function tlogProofText({ record, index, hashes, note }: TlogProof): string {
  const lines = [
    heading,
    `extra ${Buffer.from(record, 'utf8').toString('base64')}`,
    `index ${index}`,
    ...hashes.map((hash) => hash.toString('base64')),
  ];
  return `${lines.join('\n')}\n\n${note}`;
}

/** Proves record `seq` under the log's newest checkpoint. Throws Unprovable if none covers it. */
export async function proveByCheckpoint(
  source: LogSource,
  seq: number,
): Promise<{ text: string; tiles: 'used' | 'none' | 'wrong' }> {
  const note = (await source.read('checkpoint'))?.toString('utf8');
  if (note === undefined)
    throw new Unprovable('the log has no checkpoint: `--format json` proves the record by its seal');
  const checkpoint = readCheckpoint(readNote(note).text);
  const record = await recordAt(source, seq);
  if (record === undefined || seq >= checkpoint.size)
    throw new Unprovable(
      `the newest checkpoint is over ${checkpoint.size} records, and record ${seq} is not among them`,
    );
  const wanted = { inclusion: [seq], consistency: [], size: checkpoint.size };
  const { made, tiles } = await proved(source, wanted, async ({ inclusion }) => {
    const proof = { record: record.line, index: seq, hashes: inclusion.get(seq)!, note };
    includedIn(proof, checkpoint);
    return tlogProofText(proof);
  });
  return { text: made, tiles };
}

/** What a good one shows. */
export interface TlogProved {
  readonly origin: string;
  readonly seq: number;
  readonly record: string;
  readonly size: number;
  /** The keys whose signatures were verified; of a witness, when it saw the log, in seconds since 1970. */
  readonly signedBy: readonly { readonly name: string; readonly seconds: number | undefined }[];
}

/**
 * Checks one of unknown origin by its exact text. `log`: the keys by which the log may sign; `witnesses`: those that the
 * caller knows, of whom `need` must have cosigned. Throws Error that says what is wrong.
 */
export function checkTlogProof(
  text: string,
  keys: {
    readonly log: readonly NoteKey[];
    readonly witnesses?: readonly NoteKey[];
    readonly need?: number;
  },
): TlogProved {
  const proof = readTlogProof(text);
  const note = readNote(proof.note);
  const checkpoint = readCheckpoint(note.text);
  const byLog = goodSignatures(note, keys.log);
  if (byLog.length === 0)
    throw new Error('the checkpoint is not signed by the key of the log that you named');
  const byWitnesses = goodSignatures(note, keys.witnesses ?? []);
  const need = keys.need ?? (keys.witnesses ?? []).length;
  if (byWitnesses.length < need)
    throw new Error(`${byWitnesses.length} of the witnesses that you named cosigned it, not ${need}`);
  includedIn(proof, checkpoint);
  return {
    origin: checkpoint.origin,
    seq: proof.index,
    record: proof.record,
    size: checkpoint.size,
    signedBy: [...byLog, ...byWitnesses].map(({ key, seconds }) => ({ name: key.name, seconds })),
  };
}

/** Reads one in its only spelling. Throws Error on anything else. */
export function readTlogProof(text: string): TlogProof {
  const end = text.indexOf('\n\n');
  const [first, extra = '', index = '', ...hashes] = text.slice(0, Math.max(0, end)).split('\n');
  if (first !== heading || hashes.length > hashesMax)
    throw new Error(`this is not a proof of the form ${heading}`);
  const proof: TlogProof = {
    record: Buffer.from(extra.slice('extra '.length), 'base64').toString('utf8'),
    index: Number(index.slice('index '.length)),
    hashes: hashes.map((hash) => Buffer.from(hash, 'base64')),
    note: text.slice(end + 2),
  };
  const fits = Number.isSafeInteger(proof.index) && proof.hashes.every(({ length }) => length === 32);
  if (!fits || tlogProofText(proof) !== text)
    throw new Error('the proof is not in its one form, or carries no record: it was changed');
  return proof;
}

function includedIn({ record, index, hashes }: TlogProof, { origin, size, root }: Checkpoint): void {
  const { seq, node } = JSON.parse(record) as { seq: unknown; node: unknown };
  if (seq !== index || node !== origin || !verifyInclusion(leafOf(record), index, size, hashes, root))
    throw new Error('the record is not in the tree that the checkpoint is over');
}
