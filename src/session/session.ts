// Session: one connection's protocol state after login, as the relay sees it. It says of each frame of either side what
// becomes of it; what it knows is kept in state.ts, the client's frames are judged in frontend.ts. Synchronous and pure:
// it refuses to know sockets, clocks, the log and the approval desk. Transaction status is shown; only an enclosure rests
// on it, and then on one that is certain. Source: DESIGN §5; wire.md §2.

import type { NameContext } from '../catalog/names.ts';
import type { ErrorCode, HoldpointError } from '../errors.ts';
import type { Policy } from '../policy/rules.ts';
import type { Analysis, Statement } from '../sql/statement.ts';
import { type FrameView, typeTable } from '../wire/framer.ts';
import { backendType, readErrorFields, readParameterStatus } from '../wire/messages/backend.ts';
import { frontendType } from '../wire/messages/frontend.ts';
import { attribute, notified } from './answers.ts';
import type { EnclosureStep } from './enclosure.ts';
import { Frontend } from './frontend.ts';
import type { Gate } from './gate.ts';
import type { Prepared } from './prepared.ts';
import { pinnedError } from './reading.ts';
import { asHoldpointError, floodError, strayError, unexpectedError } from './refusal.ts';
import { type BoundedRelease, boundedRelease, encloseReleased } from './release.ts';
import {
  isRepeatable,
  isSettled,
  mayRepeat,
  noteRepeated,
  type RepeatStatus,
  type Repetition,
  type Repetitions,
  repeated,
  statusOf,
} from './repeat.ts';
import { expectedFramesMax } from './replies.ts';
import type { Settings } from './settings.ts';
import { State } from './state.ts';
import { type BackendStep, dropped, type FrontendStep, forwarded, type SessionOptions } from './step.ts';

export class Session {
  readonly #state: State;
  readonly #frontend: Frontend;
  #asides = 0;

  constructor(options: SessionOptions) {
    this.#state = new State(options);
    this.#frontend = new Frontend(this.#state);
  }

  get settings(): Settings {
    return this.#state.settings;
  }

  /** The gate of a `pass` or `defer` step is recorded and on its way. `now` in monotonic milliseconds. */
  dispatched(gate: Gate, now: number): void {
    this.#state.dispatched(gate, now);
  }

  /** Transaction status of the last ReadyForQuery: I, T or E. For display. */
  get transactionStatus(): string {
    return this.#state.outcomes.status;
  }

  get transactionGates(): number {
    return this.#state.transactionGates;
  }

  /** True while the server owes answers. */
  get busy(): boolean {
    return this.#state.replies.outstanding;
  }

  /** True while what the server answers belongs to an enclosure. */
  get answersEnclosure(): boolean {
    return this.#state.replies.part !== undefined;
  }

  /** An enclosure is on the server. `revocable`: it ends with the connection. `ending`: its COMMIT may be under way. */
  get enclosing(): 'no' | 'revocable' | 'ending' {
    const { current } = this.#state.enclosures;
    if (current === undefined || current.collecting) return 'no';
    return current.revocable ? 'revocable' : 'ending';
  }

  /** True while the server undoes an enclosure: what a cancel request would cancel is not the client's. */
  get undoing(): boolean {
    return this.#state.enclosures.current?.undoing === true;
  }

  /** True while the server takes the data of a COPY. */
  get copying(): boolean {
    return this.#state.replies.copying;
  }

  /** True while the server discards what it is sent, up to a Sync, after an error. */
  get discarding(): boolean {
    return this.#state.replies.discarding;
  }

  /** True while the server works on a statement that may change something. */
  get writing(): boolean {
    return this.#state.replies.outstanding && this.#state.outcomes.writing;
  }

  /** True while the server is far behind: no more frames should be offered until it has caught up. */
  get congested(): boolean {
    return this.#state.replies.congested;
  }

  /** True if earlier frames of this segment wait on the server for a Flush or a Sync to be answered. */
  get segmentOpen(): boolean {
    return this.#state.replies.segmentOpen;
  }

