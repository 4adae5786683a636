// Ended: what a session is told when its hold has ended without a release, or stands still: one error for each way. The
// DETAIL is one line of JSON in CONTRACT's shape; the HINT says what to do next, and never how to get around a person.
// Refuses to know how it came to the end. CONTRACT "What an agent sees"; audit-approval §17.5, B15.

import { wordsCharactersMax } from '../approval/own.ts';
import type { Rejection, Settlement } from '../approval/request.ts';
import { plainLine } from '../approval/visible.ts';
import { type ErrorCode, HoldpointError } from '../errors.ts';
import { stateDetail } from '../session/refusal.ts';

/** What the DETAIL names of a request. Milliseconds since the epoch. */
export interface Asked {
  readonly rid: string;
  readonly rule: string;
  readonly expiresAt: number;
}

export function settledError(
  settlement: Exclude<Settlement, { state: 'approved' }>,
  asked: Asked,
): HoldpointError {
  switch (settlement.state) {
    case 'rejected':
      return rejectedError(settlement, asked.rule);
    case 'expired':
      return ended(
        'expired',
        `request ${asked.rid} expired before it was approved; the statement did not run`,
        asked,
        'Send the statement again to ask once more.',
      );
    case 'elsewhere':
      // Not 42501: nothing forbids the statement. It ended here without having run, which is what 57014 says.
      return ended(
        'canceled',
        `request ${asked.rid} was approved and released in another session of yours; the statement did not run here`,
        asked,
        'One approval runs a statement once. Look at what it did there before you send it again.',
      );
    case 'canceled':
      return ended(
        'canceled',
        `request ${asked.rid} was canceled; the statement did not run`,
        asked,
        'Send the statement again to ask once more.',
      );
  }
}

/** In the same words whether the session waited for the rejection or came after it. */
export function rejectedError(rejection: Rejection, rule: string): HoldpointError {
  const { rid, by, reason, until, expiresAt } = rejection;
  const said = reason === '' ? '' : `: ${plainLine(reason, wordsCharactersMax)}`;
  const hint =
    `The statement did not run. Do what the reason asks for, or something else: the identical statement is refused ` +
    `until ${iso(until)} without anybody being asked.`;
  return ended(
    'rejected',
    `statement rejected by ${plainLine(by, wordsCharactersMax)}${said}`,
    { rid, rule, expiresAt },
    hint,
  );
}

/** Nobody decided while the session waited. The request stays open. */
export function outwaitedError(asked: Asked): HoldpointError {
  return ended(
    'pending',
    `statement is still waiting for approval: request ${asked.rid}; it did not run`,
    asked,
    'The request stays open. Once it is approved, the same statement with the same parameters passes, once: send it again later.',
  );
}

/** As `outwaitedError`, for a request that nobody else could use: it is canceled. */
export function abandonedError(asked: Asked): HoldpointError {
  return ended(
    'canceled',
    `nobody decided on request ${asked.rid} in time; the statement did not run`,
    asked,
    'What it means rests on this session, so its approval cannot wait for another. Send it again when somebody is there.',
  );
}

/** An approval that this node cannot stand by: out of time, used elsewhere, or its approver's key is gone. */
export function unusableError(asked: Asked): HoldpointError {
  return ended(
    'expired',
    `the approval of request ${asked.rid} could not be used: its time, its one use or its approver's key is gone`,
    asked,
    'Send the statement again to ask once more.',
  );
}

/** The hold was ended from this side. `asked` is undefined where no request had been opened. */
export function interruptedError(
  cause: 'client' | 'shutdown' | 'skipped',
  asked: Asked | undefined,
): HoldpointError {
  const [code, message] = interruptions[cause];
  if (asked === undefined) return new HoldpointError(code, message);
  return ended(code, message, asked, undefined);
}

const interruptions: Readonly<Record<'client' | 'shutdown' | 'skipped', readonly [ErrorCode, string]>> = {
  client: ['canceled', 'canceling statement due to user request'],
  shutdown: ['shutdown', 'terminating connection due to administrator command'],
  // The server discards what is sent in its place, so that no client reads this; the log does.
  skipped: ['canceled', 'an earlier statement of the batch failed'],
};

const states: Partial<Record<ErrorCode, 'pending' | 'rejected' | 'expired'>> = {
  pending: 'pending',
  rejected: 'rejected',
  expired: 'expired',
};

function ended(code: ErrorCode, message: string, asked: Asked, hint: string | undefined): HoldpointError {
  const more = { expires: iso(asked.expiresAt), rule: asked.rule };
  const detail = stateDetail(asked.rid, states[code] ?? 'canceled', more);
  return new HoldpointError(code, message, { detail, ...(hint !== undefined && { hint }) });
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
