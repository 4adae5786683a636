// Commands: what each statement does to its targets, one entry a statement node, in the manual's order of chapters.
// Effects of the expressions inside come from the walk. A statement without an entry is not understood (walk.ts).
// Source: PostgreSQL 18, src/backend/parser/gram.y and SQL Commands in the manual.

import {
  areExact,
  assignedBy,
  parametersUsedOnce,
  pinnedColumns,
  rowsInserted,
  showsEachRow,
} from './changes.ts';
import type { Command } from './command.ts';
import { beginsTransaction, optionIsOn, setVariable, writesCatalog } from './configure.ts';
import { definitions } from './definitions.ts';
import type { Draft } from './draft.ts';
import type { Tree } from './engine.ts';
import { createsRelation } from './expressions.ts';
import type { Access, NameUse, RelationUse, Statement } from './statement.ts';
import { listAt, nodeAt, textAt, unwrap } from './tree.ts';
import { excludesRows } from './where.ts';

function target(draft: Draft, node: Tree, ...uses: Access[]): void {
  const relation = nodeAt(node, 'relation');
  const name = relation === undefined ? undefined : textAt(relation, 'relname');
  if (relation === undefined || name === undefined) {
    draft.does('unknown', 'has a target that is not understood');
    return;
  }
  for (const use of uses) draft.relation(textAt(relation, 'schemaname'), name, use);
  writesCatalog(draft, textAt(relation, 'schemaname'), name);
}

function targetUse(node: Tree, access: Access): RelationUse | undefined {
  const relation = nodeAt(node, 'relation');
  const name = relation === undefined ? undefined : textAt(relation, 'relname');
  if (relation === undefined || name === undefined) return undefined;
  return { schema: textAt(relation, 'schemaname'), name, access };
}

/** What the text calls its target: the alias, if it gives one. */
function targetName(node: Tree): string | undefined {
  const relation = nodeAt(node, 'relation');
  const alias = relation === undefined ? undefined : nodeAt(relation, 'alias');
  if (alias !== undefined) return textAt(alias, 'aliasname');
  return relation === undefined ? undefined : textAt(relation, 'relname');
}

function name(draft: Draft, kind: NameUse['kind'], value: string | undefined, inner?: Statement): void {
  draft.names.push({ kind, name: value, inner });
}