  /**
   * Judges one whole frontend frame. `analysis` only when the frame is offered again after an `analyze` step. Throws
   * HoldpointError (protocol-violation) for what ends the session.
   */
  onFrontend(frame: FrameView, analysis?: Analysis): FrontendStep {
    if (this.#state.replies.length > expectedFramesMax) throw floodError();
    if (judged[frame.type] === 0) throw unexpectedError(frame.type);
    try {
      return this.#frontend.step(frame, analysis);
    } catch (error) {
      const known = asHoldpointError(error);
      if (!unreadable.has(known.code)) throw known;
      return this.#frontend.refuse(frame, known);
    }
  }

  /** How often the server said something that answers nothing asked: errors, notices, settings, notifications. */
  get asides(): number {
    return this.#asides;
  }

  /** True while what comes now meets what one met that was judged just before. */
  get settled(): boolean {
    return isSettled(this.#state);
  }

  /** True for a gate that may go again without being judged, while `mayRepeat` and nothing else happens here. */
  isRepeatable(gate: Gate): boolean {
    return isRepeatable(gate, this.#state);
  }

  /** See repeat.ts. */
  mayRepeat(gate: Gate, policy: Policy): boolean {
    return mayRepeat(gate, policy, this.#state);
  }

  /** The rules in force. */
  get policy(): Policy {
    return this.#state.options.policy();
  }

  /** Ordinal of the last gate. */
  get gates(): number {
    return this.#state.judge.count;
  }

  /** What the unnamed statement is; undefined where that cannot be told. */
  get unnamed(): Prepared | undefined {
    const found = this.#state.mirror.candidates('', this.#state.segment);
    return found === undefined || found === 'open' || found.length !== 1 ? undefined : found[0];
  }

  /** Where it stands, once settled. */
  get repeatStatus(): RepeatStatus {
    return statusOf(this.#state);
  }

  /** Repetitions came and were answered. */
  repeated(repetitions: Repetitions): void {
    noteRepeated(this.#state, repetitions);
  }

  /** A repetition is under way since `now`, with this record. */
  repeats(repetition: Repetition, ref: number, now: number): void {
    this.#state.judge.repeats(1);
    this.#frontend.resume(repeated(repetition, this.#state.judge.count, ref), repetition, now);
  }

  /** A held gate may go: its frames are now the server's. `now` in monotonic milliseconds. */
  released(gate: Gate, now: number): void {
    this.#state.outbox.flush();
    this.#state.dispatch(gate);
    this.dispatched(gate, now);
  }

  /** How a held gate would go whose approval bounds its rows. */
  boundedRelease(gate: Gate): BoundedRelease {
    return boundedRelease(this.#state, gate);
  }

  /**
   * A held gate may go within an enclosure of so many rows: the deferred frames are the server's, and `frame` is kept for
   * the enclosure. True if it runs now; else it runs when what belongs to it has been gathered.
   */
  releasedWithin(gate: Gate, frame: FrameView, rowsMax: number): boolean {
    encloseReleased(this.#state, gate, frame, rowsMax);
    return gate.proto === 'simple';
  }

  /** A held gate is refused: the deferred frames go to the server, and the returned stand-in after them. */
  refused(gate: Gate, error: HoldpointError): Buffer {
    this.#state.outbox.flush();
    gate.state = 'refused';
    return this.#state.standIn(gate.proto === 'simple' ? frontendType.query : frontendType.bind, error);
  }

  /** The gate of the enclosure that a step told to run. Recorded first, unless it has a record. */
  get enclosed(): Gate | undefined {
    return this.#state.enclosures.current?.gate;
  }

  /** Sends the enclosure: the bytes for the server. `now` in monotonic milliseconds. */
  runEnclosure(now: number): Buffer {
    const { gate, opens } = this.#state.enclosures.current!;
    if (opens) this.#state.stage(gate);
    const bytes = this.#state.enclosures.run();
    if (opens) this.dispatched(gate, now);
    return bytes;
  }

  /** What follows from the server's answers to the enclosure; undefined while more are owed. */
  nextOfEnclosure(): Exclude<EnclosureStep, { kind: 'broken' }> | undefined {
    const step = this.#state.enclosures.next();
    if (step?.kind === 'undone') this.#state.judge.undone(step.verdict);
    return step;
  }

  /** There is more output of an enclosure than can be withheld. */
  overflows(): 'stream' | 'swallow' {
    return this.#state.enclosures.overflows();
  }

  /** What the names of the session's texts are looked up in; undefined while the catalog cannot be read. */
  get names(): NameContext | undefined {
    const { reach } = this.#state.options.catalog;
    return reach === undefined ? undefined : this.#state.settings.names(reach.searchPath);
  }

  /** Why a SELECT of ours must not be sent on behalf of this session: see Judge. */
  barsReading(
    own: readonly Statement[],
    parameterTypes: readonly number[],
    unasked: boolean,
  ): string | undefined {
    return this.#state.judge.barsReading(own, parameterTypes, unasked);
  }

  /** Why a held gate would do something else now than it was shown to do; undefined if it would not. */
  changeOf(gate: Gate): string | undefined {
    return this.#state.judge.changeOf(gate);
  }

  /** The frame that is offered next was held and released before, and is not what was shown any more. */
  heldAgain(change: string): void {
    this.#state.judge.heldAgain(change);
  }

  /** Ends a deferral for want of room: its frames, which execute nothing, are the server's. */
  releaseDeferred(): void {
    this.#state.outbox.flush();
  }

  /** Reads one backend frame. `now` in monotonic milliseconds. */
  onBackend(frame: FrameView, now: number): BackendStep {
    this.#state.outcomes.now = now;
    const { part } = this.#state.replies;
    if (part !== undefined) {
      const step = this.#state.enclosures.onBackend(frame, part);
      if (step !== undefined) return step;
    }
    if (aside[frame.type] === 1) this.#asides += 1;
    switch (frame.type) {
      case backendType.errorResponse:
        return this.#errorResponse(frame);
      case backendType.parameterStatus:
        return this.#parameterStatus(frame);
      case backendType.notificationResponse:
        return notified(frame, this.#state.options.pids);
      case backendType.noticeResponse:
        return this.#state.adopting && readErrorFields(frame).get('C') === blockOpen ? dropped : forwarded;
      case backendType.copyBothResponse:
      case backendType.authentication:
      case backendType.backendKeyData:
      case backendType.negotiateProtocolVersion:
        return { kind: 'close', error: strayError() };
      default:
        attribute(frame, this.#state.replies);
        return forwarded;
    }
  }

  /** The connection to the server is gone: what it still owed is unknown for ever. */
  lost(): void {
    this.#state.outbox.abandon();
    this.#state.enclosures.lost();
    this.#state.outcomes.lost();
    // A COMMIT may have been on its way.
    if (this.#state.settings.defining) this.#state.options.catalog.changed();
  }

  #errorResponse(frame: FrameView): BackendStep {
    const fields = readErrorFields(frame);
    const swapped = this.#state.standIns.swap(frame, fields);
    this.#state.outcomes.error(swapped?.sqlstate ?? fields.get('C') ?? '');
    this.#state.replies.failed();
    return swapped === undefined ? forwarded : { kind: 'replace', bytes: swapped.bytes };
  }

  #parameterStatus(frame: FrameView): BackendStep {
    const { name, value } = readParameterStatus(frame);
    this.#state.settings.reported(name, value);
    const error = pinnedError(name, value, this.#state.options.actor.access);
    return error === undefined ? forwarded : { kind: 'close', error };
  }
}

/** The frames of a session after login; CopyData streams by. */
const judged = typeTable('QPBFEDCHScfX');
/** ErrorResponse, NoticeResponse, ParameterStatus, NotificationResponse. */
const aside = typeTable('ENSA');
/** "there is already a transaction in progress" */
const blockOpen = '25001';
const unreadable: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['protocol-violation', 'bad-encoding']);
