// Parse: text to facts, cached by exact bytes, and by stencil where no fact rests on a value. The only door to
// PostgreSQL's parser: small texts here and now, large ones in a worker thread, broken instances replaced. Knows no
// session, no rule and no catalog: the facts depend on the bytes alone, so one cache serves every target.

import { analyzeWith, tooComplex } from './analyze.ts';
import type { RawStatement, ScanToken } from './engine.ts';
import { Engine } from './engine.ts';
import { Generations } from './generations.ts';
import { refusal } from './limits.ts';
import { Pool } from './pool.ts';
import type { Analysis } from './statement.ts';
import { type Cut, stencilOf } from './stencil.ts';
import { Stencils } from './stencils.ts';
import { hasFewTokens, readable, type Token, unpacked } from './tokens.ts';

export interface AnalyzerOptions {
  /** Longer texts are refused unread, code `too-large`. */
  readonly statementBytesMax?: number;
  /** Longer texts go to a worker thread: 16 KiB take about half a millisecond. */
  readonly inlineBytesMax?: number;
  /** Bytes of texts and facts kept; of stencils a quarter of that besides. */
  readonly cacheBytesMax?: number;
  /** Time for one text in a worker thread. */
  readonly parseMs?: number;
  /** Bytes of large texts that may wait for a thread. */
  readonly queueBytesMax?: number;
  readonly threads?: number;
  /** A clock in milliseconds, and who is told how long a text that was not cached took. */
  readonly timing?: { now(): number; parsed(ms: number): void };
}

/** Counters since the start; for metrics. */
export interface AnalyzerStats {
  /** Texts whose facts were known, by their bytes or by their stencil. */
  hits: number;
  /** Those of them that were known by their stencil. */
  alike: number;
  misses: number;
  /** Texts parsed in a worker thread. */
  large: number;
  /** Engines thrown away on this thread. */
  broken: number;
  refused: number;
}

/** About what the facts of one statement take in memory beside the text, and what an entry without any takes. */
const statementBytes = 1024;
const entryBytes = 512;

/** Of the cache: what stencils may take. */
const stencilsPart = 4;

/** Longer bodies of functions are not read: 64 KiB of PL/pgSQL take some milliseconds. */
const catalogBytesMax = 64 * 1024;

/** At 2 µs a token: what is scanned here and now, and what a worker thread may be kept from parsing by. */
const tokensInlineMax = 8 * 1024;
const tokensMax = 256 * 1024;

export class Analyzer {
  readonly stats: AnalyzerStats = { hits: 0, alike: 0, misses: 0, large: 0, broken: 0, refused: 0 };
  readonly #options: Required<Omit<AnalyzerOptions, 'timing'>> & Pick<AnalyzerOptions, 'timing'>;
  readonly #pool: Pool;
  readonly #texts: Generations<Analysis>;
  readonly #stencils: Stencils;
  #engine: Engine | undefined;
  #loading: Promise<void> | undefined;

