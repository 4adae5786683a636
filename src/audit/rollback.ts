// Rollback: whether the log on disk is still the one that others remember, asked before anything is added to it.
// audit-approval §5 and §6, step 5. What this machine remembers finds a log folder that was put back; a restored disk
// brings the memory back with the folder, and then only a witness can tell.
// An operator may acknowledge a difference, once and for exactly the log that is there: it goes on with a `gap` record.
// The witness still holds to what it cosigned, and no auditor is fooled: only the witness's own operator can forget.

import { checkpointText, noteOf } from '../../verify/src/note.ts';
import { HoldpointError } from '../errors.ts';
import type { LogCheckpoint } from './anchor.ts';
import type { NoteSigner } from './note-signer.ts';
import type { RecordBody } from './record.ts';
import type { Extent, Remembered } from './remembered.ts';
import type { Wake } from './wake.ts';
import { type Witness, WitnessConflict } from './witness.ts';

export interface ComparisonOptions {
  readonly origin: string;
  readonly wake: Wake;
  readonly memory: Remembered;
  /** Absent: the log never had a key for notes, so that no witness knows it. */
  readonly signer: NoteSigner | undefined;
  readonly witnesses: readonly Witness[];
  readonly now: () => number;
  /** A witness could not be asked: the log goes on, and the witness is asked again. */
  readonly unasked: (witness: string, error: Error) => void;
}

/** What somebody remembers that is not here. */
interface Difference {
  readonly who: string;
  readonly size: number;
  readonly message: string;
  readonly witness?: Witness;
}

/** What a log that is taken up has to say of its own past. */
export interface Comparison {
  readonly gaps: readonly RecordBody[];
  /** To be called once they are durable. */
  readonly settled: () => Promise<void>;
}

const nothing: Comparison = { gaps: [], settled: async () => undefined };

/**
 * Compares the log on disk with what is remembered of it. Throws `log-unwritable` if it is not its continuation and no
 * operator has acknowledged that.
 */
export async function compareOutside(options: ComparisonOptions): Promise<Comparison> {
  const { origin, wake, memory } = options;
  const standing = await wake.advance().catch((error: Error) => {
    throw new HoldpointError('log-unwritable', `the log ${origin} cannot be taken up: ${error.message}`);
  });
  if (standing === undefined) return nothing;
  const here: Extent = { size: standing.size, root: standing.root.toString('base64url') };
  const differences = [
    ...(await ownDifference(options, here)),
    ...(await witnessDifferences(options, here, standing.root)),
  ];
  if (differences.length === 0) return nothing;
  if (!(await isAcknowledged(options, here))) throw refusal(options, here, differences);
  const to = Math.max(here.size, ...differences.map(({ size }) => size));
  const reason = `rollback acknowledged: ${differences.map(({ message }) => message).join('; ')}`;
  return {
    gaps: [{ kind: 'gap', reason, from: here.size, to, count: to - here.size }],
    settled: async () => {
      for (const { witness, size } of differences)
        if (witness !== undefined) memory.note(witness.id, { abandoned: size });
      memory.acknowledge(undefined);
      memory.stand(here);
      await memory.write();
    },
  };
}

async function ownDifference(
  { memory, wake }: ComparisonOptions,
  here: Extent,
): Promise<readonly Difference[]> {
  const { standing } = memory;
  if (standing === undefined) return [];
  const who = 'this machine';
  const { size } = standing;
  if (size > here.size)
    return [{ who, size, message: `this machine remembers ${size} records; ${here.size} are here` }];
  if ((await wake.rootAt(size)).toString('base64url') !== standing.root)
    return [{ who, size, message: `this machine remembers other records than the first ${size} here` }];
  return [];
}

/** Sends each witness what is here; one that has cosigned anything else says so. */
async function witnessDifferences(
  { origin, signer, witnesses, now, unasked }: ComparisonOptions,
  { size, root }: Extent,
  rootHash: Buffer,
): Promise<readonly Difference[]> {
  if (signer === undefined) return [];
  const text = checkpointText({ origin, size, root: rootHash, extensions: [] });
  const checkpoint: LogCheckpoint = {
    origin,
    size,
    root,
    note: noteOf(text, [signer.sign(text)]),
    at: now(),
  };
  const asked = witnesses.map(async (witness): Promise<readonly Difference[]> => {
    try {
      await witness.keep(checkpoint);
      return [];
    } catch (error) {
      if (error instanceof WitnessConflict)
        return [{ who: error.witness, size: error.size, message: error.message, witness }];
      unasked(witness.name, error as Error);
      return [];
    }
  });
  return (await Promise.all(asked)).flat();
}

async function isAcknowledged({ memory, wake }: ComparisonOptions, here: Extent): Promise<boolean> {
  const { acknowledged } = memory;
  if (acknowledged === undefined || acknowledged.size > here.size) return false;
  return (await wake.rootAt(acknowledged.size)).toString('base64url') === acknowledged.root;
}

function refusal(
  { origin }: ComparisonOptions,
  here: Extent,
  differences: readonly Difference[],
): HoldpointError {
  return new HoldpointError(
    'log-unwritable',
    `the log ${origin} is not the one that others remember: ${differences.map(({ message }) => message).join('; ')}. ` +
      `If the ${here.size} records that are here come from an older copy, put the newer log back. If it is lost, ` +
      '`holdpoint audit recover --acknowledge-rollback` lets the next start go on, and the log will say so',
  );
}
