// Frontend: what becomes of each frame of the client's: it passes, waits for answers or for a person, goes within an
// enclosure, or is refused by a stand-in. Pure. Source: DESIGN §5; wire.md §2.1–2.4.

import { HoldpointError } from '../errors.ts';
import type { Analysis, Statement } from '../sql/statement.ts';
import type { FrameView } from '../wire/framer.ts';
import {
  type BindMessage,
  frontendType,
  parse,
  query,
  readBind,
  readClose,
  readDescribe,
  readExecute,
  readParse,
  readQuery,
} from '../wire/messages/frontend.ts';
import { cursorConflict, heldInstead, unclearPosition } from './enclosable.ts';
import {
  copyParameter,
  createGate,
  endsTransaction,
  executesName,
  type Gate,
  type Parameter,
} from './gate.ts';
import { usesNames } from './meaning.ts';
import { resolveNames, sameBehind } from './names.ts';
import type { Prepared } from './prepared.ts';
import { ambiguous, misread, unknownName } from './reading.ts';
import {
  abortedError,
  analysisError,
  asHoldpointError,
  changedError,
  deniedError,
  functionCallError,
  longNameError,
  parsingError,
  skippedError,
  staleError,
  unseenPortalError,
  writesError,
} from './refusal.ts';
import type { Repetition } from './repeat.ts';
import { expected } from './replies.ts';
import { begins } from './segment.ts';
import type { State } from './state.ts';
import {
  barrier,
  deferred,
  enclosed,
  enclosedLast,
  type FrontendStep,
  passed,
  passedFlushing,
  runFirst,
} from './step.ts';

