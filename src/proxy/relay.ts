// Relay: moves bytes between one client and one server as the session directs. The loop is synchronous and pulls; what
// must wait (a large text, a person, an enclosure) simply stops pulling. It owns the order of all that
// and refuses to know what a statement means. Source: DESIGN §4–6, wire.md §2.4–2.7, §4.

import { HoldpointError } from '../errors.ts';
import type { Line } from '../hop/line.ts';
import type { Gate } from '../session/gate.ts';
import type { Session } from '../session/session.ts';
import type { FrontendStep } from '../session/step.ts';
import type { Analysis } from '../sql/statement.ts';
import { FRAME, Framer, NONE, typeTable } from '../wire/framer.ts';
import { errorFrom } from '../wire/messages/backend.ts';
import { flush, frontendFrameBytesMax, frontendKnown } from '../wire/messages/frontend.ts';
import type { RelayBook } from './book.ts';
import { Bypass } from './bypass.ts';
import { Downlink } from './downlink.ts';
import { type AfterHold, Holding } from './holding.ts';
import { Intake } from './intake.ts';
import type { OutputCommit } from './outlet.ts';
import { Rounds, type RoundsOptions } from './rounds.ts';
import { type RelayLog, Uplink } from './uplink.ts';

export interface RelayOptions {
  readonly client: Line;
  readonly server: Line;
  readonly session: Session;
  readonly log: RelayLog;
  readonly book: RelayBook;
  /** Where what is repeated is written down; absent: all of it goes through the session. */
  readonly repeats?: Pick<RoundsOptions, 'book' | 'log' | 'cutsOf'> | undefined;
  /** What the server answers waits until its record is on disk. */
  readonly outputCommit?: boolean;
  readonly statementBytesMax: number;
  readonly bindBytesMax: number;
  /** Called once, when both sockets are done with and the outcome of a hold is recorded. */
  readonly ended: (error: HoldpointError | undefined) => void;
}

/** Bytes of a client that are read ahead while it is parked, so that a disconnect is seen (wire.md §0.18). */
const readAheadBytesMax = 1 << 20;
/** How long a server is heard out after its client left in the middle of a write. */
const lingerMs = 10_000;

const frontendWanted = typeTable('QPBCDEFHSXcfp');

export class Relay {
  readonly #options: RelayOptions;
  readonly #fromClient: Framer;
  /** Frames of the client's that come once more, before any others of it. */
  readonly #backlog: Framer;
  /** The one that gave the frame in view. */
  #view: Framer;
  readonly #downlink: Downlink;
  readonly #clientIntake: Intake;
  /** COPY data of the client's, which nobody has to see. */
  readonly #bypass: Bypass;
  readonly #uplink: Uplink;
  /** Why nothing is pulled from the client. */
  #waiting: 'no' | 'analysis' | 'catalog' | 'barrier' | 'answers' | 'enclosure' | 'person' | 'cancel' = 'no';
  /** Cancel requests under way to the server. */
  #cancels = 0;
  readonly #holding: Holding;
  /** Repetitions that the session does not see. */
  readonly #rounds: Rounds | undefined;
  #error: HoldpointError | undefined;
  #draining: HoldpointError | undefined;
  #ended = false;
  #clientGone = false;

