// Aims: what a statement would take, change, drop or lock, as far as it can be measured in a database before it runs: the
// questions that its text gives rise to, not their answers. Knows syntax trees; refuses to know catalogs, and what the
// functions in a text do (Statement). A statement that has no aims is not harmless, there is only nothing to count.

import { optionIsOn } from './configure.ts';
import type { RawStatement, Tree } from './engine.ts';
import { type LockUse, locksOf } from './lock-modes.ts';
import { type Place, type Reader, type Selection, selectionOf, withNames } from './selection.ts';
import type { NameInSchema } from './statement.ts';
import { listAt, nameParts, nodeAt, nodesAt, textAt, unwrap } from './tree.ts';

/** A relation as the text names it. `only`: without what inherits from it. */
export interface Named extends NameInSchema {
  readonly only: boolean;
}

export type RowEvent = 'insert' | 'update' | 'delete';

/** Rows of a relation that are changed. */
export interface RowsAim {
  readonly kind: 'rows';
  readonly relation: Named;
  readonly events: readonly RowEvent[];
  /** Columns that an UPDATE assigns. */
  readonly assigns: readonly string[];
  /**
   * The rows: those of a selection, `cursor`: the one that a cursor is at; `new`: rows that are inserted, which nobody can
   * count; undefined: the text could not be taken apart.
   */
  readonly rows: Selection | 'cursor' | 'new' | undefined;
  /** The selection may hold more rows than are changed: a MERGE with conditions of its own. */
  readonly atMost: boolean;
}

export interface TruncateAim {
  readonly kind: 'truncate';
  readonly relations: readonly Named[];
  readonly cascade: boolean;
}

/** Objects that are dropped: whole ones, or columns and constraints of the relation `of`. */
export interface DropAim {
  readonly kind: 'drop';
  /** As in the manual, lower case: `table`, `materialized view`, `schema`, `column`, … */
  readonly what: string;
  /** Each by its words, the last one its own name. */
  readonly names: readonly (readonly string[])[];
  readonly of: Named | undefined;
  readonly cascade: boolean;
}

export type Work = 'is rewritten' | 'may be rewritten' | 'is read whole' | 'gets an index built';

/** A relation that is altered, or worked through. */
export interface AlterAim {
  readonly kind: 'alter';
  /** `ALTER`, `CREATE INDEX`, `REINDEX`, `CLUSTER`, `REFRESH`, `VACUUM FULL`. */
  readonly does: string;
  readonly relation: Named;
  readonly work: Work | undefined;
}

/** What a name that SQL PREPARE or Parse defined stands for is run. */
export interface ExecuteAim {
  readonly kind: 'execute';
}

export type Aim = RowsAim | TruncateAim | DropAim | AlterAim | ExecuteAim;

/** One statement of a text. */
export interface Aims {
  readonly aims: readonly Aim[];
  /** Locks on relations that it names. */
  readonly locks: readonly LockUse[];
}

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

