// Facts: an analyzer for tests, and the facts of texts that are known to parse.

import { Analyzer } from '../../src/sql/parse.ts';
import type { Analysis, Statement } from '../../src/sql/statement.ts';

export const analyzer = await Analyzer.load();

export function analysisOf(sql: string | Buffer): Analysis | Promise<Analysis> {
  return analyzer.analyze(typeof sql === 'string' ? Buffer.from(sql) : sql);
}

/** The statements of a small text; throws if it has none to show. */
export function statementsOf(sql: string): readonly Statement[] {
  const analysis = analysisOf(sql);
  if (analysis instanceof Promise) throw new Error(`too large to answer at once: ${sql.slice(0, 60)}`);
  if (analysis.kind !== 'statements') throw new Error(`${analysis.message}: ${sql.slice(0, 60)}`);
  return analysis.statements;
}

/** The one statement of a small text. */
export function factsOf(sql: string): Statement {
  const [statement, ...more] = statementsOf(sql);
  if (statement === undefined || more.length > 0) throw new Error(`not one statement: ${sql.slice(0, 60)}`);
  return statement;
}
