// Names: turns an EXECUTE, FETCH or DECLARE of the text into the facts of what it will run, by the session's mirror.
// Pure. What the mirror cannot explain stays `unknown`, and unknown is held. Source: wire.md §2.4 ("SQL level").

import { createHash } from 'node:crypto';
import type { Effect, NameUse, Statement } from '../sql/statement.ts';
import { type Prepared, type PreparedMirror, type StagedPrepare, samePrepared } from './prepared.ts';

/** What a text does, with the names in it resolved. */
export interface Resolved {
  /** The statements whose verdicts it depends on: its own, and behind every EXECUTE what the name may stand for. */
  readonly statements: readonly Statement[];
  /** What stands behind the EXECUTEs, so that a later look can tell whether it is still the same. */
  readonly behind: readonly Prepared[];
  /** A name in it depends on answers of the server that are still to come. */
  readonly open: boolean;
}

/** Resolves the names of one text. `segment` as in `PreparedMirror.candidates`. */
export function resolveNames(
  statements: readonly Statement[],
  mirror: PreparedMirror,
  segment: number,
): Resolved {
  if (!statements.some((statement) => statement.names.length > 0))
    return { statements, behind: [], open: false };
  const text = new TextNames(mirror, segment);
  const resolved: Statement[] = [];
  for (const statement of statements) {
    let explained = true;
    let enclosed = false;
    for (const use of statement.names) {
      if (use.kind === 'execute') {
        const behind = text.executed(use);
        if (behind === undefined) explained = false;
        else resolved.push(...behind);
      } else if (!text.knows(use)) explained = false;
      enclosed ||= use.kind === 'fetch' && use.name !== undefined && mirror.isEnclosed(use.name);
    }
    const known = explained ? withoutDoubt(statement) : unexplained(statement);
    resolved.push(enclosed ? unproven(known) : known);
  }
  return { statements: resolved, behind: text.behind, open: text.open };
}

/** The names while one text is read from its first statement to its last. */
class TextNames {
  readonly behind: Prepared[] = [];
  open = false;
  readonly #mirror: PreparedMirror;
  readonly #segment: number;
  readonly #prepared = new Map<string, Statement>();
  readonly #cursors = new Set<string>();

  constructor(mirror: PreparedMirror, segment: number) {
    this.#mirror = mirror;
    this.#segment = segment;
  }

