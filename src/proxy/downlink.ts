// Downlink: one relay's direction from the server to the client. Frames that the session attends to are shown to it,
// the rest stream by; notices of ours go between two frames of the server's. What goes out leaves by the outlet, in order.
// Refuses to know what a frame means.

import type { Line } from '../hop/line.ts';
import type { BackendStep } from '../session/step.ts';
import { FRAME, Framer, type FrameView, NONE, typeTable } from '../wire/framer.ts';
import { backendFrameBytesMax, backendKnown } from '../wire/messages/backend.ts';
import { Bypass } from './bypass.ts';
import { Intake } from './intake.ts';
import { Outlet, type OutputCommit } from './outlet.ts';
import { Run } from './run.ts';
import { Withheld } from './withheld.ts';

/** Bytes of one assembled backend frame: an error or notice a server would not exceed in practice. */
const assembledBytesMax = 256 << 20;
/** Notices that wait for a frame boundary; more are dropped, they say the same. */
const noticesMax = 4;

const wanted = typeTable('AEZCIs123TtnGWSKRvN');

export interface DownlinkOptions {
  readonly client: Line;
  readonly server: Line;
  /** What becomes of a frame; `now` in monotonic milliseconds. */
  readonly judge: (frame: FrameView, now: number) => BackendStep;
  /** True while what is answered is an enclosure's, rows and COPY data included. */
  readonly enclosed: () => boolean;
  /** What answers wait for; absent: nothing. */
  readonly commit?: OutputCommit | undefined;
}

const frameBytesMax = backendFrameBytesMax(assembledBytesMax);

export class Downlink {
  readonly #options: DownlinkOptions;
  readonly #framer = new Framer({
    wanted,
    known: backendKnown,
    frameBytesMax,
  });
  readonly #intake: Intake;
  readonly #outlet: Outlet;
  /** Rows that nobody has to see. */
  readonly #bypass: Bypass;
  readonly #run = new Run();
  #notices: Buffer[] = [];
  /** Output of an enclosure that is not certain yet. */
  #withheld: Withheld | undefined;
  /** Nobody reads any more: the server is heard, and nothing is written. */
  #deaf = false;

  constructor(options: DownlinkOptions) {
    this.#options = options;
    this.#intake = new Intake(options.server);
    this.#outlet = new Outlet(options.client, this.#intake, options.commit);
    this.#bypass = new Bypass(options.server, options.client, this.#framer, frameBytesMax);
  }

  /** Nothing waits here, and the client has taken all that it was sent. */
  get isIdle(): boolean {
    return !this.#bypass.isOpen && this.#framer.atBoundary && this.#isClear;
  }

  /** Nothing but the stream itself is on its way to the client. */
  get #isClear(): boolean {
    return (
      this.#framer.pendingBytes === 0 &&
      this.#withheld === undefined &&
      this.#notices.length === 0 &&
      !this.#deaf &&
      this.#outlet.isEmpty &&
      this.#intake.isOpen
    );
  }

  /** Takes bytes of the server's. Throws what ends the session; what came before that is the client's already. */
  feed(chunk: Buffer): void {
    const now = performance.now();
    this.#catchUp();
    this.#framer.push(chunk);
    try {
      for (let given = this.#framer.next(); given !== NONE; given = this.#framer.next()) {
        if (given === FRAME) this.#show(now);
        else if (this.#withheld === undefined) this.#run.append(this.#framer);
        else this.#addAll(this.#withheld.passage(this.#bytes(), this.#options.enclosed()));
      }
    } finally {
      if (this.#framer.atBoundary) {
        for (const notice of this.#notices) this.#run.add(notice);
        this.#notices = [];
      }
      this.#write();
    }
    // What waits for the disk is to be seen by the outlet.
    if (this.#bypass.isWanted && this.#options.commit === undefined && this.#isClear) this.#bypass.open();
  }

  /** What the server said goes to the client as it is, between two frames; the stream was never seen here. */
  passes(bytes: Buffer): void {
    if (!this.#deaf) this.#outlet.write([bytes], true);
  }

  /** From now on what answers an enclosure is kept back. `overflows`: as in Withheld. */
  withhold(overflows: () => 'stream' | 'swallow'): void {
    this.#catchUp();
    this.#withheld ??= new Withheld(overflows);
  }

  /** The enclosure is over: what was kept back goes to the client if it stands, and only the rest if not. */
  settle(kept: boolean): void {
    this.#catchUp();
    const given = this.#withheld?.take(kept) ?? [];
    this.#withheld = undefined;
    this.#addAll(given);
    this.#write();
  }

  /** Sends a NoticeResponse of ours as soon as it may stand in the stream. */
  notice(bytes: Buffer): void {
    if (this.#deaf) return;
    this.#catchUp();
    if (this.#framer.atBoundary) this.#outlet.write([bytes], true);
    else if (this.#notices.length < noticesMax) this.#notices.push(bytes);
  }

  /**
   * The session ends with this, where it may still stand in the stream. `unseen`: what waits for the disk will never be
   * there, and is dropped.
   */
  last(bytes: Buffer, unseen: boolean): void {
    if (this.#deaf) return;
    this.#catchUp();
    if (unseen) {
      this.#outlet.drop();
      if (this.#outlet.atBoundary) this.#options.client.write(bytes);
    } else if (this.#framer.atBoundary) this.#outlet.write([bytes], true);
  }

  /** Calls `done` once the client was given what it may see; nothing follows. */
  finish(done: () => void): void {
    this.#catchUp();
    this.#outlet.finish(done);
  }

  /** The client is gone; the server is read on, for what it still has to say. */
  hearOut(): void {
    this.#catchUp();
    this.#deaf = true;
    this.#intake.goAlways();
  }

  /** The framer stands where the stream does, and nothing goes by. */
  #catchUp(): void {
    if (this.#bypass.shut()) this.#outlet.passedBy(this.#framer.atBoundary);
  }

  #show(now: number): void {
    const step = this.#options.judge(this.#framer, now);
    if (step.kind === 'close') throw step.error;
    if (step.kind === 'drop') return;
    const bytes = step.kind === 'pass' ? undefined : step.bytes;
    if (this.#withheld === undefined) {
      if (bytes === undefined) this.#run.append(this.#framer);
      else this.#run.add(bytes);
    } else if (step.kind === 'withhold') this.#withheld.frame(bytes ?? this.#bytes(), step.place);
    else this.#addAll(this.#withheld.lasting(bytes ?? this.#bytes()));
  }

  #addAll(frames: readonly Buffer[]): void {
    for (const bytes of frames) this.#run.add(bytes);
  }

  /** The present view; its bytes stay as they are. */
  #bytes(): Buffer {
    const { assembled, buffer, start, end } = this.#framer;
    return assembled ? this.#framer.copy() : buffer.subarray(start, end);
  }

  #write(): void {
    const batch = this.#run.take();
    if (this.#deaf || batch.length === 0) return;
    this.#outlet.write(batch, this.#framer.atBoundary);
  }
}
