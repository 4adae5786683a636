// Stencils: what is known of texts by their stencil: facts that were found out without a look at any of the values cut out
// hold for every text that has the same one. Where a fact rests on a value (`where 1 = 1`, a setting's name), the stencil
// is known as one that says nothing. Knows no parser.

import { hideConstants } from './constants.ts';
import type { RawStatement } from './engine.ts';
import { Generations } from './generations.ts';
import type { Analysis, Statement } from './statement.ts';
import type { Stencil } from './stencil.ts';

interface Known {
  readonly first: Statement;
  /** Bytes of a text behind its statement. */
  readonly behind: number;
  /** By the length of the text: the facts of two texts differ in where they end. */
  readonly statements: Map<number, Statement>;
}

/** Statements kept of one stencil; with more, all of them are forgotten. */
const lengthsMax = 32;
/** About what is kept of a stencil besides its key. */
const entryBytes = 4096;

export class Stencils {
  /** `nothing`: facts rest on values. */
  readonly #known: Generations<Known | 'nothing'>;

  /** `bytesMax`: of keys and facts kept, about. */
  constructor(bytesMax: number) {
    this.#known = new Generations(bytesMax);
  }

  /**
   * What is known of a text of that length; undefined if it has to be parsed. The list is another one each time, as it is for
   * each text; the statement in it is the same for texts of one length, so that what it means is found again as well.
   */
  find({ key }: Stencil, length: number): Analysis | undefined {
    const known = this.#known.get(key);
    if (known === undefined || known === 'nothing') return undefined;
    const { first, behind, statements } = known;
    let statement = statements.get(length);
    if (statement === undefined) {
      if (statements.size === lengthsMax) statements.clear();
      statement = { ...first, end: length - behind };
      statements.set(length, statement);
    }
    return { kind: 'statements', statements: [statement] };
  }

  /** True if the facts of a text that has it rest on none of the values cut out. */
  knows({ key }: Stencil): boolean {
    const known = this.#known.get(key);
    return known !== undefined && known !== 'nothing';
  }

  /**
   * Has a text's trees classified and remembers what that came to, if it came to it without the values. `text` as in
   * `stencilOf`.
   */
  learn(
    { key, cuts }: Stencil,
    text: string,
    trees: readonly RawStatement[],
    classify: () => readonly Statement[],
  ): readonly Statement[] {
    if (this.#known.get(key) === 'nothing') return classify();
    let looks = 0;
    const [tree, ...more] = trees;
    const isPlain =
      tree !== undefined &&
      more.length === 0 &&
      hideConstants(tree, text, cuts, () => {
        looks += 1;
      });
    const statements = classify();
    const [statement] = statements;
    const isKnown = isPlain && looks === 0 && statement !== undefined && statement.names.length === 0;
    const isLast = isKnown && (cuts.at(-1)?.end ?? 0) <= statement.end && statement.start <= cuts[0]!.start;
    this.#known.set(
      key,
      isLast ? { first: statement, behind: text.length - statement.end, statements: new Map() } : 'nothing',
      2 * key.length + entryBytes,
    );
    return statements;
  }
}
