// Parking: one gate waiting for a person. Opens the request, keeps the client company with NOTICEs, and ends in exactly
// one way: released, refused, or abandoned because one of the two sockets is gone. It refuses to know frames and
// sockets; the relay gives it the request and carries out what it returns. Source: DESIGN §4 (7b–9), wire.md §2.5–2.8.

import type { Grant, Hold } from '../approval/hold.ts';
import type { Rejection, Request, RequestValues } from '../approval/request.ts';
import { HoldpointError } from '../errors.ts';
import { stateDetail } from '../session/refusal.ts';
import { noticeResponse } from '../wire/messages/backend.ts';
import {
  type Asked,
  abandonedError,
  interruptedError,
  outwaitedError,
  rejectedError,
  settledError,
  unusableError,
} from './ended.ts';

/** What the desk offers a session. */
export interface ParkingDesk {
  recall(request: Request, ref: number): Promise<Hold | Rejection | undefined>;
  open(request: Request, values: RequestValues, ref: number): Promise<Hold>;
  claimApproved(match: string, agent: string, ref: number): Promise<Grant | undefined>;
  readonly grants: {
    /** A use of an approval that covers statements like this one. */
    claim(request: Request, ref: number): Promise<Grant | undefined>;
    /** How many of the rows that were reserved for a use it changed. Never rejects. */
    settle(grant: Grant, rows: number): Promise<void>;
  };
  /** What became of a released statement, for people to read. Never rejects. */
  finish(rid: string, state: 'executed' | 'failed' | 'unknown', detail: string): Promise<void>;
}

/**
 * Why a hold ends before a person decides. `gone`: client or server socket closed. `skipped`: an earlier statement of
 * the batch failed, so the server discards this one.
 */
export type Interruption = 'client' | 'gone' | 'shutdown' | 'skipped';

/** How a parked gate ends. `rid` is the request that it waited for, or that had been rejected before; if there is one. */
export type ParkingEnd =
  | { readonly kind: 'release'; readonly grant: Grant }
  | { readonly kind: 'refuse'; readonly error: HoldpointError; readonly rid: string | undefined }
  | { readonly kind: 'abandon'; readonly rid: string | undefined };

export interface ParkingOptions {
  readonly desk: ParkingDesk;
  readonly request: Request;
  readonly values: RequestValues;
  /**
   * The request with its effect, once that has been measured; asked for only if a new one must be opened. Never rejects.
   * After `signal` nobody waits for it.
   */
  readonly measured?: (signal: AbortSignal) => Promise<Request>;
  /** It was released before and did not run: only a person who is asked about it releases it now. */
  readonly again?: boolean;
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
      const known = await desk.recall(request, ref);
      if (known !== undefined && 'state' in known) {
        return { kind: 'refuse', error: rejectedError(known, request.policy.rule), rid: known.rid };
      }
      const covered = known ?? (await this.#covered());
      if (covered !== undefined && 'by' in covered) return this.#released(covered, undefined);
      const hold = covered ?? (await this.#open());
      // The client had gone before anybody was asked.
      if (hold === undefined) return this.#interruptedEnd(this.#cause ?? 'client', undefined);
      return await this.#wait(hold);
    } catch (error) {
      return { kind: 'refuse', error: storeError(error), rid: undefined };
    }
  }

  #covered(): Promise<Grant | undefined> | undefined {
    const { desk, request, ref, again } = this.#options;
    return again === true ? undefined : desk.grants.claim(request, ref);
  }

  /** A new request; undefined if an interruption came while its effect was measured. */
  async #open(): Promise<Hold | undefined> {
    const { desk, request, values, measured, ref } = this.#options;
    if (measured === undefined) return desk.open(request, values, ref);
    const wanted = new AbortController();
    const known = await Promise.race([measured(wanted.signal), this.#interrupted]);
    if (typeof known !== 'string' && this.#cause === undefined) return desk.open(known, values, ref);
    wanted.abort();
    return undefined;
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
      if (first.state !== 'approved') {
        return { kind: 'refuse', error: settledError(first, this.#asked(hold)), rid: hold.rid };
      }
      const grant = await hold.claim();
      if (grant !== undefined) return await this.#released(grant, hold);
      hold.detach();
      return { kind: 'refuse', error: unusableError(this.#asked(hold)), rid: hold.rid };
    } catch (error) {
      // Others may wait behind this session for the same request.
      hold.detach();
      throw error;
    } finally {
      clearInterval(heartbeat);
      clearTimeout(timeout);
    }
  }

  /** A release that arrives in the same moment as an interruption is not used: the client no longer wants it. */
  #released(grant: Grant, hold: Hold | undefined): Promise<ParkingEnd> | ParkingEnd {
    if (this.#cause === undefined) return { kind: 'release', grant };
    // Its one use is spent all the same.
    void this.#options.desk.finish(grant.rid, 'failed', 'it was canceled before it was sent');
    void this.#options.desk.grants.settle(grant, 0);
    if (hold !== undefined) return this.#interruptedBy(this.#cause, hold);
    const { exp } = this.#options.request;
    return this.#interruptedEnd(this.#cause, { rid: grant.rid, expiresAt: exp });
  }

  async #interruptedBy(cause: Interruption, hold: Hold): Promise<ParkingEnd> {
    await hold.cancel(cause === 'gone' ? 'disconnect' : cause === 'skipped' ? 'client' : cause);
    return this.#interruptedEnd(cause, hold);
  }

  /** `hold` is undefined where no request had been opened. */
  #interruptedEnd(cause: Interruption, hold: Pick<Hold, 'rid' | 'expiresAt'> | undefined): ParkingEnd {
    const rid = hold?.rid;
    if (cause === 'gone') return { kind: 'abandon', rid };
    return { kind: 'refuse', error: interruptedError(cause, hold && this.#asked(hold)), rid };
  }

  /** The wait is over. A retry may use the request later, unless it rests on this session: then nobody could. */
  async #outwaited(hold: Hold): Promise<HoldpointError> {
    if (this.#options.request.once) {
      await hold.cancel('client');
      return abandonedError(this.#asked(hold));
    }
    hold.detach();
    return outwaitedError(this.#asked(hold));
  }

  #asked({ rid, expiresAt }: Pick<Hold, 'rid' | 'expiresAt'>): Asked {
    return { rid, expiresAt, rule: this.#options.request.policy.rule };
  }
}

const waits =
  'A person has been asked. The statement runs as soon as it is approved; there is nothing to do but wait.';
const waitsBehind =
  'Another session of yours has asked for the same statement. One approval runs it once, in the session that asked first and still waits.';

function holdNotice(hold: Hold, message: string): Buffer {
  return noticeResponse({
    S: 'NOTICE',
    V: 'NOTICE',
    C: '01000',
    M: message,
    D: stateDetail(hold.rid, 'pending', { expires: new Date(hold.expiresAt).toISOString() }),
    H: hold.joined ? waitsBehind : waits,
  });
}

function storeError(error: unknown): HoldpointError {
  const hint = 'The statement did not run. Send it again in a moment.';
  if (!(error instanceof HoldpointError))
    return new HoldpointError('store-unreachable', 'the approval desk failed', { hint, cause: error });
  if (error.code !== 'store-unreachable' || error.hint !== undefined) return error;
  return new HoldpointError(error.code, error.message, { hint, cause: error });
}