  constructor(options: RelayOptions) {
    this.#options = options;
    const framing = {
      wanted: frontendWanted,
      known: frontendKnown,
      frameBytesMax: frontendFrameBytesMax(options.statementBytesMax, options.bindBytesMax),
    };
    this.#fromClient = new Framer(framing);
    this.#backlog = new Framer(framing);
    this.#view = this.#fromClient;
    this.#clientIntake = new Intake(options.client);
    this.#bypass = new Bypass(options.client, options.server, this.#fromClient, framing.frameBytesMax);
    this.#uplink = new Uplink({
      server: options.server,
      intake: this.#clientIntake,
      log: options.log,
      written: (seconds, count) => options.book.overhead(seconds, count),
      failed: (error) => this.terminate(error),
    });
    this.#downlink = new Downlink({
      client: options.client,
      server: options.server,
      judge: (frame, now) => options.session.onBackend(frame, now),
      enclosed: () => options.session.answersEnclosure,
      commit: options.outputCommit === true ? this.#commit() : undefined,
    });
    if (options.repeats !== undefined)
      this.#rounds = new Rounds({
        ...options,
        ...options.repeats,
        isQuiet: () => this.#isQuiet,
        resumed: (ref, underWay) => this.#uplink.resumes(ref, underWay),
        failed: (error) => this.terminate(error),
        answers: (bytes) => this.#downlink.passes(bytes),
      });
    this.#holding = new Holding({
      session: options.session,
      book: options.book,
      uplink: this.#uplink,
      notice: (notice) => {
        if (!this.#ended) this.#downlink.notice(notice);
      },
      here: () => (this.#ended ? 'nobody' : this.#clientGone ? 'server' : 'both'),
      goOn: (how) => this.#goOn(how),
      failed: (error) => this.#fail(error),
      over: () => {
        if (this.#ended) this.#over();
      },
    });
  }

  #commit(): OutputCommit {
    return {
      log: this.#options.log,
      ref: () => this.#uplink.sentRef,
      failed: (error) => this.terminate(error),
    };
  }

  /** Takes over both sockets. `clientHead` and `serverHead` are bytes already read from them. */
  start(clientHead: Buffer, serverHead: Buffer): void {
    const { client, server } = this.#options;
    client.on('data', (chunk: Buffer) => this.#clientData(chunk));
    for (const event of ['end', 'close', 'error']) client.on(event, () => this.#clientLeft());
    server.on('data', (chunk: Buffer) => this.#serverData(chunk));
    for (const event of ['end', 'close', 'error']) server.on(event, () => this.#end(undefined));
    if (serverHead.length > 0) this.#serverData(serverHead);
    if (clientHead.length > 0) this.#clientData(clientHead);
  }

  /** True while a cancel request has something of the client's to cancel on the server. */
  get busy(): boolean {
    this.#look();
    return this.#options.session.busy && !this.#options.session.undoing;
  }

  get parked(): boolean {
    return this.#waiting === 'person';
  }

  /** A CancelRequest came. True if it ended a hold; else the caller forwards it. */
  cancelHold(): boolean {
    this.#look();
    return this.#holding.interrupt('client');
  }

  /**
   * Keeps the client's next statement back until a forwarded cancel request has been delivered, so that it cannot hit
   * the wrong statement. Returns what to call then.
   */
  delayForCancel(): () => void {
    this.#look();
    this.#cancels += 1;
    if (this.#waiting === 'no') this.#waiting = 'cancel';
    return () => {
      this.#cancels -= 1;
      if (this.#waiting === 'cancel' && this.#cancels === 0) this.#resume();
    };
  }

  /** Ends the session as soon as the server owes nothing; a hold ends at once. */
  drain(error: HoldpointError): void {
    this.#look();
    if (this.parked || !this.#options.session.busy) this.terminate(error);
    else this.#draining = error;
  }

  /** Ends the session with a FATAL error for the client. */
  terminate(error: HoldpointError): void {
    if (this.#ended) return;
    this.#look();
    this.#holding.interrupt('shutdown');
    if (!this.#clientGone) this.#downlink.last(errorFrom(error, 'FATAL'), error.code === 'log-unwritable');
    this.#end(error);
  }

  #clientData(chunk: Buffer): void {
    if (this.#ended || this.#rounds?.takes(chunk) === true) return;
    this.#look();
    this.#rounds?.comes(chunk);
    this.#fromClient.push(chunk);
    if (this.#waiting === 'no') {
      this.#pull();
      if (this.#bypass.isWanted && this.#isClear) this.#bypass.open();
    } else if (this.#fromClient.pendingBytes > readAheadBytesMax) this.#clientIntake.stop('read-ahead');
  }

  /** The session is about to be looked at, or the client's stream: nothing goes past either. */
  #look(): void {
    this.#rounds?.leave();
    this.#bypass.shut();
  }

  /** Nothing waits on either side, and nothing is read in part. */
  get #isQuiet(): boolean {
    return (
      this.#isClear &&
      this.#cancels === 0 &&
      this.#fromClient.pendingBytes === 0 &&
      this.#fromClient.atBoundary &&
      this.#downlink.isIdle
    );
  }

  /** The client's next bytes are the next that the server is given. */
  get #isClear(): boolean {
    return (
      this.#waiting === 'no' &&
      !this.#ended &&
      !this.#clientGone &&
      this.#draining === undefined &&
      this.#backlog.pendingBytes === 0 &&
      this.#clientIntake.isOpen &&
      this.#uplink.isIdle
    );
  }

  #resume(): void {
    this.#waiting = this.#cancels > 0 ? 'cancel' : 'no';
    if (this.#waiting === 'cancel') this.#uplink.commit();
    else {
      this.#clientIntake.go('read-ahead');
      if (!this.#ended) this.#pull();
    }
  }

  /** Takes frames from the client until there are none, or one has to wait. */
  #pull(): void {
    this.#uplink.begin(performance.now());
    try {
      while (this.#waiting === 'no' && !this.#ended) {
        if (this.#options.session.congested) {
          this.#awaitAnswers('answers');
          break;
        }
        this.#view = this.#backlog.pendingBytes > 0 ? this.#backlog : this.#fromClient;
        const given = this.#view.next();
        if (given === NONE) break;
        if (given === FRAME) this.#offer(undefined);
        else this.#uplink.append(this.#view);
      }
      this.#uplink.commit();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Offers the frame in view to the session and does as it says. */
  #offer(analysis: Analysis | undefined): void {
    const frame = this.#view;
    const step: FrontendStep = this.#options.session.onFrontend(frame, analysis);
    switch (step.kind) {
      case 'pass':
        if (step.flush) this.#uplink.sendDeferred();
        if (step.gate !== undefined) this.#record(step.gate);
        if (step.barrier !== undefined) this.#uplink.barrier(step.barrier);
        if (step.before !== undefined) this.#uplink.add(step.before);
        if (step.instead === undefined) this.#uplink.append(frame);
        else this.#uplink.add(step.instead);
        if (step.after !== undefined) this.#uplink.add(step.after);
        return;
      case 'defer':
        if (step.gate !== undefined) this.#record(step.gate);
        if (step.barrier !== undefined) this.#uplink.barrier(step.barrier);
        this.#defer(step.instead ?? frame.copy());
        return;
      case 'replace':
        if (step.flush) this.#uplink.sendDeferred();
        this.#options.book.refused(step.gate, frame.buffer.subarray(frame.start, frame.end), step.error);
        this.#uplink.recorded(step.gate?.ref ?? -1, 'kill');
        this.#uplink.add(step.bytes);
        return;
      case 'hold':
        this.#waiting = 'person';
        this.#holding.park(step.gate, frame.copy());
        return;
      case 'enclose':
        if (step.flush) this.#uplink.sendDeferred();
        if (step.run) this.#runEnclosure();
        return;
      case 'run':
        this.#offerOnceMore(frame.copy());
        this.#runEnclosure();
        return;
      case 'analyze':
        this.#waiting = 'analysis';
        step.analysis.then(
          (analysis) => this.#offerAgain(analysis),
          (error) => this.#fail(error),
        );
        return;
      case 'later':
        this.#waiting = 'catalog';
        step.ready.then(() => this.#offerAgain(undefined));
        return;
      case 'barrier':
        this.#awaitAnswers('barrier');
        return;
    }
  }

  /** These frames are the next that the client is taken to have sent. */
  #offerOnceMore(frames: Buffer): void {
    this.#backlog.push(Buffer.concat([frames, this.#backlog.rest()]));
  }

  /** Sends what an enclosure has gathered, recorded before its bytes go, and pulls no more until it has ended. */
  #runEnclosure(): void {
    const { session, book } = this.#options;
    const gate = session.enclosed;
    if (gate !== undefined && gate.ref < 0) {
      book.passing(gate);
      this.#uplink.recorded(gate.ref, gate.durability);
    }
    this.#waiting = 'enclosure';
    this.#downlink.withhold(() => session.overflows());
    this.#uplink.add(session.runEnclosure(performance.now()));
  }

  /** The server has answered part of an enclosure, or all of it. */
  #enclosureAnswered(): void {
    const step = this.#options.session.nextOfEnclosure();
    if (step === undefined) return;
    if (step.kind === 'more') {
      this.#uplink.add(step.bytes);
      this.#uplink.commit();
      return;
    }
    this.#downlink.settle(step.kind === 'kept');
    if (step.kind === 'undone') this.#offerOnceMore(step.frames);
    else if (step.bytes !== undefined) this.#uplink.add(step.bytes);
    this.#resume();
  }

  /** Pulls no more until the server has answered, and makes it answer. */
  #awaitAnswers(waiting: 'barrier' | 'answers'): void {
    this.#waiting = waiting;
    if (this.#options.session.segmentOpen) this.#uplink.add(flush());
  }

  #offerAgain(analysis: Analysis | undefined): void {
    if (this.#ended) return;
    this.#waiting = 'no';
    try {
      this.#offer(analysis);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (this.#waiting === 'no') this.#resume();
    else this.#uplink.commit();
  }

  #record(gate: Gate): void {
    this.#options.book.passing(gate);
    this.#rounds?.recorded(gate);
    this.#uplink.recorded(gate.ref, gate.durability);
    this.#options.session.dispatched(gate, performance.now());
  }

  #defer(frame: Buffer): void {
    if (this.#uplink.defer(frame)) return;
    this.#options.session.releaseDeferred();
    this.#uplink.sendDeferred();
  }

  /** What was held is decided. `again`: its frame in view is offered once more; `enclosed`: it runs within an enclosure. */
  #goOn(how: AfterHold): void {
    if (how.kind === 'end') this.terminate(how.error);
    else if (this.#ended) return;
    else if (how.kind === 'again') this.#offerAgain(undefined);
    else if (how.kind === 'enclosed') {
      this.#runEnclosure();
      this.#uplink.commit();
    } else this.#resume();
  }

  #serverData(chunk: Buffer): void {
    if (this.#ended) return;
    this.#look();
    try {
      this.#downlink.feed(chunk);
      this.#answered();
      this.#rounds?.heard();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The server has said something: what waited for that goes on. */
  #answered(): void {
    const { session } = this.#options;
    const enclosing = this.#waiting === 'enclosure';
    this.#holding.answered();
    if (enclosing) this.#enclosureAnswered();
    if (this.#clientGone && !session.writing) this.#end(undefined);
    else if (this.#draining !== undefined && !session.busy) this.terminate(this.#draining);
    else if (enclosing) return;
    else if (session.discarding && this.#holding.interrupt('skipped')) return;
    else if (this.#waiting === 'barrier') this.#offerAgain(undefined);
    else if (this.#waiting === 'answers' && !session.congested) this.#resume();
  }

  /** The client is gone. A hold ends; a write that is under way is heard out, so that its outcome is known. */
  #clientLeft(): void {
    if (this.#clientGone || this.#ended) return;
    this.#look();
    this.#clientGone = true;
    const held = this.#holding.interrupt('gone');
    const { writing, copying, enclosing } = this.#options.session;
    // A COPY whose data ends here is rolled back, and so is our transaction; there is nothing to hear out.
    if (!held && writing && !copying && enclosing !== 'revocable') {
      setTimeout(() => this.#end(undefined), lingerMs).unref();
      this.#downlink.hearOut();
      return;
    }
    this.#end(undefined);
  }

  /** A stream that cannot be framed, a log that cannot be written, a defect: both sockets close, nothing is passed on. */
  #fail(cause: unknown): void {
    const message = 'the connection failed inside the proxy and was closed';
    const ours = cause instanceof HoldpointError;
    this.terminate(ours ? cause : new HoldpointError('protocol-violation', message, { cause }));
  }

  #end(error: HoldpointError | undefined): void {
    if (this.#ended) return;
    this.#look();
    this.#ended = true;
    this.#error = error;
    this.#holding.interrupt('gone');
    this.#holding.answered();
    try {
      this.#options.session.lost();
    } catch {
      // Outcomes that cannot be recorded any more: the log has said so itself, and recovery marks them unknown.
    }
    this.#uplink.close();
    this.#downlink.settle(false);
    // A client may still have bytes to read; a server has nothing to hear but the end.
    this.#downlink.finish(() => this.#options.client.end());
    this.#options.server.destroy();
    setTimeout(() => this.#options.client.destroy(), 1000).unref();
    if (!this.#holding.busy) this.#over();
  }

  #over(): void {
    this.#options.ended(this.#error);
  }
}
