// Aims: what the statements of a text aim at. Knows syntax trees; refuses to know catalogs, and what the functions in a text
// do (Statement). A statement that has no aims is not harmless, there is only nothing to count.

import type { Aim, Aims, RowEvent } from './aim.ts';
import { optionIsOn } from './configure.ts';
import { definitionAims, rangeName } from './definition-aims.ts';
import type { RawStatement, Tree } from './engine.ts';
import { type LockUse, locksOf } from './lock-modes.ts';
import { type Place, type Reader, type Selection, selectionOf, withNames } from './selection.ts';
import { listAt, nodeAt, nodesAt, textAt, unwrap } from './tree.ts';

/**
 * What each statement of the text aims at, in their order. `prepared`: also what a PREPARE in it would run. Undefined
 * where the text cannot be read: it is too long, or the parser is being replaced.
 */
export function aimsOf(text: Buffer, reader: Reader, prepared = false): readonly Aims[] | undefined {
  return reader.syntax(text)?.map((statement) => new Aiming(text, statement, reader, prepared).found());
}

class Aiming {
  readonly #text: Buffer;
  readonly #statement: RawStatement;
  readonly #reader: Reader;
  readonly #prepared: boolean;
  readonly #aims: Aim[] = [];
  readonly #locks: LockUse[] = [];

  constructor(text: Buffer, statement: RawStatement, reader: Reader, prepared: boolean) {
    this.#text = text;
    this.#statement = statement;
    this.#reader = reader;
    this.#prepared = prepared;
  }

  found(): Aims {
    const child = this.#statement.stmt === undefined ? undefined : unwrap(this.#statement.stmt);
    if (child !== undefined) this.#statementAt(child.type, child.node);
    return { aims: this.#aims, locks: this.#locks };
  }

  #statementAt(type: string, node: Tree): void {
    this.#locks.push(...locksOf(type, node));
    switch (type) {
      case 'SelectStmt':
      case 'InsertStmt':
      case 'UpdateStmt':
      case 'DeleteStmt':
      case 'MergeStmt':
        this.#rows(type, node);
        return;
      case 'ExplainStmt':
        if (optionIsOn(listAt(node, 'options'), ['analyze', 'analyse'])) this.#inner(node.query);
        return;
      case 'PrepareStmt':
        if (this.#prepared) this.#inner(node.query);
        return;
      case 'CopyStmt':
        if (node.is_from === true) this.#copy(node);
        else this.#inner(node.query);
        return;
      case 'CreateTableAsStmt':
        this.#inner(node.query);
        return;
      case 'ExecuteStmt':
        this.#aims.push({ kind: 'execute' });
        return;
      default:
        this.#aims.push(...definitionAims(type, node));
    }
  }

  #inner(value: unknown): void {
    const child = value === undefined ? undefined : unwrap(value);
    if (child !== undefined) this.#statementAt(child.type, child.node);
  }

  #copy(node: Tree): void {
    const relation = rangeName(nodeAt(node, 'relation'));
    if (relation === undefined) return;
    const rest = { assigns: [], rows: 'new', atMost: false } as const;
    this.#aims.push({ kind: 'rows', relation, events: ['insert'], ...rest });
  }

  /** The DML of a statement: WITH queries may change rows too, only at its outermost level. */
  #rows(type: string, node: Tree): void {
    const clause = nodeAt(node, 'withClause');
    const names = clause === undefined ? new Set<string>() : withNames(clause);
    for (const item of clause === undefined ? [] : listAt(clause, 'ctes')) {
      const query = unwrap(unwrap(item)?.node.ctequery ?? {});
      if (query === undefined) continue;
      this.#locks.push(...locksOf(query.type, query.node));
      this.#row(query.type, query.node, false, names);
    }
    this.#row(type, node, true, new Set());
  }

  #row(type: string, node: Tree, root: boolean, names: ReadonlySet<string>): void {
    const relation = rangeName(nodeAt(node, 'relation'));
    const events = eventsOf(type, node);
    if (relation === undefined || events.length === 0) return;
    const place = { type, node, text: this.#text, start: this.#statement.stmt_location ?? 0, root, names };
    this.#aims.push({
      kind: 'rows',
      relation,
      events,
      assigns: assignsOf(type, node),
      rows: type === 'InsertStmt' ? 'new' : this.#selected(place),
      atMost: type === 'MergeStmt' && mayLeaveOut(node),
    });
  }

  #selected(place: Place): Selection | 'cursor' | undefined {
    const where = place.node.whereClause;
    if (where !== undefined && unwrap(where)?.type === 'CurrentOfExpr') return 'cursor';
    const selection = selectionOf(place, this.#reader);
    if (place.type !== 'MergeStmt' || selection === undefined) return selection;
    const kinds = new Set(changing(place.node).map((clause) => clause.matchKind));
    if (!kinds.has('MERGE_WHEN_NOT_MATCHED_BY_SOURCE')) return selection;
    // Every row of the target is either matched or not.
    if (kinds.has('MERGE_WHEN_MATCHED'))
      return { ...selection, with: '', using: undefined, where: undefined, parameters: [] };
    return { ...selection, unmatched: true };
  }
}

function eventsOf(type: string, node: Tree): readonly RowEvent[] {
  if (type === 'DeleteStmt') return ['delete'];
  if (type === 'UpdateStmt') return ['update'];
  if (type === 'MergeStmt') {
    const commands = clauses(node).map((clause) => eventOf[textAt(clause, 'commandType') ?? '']);
    return [...new Set(commands.filter((event) => event !== undefined))];
  }
  if (type !== 'InsertStmt') return [];
  const conflict = nodeAt(node, 'onConflictClause');
  return conflict?.action === 'ONCONFLICT_UPDATE' ? ['insert', 'update'] : ['insert'];
}

const eventOf: Readonly<Record<string, RowEvent>> = {
  CMD_INSERT: 'insert',
  CMD_UPDATE: 'update',
  CMD_DELETE: 'delete',
};

function clauses(node: Tree): Tree[] {
  return nodesAt(node, 'mergeWhenClauses');
}

/** The clauses of a MERGE that take or change rows which are there. */
function changing(node: Tree): Tree[] {
  return clauses(node).filter(
    ({ commandType }) => commandType === 'CMD_UPDATE' || commandType === 'CMD_DELETE',
  );
}

/** True if not every row that a MERGE looks at must be changed. */
function mayLeaveOut(node: Tree): boolean {
  const all = clauses(node).filter(({ matchKind }) => matchKind !== 'MERGE_WHEN_NOT_MATCHED_BY_TARGET');
  return all.some(({ condition, commandType }) => condition !== undefined || commandType === 'CMD_NOTHING');
}

function assignsOf(type: string, node: Tree): readonly string[] {
  const lists =
    type === 'MergeStmt'
      ? changing(node).map((clause) => listAt(clause, 'targetList'))
      : type === 'UpdateStmt'
        ? [listAt(node, 'targetList')]
        : [listAt(nodeAt(node, 'onConflictClause') ?? {}, 'targetList')];
  const names = lists.flat().map((item) => textAt(unwrap(item)?.node ?? {}, 'name'));
  return [...new Set(names.filter((name) => name !== undefined))];
}
