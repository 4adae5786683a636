// Blast: measures what held statements of one target would touch, over a connection of its own that is opened when the
// first one comes and closed when none has come for a while. One measurement at a time, each within its budget from the
// moment it is asked for: what is not known by then is said to be not known. Never rejects. Refuses to know what is
// asked (blast/) and what becomes of the answer.

import type { MeasuredEffect } from '../approval/effect.ts';
import { type Asker, type BoundValue, Refused } from '../blast/asker.ts';
import { Measuring } from '../blast/measuring.ts';
import type { Row } from '../catalog/row.ts';
import type { Analyzer } from '../sql/parse.ts';
import type { AskedThere } from './asking.ts';
import { sameDatabase } from './catalog-of.ts';
import { Side, SideError } from './side.ts';
import type { Upstream } from './upstream.ts';

export interface BlastOptions {
  /** Opens a connection to the target with the settings given, as `connectUpstream` does. */
  readonly connect: (settings: readonly (readonly [string, string])[]) => Promise<Upstream>;
  readonly analyzer: Pick<Analyzer, 'analyze' | 'syntax' | 'scan'>;
  /** Milliseconds for one measurement in all; 0: nothing is measured. */
  readonly measureMs: number;
  /** Milliseconds for one count in it. */
  readonly countMs: number;
  /** Told how long a measurement took. */
  readonly took?: (seconds: number) => void;
  /** How long the connection is kept unused. */
  readonly lingerMs?: number;
}

const lingerMsDefault = 60_000;
/** Beyond the server's own limits, for a server that does not answer at all. */
const answerGraceMs = 2_000;

export class Blast {
  readonly #options: BlastOptions;
  #side: Side | undefined;
  #version = 0;
  /** The last measurement that was begun; the next waits for it. */
  #queue: Promise<void> = Promise.resolve();
  #linger: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: BlastOptions) {
    this.#options = options;
  }

  /**
   * What the texts would touch, as far as it can be found out in time. Undefined if there is nothing to say. Never rejects.
   * After `signal` nobody wants the answer: it comes at once, and is worth nothing.
   */
  async measure(asked: AskedThere, signal?: AbortSignal): Promise<MeasuredEffect | undefined> {
    const { analyzer, measureMs, countMs, took } = this.#options;
    if (measureMs === 0) return undefined;
    const at = Date.now();
    const begun = performance.now();
    const leftMs = (): number =>
      signal?.aborted === true || this.#closed ? 0 : measureMs - (performance.now() - begun);
    let measuring: Measuring;
    try {
      const asker = this.#asker();
      const analyze = (sql: Buffer) => analyzer.analyze(sql);
      measuring = new Measuring({
        asker,
        asked,
        reader: analyzer,
        analyze,
        countMs,
        leftMs,
        version: () => this.#version,
      });
    } catch {
      // A defect of ours must not keep anybody from deciding.
      return nothingKnown(at, performance.now() - begun);
    }
    if (measuring.asks) {
      const late = `the figures that are missing could not be had within ${measureMs} ms`;
      if (!(await within(this.#enqueue(measuring, asked, leftMs), leftMs(), signal)))
        measuring.unmeasured(late);
    }
    const effect = measuring.finish();
    const tookMs = performance.now() - begun;
    took?.(tookMs / 1000);
    return isEmpty(effect) ? undefined : { ...effect, at, tookMs: Math.round(tookMs) };
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#linger);
    this.#disconnect();
  }

  /** Resolves when it is done, or can come to nothing. */
  #enqueue(measuring: Measuring, asked: AskedThere, leftMs: () => number): Promise<void> {
    const turn = this.#queue.then(async () => {
      // Its time may have run out while it waited for others.
      if (leftMs() <= 0) return;
      clearTimeout(this.#linger);
      try {
        await this.#connected(asked);
        if (leftMs() > 0) await measuring.run();
      } catch (error) {
        measuring.unmeasured(`the database could not be asked: ${wordsOf(error)}`);
        this.#disconnect();
      }
      this.#linger = setTimeout(() => this.#disconnect(), this.#options.lingerMs ?? lingerMsDefault);
      this.#linger.unref();
    });
    this.#queue = turn;
    return turn;
  }

  /** Makes sure of a connection to the database of the session. */
  async #connected({ database }: AskedThere): Promise<void> {
    if (this.#side?.open === true && sameDatabase(this.#side.identity, database)) return;
    this.#disconnect();
    const { connect, measureMs } = this.#options;
    const upstream = await connect([
      ['client_encoding', 'UTF8'],
      ['standard_conforming_strings', 'on'],
      ['application_name', 'holdpoint effect'],
    ]);
    const side = new Side(upstream, measureMs + answerGraceMs);
    if (this.#closed || !sameDatabase(side.identity, database)) {
      side.close();
      throw new OtherDatabase();
    }
    this.#version = Number.parseInt(upstream.parameters.get('server_version') ?? '0', 10);
    this.#side = side;
  }

  #disconnect(): void {
    this.#side?.close();
    this.#side = undefined;
  }

  #asker(): Asker {
    return {
      ask: async (text) => {
        const results: Row[][] = [];
        await this.#heard((side) =>
          side.ask(text, (row, result) => {
            results[result] ??= [];
            results[result].push(row);
          }),
        );
        return Array.from(results, (rows) => rows ?? []);
      },
      bind: async (text: string, parameters: readonly BoundValue[]) => {
        const rows: Row[] = [];
        await this.#heard((side) => side.bind(text, parameters, (row) => rows.push(row)));
        return rows;
      },
    };
  }

  async #heard(question: (side: Side) => Promise<void>): Promise<void> {
    if (this.#side === undefined) throw new Error('the connection was closed');
    try {
      await question(this.#side);
    } catch (error) {
      throw error instanceof SideError ? new Refused(error.sqlstate) : error;
    }
  }
}

class OtherDatabase extends Error {}

/** The cause may name hosts and users, and the sentence is logged. */
function wordsOf(error: unknown): string {
  if (error instanceof OtherDatabase) return 'the target leads to another database than the session is in';
  return error instanceof Refused ? error.message : 'there was no connection to it';
}

/** True if it resolved in time and before the signal. */
async function within(work: Promise<void>, ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  let abort: (() => void) | undefined;
  const over = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), Math.max(0, ms));
    abort = () => resolve(false);
    signal?.addEventListener('abort', abort);
    if (signal?.aborted === true) resolve(false);
  });
  try {
    return await Promise.race([work.then(() => true), over]);
  } finally {
    clearTimeout(timer);
    if (abort !== undefined) signal?.removeEventListener('abort', abort);
  }
}

function nothingKnown(at: number, tookMs: number): MeasuredEffect {
  const unmeasured = ['what it touches could not be measured'];
  return {
    at,
    tookMs: Math.round(tookMs),
    relations: [],
    cascades: [],
    dependents: [],
    locks: [],
    unmeasured,
  };
}

function isEmpty(effect: MeasuredEffect): boolean {
  const { relations, cascades, dependents, locks, unmeasured, transaction, fires } = effect;
  const lists = [relations, cascades, dependents, locks, unmeasured, fires ?? []];
  return transaction === undefined && lists.every((list) => list.length === 0);
}
