// Session: one connection's protocol state after login. It reads the frames that matter, asks the parser and the rules,
// and says of each frame whether it passes, waits for a person, or is refused by a stand-in. Synchronous and pure: it
// refuses to know sockets, clocks, the log and the approval desk. Transaction status is shown, never relied on.
// Source: DESIGN §5; wire.md §2.

import type { ErrorCode, HoldpointError } from '../errors.ts';
import type { Analysis, Statement } from '../sql/statement.ts';
import { type FrameView, typeTable } from '../wire/framer.ts';
import { backendType, readErrorFields, readParameterStatus } from '../wire/messages/backend.ts';
import {
  frontendType,
  readBind,
  readClose,
  readDescribe,
  readExecute,
  readParse,
  readQuery,
} from '../wire/messages/frontend.ts';
import { attribute, notified } from './answers.ts';
import { HiddenCode } from './code.ts';
import { cursorConflict, heldInstead, unclearPosition } from './enclosable.ts';
import type { EnclosureStep } from './enclosure.ts';
import { Enclosures } from './enclosures.ts';
import { createGate, endsTransaction, executesName, type Gate, type Parameter, rowsSpent } from './gate.ts';
import { Judge } from './judge.ts';
import { usesNames } from './meaning.ts';
import { commitNames, noteEnclosedCursors, resolveNames, sameBehind, stageNames } from './names.ts';
import { Outbox } from './outbox.ts';
import { Outcomes } from './outcomes.ts';
import { type Prepared, PreparedMirror } from './prepared.ts';
import { ambiguous, misread, pinnedError, unknownName } from './reading.ts';
import {
  abortedError,
  analysisError,
  asHoldpointError,
  changedError,
  deniedError,
  floodError,
  functionCallError,
  longNameError,
  parsingError,
  skippedError,
  staleError,
  strayError,
  unexpectedError,
  unseenPortalError,
  writesError,
} from './refusal.ts';
import { expected, expectedFramesMax, Replies } from './replies.ts';
import { begins } from './segment.ts';
import { Settings } from './settings.ts';
import { StandIns, standInFrame, standInType } from './standin.ts';
import {
  type BackendStep,
  barrier,
  deferred,
  dropped,
  enclosed,
  enclosedLast,
  type FrontendStep,
  forwarded,
  passed,
  passedFlushing,
  runFirst,
  type SessionOptions,
} from './step.ts';