const statements: Readonly<Record<string, Command>> = {
  SelectStmt(draft, node, _walkInner, root) {
    draft.does('read');
    if (root && showsEachRow(node)) draft.countsRowsShown();
    return { access: 'read' };
  },
  InsertStmt(draft, node, _walkInner, root) {
    draft.does('insert');
    target(draft, node, 'insert');
    const conflict = nodeAt(node, 'onConflictClause');
    const updates = conflict !== undefined && conflict.action !== 'ONCONFLICT_NOTHING';
    if (updates) {
      draft.does('update', 'updates rows that are there already (ON CONFLICT DO UPDATE)');
      target(draft, node, 'update');
    }
    draft.changes(
      {
        assigns: updates ? assignedBy(conflict) : undefined,
        pinned: undefined,
        rowsAtMost: rowsInserted(node),
      },
      root,
    );
    return { skip: ['relation'], access: 'read' };
  },
  UpdateStmt(draft, node, _walkInner, root) {
    if (excludesRows(node.whereClause, targetName(node))) draft.does('update');
    else draft.does('update-all', 'updates every row: no WHERE that could leave one out');
    target(draft, node, 'update');
    const others = listAt(node, 'fromClause').length > 0;
    const parameters = parametersUsedOnce('UpdateStmt', node, root);
    const pinned = pinnedColumns(node.whereClause, targetName(node), others, parameters);
    const change = { assigns: assignedBy(node), pinned, rowsAtMost: undefined };
    draft.changes({ ...change, target: targetUse(node, 'update') }, root);
    return { skip: ['relation'], access: 'read' };
  },
  DeleteStmt(draft, node, _walkInner, root) {
    const all = excludesRows(node.whereClause)
      ? undefined
      : 'deletes every row: no WHERE that could leave one out';
    draft.does('delete', all);
    target(draft, node, 'delete');
    const others = listAt(node, 'usingClause').length > 0;
    const parameters = parametersUsedOnce('DeleteStmt', node, root);
    const pinned = pinnedColumns(node.whereClause, targetName(node), others, parameters);
    const change = { assigns: undefined, pinned, rowsAtMost: undefined };
    draft.changes({ ...change, target: targetUse(node, 'delete') }, root);
    return { skip: ['relation'], access: 'read' };
  },
  MergeStmt(draft, node, _walkInner, root) {
    const clauses = listAt(node, 'mergeWhenClauses').map((item) => unwrap(item)?.node);
    for (const clause of clauses) mergeAction(draft, node, clause);
    const updates = clauses.flatMap((clause) => (clause?.commandType === 'CMD_UPDATE' ? [clause] : []));
    const assigns = updates.length === 0 ? undefined : updates.flatMap(assignedBy);
    draft.changes({ assigns, pinned: undefined, rowsAtMost: undefined }, root);
    // WHEN … THEN DO NOTHING alone still reads.
    draft.does('read');
    return { skip: ['relation'], access: 'read' };
  },
  CopyStmt(draft, node, _walkInner, root) {
    const from = node.is_from === true;
    if (from) {
      draft.changes({ assigns: undefined, pinned: undefined, rowsAtMost: undefined }, root);
      draft.does('insert');
      target(draft, node, 'insert');
    } else draft.does('read');
    if (node.is_program === true) draft.does('os', 'runs a program on the server (COPY PROGRAM)');
    else if (node.filename !== undefined) draft.does('os', 'reads or writes a file on the server (COPY)');
    return { skip: from ? ['relation'] : [], access: 'read' };
  },
  TruncateStmt(draft, node) {
    draft.does('truncate');
    if (node.behavior === 'DROP_CASCADE') draft.sweeping = true;
    return { access: 'truncate' };
  },
  LockStmt(draft, node) {
    // The two weakest modes are what a SELECT and a SELECT FOR UPDATE take; pg_dump takes the first on every table.
    const mode = Number(node.mode);
    draft.does(mode === 1 ? 'read' : mode === 2 ? 'lock-rows' : 'lock-table');
    return { access: 'lock' };
  },
  ExplainStmt(draft, node, walkInner) {
    draft.does('read');
    const inner = walkInner(node.query).draft;
    // EXPLAIN EXECUTE computes the arguments, whether it then runs the statement or not (ExplainExecuteQuery).
    const runs = optionIsOn(listAt(node, 'options'), ['analyze', 'analyse']) || isExecute(node.query);
    if (runs) draft.includes(inner);
    else draft.planned(inner);
    return { skip: ['query'] };
  },
  PrepareStmt(draft, node, walkInner) {
    const inner = walkInner(node.query);
    draft.does('read');
    draft.secret ||= inner.draft.secret;
    // A parameter of a type that is not exact pins no column.
    const { pinned: _, parts: __, ...facts } = inner.statement;
    const exact = areExact(listAt(node, 'argtypes'));
    name(draft, 'prepare', textAt(node, 'name'), exact ? inner.statement : facts);
    return { skip: ['query'] };
  },
  ExecuteStmt(draft, node) {
    // Planning it runs functions too, so an EXPLAIN is as unknown.
    draft.awaitsName();
    name(draft, 'execute', textAt(node, 'name') ?? '');
    return undefined;
  },
  DeallocateStmt(draft, node) {
    draft.does('read');
    name(draft, 'deallocate', node.isall === true ? undefined : textAt(node, 'name'));
    return undefined;
  },
  DeclareCursorStmt(draft, node, walkInner) {
    const inner = walkInner(node.query);
    draft.does('read');
    draft.includes(inner.draft);
    name(draft, 'declare', textAt(node, 'portalname') ?? '', inner.statement);
    return { skip: ['query'] };
  },
  FetchStmt(draft, node) {
    draft.awaitsName();
    name(draft, 'fetch', textAt(node, 'portalname') ?? '');
    return undefined;
  },
  ClosePortalStmt(draft, node) {
    draft.does('read');
    name(draft, 'close', textAt(node, 'portalname'));
    return undefined;
  },
  DiscardStmt(draft, node) {
    // It returns to the role of the login, whose rights every verdict of this session assumed: not a switch of role.
    draft.does('setting');
    if (node.target === 'DISCARD_ALL') {
      for (const effect of ['temporary', 'notify', 'advisory-lock'] as const) draft.does(effect);
      name(draft, 'discard', undefined);
    } else if (node.target === 'DISCARD_TEMP') draft.does('temporary');
    return undefined;
  },
  TransactionStmt(draft, node) {
    const twoPhase = /PREPARE/.test(textAt(node, 'kind') ?? 'PREPARE');
    draft.does(twoPhase ? 'two-phase' : 'transaction');
    beginsTransaction(draft, node);
    return undefined;
  },
  ConstraintsSetStmt(draft) {
    draft.does('transaction');
    // They name constraints.
    return { skip: ['constraints'] };
  },
  VariableSetStmt(draft, node) {
    setVariable(draft, node);
    return undefined;
  },
  VariableShowStmt(draft, node) {
    draft.does('read');
    draft.shows = textAt(node, 'name')?.toLowerCase();
    return undefined;
  },
  NotifyStmt: notifies,
  ListenStmt: notifies,
  UnlistenStmt: notifies,
  DoStmt(draft) {
    draft.does('code', 'runs a block of code (DO)');
    return undefined;
  },
  CallStmt(draft) {
    draft.does('code', 'runs a procedure (CALL)');
    return undefined;
  },
  VacuumStmt(draft, node) {
    draft.does('maintain');
    const full = node.is_vacuumcmd === true && optionIsOn(listAt(node, 'options'), ['full']);
    if (full) draft.does('rewrite', 'rewrites whole tables under an exclusive lock (VACUUM FULL)');
    return undefined;
  },
  ClusterStmt: rewrites,
  ReindexStmt: rewrites,
  RefreshMatViewStmt: rewrites,
  CheckPointStmt(draft) {
    draft.does('maintain');
    return undefined;
  },
  LoadStmt(draft) {
    draft.does('os', 'loads a library into the server (LOAD)');
    return undefined;
  },
  CreateTableAsStmt(draft) {
    draft.does('read');
    return undefined;
  },
  CreateStmt(draft, node) {
    createsRelation(draft, nodeAt(node, 'relation'));
    // A temporary child of a permanent table changes what reading the parent shows, and locks it.
    if (listAt(node, 'inhRelations').length > 0) draft.does('create');
    return { skip: ['relation'] };
  },
  CreateSeqStmt(draft, node) {
    createsRelation(draft, nodeAt(node, 'sequence'));
    return { skip: ['sequence'] };
  },
  ViewStmt(draft, node, walkInner) {
    createsRelation(draft, nodeAt(node, 'view'));
    const inner = walkInner(node.query).draft;
    draft.includes(inner);
    // Writing to the view would write to the catalog behind it, and its name would not show that.
    for (const use of inner.relations) writesCatalog(draft, use.schema, use.name, 'allows writing to');
    return { skip: ['view', 'query'] };
  },
};