export class Frontend {
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
  }

  /** Throws `protocol-violation` or `bad-encoding` for a frame that cannot be read, which is refused like any other. */
  step(frame: FrameView, analysis: Analysis | undefined): FrontendStep {
    if (this.#state.enclosures.collecting) return this.#collect(frame);
    switch (frame.type) {
      case frontendType.query:
        return this.#query(frame, analysis);
      case frontendType.parse:
        return this.#parse(frame, analysis);
      case frontendType.bind:
        return this.#bind(frame);
      case frontendType.functionCall:
        return this.refuse(frame, functionCallError());
      case frontendType.execute:
        return this.#execute(frame);
      case frontendType.describe:
      case frontendType.close:
        return this.#named(frame);
      case frontendType.sync:
        return this.#sync();
      case frontendType.copyDone:
      case frontendType.copyFail:
        this.#state.outbox.forward(expected(frame.type));
        return this.#answering();
      default:
        // Flush and Terminate: both want what came before them to be on its way.
        return this.#answering();
    }
  }

  #query(frame: FrameView, offered: Analysis | undefined): FrontendStep {
    const { sql } = readQuery(frame);
    const own = this.#facts(frame, sql, offered);
    if ('kind' in own) return own;
    const resolved = resolveNames(own, this.#state.mirror, this.#state.segment);
    if (resolved.open && this.#mayWait) return barrier;
    const wait = this.#awaitsCatalog(resolved.statements, []);
    if (wait !== undefined) return wait;
    const listing = this.#list(own);
    if (listing instanceof Promise) return { kind: 'later', ready: listing };
    const text = { proto: 'simple', sql, own, resolved, parameterTypes: [], parameters: [] } as const;
    const gate = this.#state.judge.gate(text);
    if (listing instanceof HoldpointError) return this.refuse(frame, listing, gate);
    const step = this.#follow(frame, gate);
    return listing !== undefined && step.kind === 'pass' ? { ...step, instead: query(listing) } : step;
  }

  #parse(frame: FrameView, offered: Analysis | undefined): FrontendStep {
    const read = readParse(frame);
    if (this.#state.mirror.key(read.name) === undefined) return this.refuse(frame, longNameError());
    if (this.#state.mirror.full && this.#mayWait) return barrier;
    const statements = this.#facts(frame, read.sql, offered, read.name);
    if ('kind' in statements) return statements;
    const { statements: resolved } = resolveNames(statements, this.#state.mirror, this.#state.segment);
    const wait = this.#awaitsCatalog(resolved, read.parameterOids);
    if (wait !== undefined) return wait;
    const explained = this.#state.judge.explain(resolved, read.parameterOids);
    const parsing = explained.some((statement) => statement.parsing === true);
    if (parsing && !this.#state.judge.passes(explained, statements))
      return this.refuse(frame, parsingError(), undefined, read.name);
    const gated = this.#state.judge.gates(explained, statements);
    const listing = gated ? undefined : this.#list(statements);
    if (listing instanceof Promise) return { kind: 'later', ready: listing };
    if (listing instanceof HoldpointError) return this.refuse(frame, listing, undefined, read.name);
    if (gated) this.#state.outbox.defer();
    const prepared: Prepared = {
      sql: Buffer.from(read.sql),
      statements,
      inner: false,
      parameterOids: read.parameterOids,
    };
    const staged = this.#state.mirror.stage(read.name, prepared, this.#state.segment);
    this.#state.outbox.forward(expected(frontendType.parse, undefined, staged));
    const step = this.#state.outbox.deferring ? deferred : passed;
    if (listing === undefined) return step;
    // Its columns are those of every later list; the rows are those of now until it is bound.
    return { ...step, instead: parse(read.name, listing, read.parameterOids) };
  }

  /** The stand-in for a text that asks for the agent's requests, when it will be there, or why there is none. */
  #list(statements: readonly Statement[]): string | Promise<void> | HoldpointError | undefined {
    try {
      return this.#state.listing.answers(statements) ? this.#state.listing.query() : undefined;
    } catch (error) {
      return asHoldpointError(error);
    }
  }

  /** The facts of a text, or what becomes of its frame before there are any. `name`: as in `#refuse`. */
  #facts(
    frame: FrameView,
    sql: Buffer,
    offered: Analysis | undefined,
    name = '',
  ): readonly Statement[] | FrontendStep {
    // The text may read differently on the server than here (wire.md §3.1): letters and digits alone cannot.
    const doubtful = this.#state.code.unreported && ambiguous(sql);
    if (doubtful && this.#mayWait) return barrier;
    const analysis = offered ?? this.#state.options.analyzer.analyze(sql);
    if (analysis instanceof Promise) return { kind: 'analyze', analysis };
    if (analysis.kind !== 'statements') return this.refuse(frame, analysisError(analysis), undefined, name);
    return doubtful ? analysis.statements.map(misread) : analysis.statements;
  }

  #bind(frame: FrameView): FrontendStep {
    const read = readBind(frame);
    const portal = this.#state.mirror.key(read.portal);
    if (portal === undefined) return this.refuse(frame, longNameError());
    const found = this.#state.mirror.candidates(read.statement, this.#state.segment);
    if (found === 'open' && this.#mayWait) return barrier;
    // A person must see what will run: where the name may stand for two texts, it stands for none.
    const chosen = found !== undefined && found !== 'open' && found.length === 1 ? found[0] : undefined;
    const own = chosen?.statements ?? [unknownName(read.statement)];
    const resolved = resolveNames(own, this.#state.mirror, this.#state.segment);
    if (resolved.open && this.#mayWait) return barrier;
    const wait = this.#awaitsCatalog(resolved.statements, chosen?.parameterOids ?? []);
    if (wait !== undefined) return wait;
    const parameters: Parameter[] = read.parameters.map((value, at) => ({
      oid: chosen?.parameterOids[at] ?? 0,
      format: read.parameterFormats[read.parameterFormats.length === 1 ? 0 : at] ?? 0,
      value,
    }));
    const parameterTypes = chosen?.parameterOids ?? [];
    const listing = this.#list(own);
    if (listing instanceof Promise) return { kind: 'later', ready: listing };
    const sql = chosen?.sql ?? noBytes;
    const gate = this.#state.judge.gate({
      proto: 'extended',
      sql,
      own,
      resolved,
      parameterTypes,
      parameters,
    });
    if (listing instanceof HoldpointError) return this.refuse(frame, listing, gate);
    const listed =
      listing !== undefined && gate.verdict.action === 'pass'
        ? this.#bindList(read, listing, gate)
        : undefined;
    const step = listed ?? this.#follow(frame, gate, portal);
    if (step.kind !== 'replace' && step.kind !== 'barrier' && step.kind !== 'later') {
      const { enclosure } = gate.verdict;
      // Rows that a FETCH of SQL makes it change would not be counted.
      if (executesName(gate) || (enclosure?.kind === 'rows' && portal !== ''))
        this.#state.mirror.noteLatePortal(read.portal);
      else this.#state.mirror.noteCursor(read.portal);
      if (enclosure?.kind === 'read-only') this.#state.mirror.noteEnclosed(read.portal);
      this.#state.portals.set(portal, step.kind === 'hold' ? step.gate : gate);
    }
    return step;
  }

  #bindList(read: BindMessage, listing: string, gate: Gate): FrontendStep {
    const flush = this.#state.outbox.flush();
    const { before, instead } = this.#state.listing.bound(listing, read, this.#state.replies);
    this.#state.dispatch(gate);
    return { kind: 'pass', gate, flush, before, instead };
  }

  /** Execute runs what its Bind's gate saw, but for an EXECUTE, which looks its name up only now. */
  #execute(frame: FrameView): FrontendStep {
    const { portal } = readExecute(frame);
    const key = this.#state.mirror.key(portal);
    const gate = key === undefined ? undefined : this.#state.portals.get(key);
    this.#state.options.escort?.executes(gate);
    // An EXECUTE whose gate has ended cannot be looked at again.
    if (gate === undefined && this.#state.mirror.isLatePortal(portal))
      return this.refuse(frame, changedError());
    if (gate === undefined && this.#state.mirror.mayBeOpenedByCode(portal))
      return this.refuse(frame, unseenPortalError());
    if (gate !== undefined && executesName(gate)) {
      const now = resolveNames(gate.own, this.#state.mirror, this.#state.segment);
      if (now.open && this.#mayWait) return barrier;
      if (now.open || !sameBehind(gate.behind, now.behind)) return this.refuse(frame, changedError());
    }
    if (gate !== undefined && gate.explainedBy !== this.#state.options.catalog.reach) {
      const wait = this.#awaitsCatalog(gate.resolved, gate.parameterTypes);
      if (wait !== undefined) return wait;
      // Its code is looked up by name when it runs, and is not what it was when it was bound.
      const change = this.#state.judge.changeOf(gate);
      if (change !== undefined) return this.refuse(frame, staleError(change));
    }
    if (gate === undefined ? this.#state.mirror.isEnclosed(portal) : gate.verdict.enclosure !== undefined)
      return this.#executeEnclosed(frame, gate, key);
    if (this.#state.enclosures.segment.ours && gate !== undefined && begins(gate)) {
      if (this.#mayWait) return barrier;
      this.#state.adopting = true;
    }
    return this.#forwardExecute(gate);
  }

  #forwardExecute(gate: Gate | undefined): FrontendStep {
    this.#state.enclosures.segment.executes(gate);
    this.#state.code.executed(gate);
    this.#state.outbox.forward(expected(frontendType.execute, gate));
    const step = this.#state.outbox.deferring ? deferred : passed;
    const barrier = this.#state.barrier.executes(gate);
    return barrier === undefined ? step : { ...step, barrier };
  }

  /** A portal that was bound in an enclosure runs in one, each time. */
  #executeEnclosed(frame: FrameView, gate: Gate | undefined, key: string | undefined): FrontendStep {
    const undone = this.#state.judge.takeUndone();
    if (undone !== undefined) return this.refuse(frame, writesError(undone));
    if (this.#state.replies.discarding) return this.refuse(frame, skippedError());
    const position = this.#state.enclosures.position(false);
    if (position === 'wait') return barrier;
    // Between transactions no portal is left; a holdable cursor has run its query.
    if (position === 'failed' || (gate === undefined && position === 'idle'))
      return this.#forwardExecute(gate);
    if (gate === undefined || position === 'unclear') return this.refuse(frame, unseenPortalError());
    const flush = this.#state.outbox.flush();
    this.#state.enclosures.begin(gate, key, frame);
    return { kind: 'enclose', flush, run: false };
  }

  /** Frames behind the first of an enclosure: they go with it as far as they belong to it. */
  #collect(frame: FrameView): FrontendStep {
    if (
      frame.type === frontendType.execute &&
      this.#state.enclosures.current?.gate.explainedBy !== this.#state.options.catalog.reach
    )
      return runFirst;
    const what = this.#state.enclosures.collect(frame, (name) => this.#state.mirror.key(name));
    if (what === 'other') return runFirst;
    if (frame.type === frontendType.sync) this.#state.segment += 1;
    if (frame.type === frontendType.execute) this.#state.code.executed(this.#state.enclosures.current?.gate);
    return what === 'last' ? enclosedLast : enclosed;
  }

  #sync(): FrontendStep {
    this.#state.segment += 1;
    this.#state.code.synced(this.#state.outcomes.status);
    const flush = this.#state.outbox.flush();
    const after = this.#state.enclosures.syncs();
    if (after !== undefined) return { kind: 'pass', gate: undefined, flush, after };
    this.#state.outbox.forward(expected(frontendType.sync));
    return flush ? passedFlushing : passed;
  }

  /** Describe and Close: they run nothing. */
  #named(frame: FrameView): FrontendStep {
    if (frame.type === frontendType.close) {
      const { kind, name } = readClose(frame);
      this.#state.outbox.forward({
        ...expected(frontendType.close),
        closes: kind === 'S' ? name : undefined,
      });
    } else {
      const { kind } = readDescribe(frame);
      // A Describe of a statement wants ParseComplete first: the client asks for its answer.
      const flush = kind === 'S' && this.#state.outbox.flush();
      this.#state.outbox.forward(expected(frontendType.describe));
      if (flush) return passedFlushing;
    }
    return this.#state.outbox.deferring ? deferred : passed;
  }

  /** What becomes of a frame whose names cannot be looked up yet, though they soon can. */
  #awaitsCatalog(
    statements: readonly Statement[],
    parameterTypes: readonly number[],
  ): FrontendStep | undefined {
    if (this.#state.settings.defining && this.#mayWait && statements.some(usesNames)) return barrier;
    const ready = this.#state.judge.awaits(statements, parameterTypes);
    return ready === undefined ? undefined : { kind: 'later', ready };
  }

  /** Waiting for the server's answers makes sense: some are owed, and it is not the server that waits. */
  get #mayWait(): boolean {
    return this.#state.replies.outstanding && !this.#state.replies.copying;
  }

  /** Ends a deferral, if there is one, in favour of a frame that wants its answers. */
  #answering(): FrontendStep {
    return this.#state.outbox.flush() ? passedFlushing : passed;
  }

  /** What becomes of a frame by its verdict. `portal`: the mirror's key of what a Bind binds. */
  #follow(frame: FrameView, gate: Gate, portal?: string): FrontendStep {
    const { verdict } = gate;
    const escorted = verdict.action === 'deny' ? undefined : this.#escorted(frame, gate);
    if (escorted !== undefined) return escorted;
    if (verdict.enclosure !== undefined) return this.#enclose(frame, gate, portal);
    if (verdict.action === 'pass') {
      const before = this.#state.enclosures.leaves(gate);
      if (before !== undefined) {
        const flush = this.#state.outbox.flush();
        this.#state.dispatch(gate);
        return { kind: 'pass', gate, flush, before };
      }
      if (gate.proto === 'extended' && this.#state.outbox.deferring) {
        this.#state.dispatch(gate);
        return { kind: 'defer', gate };
      }
      const flush = this.#state.outbox.flush();
      this.#state.dispatch(gate);
      return { kind: 'pass', gate, flush };
    }
    if (verdict.action === 'deny') {
      const ready = gate.statements.some(({ missing }) => missing)
        ? this.#state.judge.looksAgain(gate)
        : undefined;
      return ready === undefined ? this.refuse(frame, deniedError(verdict), gate) : { kind: 'later', ready };
    }
    return this.#hold(frame, gate);
  }

  /** The gate waits for a release, unless the server would not run it anyway. */
  #hold(frame: FrameView, gate: Gate): FrontendStep {
    // In a failed transaction the server would run none of it; a person need not be asked. Nothing rests on this: if
    // the status were stale, a statement is refused that could have been held.
    if (this.#state.outcomes.status === 'E' && !this.#state.replies.outstanding && !endsTransaction(gate))
      return this.refuse(frame, abortedError(), gate);
    // What the server will discard need not be held, and nobody asked; the stand-in is discarded in its place.
    if (this.#state.discarding) return this.refuse(frame, skippedError(), gate);
    const ready = this.#state.judge.looksAgain(gate);
    return ready === undefined ? { kind: 'hold', gate } : { kind: 'later', ready };
  }

  /** What becomes of a gate by what a person approved beforehand; undefined where the rules alone decide. */
  #escorted(frame: FrameView, gate: Gate): FrontendStep | undefined {
    const { escort } = this.#state.options;
    if (escort === undefined || escort.idle) return undefined;
    const position = this.#state.enclosures.position(gate.proto === 'simple');
    const met = escort.meets(gate, { position, mayWait: this.#mayWait });
    if (met === 'other') return undefined;
    if (met === 'next') {
      // It may wait while its frame does not; what the rules let pass was not copied.
      gate.sql = Buffer.from(gate.sql);
      gate.parameters = gate.parameters.map(copyParameter);
      return this.#hold(frame, gate);
    }
    this.#state.judge.withdraw();
    return met === 'wait' ? barrier : { kind: 'later', ready: met.ready };
  }

  /** The gate passes within a transaction or savepoint of ours, where that can be told apart from the client's. */
  #enclose(frame: FrameView, gate: Gate, portal: string | undefined): FrontendStep {
    if (this.#state.replies.discarding) return this.refuse(frame, skippedError(), gate);
    const position = this.#state.enclosures.position(gate.proto === 'simple');
    if (position === 'wait') {
      this.#state.judge.withdraw();
      return barrier;
    }
    const flush = this.#state.outbox.flush();
    if (position === 'failed') {
      this.#state.dispatch(gate);
      return { kind: 'pass', gate, flush };
    }
    const reason = position === 'unclear' ? unclearPosition : cursorConflict(gate, position);
    if (reason !== undefined) {
      const sql = gate.proto === 'simple' ? Buffer.from(gate.sql) : gate.sql;
      return { kind: 'hold', gate: createGate({ ...gate, sql, verdict: heldInstead(gate.verdict, reason) }) };
    }
    this.#state.classify(gate);
    this.#state.reserve(gate);
    this.#state.enclosures.begin(gate, portal, frame);
    return { kind: 'enclose', flush, run: gate.proto === 'simple' };
  }

  /** All frames of the gate are on their way since `now`, and were not judged here. */
  resume(gate: Gate, { isDescribed, prepared }: Repetition, now: number): void {
    if (prepared !== undefined) {
      const staged = this.#state.mirror.stage('', prepared, this.#state.segment);
      this.#state.outbox.forward(expected(frontendType.parse, undefined, staged));
    }
    this.#state.dispatch(gate);
    if (gate.proto === 'extended') this.#state.portals.set('', gate);
    this.#state.dispatched(gate, now);
    if (gate.proto === 'simple') return;
    if (isDescribed) this.#state.outbox.forward(expected(frontendType.describe));
    this.#forwardExecute(gate);
    this.#sync();
  }

  /** Puts a stand-in in the frame's place. */
  refuse(frame: FrameView, error: HoldpointError, gate?: Gate, name = ''): FrontendStep {
    const flush = this.#state.outbox.flush();
    this.#state.options.escort?.refuses(error);
    if (gate !== undefined) gate.state = 'refused';
    return { kind: 'replace', gate, bytes: this.#state.standIn(frame.type, error, name), error, flush };
  }
}

const noBytes = Buffer.alloc(0);