function rangeName(range: Tree | undefined): Named | undefined {
  const name = range === undefined ? undefined : textAt(range, 'relname');
  if (range === undefined || name === undefined) return undefined;
  return { schema: textAt(range, 'schemaname'), name, only: range.inh !== true };
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

/** Of everything that is no DML. */
function definitionAims(type: string, node: Tree): Aim[] {
  switch (type) {
    case 'TruncateStmt':
      return [
        {
          kind: 'truncate',
          relations: nodesAt(node, 'relations').flatMap((range) => rangeName(range) ?? []),
          cascade: node.behavior === 'DROP_CASCADE',
        },
      ];
    case 'DropStmt':
      return [dropped(node)];
    case 'DropdbStmt':
      return [
        {
          kind: 'drop',
          what: 'database',
          names: [[textAt(node, 'dbname') ?? '']],
          of: undefined,
          cascade: false,
        },
      ];
    case 'AlterTableStmt':
      return alterAims(node);
    case 'ClusterStmt':
      return worked('CLUSTER', nodeAt(node, 'relation'), 'is rewritten');
    case 'RefreshMatViewStmt':
      return worked('REFRESH', nodeAt(node, 'relation'), 'is rewritten');
    case 'VacuumStmt':
      return optionIsOn(listAt(node, 'options'), ['full'])
        ? nodesAt(node, 'rels').flatMap((each) =>
            worked('VACUUM FULL', nodeAt(each, 'relation'), 'is rewritten'),
          )
        : [];
    case 'IndexStmt':
      return worked('CREATE INDEX', nodeAt(node, 'relation'), 'gets an index built');
    case 'ReindexStmt':
      return worked('REINDEX', nodeAt(node, 'relation'), 'gets an index built');
    default:
      return [];
  }
}

function worked(does: string, range: Tree | undefined, work: Work | undefined): AlterAim[] {
  const relation = rangeName(range);
  return relation === undefined ? [] : [{ kind: 'alter', does, relation, work }];
}

const kinds: Readonly<Record<string, string>> = { MATVIEW: 'materialized view' };

function dropped(node: Tree): DropAim {
  const kind = (textAt(node, 'removeType') ?? '').replace(/^OBJECT_/, '');
  const names = listAt(node, 'objects').map(objectWords);
  return {
    kind: 'drop',
    what: kinds[kind] ?? kind.toLowerCase().replaceAll('_', ' '),
    names,
    of: undefined,
    cascade: node.behavior === 'DROP_CASCADE',
  };
}

function objectWords(value: unknown): string[] {
  const child = unwrap(value);
  if (child === undefined) return [];
  const words = (list: readonly unknown[]) => nameParts(list).map((part) => part ?? '');
  if (child.type === 'List') return words(listAt(child.node, 'items'));
  if (child.type === 'TypeName') return words(listAt(child.node, 'names'));
  if (child.type === 'ObjectWithArgs') return words(listAt(child.node, 'objname'));
  return child.type === 'String' ? [textAt(child.node, 'sval') ?? ''] : [];
}

/** What happens to the table in all, and each column and constraint that it loses. */
function alterAims(node: Tree): Aim[] {
  const relation = rangeName(nodeAt(node, 'relation'));
  if (relation === undefined) return [];
  const commands = nodesAt(node, 'cmds');
  const works = commands.map(workOf);
  const drops = commands.flatMap((command): DropAim[] => {
    const what = dropWhat[textAt(command, 'subtype') ?? ''];
    if (what === undefined) return [];
    const names = [[textAt(command, 'name') ?? '']];
    return [{ kind: 'drop', what, names, of: relation, cascade: command.behavior === 'DROP_CASCADE' }];
  });
  return [
    { kind: 'alter', does: 'ALTER', relation, work: order.find((work) => works.includes(work)) },
    ...drops,
  ];
}

const dropWhat: Readonly<Record<string, string>> = {
  AT_DropColumn: 'column',
  AT_DropConstraint: 'constraint',
};

/** What takes longest first. */
const order: readonly Work[] = ['is rewritten', 'may be rewritten', 'gets an index built', 'is read whole'];

function workOf(command: Tree): Work | undefined {
  const subtype = textAt(command, 'subtype') ?? '';
  if (/^AT_(SetLogged|SetUnLogged|SetAccessMethod|SetTableSpace|SetExpression)$/.test(subtype))
    return 'is rewritten';
  // Not if the new type stores the same bytes.
  if (subtype === 'AT_AlterColumnType') return 'may be rewritten';
  if (subtype === 'AT_AddColumn') return columnWork(nodeAt(command, 'def', 'ColumnDef') ?? {});
  if (/^AT_(SetNotNull|ValidateConstraint|AttachPartition)$/.test(subtype)) return 'is read whole';
  const constraint = subtype === 'AT_AddConstraint' ? nodeAt(command, 'def', 'Constraint') : undefined;
  if (constraint === undefined) return undefined;
  if (/^CONSTR_(PRIMARY|UNIQUE|EXCLUSION)$/.test(textAt(constraint, 'contype') ?? ''))
    return constraint.indexname === undefined ? 'gets an index built' : undefined;
  return constraint.skip_validation === true ? undefined : 'is read whole';
}

/** Since 11 a constant default is stored once for all rows that are there; what must be computed is not. */
function columnWork(column: Tree): Work | undefined {
  const type = nameParts(listAt(nodeAt(column, 'typeName') ?? {}, 'names')).at(-1) ?? '';
  if (/^(big|small)?serial[248]?$/.test(type)) return 'is rewritten';
  for (const item of listAt(column, 'constraints')) {
    const constraint = unwrap(item)?.node ?? {};
    const value = constraint.raw_expr === undefined ? undefined : unwrap(constraint.raw_expr);
    if (constraint.contype === 'CONSTR_IDENTITY') return 'is rewritten';
    if (constraint.contype === 'CONSTR_GENERATED' && constraint.generated_kind !== 'v') return 'is rewritten';
    if (constraint.contype === 'CONSTR_DEFAULT' && !isPlain(value)) return 'may be rewritten';
  }
  return undefined;
}

function isPlain(value: { type: string; node: Tree } | undefined): boolean {
  if (value?.type === 'A_Const') return true;
  if (value?.type !== 'TypeCast') return false;
  return isPlain(unwrap(value.node.arg ?? {}));
}
