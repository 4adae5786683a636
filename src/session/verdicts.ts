// Verdicts: what the rules say of a text in one session, remembered where it rests on nothing but the rules and the
// statement: a prepared statement is judged at each execution, and by the same objects. The rules, the explained
// statement and the actor are values that nobody changes; a reload of the rules or another catalog makes new ones, and
// what a rule's budget was asked for is never remembered. Pure.

import { decide } from '../policy/decide.ts';
import type { Policy } from '../policy/rules.ts';
import type { Spending } from '../policy/terms.ts';
import type { Actor, Verdict } from '../policy/verdict.ts';
import type { Statement } from '../sql/statement.ts';

interface Known {
  readonly policy: Policy;
  readonly alone: boolean;
  readonly verdict: Verdict;
}

/** Statements that are remembered at a time: what a loop runs, and nothing to speak of for a session that idles. */
const knownMax = 32;

export class Verdicts {
  readonly #actor: Actor;
  readonly #spending: Spending;
  readonly #known = new Map<Statement, Known>();
  #isAsked = false;

  constructor(actor: Actor, spending: Spending) {
    this.#actor = actor;
    this.#spending = {
      spent: (rule, actor) => {
        this.#isAsked = true;
        return spending.spent(rule, actor);
      },
    };
  }

  /** As `decide`. `alone`: the text is one statement. */
  of(policy: Policy, statements: readonly Statement[], alone: boolean): Verdict {
    const statement = statements.length === 1 ? statements[0]! : undefined;
    const known = statement && this.#known.get(statement);
    if (known !== undefined && known.policy === policy && known.alone === alone) return known.verdict;
    this.#isAsked = false;
    const verdict = decide(policy, statements, this.#actor, { spending: this.#spending, alone });
    if (statement !== undefined && !this.#isAsked) {
      if (this.#known.size >= knownMax) this.#known.clear();
      this.#known.set(statement, { policy, alone, verdict });
    }
    return verdict;
  }

  /** True if the verdict on the one statement is remembered, so that it rests on nothing but what `of` is given. */
  knows(policy: Policy, statement: Statement): boolean {
    return this.#known.get(statement)?.policy === policy;
  }
}
