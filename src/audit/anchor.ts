// Anchor: somebody outside this machine who keeps checkpoints of the log. audit-approval §5.
// The port between the checkpointer, which makes checkpoints, and those who keep them: witnesses, object stores.
// Types and the sentence that an agent reads; refuses to know how anything is sent.

import type { GoodSignature } from '../../verify/src/note.ts';
import { HoldpointError } from '../errors.ts';

/** A sealed state of the log and the note that says it, signed by the log. `at`: ms since 1970. */
export interface LogCheckpoint {
  readonly origin: string;
  readonly size: number;
  /** base64url. */
  readonly root: string;
  /** A C2SP signed note; with the cosignatures that are known so far. */
  readonly note: string;
  readonly at: number;
}

/** Keeps checkpoints outside. */
export interface Anchor {
  /** For metrics and messages. */
  readonly name: string;
  /** What a target's `hold.outside` counts it as. */
  readonly kind: 'witness' | 'store';
  /** Least time between two checkpoints, where nobody waits for one: each costs it something. Milliseconds. */
  readonly restMs?: number;
  /**
   * Settles once the checkpoint is kept outside; with a witness's cosignatures, which are then verified. Rejects with a
   * reason in plain words. The next is not given before this one has settled; each is larger than the one before, or
   * the same.
   */
  keep(checkpoint: LogCheckpoint): Promise<readonly GoodSignature[]>;
}

/** Where a held statement's intent has to be before its bytes go on. */
export type Outside = 'witness' | 'store';

/** What an agent is told whose statement waits in vain. */
export function notOutside(where: Outside, ms: number, reasons: readonly string[]): HoldpointError {
  const what = where === 'witness' ? 'a witness has cosigned' : 'an outside store has taken';
  const why = reasons.length === 0 ? '' : ` (${reasons.join('; ')})`;
  return new HoldpointError(
    'log-unwritable',
    `this target releases a held statement only once ${what} the log of it, and within ${ms} ms that did not happen${why}. ` +
      'Nothing was sent to the server; try again when it can be reached',
  );
}