export class Session {
  readonly settings: Settings;
  readonly #options: SessionOptions;
  readonly #mirror: PreparedMirror;
  readonly #replies: Replies;
  readonly #standIns = new StandIns();
  /** Open portals by key and the gates that made them, so that an Execute finds its gate. */
  readonly #portals = new Map<string, Gate>();
  readonly #outcomes = new Outcomes((gate) => this.#ended(gate));
  readonly #outbox: Outbox;
  readonly #judge: Judge;
  readonly #enclosures: Enclosures;
  readonly #code = new HiddenCode(() => {
    this.#mirror.codeRan();
    this.settings.codeRan();
  });
  /** A BEGIN of the client's goes to our block, of which the server would warn. */
  #adopting = false;
  #segment = 0;
  #transactionGates = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.settings = new Settings(options.user, options.parameters, options.searchPath);
    this.#mirror = new PreparedMirror(options.parameters.get('server_encoding') === 'UTF8');
    this.#replies = new Replies({
      parsed: (staged) => this.#mirror.confirm(staged),
      parseRefused: (staged) => this.#mirror.refuse(staged),
      parseSkipped: (staged) => this.#mirror.skip(staged),
      closed: (name) => this.#mirror.drop(name),
      parseDoubtful: (staged) => this.#mirror.doubt(staged),
      completed: (gate, tag) => {
        this.#outcomes.completed(gate, tag);
        // A pipeline may go on behind it, so a name that it defined must count from here on, not from ReadyForQuery.
        if (gate.proto === 'extended') commitNames(gate.statements, gate.defines, this.#mirror);
      },
      suspended: (gate) => this.#outcomes.suspended(gate),
      failed: (gate) => this.#outcomes.failed(gate),
      skipped: (gate) => this.#outcomes.skipped(gate),
      doubtful: (gate) => this.#outcomes.doubtful(gate),
      ready: (status) => {
        if (!this.undoing) this.#ready(status);
      },
      lost: () => this.#mirror.distrust(),
    });
    this.#outbox = new Outbox(this.#replies, this.#outcomes);
    this.#enclosures = new Enclosures(this.#replies, this.#outcomes, options.newId);
    this.#judge = new Judge(options, this.settings, (sql) => this.#enclosures.writer(sql));
  }

  /** Transaction status of the last ReadyForQuery: I, T or E. For display. */
  get transactionStatus(): string {
    return this.#outcomes.status;
  }

  get transactionGates(): number {
    return this.#transactionGates;
  }

  /** True while the server owes answers. */
  get busy(): boolean {
    return this.#replies.outstanding || this.enclosing !== 'no';
  }

  /** True while what the server answers belongs to an enclosure. */
  get answersEnclosure(): boolean {
    return this.#replies.part !== undefined;
  }

  /** An enclosure is on the server. `revocable`: it ends with the connection. `ending`: its COMMIT may be under way. */
  get enclosing(): 'no' | 'revocable' | 'ending' {
    const { current } = this.#enclosures;
    if (current === undefined || current.collecting) return 'no';
    return current.revocable ? 'revocable' : 'ending';
  }

  /** True while the server undoes an enclosure: what a cancel request would cancel is not the client's. */
  get undoing(): boolean {
    return this.#enclosures.current?.undoing === true;
  }

  /** True while the server takes the data of a COPY. */
  get copying(): boolean {
    return this.#replies.copying;
  }

  /** True while the server discards what it is sent, up to a Sync, after an error. */
  get discarding(): boolean {
    return this.#replies.discarding;
  }

  /** True while the server works on a statement that may change something. */
  get writing(): boolean {
    return this.#replies.outstanding && this.#outcomes.writing;
  }

  /** True while the server is far behind: no more frames should be offered until it has caught up. */
  get congested(): boolean {
    return this.#replies.congested;
  }

  /** True if earlier frames of this segment wait on the server for a Flush or a Sync to be answered. */
  get segmentOpen(): boolean {
    return this.#replies.segmentOpen;
  }

  /**
   * Judges one whole frontend frame. `analysis` only when the frame is offered again after an `analyze` step. Throws
   * HoldpointError (protocol-violation) for what ends the session.
   */
  onFrontend(frame: FrameView, analysis?: Analysis): FrontendStep {
    if (this.#replies.length > expectedFramesMax) throw floodError();
    if (judged[frame.type] === 0) throw unexpectedError(frame.type);
    try {
      return this.#step(frame, analysis);
    } catch (error) {
      const known = asHoldpointError(error);
      if (!unreadable.has(known.code)) throw known;
      return this.#refuse(frame, known);
    }
  }

  /** Throws `protocol-violation` or `bad-encoding` for a frame that cannot be read, which is refused like any other. */
  #step(frame: FrameView, analysis: Analysis | undefined): FrontendStep {
    if (this.#enclosures.collecting) return this.#collect(frame);
    switch (frame.type) {
      case frontendType.query:
        return this.#query(frame, analysis);
      case frontendType.parse:
        return this.#parse(frame, analysis);
      case frontendType.bind:
        return this.#bind(frame);
      case frontendType.functionCall:
        return this.#refuse(frame, functionCallError());
      case frontendType.execute:
        return this.#execute(frame);
      case frontendType.describe:
      case frontendType.close:
        return this.#named(frame);
      case frontendType.sync:
        return this.#sync();
      case frontendType.copyDone:
      case frontendType.copyFail:
        this.#outbox.forward(expected(frame.type));
        return this.#answering();
      default:
        // Flush and Terminate: both want what came before them to be on its way.
        return this.#answering();
    }
  }

  /** A held gate may go: its frames are now the server's. `now` in monotonic milliseconds. */
  released(gate: Gate, now: number): void {
    this.#outbox.flush();
    this.#dispatch(gate);
    this.dispatched(gate, now);
  }

  /** A held gate is refused: the deferred frames go to the server, and the returned stand-in after them. */
  refused(gate: Gate, error: HoldpointError): Buffer {
    this.#outbox.flush();
    gate.state = 'refused';
    return this.#standIn(gate.proto === 'simple' ? frontendType.query : frontendType.bind, error);
  }

  /** The gate of the enclosure that a step told to run. Recorded first, unless it has a record. */
  get enclosed(): Gate | undefined {
    return this.#enclosures.current?.gate;
  }

  /** Sends the enclosure: the bytes for the server. `now` in monotonic milliseconds. */
  runEnclosure(now: number): Buffer {
    const { gate, opens } = this.#enclosures.current!;
    if (opens) this.#stage(gate);
    const bytes = this.#enclosures.run();
    if (opens) this.dispatched(gate, now);
    return bytes;
  }

  /** What follows from the server's answers to the enclosure; undefined while more are owed. */
  nextOfEnclosure(): Exclude<EnclosureStep, { kind: 'broken' }> | undefined {
    const step = this.#enclosures.next();
    if (step?.kind === 'undone') this.#judge.undone(step.verdict);
    return step;
  }

  /** There is more output of an enclosure than can be withheld. */
  overflows(): 'stream' | 'swallow' {
    return this.#enclosures.overflows();
  }

  /** Why a held gate would do something else now than it was shown to do; undefined if it would not. */
  changeOf(gate: Gate): string | undefined {
    return this.#judge.changeOf(gate);
  }

  /** The frame that is offered next was held and released before, and is not what was shown any more. */
  heldAgain(change: string): void {
    this.#judge.heldAgain(change);
  }

  /** The gate of a `pass` or `defer` step is recorded and on its way. `now` in monotonic milliseconds. */
  dispatched(gate: Gate, now: number): void {
    gate.forwardedAt = now;
    gate.parameters = [];
    if (gate.proto === 'simple') gate.sql = noBytes;
    this.#outcomes.recorded(gate);
  }

  /** Ends a deferral for want of room: its frames, which execute nothing, are the server's. */
  releaseDeferred(): void {
    this.#outbox.flush();
  }

  /** Reads one backend frame. `now` in monotonic milliseconds. */
  onBackend(frame: FrameView, now: number): BackendStep {
    this.#outcomes.now = now;
    const { part } = this.#replies;
    if (part !== undefined) {
      const step = this.#enclosures.onBackend(frame, part);
      if (step !== undefined) return step;
    }
    switch (frame.type) {
      case backendType.errorResponse:
        return this.#errorResponse(frame);
      case backendType.parameterStatus:
        return this.#parameterStatus(frame);
      case backendType.notificationResponse:
        return notified(frame, this.#options.pids);
      case backendType.noticeResponse:
        return this.#adopting && readErrorFields(frame).get('C') === blockOpen ? dropped : forwarded;
      case backendType.copyBothResponse:
      case backendType.authentication:
      case backendType.backendKeyData:
      case backendType.negotiateProtocolVersion:
        return { kind: 'close', error: strayError() };
      default:
        attribute(frame, this.#replies);
        return forwarded;
    }
  }

  /** The connection to the server is gone: what it still owed is unknown for ever. */
  lost(): void {
    this.#outbox.abandon();
    this.#enclosures.lost();
    this.#outcomes.lost();
    // A COMMIT may have been on its way.
    if (this.settings.defining) this.#options.catalog.changed();
  }

  #query(frame: FrameView, offered: Analysis | undefined): FrontendStep {
    const { sql } = readQuery(frame);
    const own = this.#facts(frame, sql, offered);
    if ('kind' in own) return own;
    const resolved = resolveNames(own, this.#mirror, this.#segment);
    if (resolved.open && this.#mayWait) return barrier;
    const wait = this.#awaitsCatalog(resolved.statements);
    if (wait !== undefined) return wait;
    const text = { proto: 'simple', sql, own, resolved, parameterTypes: [], parameters: [] } as const;
    return this.#follow(frame, this.#judge.gate(text));
  }

  #parse(frame: FrameView, offered: Analysis | undefined): FrontendStep {
    const read = readParse(frame);
    if (this.#mirror.key(read.name) === undefined) return this.#refuse(frame, longNameError());
    if (this.#mirror.full && this.#mayWait) return barrier;
    const statements = this.#facts(frame, read.sql, offered, read.name);
    if ('kind' in statements) return statements;
    const { statements: resolved } = resolveNames(statements, this.#mirror, this.#segment);
    const wait = this.#awaitsCatalog(resolved);
    if (wait !== undefined) return wait;
    const explained = this.#judge.explain(resolved, read.parameterOids);
    const parsing = explained.some((statement) => statement.parsing === true);
    if (parsing && !this.#judge.passes(explained, statements))
      return this.#refuse(frame, parsingError(), undefined, read.name);
    if (this.#judge.gates(explained, statements)) this.#outbox.defer();
    const prepared: Prepared = {
      sql: Buffer.from(read.sql),
      statements,
      inner: false,
      parameterOids: read.parameterOids,
    };
    const staged = this.#mirror.stage(read.name, prepared, this.#segment);
    this.#outbox.forward(expected(frontendType.parse, undefined, staged));
    return this.#outbox.deferring ? deferred : passed;
  }

  /** The facts of a text, or what becomes of its frame before there are any. `name`: as in `#refuse`. */
  #facts(
    frame: FrameView,
    sql: Buffer,
    offered: Analysis | undefined,
    name = '',
  ): readonly Statement[] | FrontendStep {
    // The text may read differently on the server than here (wire.md §3.1): letters and digits alone cannot.
    const doubtful = this.#code.unreported && ambiguous(sql);
    if (doubtful && this.#mayWait) return barrier;
    const analysis = offered ?? this.#options.analyzer.analyze(sql);
    if (analysis instanceof Promise) return { kind: 'analyze', analysis };
    if (analysis.kind !== 'statements') return this.#refuse(frame, analysisError(analysis), undefined, name);
    return doubtful ? analysis.statements.map(misread) : analysis.statements;
  }

  #bind(frame: FrameView): FrontendStep {
    const read = readBind(frame);
    const portal = this.#mirror.key(read.portal);
    if (portal === undefined) return this.#refuse(frame, longNameError());
    const found = this.#mirror.candidates(read.statement, this.#segment);
    if (found === 'open' && this.#mayWait) return barrier;
    // A person must see what will run: where the name may stand for two texts, it stands for none.
    const chosen = found !== undefined && found !== 'open' && found.length === 1 ? found[0] : undefined;
    const own = chosen?.statements ?? [unknownName(read.statement)];
    const resolved = resolveNames(own, this.#mirror, this.#segment);
    if (resolved.open && this.#mayWait) return barrier;
    const wait = this.#awaitsCatalog(resolved.statements);
    if (wait !== undefined) return wait;
    const parameters: Parameter[] = read.parameters.map((value, at) => ({
      oid: chosen?.parameterOids[at] ?? 0,
      format: read.parameterFormats[read.parameterFormats.length === 1 ? 0 : at] ?? 0,
      value,
    }));
    const parameterTypes = chosen?.parameterOids ?? [];
    const sql = chosen?.sql ?? noBytes;
    const gate = this.#judge.gate({ proto: 'extended', sql, own, resolved, parameterTypes, parameters });
    const step = this.#follow(frame, gate, portal);
    if (step.kind !== 'replace' && step.kind !== 'barrier' && step.kind !== 'later') {
      const { enclosure } = gate.verdict;
      // Rows that a FETCH of SQL makes it change would not be counted.
      if (executesName(gate) || (enclosure?.kind === 'rows' && portal !== ''))
        this.#mirror.noteLatePortal(read.portal);
      else this.#mirror.noteCursor(read.portal);
      if (enclosure?.kind === 'read-only') this.#mirror.noteEnclosed(read.portal);
      this.#portals.set(portal, step.kind === 'hold' ? step.gate : gate);
    }
    return step;
  }

  /** Execute runs what its Bind's gate saw, but for an EXECUTE, which looks its name up only now. */
  #execute(frame: FrameView): FrontendStep {
    const { portal } = readExecute(frame);
    const key = this.#mirror.key(portal);
    const gate = key === undefined ? undefined : this.#portals.get(key);
    // An EXECUTE whose gate has ended cannot be looked at again.
    if (gate === undefined && this.#mirror.isLatePortal(portal)) return this.#refuse(frame, changedError());
    if (gate === undefined && this.#mirror.mayBeOpenedByCode(portal))
      return this.#refuse(frame, unseenPortalError());
    if (gate !== undefined && executesName(gate)) {
      const now = resolveNames(gate.own, this.#mirror, this.#segment);
      if (now.open && this.#mayWait) return barrier;
      if (now.open || !sameBehind(gate.behind, now.behind)) return this.#refuse(frame, changedError());
    }
    if (gate !== undefined && gate.explainedBy !== this.#options.catalog.reach) {
      const wait = this.#awaitsCatalog(gate.resolved);
      if (wait !== undefined) return wait;
      // Its code is looked up by name when it runs, and is not what it was when it was bound.
      const change = this.changeOf(gate);
      if (change !== undefined) return this.#refuse(frame, staleError(change));
    }
    if (gate === undefined ? this.#mirror.isEnclosed(portal) : gate.verdict.enclosure !== undefined)
      return this.#executeEnclosed(frame, gate, key);
    if (this.#enclosures.segment.ours && gate !== undefined && begins(gate)) {
      if (this.#mayWait) return barrier;
      this.#adopting = true;
    }
    return this.#forwardExecute(gate);
  }

  #forwardExecute(gate: Gate | undefined): FrontendStep {
    this.#enclosures.segment.executes(gate);
    this.#code.executed(gate);
    this.#outbox.forward(expected(frontendType.execute, gate));
    return this.#outbox.deferring ? deferred : passed;
  }

  /** A portal that was bound in an enclosure runs in one, each time. */
  #executeEnclosed(frame: FrameView, gate: Gate | undefined, key: string | undefined): FrontendStep {
    const undone = this.#judge.takeUndone();
    if (undone !== undefined) return this.#refuse(frame, writesError(undone));
    if (this.#replies.discarding) return this.#refuse(frame, skippedError());
    const position = this.#enclosures.position(false);
    if (position === 'wait') return barrier;
    // Between transactions no portal is left; a holdable cursor has run its query.
    if (position === 'failed' || (gate === undefined && position === 'idle'))
      return this.#forwardExecute(gate);
    if (gate === undefined || position === 'unclear') return this.#refuse(frame, unseenPortalError());
    const flush = this.#outbox.flush();
    this.#enclosures.begin(gate, key, frame);
    return { kind: 'enclose', flush, run: false };
  }

  /** Frames behind the first of an enclosure: they go with it as far as they belong to it. */
  #collect(frame: FrameView): FrontendStep {
    if (frame.type === frontendType.execute && this.enclosed?.explainedBy !== this.#options.catalog.reach)
      return runFirst;
    const what = this.#enclosures.collect(frame, (name) => this.#mirror.key(name));
    if (what === 'other') return runFirst;
    if (frame.type === frontendType.sync) this.#segment += 1;
    if (frame.type === frontendType.execute) this.#code.executed(this.enclosed);
    return what === 'last' ? enclosedLast : enclosed;
  }

  #sync(): FrontendStep {
    this.#segment += 1;
    this.#code.synced(this.#outcomes.status);
    const flush = this.#outbox.flush();
    const after = this.#enclosures.syncs();
    if (after !== undefined) return { kind: 'pass', gate: undefined, flush, after };
    this.#outbox.forward(expected(frontendType.sync));
    return flush ? passedFlushing : passed;
  }

  /** Describe and Close: they run nothing. */
  #named(frame: FrameView): FrontendStep {
    if (frame.type === frontendType.close) {
      const { kind, name } = readClose(frame);
      this.#outbox.forward({ ...expected(frontendType.close), closes: kind === 'S' ? name : undefined });
    } else {
      const { kind } = readDescribe(frame);
      // A Describe of a statement wants ParseComplete first: the client asks for its answer.
      const flush = kind === 'S' && this.#outbox.flush();
      this.#outbox.forward(expected(frontendType.describe));
      if (flush) return passedFlushing;
    }
    return this.#outbox.deferring ? deferred : passed;
  }

  /** What becomes of a frame whose names cannot be looked up yet, though they soon can. */
  #awaitsCatalog(statements: readonly Statement[]): FrontendStep | undefined {
    if (this.settings.defining && this.#mayWait && statements.some(usesNames)) return barrier;
    const ready = this.#judge.awaits(statements);
    return ready === undefined ? undefined : { kind: 'later', ready };
  }

  /** Waiting for the server's answers makes sense: some are owed, and it is not the server that waits. */
  get #mayWait(): boolean {
    return this.#replies.outstanding && !this.#replies.copying;
  }

  /** Ends a deferral, if there is one, in favour of a frame that wants its answers. */
  #answering(): FrontendStep {
    return this.#outbox.flush() ? passedFlushing : passed;
  }

  /** What becomes of a frame by its verdict. `portal`: the mirror's key of what a Bind binds. */
  #follow(frame: FrameView, gate: Gate, portal?: string): FrontendStep {
    const { verdict } = gate;
    if (verdict.enclosure !== undefined) return this.#enclose(frame, gate, portal);
    if (verdict.action === 'pass') {
      const before = this.#enclosures.leaves(gate);
      if (before !== undefined) {
        const flush = this.#outbox.flush();
        this.#dispatch(gate);
        return { kind: 'pass', gate, flush, before };
      }
      if (gate.proto === 'extended' && this.#outbox.deferring) {
        this.#dispatch(gate);
        return { kind: 'defer', gate };
      }
      const flush = this.#outbox.flush();
      this.#dispatch(gate);
      return { kind: 'pass', gate, flush };
    }
    if (verdict.action === 'deny') {
      const ready = gate.statements.some(({ missing }) => missing) ? this.#judge.looksAgain(gate) : undefined;
      return ready === undefined ? this.#refuse(frame, deniedError(verdict), gate) : { kind: 'later', ready };
    }
    // In a failed transaction the server would run none of it; a person need not be asked. Nothing rests on this: if
    // the status were stale, a statement is refused that could have been held.
    if (this.#outcomes.status === 'E' && !this.#replies.outstanding && !endsTransaction(gate))
      return this.#refuse(frame, abortedError(), gate);
    // What the server will discard need not be held; the stand-in is discarded in its place.
    if (this.#replies.discarding) return this.#refuse(frame, skippedError(), gate);
    const ready = this.#judge.looksAgain(gate);
    return ready === undefined ? { kind: 'hold', gate } : { kind: 'later', ready };
  }

  /** The gate passes within a transaction or savepoint of ours, where that can be told apart from the client's. */
  #enclose(frame: FrameView, gate: Gate, portal: string | undefined): FrontendStep {
    if (this.#replies.discarding) return this.#refuse(frame, skippedError(), gate);
    const position = this.#enclosures.position(gate.proto === 'simple');
    if (position === 'wait') {
      this.#judge.withdraw();
      return barrier;
    }
    const flush = this.#outbox.flush();
    if (position === 'failed') {
      this.#dispatch(gate);
      return { kind: 'pass', gate, flush };
    }
    const reason = position === 'unclear' ? unclearPosition : cursorConflict(gate, position);
    if (reason !== undefined) {
      const sql = gate.proto === 'simple' ? Buffer.from(gate.sql) : gate.sql;
      return { kind: 'hold', gate: createGate({ ...gate, sql, verdict: heldInstead(gate.verdict, reason) }) };
    }
    this.#reserve(gate);
    this.#enclosures.begin(gate, portal, frame);
    return { kind: 'enclose', flush, run: gate.proto === 'simple' };
  }

  #dispatch(gate: Gate): void {
    const type = gate.proto === 'simple' ? frontendType.query : frontendType.bind;
    this.#reserve(gate);
    this.#stage(gate);
    this.#outbox.forward(expected(type, gate));
  }

  /** Nothing can have been spent since the verdict: it was given in this call. */
  #reserve(gate: Gate): void {
    const { budget } = gate.verdict;
    if (budget !== undefined) gate.reserved = this.#options.spending.reserve(this.#options.actor, budget);
  }

  /** What the gate may change of the session, once it is on its way. */
  #stage(gate: Gate): void {
    gate.defines = stageNames(gate.own, gate.statements, gate.sql, this.#mirror);
    if (gate.verdict.enclosure !== undefined) noteEnclosedCursors(gate.statements, this.#mirror);
    this.settings.note(gate.statements);
    this.#code.dispatched(gate);
  }

  /** Puts a stand-in in the frame's place. */
  #refuse(frame: FrameView, error: HoldpointError, gate?: Gate, name = ''): FrontendStep {
    const flush = this.#outbox.flush();
    if (gate !== undefined) gate.state = 'refused';
    return { kind: 'replace', gate, bytes: this.#standIn(frame.type, error, name), error, flush };
  }

  #standIn(type: number, error: HoldpointError, name = ''): Buffer {
    const id = this.#options.newId();
    this.#standIns.add(id, error);
    this.#replies.push(expected(standInType(type)));
    return standInFrame(type, id, name);
  }

  #errorResponse(frame: FrameView): BackendStep {
    const fields = readErrorFields(frame);
    const swapped = this.#standIns.swap(frame, fields);
    this.#outcomes.error(swapped?.sqlstate ?? fields.get('C') ?? '');
    this.#replies.failed();
    return swapped === undefined ? forwarded : { kind: 'replace', bytes: swapped.bytes };
  }

  #ready(status: string): void {
    const before = this.#outcomes.status;
    this.#outcomes.ready(status);
    if (status === 'I') {
      this.#transactionGates = 0;
      if (this.settings.defining) this.#options.catalog.changed();
    }
    for (const [portal, gate] of this.#portals) {
      // One that is held, or waits behind one that is, has not begun.
      if (gate.state === 'waiting' || this.#outcomes.has(gate)) continue;
      // One that was enclosed must be enclosed again as long as it lives.
      const lives = status !== 'I' && gate.verdict.enclosure !== undefined;
      if (!lives || this.#portals.size > portalsMax) this.#portals.delete(portal);
    }
    if (this.#replies.outstanding) return;
    this.#adopting = false;
    this.settings.ready(before, status);
    this.#standIns.clear();
    this.#code.ready(status);
  }

  #ended(gate: Gate): void {
    if (gate.proto === 'simple' && gate.state === 'ok')
      commitNames(gate.statements, gate.defines, this.#mirror);
    if (gate.state !== 'ok') this.settings.failed();
    gate.reserved?.settle(rowsSpent(gate));
    const perhaps = gate.state !== 'ok' && gate.state !== 'skipped';
    for (const prepare of gate.defines) this.#mirror.settlePrepare(prepare, perhaps);
    this.#transactionGates += 1;
    this.#options.finished(gate);
  }

  #parameterStatus(frame: FrameView): BackendStep {
    const { name, value } = readParameterStatus(frame);
    this.settings.reported(name, value);
    const error = pinnedError(name, value, this.#options.actor.access);
    return error === undefined ? forwarded : { kind: 'close', error };
  }
}

/** The frames of a session after login; CopyData streams by. */
const judged = typeTable('QPBFEDCHScfX');
const noBytes = Buffer.alloc(0);
/** Portals of one transaction whose gates have ended and are still known. An unknown one is not executed. */
const portalsMax = 10_000;
/** "there is already a transaction in progress" */
const blockOpen = '25001';
const unreadable: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['protocol-violation', 'bad-encoding']);
