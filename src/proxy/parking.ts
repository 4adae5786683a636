// Parking: one gate waiting for a person. Opens the request, keeps the client company with NOTICEs, and ends in exactly
// one way: released, refused, or abandoned because one of the two sockets is gone. It refuses to know frames and
// sockets; the relay gives it the request and carries out what it returns. Source: DESIGN §4 (7b–9), wire.md §2.5–2.8.

import type { Grant, Hold } from '../approval/hold.ts';
import type { Request, RequestValues, Settlement } from '../approval/request.ts';
import { type ErrorCode, HoldpointError } from '../errors.ts';
import { stateDetail } from '../session/refusal.ts';
import { noticeResponse } from '../wire/messages/backend.ts';

/** What the desk offers a session. */
export interface ParkingDesk {
  open(request: Request, values: RequestValues, ref: number): Promise<Hold>;
  claimApproved(match: string, agent: string, ref: number): Promise<Grant | undefined>;
  /** What became of a released statement, for people to read. Never rejects. */
  finish(rid: string, state: 'executed' | 'failed' | 'unknown', detail: string): Promise<void>;
}

/**
 * Why a hold ends before a person decides. `gone`: client or server socket closed. `skipped`: an earlier statement of
 * the batch failed, so the server discards this one.
 */
export type Interruption = 'client' | 'gone' | 'shutdown' | 'skipped';

/** How a parked gate ends. `rid` is the request that was shown, if one was opened. */
export type ParkingEnd =
  | { readonly kind: 'release'; readonly grant: Grant }
  | { readonly kind: 'refuse'; readonly error: HoldpointError; readonly rid: string | undefined }
  | { readonly kind: 'abandon' };

export interface ParkingOptions {
  readonly desk: ParkingDesk;
  readonly request: Request;
  readonly values: RequestValues;
  /** Sequence number of the gate's `stmt` record. */
  readonly ref: number;
  /** How long the session waits before it gets its answer; the request stays open after that. */
  readonly waitMs: number;
  readonly heartbeatMs: number;
  /** Sends a NoticeResponse at the next frame boundary of the stream to the client. */
  readonly notify: (notice: Buffer) => void;
}

export class Parking {
  readonly #options: ParkingOptions;
  readonly #interrupted: Promise<Interruption>;
  #interrupt: (cause: Interruption) => void = () => undefined;
  #cause: Interruption | undefined;

