// State: what one session knows of its connection, in its parts, and what a gate and a ReadyForQuery mean to them all. The
// parts know little of one another; here is what happens in one of them and matters to others. Pure. Source: DESIGN §5.

import type { HoldpointError } from '../errors.ts';
import { frontendType } from '../wire/messages/frontend.ts';
import { HiddenCode } from './code.ts';
import { Barrier } from './durability.ts';
import { Enclosures } from './enclosures.ts';
import { type Gate, rowsSpent } from './gate.ts';
import { Judge } from './judge.ts';
import { Listing } from './listing.ts';
import { commitNames, noteEnclosedCursors, stageNames } from './names.ts';
import { Outbox } from './outbox.ts';
import { Outcomes } from './outcomes.ts';
import { PreparedMirror } from './prepared.ts';
import { expected, Replies } from './replies.ts';
import { Settings } from './settings.ts';
import { StandIns, standInFrame, standInType } from './standin.ts';
import type { SessionOptions } from './step.ts';

export class State {
  readonly settings: Settings;
  readonly options: SessionOptions;
  readonly mirror: PreparedMirror;
  readonly replies: Replies;
  readonly standIns = new StandIns();
  /** Open portals by key and the gates that made them, so that an Execute finds its gate. */
  readonly portals = new Map<string, Gate>();
  readonly outcomes = new Outcomes((gate) => this.#ended(gate));
  readonly outbox: Outbox;
  readonly judge: Judge;
  readonly enclosures: Enclosures;
  readonly listing: Listing;
  readonly barrier: Barrier;
  readonly code = new HiddenCode(() => {
    this.mirror.codeRan();
    this.settings.codeRan();
  });
  /** A BEGIN of the client's goes to our block, of which the server would warn. */
  adopting = false;
  /** Number of the client's Sync-delimited segment. */
  segment = 0;
  /** Gates of the present transaction that have ended. */
  transactionGates = 0;
  /** The segment in which a stand-in went to the server, which will discard the rest of it. */
  #doomed = -1;

  constructor(options: SessionOptions) {
    this.options = options;
    this.settings = new Settings(options.user, options.parameters, options.searchPath);
    this.mirror = new PreparedMirror(options.parameters.get('server_encoding') === 'UTF8');
    this.replies = new Replies({
      parsed: (staged) => this.mirror.confirm(staged),
      parseRefused: (staged) => this.mirror.refuse(staged),
      parseSkipped: (staged) => this.mirror.skip(staged),
      closed: (name) => this.mirror.drop(name),
      parseDoubtful: (staged) => this.mirror.doubt(staged),
      completed: (gate, tag) => {
        this.outcomes.completed(gate, tag);
        // A pipeline may go on behind it, so a name that it defined must count from here on, not from ReadyForQuery.
        if (gate.proto === 'extended') commitNames(gate.statements, gate.defines, this.mirror);
      },
      suspended: (gate) => this.outcomes.suspended(gate),
      failed: (gate) => this.outcomes.failed(gate),
      skipped: (gate) => this.outcomes.skipped(gate),
      doubtful: (gate) => this.outcomes.doubtful(gate),
      ready: (status) => {
        if (this.enclosures.current?.undoing !== true) this.#ready(status);
      },
      lost: () => this.mirror.distrust(),
    });
    this.outbox = new Outbox(this.replies, this.outcomes);
    this.enclosures = new Enclosures(this.replies, this.outcomes, options.newId);
    const unicode = options.parameters.get('server_encoding') === 'UTF8';
    this.barrier = new Barrier(options.reads);
    this.listing = new Listing(options.requests, options.newId, unicode);
    this.judge = new Judge(options, this.settings, (sql) => this.enclosures.writer(sql));
  }

  /** The gate of a `pass` or `defer` step is recorded and on its way. `now` in monotonic milliseconds. */
  dispatched(gate: Gate, now: number): void {
    gate.forwardedAt = now;
    gate.parameters = [];
    if (gate.proto === 'simple') gate.sql = noBytes;
    this.outcomes.recorded(gate);
  }

  /** The gate's Query or Bind is the server's, or waits behind deferred frames for it. */
  dispatch(gate: Gate): void {
    const type = gate.proto === 'simple' ? frontendType.query : frontendType.bind;
    this.classify(gate);
    this.reserve(gate);
    this.stage(gate);
    this.outbox.forward(expected(type, gate));
  }

  /** What the gate's record needs before it goes; asked before the gate counts as sent. */
  classify(gate: Gate): void {
    gate.durability = this.barrier.judge(gate, () => this.enclosures.position(gate.proto === 'simple'));
  }

  /** Nothing can have been spent since the verdict: it was given in this call. */
  reserve(gate: Gate): void {
    const { budget } = gate.verdict;
    if (budget !== undefined) gate.reserved = this.options.spending.reserve(this.options.actor, budget);
  }

  /** What the gate may change of the session, once it is on its way. */
  stage(gate: Gate): void {
    gate.defines = stageNames(gate.own, gate.statements, gate.sql, this.mirror);
    if (gate.verdict.enclosure !== undefined) noteEnclosedCursors(gate.statements, this.mirror);
    this.settings.note(gate.statements);
    this.code.dispatched(gate);
  }

  /** True if the server will discard what comes before the next Sync, or does so already. */
  get discarding(): boolean {
    return this.replies.discarding || this.#doomed === this.segment;
  }

  /** The frame that takes the place of a refused one of `type`; `name` is the statement name of a Parse. */
  standIn(type: number, error: HoldpointError, name = ''): Buffer {
    const id = this.options.newId();
    this.standIns.add(id, error);
    this.replies.push(expected(standInType(type)));
    if (standInType(type) !== frontendType.query) this.#doomed = this.segment;
    return standInFrame(type, id, name);
  }

  #ready(status: string): void {
    const before = this.outcomes.status;
    this.outcomes.ready(status);
    if (status === 'I') {
      this.transactionGates = 0;
      if (this.settings.defining) this.options.catalog.changed();
    }
    for (const [portal, gate] of this.portals) {
      // One that is held, or waits behind one that is, has not begun.
      if (gate.state === 'waiting' || this.outcomes.has(gate)) continue;
      // One that was enclosed must be enclosed again as long as it lives.
      const lives = status !== 'I' && gate.verdict.enclosure !== undefined;
      if (!lives || this.portals.size > portalsMax) this.portals.delete(portal);
    }
    if (this.replies.outstanding) return;
    this.adopting = false;
    this.barrier.ready(status);
    this.settings.ready(before, status);
    this.standIns.clear();
    this.code.ready(status);
  }

  #ended(gate: Gate): void {
    if (gate.proto === 'simple' && gate.state === 'ok')
      commitNames(gate.statements, gate.defines, this.mirror);
    if (gate.state !== 'ok') this.settings.failed();
    gate.reserved?.settle(rowsSpent(gate));
    const perhaps = gate.state !== 'ok' && gate.state !== 'skipped';
    for (const prepare of gate.defines) this.mirror.settlePrepare(prepare, perhaps);
    this.transactionGates += 1;
    this.options.finished(gate);
  }
}

const noBytes = Buffer.alloc(0);
/** Portals of one transaction whose gates have ended and are still known. An unknown one is not executed. */
const portalsMax = 10_000;
