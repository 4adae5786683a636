// Judge: what the rules say of one text in this session, by what its names mean in the database now. Makes the gates. Pure;
// refuses to know frames, portals and what becomes of a verdict on the wire. Source: DESIGN §4 (5, 6), §1.8.

import type { Verdict } from '../policy/verdict.ts';
import type { Effect, Statement } from '../sql/statement.ts';
import { heldInstead, unenclosable } from './enclosable.ts';
import { copyParameter, createGate, type Gate, type Parameter } from './gate.ts';
import { changeOf, explained, usesNames } from './meaning.ts';
import type { Resolved } from './names.ts';
import type { Settings } from './settings.ts';
import type { SessionOptions } from './step.ts';
import { barsReading } from './unasked.ts';
import { Verdicts } from './verdicts.ts';

/** Effects on nothing that outlives the session. */
const harmless: ReadonlySet<Effect> = new Set<Effect>(['read', 'transaction', 'setting', 'custom-setting']);

/** True if it may go while a review is overdue. */
export function changesNothing({ effects }: Statement): boolean {
  return effects.every((effect) => harmless.has(effect));
}

/** A text as a frame brings it: `own` are the facts of `sql` itself, `resolved` what stands behind its names. */
export interface Text {
  readonly proto: Gate['proto'];
  readonly sql: Buffer;
  readonly own: readonly Statement[];
  readonly resolved: Resolved;
  readonly parameterTypes: readonly number[];
  /** Views of the frame. */
  readonly parameters: readonly Parameter[];
}

export class Judge {
  readonly #options: SessionOptions;
  readonly #settings: Settings;
  /** Why a text is held that tried to write in an enclosure; undefined if none is known to have. */
  readonly #writer: (sql: Buffer) => string | undefined;
  readonly #verdicts: Verdicts;
  #gates = 0;
  /** Why the frame that is offered next was not released. */
  #again: string | undefined;
  /** The frame that is offered next ran, was undone, and is held by this. */
  #undone: Verdict | undefined;
  /** The catalog was looked at for the sake of the frame that is offered next. */
  #looked = false;
  /** The last gate rests on a catalog that was looked at for its sake. */
  #fresh = false;

  constructor(options: SessionOptions, settings: Settings, writer: (sql: Buffer) => string | undefined) {
    this.#options = options;
    this.#settings = settings;
    this.#writer = writer;
    this.#verdicts = new Verdicts(options.actor, options.spending);
  }