  private constructor(engine: Engine, options: AnalyzerOptions) {
    this.#engine = engine;
    this.#options = {
      statementBytesMax: 16 * 1024 * 1024,
      inlineBytesMax: 16 * 1024,
      cacheBytesMax: 64 * 1024 * 1024,
      parseMs: 10_000,
      queueBytesMax: 256 * 1024 * 1024,
      threads: 1,
      ...options,
    };
    this.#pool = new Pool(this.#options);
    this.#texts = new Generations(this.#options.cacheBytesMax);
    this.#stencils = new Stencils(this.#options.cacheBytesMax / stencilsPart);
  }

  static async load(options: AnalyzerOptions = {}): Promise<Analyzer> {
    return new Analyzer(await Engine.load(), options);
  }

  /**
   * `sql` is the text without its terminating NUL; what is kept of it is copied. Answers at once if the text is cached
   * or small, else with a promise, which never rejects.
   */
  analyze(sql: Buffer): Analysis | Promise<Analysis> {
    if (sql.length > this.#options.statementBytesMax) return this.#refuse(sql) ?? tooComplex;
    // What is cached was let through once, so only its bytes need to be the same.
    const key = sql.toString('latin1');
    const cached = this.#texts.get(key);
    if (cached !== undefined) {
      this.stats.hits += 1;
      return cached;
    }
    const refused = this.#refuse(sql);
    if (refused !== undefined) return refused;
    const stencil = stencilOf(key);
    const alike = stencil && this.#stencils.find(stencil, sql.length);
    if (alike !== undefined) {
      this.stats.hits += 1;
      this.stats.alike += 1;
      return alike;
    }
    this.stats.misses += 1;
    const engine = sql.length <= this.#options.inlineBytesMax ? this.#engine : undefined;
    if (engine === undefined) return this.#analyzeLarge(sql, key);
    const begun = this.#options.timing?.now() ?? 0;
    const analysis = analyzeWith(
      engine,
      sql,
      stencil && ((trees, classify) => this.#stencils.learn(stencil, key, trees, classify)),
    );
    this.#options.timing?.parsed(this.#options.timing.now() - begun);
    if (engine.broken) this.#reload();
    this.#keep(key, analysis);
    return analysis;
  }

  /**
   * The literals of a text on whose values none of its facts rest: the same facts hold for each text that differs in
   * them, cut out as they are. None where nobody can say, or there are none. Views of nothing.
   */
  cutsOf(sql: Buffer): readonly Cut[] {
    const stencil = stencilOf(sql.toString('latin1'));
    return stencil !== undefined && this.#stencils.knows(stencil) ? stencil.cuts : [];
  }

  /** False for some 30 ms after a text broke the engine: then there are no trees to be had, whatever the text. */
  get ready(): boolean {
    return this.#engine !== undefined;
  }

  /** The syntax trees of a small text; undefined if there are none to be had: it is refused, too long or no SQL. */
  syntax(sql: Buffer): readonly RawStatement[] | undefined {
    const parsed = this.#inline(sql, (engine) => engine.parse(sql));
    return parsed?.kind === 'tree' ? parsed.statements : undefined;
  }

  /** The tokens of a small text that parses, comments among them; undefined as above. */
  scan(sql: Buffer): readonly ScanToken[] | undefined {
    return this.#inline(sql, (engine) => engine.scan(sql));
  }

  /** The PL/pgSQL functions that a small CREATE FUNCTION text defines, as Engine gives them; undefined as above. */
  plpgsql(sql: Buffer): readonly unknown[] | undefined {
    return this.#inline(sql, (engine) => engine.plpgsql(sql));
  }

  /** What each piece of a text is, for showing it; undefined if the text does not scan or may have too many. */
  async tokens(sql: Buffer): Promise<readonly Token[] | undefined> {
    if (sql.includes(0)) return undefined;
    const engine = hasFewTokens(sql, tokensInlineMax) ? this.#engine : undefined;
    if (engine !== undefined) return this.#scanned(engine, sql);
    if (!hasFewTokens(sql, tokensMax)) return undefined;
    const numbers = await this.#pool.tokens(sql);
    return numbers && unpacked(numbers);
  }

  #scanned(engine: Engine, sql: Buffer): readonly Token[] | undefined {
    try {
      return readable(sql, engine.scan(sql));
    } catch {
      return undefined;
    } finally {
      if (engine.broken) this.#reload();
    }
  }

  #inline<T>(sql: Buffer, use: (engine: Engine) => T): T | undefined {
    const engine = this.#engine;
    if (engine === undefined || sql.length > catalogBytesMax || this.#refuse(sql) !== undefined)
      return undefined;
    try {
      return use(engine);
    } catch {
      return undefined;
    } finally {
      if (engine.broken) this.#reload();
    }
  }

  #refuse(sql: Buffer): Analysis | undefined {
    const refused = refusal(sql, this.#options.statementBytesMax);
    if (refused !== undefined) this.stats.refused += 1;
    return refused;
  }

  /** Ends the worker threads; texts that wait are answered `too-complex`. */
  async close(): Promise<void> {
    await this.#pool.close();
    await this.#loading;
  }

  async #analyzeLarge(sql: Buffer, key: string): Promise<Analysis> {
    this.stats.large += 1;
    const begun = this.#options.timing?.now() ?? 0;
    const analysis = await this.#pool.analyze(sql);
    this.#options.timing?.parsed(this.#options.timing.now() - begun);
    // A refusal for want of time or of room in the queue says nothing about the text.
    if (analysis.kind !== 'refused') this.#keep(key, analysis);
    return analysis;
  }

  /** Until the fresh engine is there (some 30 ms), small texts go to the worker thread too. */
  #reload(): void {
    this.stats.broken += 1;
    this.#engine = undefined;
    this.#loading ??= Engine.load().then((engine) => {
      this.#engine = engine;
      this.#loading = undefined;
    });
  }

  #keep(key: string, analysis: Analysis): void {
    const count = analysis.kind === 'statements' ? analysis.statements.length : 1;
    const bytes = 2 * key.length + entryBytes + count * statementBytes;
    this.#texts.set(key, analysis, bytes);
  }
}
