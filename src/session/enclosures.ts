// Enclosures: the one of a session that is under way, what it leaves behind in the present segment, and what was learnt
// from earlier ones. Reads the server's answers to its frames: ours are dropped, the client's withheld until it is
// certain that they stand. Pure; the bytes that are withheld are the downlink's. Source: wire.md §3.6, §2.2.

import type { Verdict } from '../policy/verdict.ts';
import type { FrameView } from '../wire/framer.ts';
import {
  backendType,
  errorFrom,
  readCommandComplete,
  readErrorFields,
  readReadyForQuery,
} from '../wire/messages/backend.ts';
import { frontendType, readClose, readExecute } from '../wire/messages/frontend.ts';
import { attribute } from './answers.ts';
import { heldInstead } from './enclosable.ts';
import { Enclosure, type EnclosureStep, type KeptFrame } from './enclosure.ts';
import type { Gate } from './gate.ts';
import { Packet } from './injected.ts';
import type { Outcomes } from './outcomes.ts';
import { brokenEnclosureError, strayError, writesError } from './refusal.ts';
import { expected, type Part, type Replies } from './replies.ts';
import { begins, ofTransaction, type Position, Segment } from './segment.ts';
import { type BackendStep, dropped, type Place, type WithholdStep } from './step.ts';

/** Texts remembered that tried to write where that could not be undone unseen. */
const writersMax = 100;
const writerBytesMax = 16 << 10;

export class Enclosures {
  readonly segment = new Segment();
  readonly #replies: Replies;
  readonly #outcomes: Outcomes;
  readonly #newId: () => string;
  #current: Enclosure | undefined;
  /** By text: why it is held the next time. */
  readonly #writers = new Map<string, string>();

  /** `newId`: as in SessionOptions. */
  constructor(replies: Replies, outcomes: Outcomes, newId: () => string) {
    this.#replies = replies;
    this.#outcomes = outcomes;
    this.#newId = newId;
  }

  get current(): Enclosure | undefined {
    return this.#current;
  }

  /** Frames of the client's are being kept for one. */
  get collecting(): boolean {
    return this.#current?.collecting === true;
  }