  /** Takes note of what defines a name; false for a FETCH from a cursor that nobody declared. */
  knows({ kind, name, inner }: NameUse): boolean {
    const key = name === undefined ? undefined : this.#mirror.key(name);
    if (kind === 'prepare' && key !== undefined && inner !== undefined) this.#prepared.set(key, inner);
    if (kind === 'declare' && key !== undefined) this.#cursors.add(key);
    if (kind !== 'fetch') return true;
    return key !== undefined && (this.#cursors.has(key) || this.#mirror.knowsCursor(key));
  }

  /** Every statement that an EXECUTE may run; undefined where one is not known. */
  executed(use: NameUse): Statement[] | undefined {
    const key = use.name === undefined ? undefined : this.#mirror.key(use.name);
    if (key === undefined) return undefined;
    const own = this.#prepared.get(key);
    const candidates = this.#mirror.candidates(key, this.#segment);
    if (candidates === 'open') this.open = true;
    const mirrored = candidates === 'open' ? [] : (candidates ?? []);
    if (candidates === 'open' || (own === undefined && mirrored.length === 0)) return undefined;
    this.behind.push(...mirrored);
    const behind = mirrored.flatMap((prepared) =>
      prepared.statements.map((each) => shown(each, use, prepared)),
    );
    if (own !== undefined) behind.push(own);
    // A prepared statement may itself be an EXECUTE only by the protocol's Parse; one level is what the server allows
    // to matter here, and a second level stays unknown.
    return behind.map((statement) =>
      statement.names.some((inner) => inner.kind === 'execute') ? unexplained(statement) : statement,
    );
  }
}

/** True if the EXECUTEs of a text still stand for what they stood for. */
export function sameBehind(before: readonly Prepared[], now: readonly Prepared[]): boolean {
  return before.length === now.length && before.every((each, at) => samePrepared(each, now[at] ?? each));
}

/** Characters of a prepared text that the approver is shown behind an EXECUTE. */
const textCharactersMax = 4000;

/** The request that carries the sentence is logged, so a text with a password in it is not quoted. */
function shown(statement: Statement, use: NameUse, { sql, statements }: Prepared): Statement {
  const secret = statements.some((each) => each.secret);
  const whole = sql.toString('utf8');
  // A text that is not shown whole is named by its digest, so that no other text passes for it.
  const cut =
    whole.length > textCharactersMax
      ? `… (SHA-256 ${createHash('sha256').update(sql).digest('base64url')})`
      : '';
  const text = secret ? `${statement.command} with a secret` : whole.slice(0, textCharactersMax) + cut;
  return { ...statement, why: [...statement.why, `EXECUTE ${use.name} runs: ${text}`] };
}

/** A statement whose names are all explained: it does what is behind them, and what else it does itself. */
function withoutDoubt(statement: Statement): Statement {
  if (statement.unresolved !== true) return statement;
  const { unresolved: _, ...rest } = statement;
  const effects = statement.effects.filter((effect) => effect !== 'unknown');
  return { ...rest, effects: effects.length === 0 ? ['read'] : effects };
}

/** A FETCH from a cursor whose query may do more than read: it runs now, not when it was declared. */
function unproven(statement: Statement): Statement {
  const effects: Effect[] = [...new Set<Effect>([...statement.effects, 'unproven'])].sort();
  return {
    ...statement,
    effects,
    why: [...statement.why, 'runs more of a cursor that was confined to reading'],
  };
}

function unexplained(statement: Statement): Statement {
  const effects: Effect[] = [...new Set<Effect>([...statement.effects, 'unknown'])].sort();
  const { unresolved: _, ...rest } = statement;
  return { ...rest, effects, why: [...statement.why, 'uses a name that this session has not defined'] };
}

/**
 * What a text that is forwarded may change in the mirror before its outcome is known. `own` are the statements of the
 * text `sql` itself, `statements` those as resolved.
 */
export function stageNames(
  own: readonly Statement[],
  statements: readonly Statement[],
  sql: Buffer,
  mirror: PreparedMirror,
): readonly StagedPrepare[] {
  if (!statements.some((statement) => statement.names.length > 0)) return [];
  const staged: StagedPrepare[] = [];
  for (const statement of statements) {
    // A PREPARE that runs by an EXECUTE has its text elsewhere; the facts are what counts.
    const isOwn = own.some(({ names }) => names === statement.names);
    const text = isOwn ? sql.subarray(statement.start, statement.end) : Buffer.alloc(0);
    for (const { kind, name, inner } of statement.names) {
      if (name === undefined) continue;
      if (kind === 'declare') mirror.noteCursor(name);
      if (kind === 'prepare' && inner !== undefined) {
        const prepared = { sql: Buffer.from(text), statements: [inner], inner: true, parameterOids: [] };
        staged.push(mirror.stagePrepare(name, prepared));
      }
    }
  }
  return staged;
}

/** The cursors that an enclosed text declares. */
export function noteEnclosedCursors(statements: readonly Statement[], mirror: PreparedMirror): void {
  for (const { names } of statements)
    for (const { kind, name } of names)
      if (kind === 'declare' && name !== undefined) mirror.noteEnclosed(name);
}

/** What a text that ran wholly has changed, in the order of its statements. `staged` as from `stageNames`. */
export function commitNames(
  statements: readonly Statement[],
  staged: readonly StagedPrepare[],
  mirror: PreparedMirror,
): void {
  let prepares = 0;
  for (const { names } of statements) {
    for (const { kind, name, inner } of names) {
      if (kind === 'prepare' && name !== undefined && inner !== undefined) {
        const prepare = staged[prepares];
        prepares += 1;
        if (prepare !== undefined) mirror.ran(prepare);
      }
      if (kind === 'deallocate' || (kind === 'discard' && name === undefined)) mirror.drop(name);
    }
  }
}
