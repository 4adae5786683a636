// Lock modes: which table-level lock a statement takes on the relations that it names, and which modes conflict. Knows the
// syntax tree; refuses to know who holds what now, and locks on rows. What only reads is left out: it waits for nobody
// but those who lock everybody out. Source: the manual, 13.3 "Explicit Locking", and the reference page of each command;
// of ALTER TABLE src/backend/commands/tablecmds.c (AlterTableGetLockLevel) and reloptions.c.

import { optionIsOn } from './configure.ts';
import type { Tree } from './engine.ts';
import type { NameInSchema } from './statement.ts';
import { childrenOf, listAt, nameParts, nodeAt, nodesAt, textAt, unwrap } from './tree.ts';

/** Weakest first; the number of a mode in a LOCK statement is its place here, from 1. */
export const lockModes = [
  'ACCESS SHARE',
  'ROW SHARE',
  'ROW EXCLUSIVE',
  'SHARE UPDATE EXCLUSIVE',
  'SHARE',
  'SHARE ROW EXCLUSIVE',
  'EXCLUSIVE',
  'ACCESS EXCLUSIVE',
] as const;

export type LockMode = (typeof lockModes)[number];

/** By mode, how many of the strongest ones conflict with it; the exceptions stand below. */
const conflictsFrom: Readonly<Record<LockMode, number>> = {
  'ACCESS SHARE': 7,
  'ROW SHARE': 6,
  'ROW EXCLUSIVE': 4,
  'SHARE UPDATE EXCLUSIVE': 3,
  SHARE: 2,
  'SHARE ROW EXCLUSIVE': 2,
  EXCLUSIVE: 1,
  'ACCESS EXCLUSIVE': 0,
};

/** Modes that keep `mode` waiting. The one gap in the table: SHARE does not conflict with itself. */
export function conflicting(mode: LockMode): readonly LockMode[] {
  const from = lockModes.slice(conflictsFrom[mode]);
  return mode === 'SHARE' ? from.filter((other) => other !== 'SHARE') : from;
}

/** A lock on a relation that the text names. */
export interface LockUse extends NameInSchema {
  readonly mode: LockMode;
}

type Locking = (node: Tree) => LockUse[];

/** The locks of one statement, a relation once, with the strongest mode. DML within WITH is not looked for here. */
export function locksOf(type: string, node: Tree): readonly LockUse[] {
  const strongest = new Map<string, LockUse>();
  for (const use of locking[type]?.(node) ?? []) {
    const key = JSON.stringify([use.schema, use.name]);
    const known = strongest.get(key);
    if (known === undefined || rank(use.mode) > rank(known.mode)) strongest.set(key, use);
  }
  return [...strongest.values()];
}

export function isStronger(one: LockMode, other: LockMode): boolean {
  return rank(one) > rank(other);
}

function rank(mode: LockMode): number {
  return lockModes.indexOf(mode);
}

function strongestOf(modes: readonly LockMode[]): LockMode {
  return modes.reduce((one, other) => (rank(other) > rank(one) ? other : one), 'ACCESS SHARE' as LockMode);
}

/** The relation of a RangeVar without wrapper. */
function on(range: Tree | undefined, mode: LockMode): LockUse[] {
  const name = range === undefined ? undefined : textAt(range, 'relname');
  return range === undefined || name === undefined
    ? []
    : [{ schema: textAt(range, 'schemaname'), name, mode }];
}

function onAll(list: readonly unknown[], mode: LockMode): LockUse[] {
  return list.flatMap((item) => {
    const child = unwrap(item);
    return child?.type === 'RangeVar' ? on(child.node, mode) : [];
  });
}

/** A relation named by a list of words. */
function named(parts: readonly (string | undefined)[], mode: LockMode): LockUse[] {
  const name = parts.at(-1);
  return name === undefined ? [] : [{ schema: parts.at(-2), name, mode }];
}

const target =
  (mode: LockMode, field = 'relation'): Locking =>
  (node) =>
    on(nodeAt(node, field), mode);