  /** Where a statement would run that came now; `simple`: by a Query. */
  position(simple: boolean): Position {
    const { feeding, unclear, statusOutstanding, unsynced } = this.#replies;
    if (feeding) return 'unclear';
    if (statusOutstanding) return 'wait';
    if (unclear) return 'unclear';
    // Servers differ in what a Query does to an implicit transaction.
    if (simple && (unsynced || this.segment.ours)) return 'unclear';
    return this.segment.position(this.#outcomes.status);
  }

  /** Why a text is not let through again. */
  writer(sql: Buffer): string | undefined {
    return this.#writers.size === 0 ? undefined : this.#writers.get(sql.toString('latin1'));
  }

  /** The frame is the first of an enclosure. `portal`: the mirror's key. */
  begin(gate: Gate, portal: string | undefined, frame: FrameView): void {
    this.#current = new Enclosure(gate, portal, kept(frame));
  }

  /**
   * What a frame is to the enclosure that is being collected. `kept`: part of it. `last`: part of it, and it runs.
   * `other`: it must run before that frame. `key`: the mirror's.
   */
  collect(frame: FrameView, key: (name: string) => string | undefined): 'kept' | 'last' | 'other' {
    const current = this.#current!;
    switch (frame.type) {
      case frontendType.sync:
      case frontendType.flush:
        current.keep(kept(frame));
        return 'last';
      case frontendType.execute:
        if (key(readExecute(frame).portal) !== current.portal) return 'other';
        break;
      case frontendType.close:
        if (readClose(frame).kind === 'S') return 'other';
        break;
      case frontendType.describe:
        break;
      default:
        return 'other';
    }
    return current.keep(kept(frame)) ? 'kept' : 'last';
  }

  /** Sends the enclosure: the bytes for the server. */
  run(): Buffer {
    const current = this.#current!;
    const packet = this.#packet();
    const position = this.segment.position(this.#outcomes.status);
    current.run(packet, position, this.segment, `holdpoint_${this.#newId()}`);
    if (current.opens) this.#outcomes.open(current.gate);
    return packet.bytes;
  }

  /** The server has spoken. Undefined while more is owed. Throws where the session cannot go on. */
  next(): Exclude<EnclosureStep, { kind: 'broken' }> | undefined {
    const current = this.#current;
    if (current === undefined || this.#replies.outstanding) return undefined;
    const step = current.next(() => this.#packet(), this.segment);
    if (step.kind === 'broken') throw brokenEnclosureError();
    if (step.kind === 'more') return step;
    this.#current = undefined;
    if (step.kind === 'undone') {
      this.#outcomes.undone(current.gate, step.verdict.reason);
      if (!current.opens) this.#remember(current, step.verdict.reason);
    }
    return step;
  }

  /** The client's Sync comes. Where it ends our block it counts as ours, and what is returned follows it. */
  syncs(): Buffer | undefined {
    const { ours } = this.segment;
    this.segment.ends();
    if (!ours) return undefined;
    this.#replies.push(expected(frontendType.sync, undefined, undefined, 'injected'));
    return this.#packet().command('COMMIT').sync('end').bytes;
  }

  /**
   * What precedes a gate that would find our block where it expects an implicit transaction: the end of it, as that
   * gate means it. A BEGIN makes the block the client's instead.
   */
  leaves(gate: Gate): Buffer | undefined {
    if (!this.segment.ours) return undefined;
    const command = gate.statements.find(ofTransaction)?.command;
    if (gate.proto === 'extended' && (command === undefined || begins(gate) || command.startsWith('SET')))
      return undefined;
    this.segment.ours = false;
    const commits = command === undefined || /^(COMMIT|PREPARE)/.test(command);
    const packet = this.#packet().command(commits ? 'COMMIT' : 'ROLLBACK');
    // Behind a command that ran, the next one is again in an implicit transaction and not the first of one.
    return (gate.proto === 'extended' ? packet.command('SELECT WHERE false') : packet).bytes;
  }

  /** The connection is gone, or the client. What was not ended did not happen. */
  lost(): void {
    const current = this.#current;
    this.#current = undefined;
    if (current?.collecting === true) {
      current.gate.reserved?.settle(0);
      // It was held and released, so that its record is there and waits for its outcome.
      if (current.opens && current.gate.ref >= 0) this.#outcomes.open(current.gate);
    }
    if (current === undefined || current.collecting || !current.revocable) return;
    this.#outcomes.canceled(current.gate);
  }

  /** More output than can be withheld. `stream`: it goes to the client; `swallow`: nowhere, it will be undone. */
  overflows(): 'stream' | 'swallow' {
    const current = this.#current;
    if (current === undefined || current.kind.kind === 'read-only') {
      current?.streams();
      return 'stream';
    }
    current.undo(this.#held(current, 'returns more than can be kept until its rows are counted'));
    return 'swallow';
  }

  /** One backend frame that answers a frame of an enclosure; undefined for those that answer nothing. */
  onBackend(frame: FrameView, part: Part): BackendStep | undefined {
    switch (frame.type) {
      case backendType.parameterStatus:
      case backendType.notificationResponse:
        return undefined;
      case backendType.errorResponse:
        return this.#error(frame, part);
      case backendType.noticeResponse:
        return this.#notice(frame, part);
      case backendType.readyForQuery:
        return this.#ready(frame, part);
      case backendType.commandComplete:
        return this.#completed(frame, part);
      case backendType.copyInResponse:
      case backendType.copyBothResponse:
      case backendType.authentication:
      case backendType.backendKeyData:
      case backendType.negotiateProtocolVersion:
        return { kind: 'close', error: strayError() };
      case backendType.portalSuspended:
        if (this.#current?.kind.kind === 'rows')
          this.#current.undo(
            this.#held(
              this.#current,
              'is executed with a row limit, so that the rows it changes are not counted',
            ),
          );
        break;
    }
    attribute(frame, this.#replies);
    return part === 'injected' ? dropped : withheld('next');
  }

  #error(frame: FrameView, part: Part): BackendStep | undefined {
    const fields = readErrorFields(frame);
    const sqlstate = fields.get('C') ?? '';
    const severity = fields.get('V') ?? fields.get('S');
    // The last word of a server that closes the connection is the client's, whatever becomes of the rest.
    if (severity === 'FATAL' || severity === 'PANIC') return undefined;
    const current = this.#current;
    // A holdable cursor runs its query when our COMMIT ends the transaction that it was declared in.
    if (part === 'injected' && sqlstate === readOnlyTransaction && current?.confinesAtEnd === true)
      return this.#refused(current, sqlstate, fields.get('M') ?? '');
    if (part === 'injected') {
      const shown = current === undefined || current.commandFails();
      if (shown) this.#outcomes.error(sqlstate);
      this.#replies.failed();
      return shown ? withheld(current?.simple === true ? 'instead-of-tail' : 'next') : dropped;
    }
    if (current?.undoing === true) {
      this.#replies.failed();
      return dropped;
    }
    if (part === 'enclosed' && current?.refusedFor(sqlstate) === true)
      return this.#refused(current, sqlstate, fields.get('M') ?? '');
    current?.fails();
    this.#outcomes.error(sqlstate);
    this.#replies.failed();
    return withheld('next');
  }

  /** The server refused what it would not have refused outside. */
  #refused(current: Enclosure, sqlstate: string, message: string): BackendStep {
    const reason =
      sqlstate === readOnlyTransaction ? 'tried to write' : 'cannot run within a transaction of ours';
    const verdict = this.#held(current, `${reason}: ${message}`);
    if (!current.streamed) {
      current.undo(verdict);
      this.#outcomes.names(sqlstate);
      this.#replies.failed();
      return dropped;
    }
    this.#remember(current, verdict.reason);
    current.fails();
    this.#outcomes.error(sqlstate);
    this.#replies.failed();
    return { ...withheld('next'), bytes: errorFrom(writesError(verdict), 'ERROR') };
  }

  /** Notices that a command of ours caused are nobody's; those of deferred triggers are the client's. */
  #notice(frame: FrameView, part: Part): BackendStep {
    if (part !== 'injected') return withheld('next');
    const fields = readErrorFields(frame);
    const severity = fields.get('V') ?? '';
    if (!told.has(severity) || fields.get('C') === noTransaction) return dropped;
    return withheld(this.#current?.simple === true ? 'before-tail' : 'next');
  }

  #ready(frame: FrameView, part: Part): BackendStep {
    this.#current?.ready(readReadyForQuery(frame));
    attribute(frame, this.#replies);
    return part === 'end' && this.#current?.undoing !== true ? withheld('next') : dropped;
  }

  #completed(frame: FrameView, part: Part): BackendStep {
    const current = this.#current;
    if (part === 'enclosed' && current !== undefined) this.#count(current, readCommandComplete(frame));
    attribute(frame, this.#replies);
    if (part === 'injected') return dropped;
    return withheld(current?.simple === true ? 'tail' : 'next');
  }

  #count(current: Enclosure, tag: string): void {
    if (current.kind.kind !== 'rows') return;
    const { rowsMax, selects, approved } = current.kind;
    // Other SELECTs only read.
    if (tag.startsWith('SELECT') && selects !== true) return;
    const rows = Number(/ (\d+)$/.exec(tag)?.[1] ?? 0);
    if (rows <= rowsMax) return;
    const { rule } = current.gate.verdict;
    const limit = approved === true ? 'were approved' : `rule ${rule} lets through`;
    const reason = `would change ${counted(rows)} rows, more than the ${counted(rowsMax)} that ${limit}`;
    current.undo(this.#held(current, reason));
  }

  #held({ gate }: Enclosure, reason: string): Verdict {
    return heldInstead(gate.verdict, reason);
  }

  #remember({ text }: Enclosure, reason: string): void {
    if (this.#writers.size < writersMax && text.length <= writerBytesMax)
      this.#writers.set(text.toString('latin1'), reason);
  }

  #packet(): Packet {
    return new Packet(this.#replies, this.#newId);
  }
}

const readOnlyTransaction = '25006';
/** "there is no transaction in progress" */
const noTransaction = '25P01';
/** What a statement says; the rest is the server's talk about ours. */
const told: ReadonlySet<string> = new Set(['NOTICE', 'INFO', 'WARNING']);

function withheld(place: Place): WithholdStep {
  return { kind: 'withhold', bytes: undefined, place };
}

function kept({ type, buffer, start, end }: FrameView): KeptFrame {
  return { type, bytes: Buffer.from(buffer.subarray(start, end)) };
}

/** `1,532`. */
function counted(rows: number): string {
  return rows.toLocaleString('en-US');
}
