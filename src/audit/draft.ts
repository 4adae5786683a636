// Draft: a seal in the making, from the snapshot that it speaks of until it is on disk. It outlives a failure of the
// disk: what was signed once is not signed again in other words. audit-approval §3.5. Pure; refuses to know files.

import { canonical } from '../../verify/src/jcs.ts';
import type { Seal } from '../../verify/src/token.ts';
import type { Chain, Snapshot } from './chain.ts';
import type { NextKey } from './epochs.ts';
import type { SegmentEnd } from './segment.ts';

export interface Draft extends Snapshot {
  readonly payload: string;
  /** When the oldest record was appended that no earlier seal covers; monotonic ms. */
  readonly since: number | undefined;
  /** The key that is adopted with it: its record is the last that the seal covers. */
  readonly next: NextKey | undefined;
  /** Where the log stood, if its segment is to end with this seal; until then nothing else is written. */
  end: SegmentEnd | undefined;
  /** Settles once the values of its records are on disk beside it; undefined where there are none. */
  values: Promise<void> | undefined;
  /** Closes the file of values of the segment that ends with it. */
  closeValues: (() => void) | undefined;
  /** Once it is signed. */
  line: string | undefined;
  /** It was written, or was tried to be. */
  isWritten: boolean;
  /** The disk has it, in a segment other than it was written to first. */
  isConfirmed: boolean;
}

/** A seal over the whole chain. `closes`: its segment ends with it. */
export function draftOf(
  chain: Chain,
  of: Pick<Seal, 'origin' | 'boot' | 'epoch' | 'psh'>,
  { since, next, closes }: Pick<Draft, 'since' | 'next'> & { readonly closes: boolean },
): Draft {
  const { snapshot } = chain;
  const seal: Seal = { v: 1, ...of, ...snapshot, ...chain.times() };
  return {
    ...snapshot,
    payload: canonical(seal),
    since,
    next,
    end: closes ? chain.end(of.psh) : undefined,
    values: undefined,
    closeValues: undefined,
    line: undefined,
    isWritten: false,
    isConfirmed: false,
  };
}
