// Definition aims: what statements aim at that change definitions or work through whole relations: TRUNCATE, DROP, ALTER TABLE,
// CREATE INDEX and their like. Says what an ALTER means for the rows that are there. Knows syntax trees, no catalog.
// Source: the manual, ALTER TABLE ("Notes"), and src/backend/commands/tablecmds.c.

import type { Aim, AlterAim, DropAim, Named, Work } from './aim.ts';
import { optionIsOn } from './configure.ts';
import type { Tree } from './engine.ts';
import { listAt, nameParts, nodeAt, nodesAt, textAt, unwrap } from './tree.ts';

/** The relation of a RangeVar without wrapper. */
export function rangeName(range: Tree | undefined): Named | undefined {
  const name = range === undefined ? undefined : textAt(range, 'relname');
  if (range === undefined || name === undefined) return undefined;
  return { schema: textAt(range, 'schemaname'), name, only: range.inh !== true };
}

/** Of everything that is no DML. */
export function definitionAims(type: string, node: Tree): Aim[] {
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
      return dropOf('database', textAt(node, 'dbname'));
    case 'DropOwnedStmt':
    case 'ReassignOwnedStmt':
      return dropOf('what a role owns');
    case 'DropRoleStmt':
      return dropOf('role');
    case 'DropTableSpaceStmt':
      return dropOf('tablespace');
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

function dropOf(what: string, name?: string): DropAim[] {
  return [{ kind: 'drop', what, names: name === undefined ? [] : [[name]], of: undefined, cascade: false }];
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