const locking: Readonly<Record<string, Locking>> = {
  InsertStmt: target('ROW EXCLUSIVE'),
  UpdateStmt: target('ROW EXCLUSIVE'),
  DeleteStmt: target('ROW EXCLUSIVE'),
  MergeStmt: target('ROW EXCLUSIVE'),
  CopyStmt: (node) => (node.is_from === true ? on(nodeAt(node, 'relation'), 'ROW EXCLUSIVE') : []),
  TruncateStmt: (node) => onAll(listAt(node, 'relations'), 'ACCESS EXCLUSIVE'),
  LockStmt: (node) =>
    onAll(listAt(node, 'relations'), lockModes[Number(node.mode ?? 8) - 1] ?? 'ACCESS EXCLUSIVE'),
  VacuumStmt: vacuum,
  ClusterStmt: target('ACCESS EXCLUSIVE'),
  ReindexStmt: reindex,
  RefreshMatViewStmt: (node) =>
    on(nodeAt(node, 'relation'), node.concurrent === true ? 'EXCLUSIVE' : 'ACCESS EXCLUSIVE'),
  DropStmt: drop,
  AlterTableStmt: alterTable,
  RenameStmt: (node) =>
    on(
      nodeAt(node, 'relation'),
      node.renameType === 'OBJECT_INDEX' ? 'SHARE UPDATE EXCLUSIVE' : 'ACCESS EXCLUSIVE',
    ),
  AlterObjectSchemaStmt: target('ACCESS EXCLUSIVE'),
  AlterPolicyStmt: target('ACCESS EXCLUSIVE', 'table'),
  AlterSeqStmt: target('SHARE ROW EXCLUSIVE', 'sequence'),
  IndexStmt: (node) =>
    on(nodeAt(node, 'relation'), node.concurrent === true ? 'SHARE UPDATE EXCLUSIVE' : 'SHARE'),
  CreateStatsStmt: (node) => onAll(listAt(node, 'relations'), 'SHARE UPDATE EXCLUSIVE'),
  CreateTrigStmt: target('SHARE ROW EXCLUSIVE'),
  CreatePolicyStmt: target('ACCESS EXCLUSIVE', 'table'),
  RuleStmt: target('ACCESS EXCLUSIVE'),
  CreateStmt: createTable,
  CommentStmt: describes,
  SecLabelStmt: describes,
};

function vacuum(node: Tree): LockUse[] {
  const full = node.is_vacuumcmd === true && optionIsOn(listAt(node, 'options'), ['full']);
  const mode = full ? 'ACCESS EXCLUSIVE' : 'SHARE UPDATE EXCLUSIVE';
  return nodesAt(node, 'rels').flatMap((each) => on(nodeAt(each, 'relation'), mode));
}

/** Of a table the writers wait while its indexes are made anew; of an index its readers too. */
function reindex(node: Tree): LockUse[] {
  const concurrent = optionIsOn(listAt(node, 'params'), ['concurrently']);
  const mode: LockMode = node.kind === 'REINDEX_OBJECT_TABLE' ? 'SHARE' : 'ACCESS EXCLUSIVE';
  return on(nodeAt(node, 'relation'), concurrent ? 'SHARE UPDATE EXCLUSIVE' : mode);
}

const relationKinds = /^OBJECT_(TABLE|VIEW|MATVIEW|INDEX|SEQUENCE|FOREIGN_TABLE)$/;

/** Triggers, rules and policies are named behind their table. The table of an index is found by whoever measures. */
function drop(node: Tree): LockUse[] {
  const kind = textAt(node, 'removeType') ?? '';
  const mode: LockMode = node.concurrent === true ? 'SHARE UPDATE EXCLUSIVE' : 'ACCESS EXCLUSIVE';
  return listAt(node, 'objects').flatMap((item) => {
    const child = unwrap(item);
    const parts = child?.type === 'List' ? nameParts(listAt(child.node, 'items')) : [];
    if (relationKinds.test(kind)) return named(parts, mode);
    return /^OBJECT_(TRIGGER|RULE|POLICY)$/.test(kind) ? named(parts.slice(0, -1), mode) : [];
  });
}