export const commands: ReadonlyMap<string, Command> = new Map(
  Object.entries({ ...statements, ...definitions }),
);

function mergeAction(draft: Draft, node: Tree, clause: Tree | undefined): void {
  switch (clause === undefined ? undefined : textAt(clause, 'commandType')) {
    case 'CMD_INSERT':
      draft.does('insert');
      target(draft, node, 'insert');
      return;
    case 'CMD_UPDATE':
      if (excludesRows(node.joinCondition) || excludesRows(clause?.condition)) draft.does('update');
      else draft.does('update-all', 'updates every row: neither ON nor WHEN could leave one out');
      target(draft, node, 'update');
      return;
    case 'CMD_DELETE':
      draft.does('delete', 'deletes rows (MERGE … THEN DELETE)');
      target(draft, node, 'delete');
      return;
    case 'CMD_NOTHING':
      target(draft, node, 'read');
      return;
    default:
      draft.does('unknown', 'has a MERGE action that is not understood');
  }
}

/** True of EXECUTE, and of CREATE TABLE AS EXECUTE. */
function isExecute(value: unknown): boolean {
  const child = value === undefined ? undefined : unwrap(value);
  if (child?.type === 'CreateTableAsStmt') return isExecute(child.node.query);
  return child?.type === 'ExecuteStmt';
}

function notifies(draft: Draft): undefined {
  draft.does('notify');
}

function rewrites(draft: Draft): undefined {
  draft.does('maintain');
  draft.does('rewrite', 'rewrites a table or an index, mostly under an exclusive lock');
}
