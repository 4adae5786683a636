// Names: turns an EXECUTE, FETCH or DECLARE of the text into the facts of what it will run, by the session's mirror.
// Pure. What the mirror cannot explain stays `unknown`, and unknown is held. Source: wire.md §2.4 ("SQL level").

import type { Effect, NameUse, Statement } from '../sql/statement.ts';
import type { Prepared, PreparedMirror } from './prepared.ts';

/**
 * The statements whose verdicts a text depends on: its own, and behind every EXECUTE each statement that the name may
 * stand for. `segment` as in `PreparedMirror.candidates`. PREPARE and DECLARE carry their inner effects already.
 */
export function resolveNames(
  statements: readonly Statement[],
  mirror: PreparedMirror,
  segment: number,
): readonly Statement[] {
  if (!statements.some((statement) => statement.names.length > 0)) return statements;
  const inText: { prepared: Map<string, Statement>; cursors: Set<string> } = {
    prepared: new Map(),
    cursors: new Set(),
  };
  const resolved: Statement[] = [];
  for (const statement of statements) {
    let explained = true;
    for (const use of statement.names) {
      if (use.kind === 'prepare' && use.name !== undefined && use.inner !== undefined)
        inText.prepared.set(use.name, use.inner);
      if (use.kind === 'declare' && use.name !== undefined) inText.cursors.add(use.name);
      if (use.kind === 'execute') {
        const behind = executed(use, inText.prepared, mirror, segment);
        if (behind === undefined) explained = false;
        else resolved.push(...behind);
      }
      if (use.kind === 'fetch' && !cursorKnown(use, inText.cursors, mirror)) explained = false;
    }
    resolved.push(explained ? statement : unexplained(statement));
  }
  return resolved;
}

function executed(
  use: NameUse,
  inText: ReadonlyMap<string, Statement>,
  mirror: PreparedMirror,
  segment: number,
): Statement[] | undefined {
  if (use.name === undefined) return undefined;
  const own = inText.get(use.name);
  const mirrored = mirror.candidates(use.name, segment) ?? [];
  if (own === undefined && mirrored.length === 0) return undefined;
  const behind = mirrored.flatMap((prepared) =>
    prepared.statements.map((each) => shown(each, use, prepared.sql)),
  );
  if (own !== undefined) behind.push(own);
  // A prepared statement may itself be an EXECUTE only by the protocol's Parse; one level is what the server allows to
  // matter here, and a second level stays unknown.
  return behind.map((statement) =>
    statement.names.some((inner) => inner.kind === 'execute') ? unexplained(statement) : statement,
  );
}

/** Characters of a prepared text that the approver is shown behind an EXECUTE. */
const textCharactersMax = 4000;

function shown(statement: Statement, use: NameUse, sql: Buffer): Statement {
  const text = sql.toString('utf8').slice(0, textCharactersMax);
  return { ...statement, why: [...statement.why, `EXECUTE ${use.name} runs: ${text}`] };
}

function cursorKnown(use: NameUse, inText: ReadonlySet<string>, mirror: PreparedMirror): boolean {
  return use.name !== undefined && (inText.has(use.name) || mirror.knowsCursor(use.name));
}

function unexplained(statement: Statement): Statement {
  const effects: Effect[] = [...new Set<Effect>([...statement.effects, 'unknown'])].sort();
  return { ...statement, effects, why: [...statement.why, 'uses a name that this session has not defined'] };
}

/** What a text that was forwarded may change in the mirror before its outcome is known. */
export function stageNames(statements: readonly Statement[], sql: Buffer, mirror: PreparedMirror): void {
  for (const statement of statements) {
    for (const use of statement.names) {
      if (use.kind === 'declare' && use.name !== undefined) mirror.noteCursor(use.name);
      const prepared = preparedBy(use, sql);
      if (prepared !== undefined) mirror.mayDefine(prepared.name, prepared.value);
    }
  }
}

/** What a text that ran wholly has changed, in the order of its statements. */
export function commitNames(statements: readonly Statement[], sql: Buffer, mirror: PreparedMirror): void {
  for (const statement of statements) {
    for (const use of statement.names) {
      const prepared = preparedBy(use, sql);
      if (prepared !== undefined) mirror.define(prepared.name, prepared.value);
      if (use.kind === 'deallocate' || (use.kind === 'discard' && use.name === undefined))
        mirror.drop(use.name);
    }
  }
}

function preparedBy(use: NameUse, sql: Buffer): { name: string; value: Prepared } | undefined {
  if (use.kind !== 'prepare' || use.name === undefined || use.inner === undefined) return undefined;
  return { name: use.name, value: { sql, statements: [use.inner], parameterOids: [] } };
}