  constructor(options: ParkingOptions) {
    this.#options = options;
    this.#interrupted = new Promise((resolve) => {
      this.#interrupt = resolve;
    });
  }

  /** The statement must not run any more. Without effect once it is released. */
  interrupt(cause: Interruption): void {
    this.#cause ??= cause;
    this.#interrupt(cause);
  }

  /** Resolves once; never rejects: what fails is a refusal. */
  async run(): Promise<ParkingEnd> {
    const { desk, request, ref } = this.#options;
    try {
      const earlier = await desk.claimApproved(request.match, request.agent.id, ref);
      if (earlier !== undefined) return this.#released(earlier, undefined);
      const hold = await desk.open(request, this.#options.values, ref);
      return await this.#wait(hold);
    } catch (error) {
      return { kind: 'refuse', error: storeError(error), rid: undefined };
    }
  }

  async #wait(hold: Hold): Promise<ParkingEnd> {
    const { waitMs, heartbeatMs, notify } = this.#options;
    notify(holdNotice(hold, `statement held for approval: request ${hold.rid}`));
    const heartbeat = setInterval(() => {
      notify(holdNotice(hold, `statement still held for approval: request ${hold.rid}`));
    }, heartbeatMs);
    let timeout: NodeJS.Timeout | undefined;
    const patience = new Promise<'patience'>((resolve) => {
      timeout = setTimeout(() => resolve('patience'), waitMs);
    });
    try {
      const first = await Promise.race([hold.settled, this.#interrupted, patience]);
      if (first === 'patience') {
        return { kind: 'refuse', error: await this.#outwaited(hold), rid: hold.rid };
      }
      if (typeof first === 'string') return await this.#interruptedBy(first, hold);
      if (first.state !== 'approved') return { kind: 'refuse', error: this.#settled(first), rid: hold.rid };
      const grant = await hold.claim();
      return grant === undefined
        ? { kind: 'refuse', error: unusable(hold.rid), rid: hold.rid }
        : this.#released(grant, hold);
    } finally {
      clearInterval(heartbeat);
      clearTimeout(timeout);
    }
  }

  /** A release that arrives in the same moment as an interruption is not used: the client no longer wants it. */
  #released(grant: Grant, hold: Hold | undefined): Promise<ParkingEnd> | ParkingEnd {
    if (this.#cause === undefined) return { kind: 'release', grant };
    return hold === undefined
      ? interruptedEnd(this.#cause, grant.rid)
      : this.#interruptedBy(this.#cause, hold);
  }

  async #interruptedBy(cause: Interruption, hold: Hold): Promise<ParkingEnd> {
    await hold.cancel(cause === 'gone' ? 'disconnect' : cause === 'skipped' ? 'client' : cause);
    return interruptedEnd(cause, hold.rid);
  }

  #settled(settlement: Exclude<Settlement, { state: 'approved' }>): HoldpointError {
    const { rule } = this.#options.request.policy;
    const detail = stateDetail(settlement.rid, settlement.state, { rule });
    if (settlement.state === 'rejected') {
      const said = settlement.reason === '' ? '' : `: ${oneLine(settlement.reason)}`;
      return new HoldpointError('rejected', `statement rejected by ${oneLine(settlement.by)}${said}`, {
        detail,
        hint: 'The statement did not run. Do not repeat it unchanged; do what the reason asks for, or something else.',
      });
    }
    if (settlement.state === 'expired')
      return new HoldpointError(
        'expired',
        `request ${settlement.rid} expired before it was approved; the statement did not run`,
        {
          detail,
          hint: 'Send the statement again to ask once more.',
        },
      );
    return new HoldpointError(
      'canceled',
      `request ${settlement.rid} was canceled; the statement did not run`,
      {
        detail,
      },
    );
  }

  /** The wait is over. A retry may use the request later, unless it rests on this session: then nobody could. */
  async #outwaited(hold: Hold): Promise<HoldpointError> {
    const { policy, once } = this.#options.request;
    if (once) {
      await hold.cancel('client');
      return new HoldpointError(
        'canceled',
        `nobody decided on request ${hold.rid} in time; the statement did not run`,
        {
          detail: stateDetail(hold.rid, 'canceled', { rule: policy.rule }),
          hint: 'What it means rests on this session, so its approval cannot wait for another. Send it again when somebody is there.',
        },
      );
    }
    hold.detach();
    const expires = new Date(hold.expiresAt).toISOString();
    return new HoldpointError(
      'pending',
      `statement is still waiting for approval: request ${hold.rid}; it did not run`,
      {
        detail: stateDetail(hold.rid, 'pending', { expires, rule: policy.rule }),
        hint: 'The request stays open. Once it is approved, the same statement with the same parameters passes, once: send it again later.',
      },
    );
  }
}

const interruptionErrors: Readonly<Record<Exclude<Interruption, 'gone'>, readonly [ErrorCode, string]>> = {
  client: ['canceled', 'canceling statement due to user request'],
  shutdown: ['shutdown', 'terminating connection due to administrator command'],
  // The server discards what is sent in its place, so that no client reads this; the log does.
  skipped: ['canceled', 'an earlier statement of the batch failed'],
};

function interruptedEnd(cause: Interruption, rid: string): ParkingEnd {
  if (cause === 'gone') return { kind: 'abandon' };
  const [code, message] = interruptionErrors[cause];
  return {
    kind: 'refuse',
    error: new HoldpointError(code, message, { detail: stateDetail(rid, 'canceled') }),
    rid,
  };
}

/** An approval that this node cannot stand by: out of time, used elsewhere, or its approver's key is gone. */
function unusable(rid: string): HoldpointError {
  return new HoldpointError(
    'expired',
    `the approval of request ${rid} could not be used: its time, its one use or its approver's key is gone`,
    { detail: stateDetail(rid, 'expired'), hint: 'Send the statement again to ask once more.' },
  );
}

function holdNotice(hold: Hold, message: string): Buffer {
  return noticeResponse({
    S: 'NOTICE',
    V: 'NOTICE',
    C: '01000',
    M: message,
    D: stateDetail(hold.rid, 'pending', { expires: new Date(hold.expiresAt).toISOString() }),
    H: 'A person has been asked. The statement runs as soon as it is approved; there is nothing to do but wait.',
  });
}

/** An approver's words on their way into an ErrorResponse: control characters removed, at most 500 characters. */
function oneLine(text: string): string {
  return text
    .replaceAll(/\p{Cf}/gu, '')
    .replaceAll(/[\p{Cc}\p{Z}]+/gu, ' ')
    .slice(0, 500)
    .trim();
}

function storeError(error: unknown): HoldpointError {
  if (error instanceof HoldpointError) return error;
  return new HoldpointError('store-unreachable', 'the approval desk failed; the statement did not run', {
    hint: 'Send it again in a moment.',
    cause: error,
  });
}