  /** The statements with the effects that their names hide in this database. */
  explain(resolved: readonly Statement[], parameterTypes: readonly number[]): readonly Statement[] {
    return explained(resolved, parameterTypes, this.#options.catalog.reach, this.#settings);
  }

  /** True unless the rules let the text pass. */
  gates(explained: readonly Statement[], own: readonly Statement[]): boolean {
    return this.#decide(explained, own).action !== 'pass';
  }

  /** True if the rules let the text pass as it is, within nothing. */
  passes(explained: readonly Statement[], own: readonly Statement[]): boolean {
    const { action, enclosure } = this.#decide(explained, own);
    return action === 'pass' && enclosure === undefined;
  }

  /**
   * Why a SELECT of ours must not be sent on behalf of this session before anybody has approved anything, in a clause;
   * undefined if it is a plain read by the catalog. `unasked`: and one that the rules let the client run as it is.
   */
  barsReading(
    own: readonly Statement[],
    parameterTypes: readonly number[],
    unasked: boolean,
  ): string | undefined {
    const explained = this.explain(own, parameterTypes);
    return barsReading(explained, unasked ? () => this.passes(explained, own) : undefined);
  }

  /** Until when the names in the statements cannot be looked up; undefined if they can. */
  awaits(statements: readonly Statement[], parameterTypes: readonly number[]): Promise<void> | undefined {
    // A declared type is the catalog's to explain, as a name is.
    return statements.some(usesNames) || parameterTypes.some((oid) => oid !== 0)
      ? this.#options.catalog.pending
      : undefined;
  }

  /** A text with its verdict. Copies what it must keep while a person thinks; otherwise the views die with the frame. */
  gate({ proto, sql, own, resolved, parameterTypes, parameters }: Text): Gate {
    this.#gates += 1;
    const again = this.#again !== undefined || this.#undone !== undefined;
    this.#fresh = this.#looked || again;
    this.#looked = false;
    const statements = this.explain(resolved.statements, parameterTypes);
    const verdict = this.#verdict(statements, own, sql);
    const held = verdict.action === 'hold';
    const kept = held || verdict.enclosure !== undefined;
    const gate = createGate({
      n: this.#gates,
      proto,
      sql: proto === 'simple' && held ? Buffer.from(sql) : sql,
      own,
      resolved: resolved.statements,
      statements,
      parameterTypes,
      explainedBy: this.#options.catalog.reach,
      verdict,
      parameters: kept ? parameters.map(copyParameter) : parameters,
      behind: resolved.behind,
    });
    gate.again = again;
    return gate;
  }

  /**
   * Before a person is asked, the catalog is looked at once more: what they are shown must be so now, and a name that
   * is not known may be new. Resolves when the frame can be offered again; undefined if that was done.
   */
  looksAgain({ resolved }: Gate): Promise<void> | undefined {
    if (this.#fresh || !resolved.some(usesNames)) return undefined;
    this.withdraw();
    this.#looked = true;
    return this.#options.catalog.refresh().then(() => undefined);
  }

  /** True if the verdict on the gate's one statement rests on the rules, the statement and the actor alone. */
  remembers({ statements }: Gate): boolean {
    return this.#verdicts.knows(this.#options.policy(), statements[0]!);
  }

  /** Ordinal of the last gate. */
  get count(): number {
    return this.#gates;
  }

  /** So many gates went without being judged again. */
  repeats(many: number): void {
    this.#gates += many;
  }

  /** The last gate comes to nothing: its frame is offered again. */
  withdraw(): void {
    this.#gates -= 1;
  }

  /** Why a held gate would do something else now than it was shown to do; undefined if it would not. */
  changeOf({ statements, resolved, parameterTypes }: Gate): string | undefined {
    return changeOf(statements, this.explain(resolved, parameterTypes));
  }

  /** The frame that is offered next was held and released before, and is not what was shown any more. */
  heldAgain(change: string): void {
    this.#again = change;
  }

  /** The frame that is offered next has been undone and is to be held by this. */
  undone(verdict: Verdict): void {
    this.#undone = verdict;
  }

  /** As `undone`, for a frame that needs no verdict of its own; asked once. */
  takeUndone(): Verdict | undefined {
    const undone = this.#undone;
    this.#undone = undefined;
    return undone;
  }

  #decide(statements: readonly Statement[], own: readonly Statement[]): Verdict {
    const { policy, locked } = this.#options;
    const reason = locked?.();
    if (reason !== undefined && !statements.every(changesNothing))
      return { action: 'deny', rule: 'review-overdue', reason };
    return this.#verdicts.of(policy(), statements, own.length === 1);
  }

  #verdict(statements: readonly Statement[], own: readonly Statement[], sql: Buffer): Verdict {
    const verdict = this.#decide(statements, own);
    const again = this.#again;
    this.#again = undefined;
    const undone = this.takeUndone();
    if (verdict.action === 'pass' && undone !== undefined) return undone;
    if (verdict.enclosure !== undefined) {
      const reason = unenclosable(statements, verdict.enclosure) ?? this.#writer(sql);
      return reason === undefined ? verdict : heldInstead(verdict, reason);
    }
    if (verdict.action !== 'hold') return verdict;
    if (undone !== undefined)
      return { ...verdict, reason: `${verdict.reason} (held again: it ${undone.reason})` };
    if (again === undefined) return verdict;
    return { ...verdict, reason: `${verdict.reason} (held again after an approval: ${again})` };
  }
}