function describes(node: Tree): LockUse[] {
  const child = unwrap(node.object ?? {});
  const parts = child?.type === 'List' ? nameParts(listAt(child.node, 'items')) : [];
  if (node.objtype === 'OBJECT_COLUMN') parts.pop();
  else if (!relationKinds.test(textAt(node, 'objtype') ?? '')) return [];
  return named(parts, 'SHARE UPDATE EXCLUSIVE');
}

/** The table itself is new; what it is a part of, inherits from or refers to is not. */
function createTable(node: Tree): LockUse[] {
  const parents = nodeAt(node, 'partbound') === undefined ? 'SHARE UPDATE EXCLUSIVE' : 'ACCESS EXCLUSIVE';
  return [...onAll(listAt(node, 'inhRelations'), parents), ...referenced('CreateStmt', node)];
}

/** Tables that FOREIGN KEY constraints below the node refer to. */
function referenced(type: string, node: Tree): LockUse[] {
  const found: LockUse[] = [];
  const pending = childrenOf(type, node);
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (next.type === 'Constraint') found.push(...on(nodeAt(next.node, 'pktable'), 'SHARE ROW EXCLUSIVE'));
    else pending.push(...childrenOf(next.type, next.node));
  }
  return found;
}

function alterTable(node: Tree): LockUse[] {
  const commands = nodesAt(node, 'cmds');
  const own = on(nodeAt(node, 'relation'), strongestOf(commands.map(alterMode)));
  const others = commands.flatMap((command) => {
    const subtype = textAt(command, 'subtype') ?? '';
    const partition = nodeAt(nodeAt(command, 'def', 'PartitionCmd') ?? {}, 'name');
    if (/^AT_(Attach|Detach)Partition/.test(subtype)) return on(partition, 'ACCESS EXCLUSIVE');
    if (/^AT_(AddInherit|DropInherit)$/.test(subtype))
      return on(nodeAt(command, 'def', 'RangeVar'), 'SHARE UPDATE EXCLUSIVE');
    return referenced('AlterTableCmd', command);
  });
  return [...own, ...others];
}

const shareUpdate =
  /^AT_(SetStatistics|ClusterOn|DropCluster|SetOptions|ResetOptions|AttachPartition|DetachPartitionFinalize|ValidateConstraint)$/;
const triggers = /^AT_(Enable|Disable)(Always|Replica)?Trig/;
const storage = /^AT_(Set|Reset|Replace)RelOptions$/;
/** Storage parameters that readers need to know of at once. */
const strictOptions =
  /^(user_catalog_table|security_barrier|security_invoker|check_option|buffering|fastupdate)$/;

function alterMode(command: Tree): LockMode {
  const subtype = textAt(command, 'subtype') ?? '';
  if (shareUpdate.test(subtype)) return 'SHARE UPDATE EXCLUSIVE';
  if (triggers.test(subtype)) return 'SHARE ROW EXCLUSIVE';
  if (subtype === 'AT_DetachPartition') {
    const concurrent = nodeAt(command, 'def', 'PartitionCmd')?.concurrent === true;
    return concurrent ? 'SHARE UPDATE EXCLUSIVE' : 'ACCESS EXCLUSIVE';
  }
  if (storage.test(subtype)) {
    const options = listAt(nodeAt(command, 'def', 'List') ?? {}, 'items');
    const strict = options.some((item) =>
      strictOptions.test(textAt(unwrap(item)?.node ?? {}, 'defname') ?? ''),
    );
    return strict ? 'ACCESS EXCLUSIVE' : 'SHARE UPDATE EXCLUSIVE';
  }
  if (subtype === 'AT_AddConstraint' && isForeignKey(command)) return 'SHARE ROW EXCLUSIVE';
  return 'ACCESS EXCLUSIVE';
}

function isForeignKey(command: Tree): boolean {
  return nodeAt(command, 'def', 'Constraint')?.contype === 'CONSTR_FOREIGN';
}
