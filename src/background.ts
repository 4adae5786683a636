// Background: what a thread says of itself that works beside the one of the sessions: where both want a core, that one gets
// it. Linux has a priority for each thread (setpriority(2), "C library/kernel differences"); elsewhere it is the process's,
// and stays.

import { constants, platform, setPriority } from 'node:os';

/** Of the calling thread, for good. */
export function standBack(): void {
  if (platform() !== 'linux') return;
  try {
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // Where the system forbids it everything works as well, only less evenly.
  }
}
