// Shortage: no descriptor was to be had, in this process or in the whole system. Told apart from a target that does not
// answer, which it looks like where a connection fails. Refuses to know what wanted it. Source: errno(3).

import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { HoldpointError } from '../errors.ts';

const codes: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE']);
/** Errors in errors; ours have two. */
const depthMax = 5;

/** What an operator reads with it. */
export const shortageRemedy =
  'raise the limit of open files (ulimit -n, LimitNOFILE=, for all of the system fs.file-max) or lower limits.connectionsMax';

/** For the client, whose fault it is not, if that is what stands behind `error`; else undefined. */
export function shortageOf(error: unknown): HoldpointError | undefined {
  const cause = originOf(error, 0);
  if (cause === undefined) return undefined;
  return new HoldpointError('too-many-connections', 'sorry, this proxy has no room for another connection', {
    detail: 'It has run out of file descriptors.',
    hint: 'Try again later, or keep fewer connections open; the operator of this proxy can see the cause in its log.',
    cause,
  });
}

function originOf(error: unknown, depth: number): Error | undefined {
  if (!(error instanceof Error) || depth > depthMax) return undefined;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (codes.has(code)) return error;
  // Without a descriptor to read /etc/hosts with, and to ask a name server, a name is said not to exist.
  if (syscall === 'getaddrinfo') return originOf(refused(), depth + 1);
  // A name with several addresses fails with one error for each.
  const several: unknown[] = error instanceof AggregateError ? error.errors : [];
  for (const each of [error.cause, ...several]) {
    const origin = originOf(each, depth + 1);
    if (origin !== undefined) return origin;
  }
  return undefined;
}

/** Why there is no descriptor to be had now; undefined if there is one. */
function refused(): unknown {
  try {
    closeSync(openSync(devNull, 'r'));
    return undefined;
  } catch (error) {
    return error;
  }
}
