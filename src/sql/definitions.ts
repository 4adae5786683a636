// Definitions: what DDL, privileges and roles do: CREATE, ALTER, DROP, GRANT and their like, one entry a statement node.
// All of it waits for a person; the finer effects (drop, remote, grant, os, secret) are for rules, log and approver.
// Source: PostgreSQL 18, src/backend/parser/gram.y.

import type { Command, Outcome } from './command.ts';
import type { Draft } from './draft.ts';
import type { Tree } from './engine.ts';
import { isSecretOption } from './secrets.ts';
import type { Effect } from './statement.ts';
import { listAt, nameParts, nodeAt, textAt, unwrap } from './tree.ts';

function always(...effects: Effect[]): Command {
  return (draft) => {
    for (const effect of effects) draft.does(effect);
    return undefined;
  };
}

/** As `always`; what it concerns is more than the relations it names. */
function sweeps(...effects: Effect[]): Command {
  return (draft) => {
    for (const effect of effects) draft.does(effect);
    draft.sweeping = true;
    return undefined;
  };
}

/** As `always`; the statement may carry a password or a connection string. */
function withSecret(...effects: Effect[]): Command {
  return (draft, node) => {
    for (const effect of effects) draft.does(effect);
    draft.secret ||= carriesSecret(node);
    return undefined;
  };
}

function carriesSecret(node: Tree): boolean {
  if (textAt(node, 'conninfo') !== undefined) return true;
  return listAt(node, 'options').some((item) => {
    const option = unwrap(item);
    return option !== undefined && isSecretOption(textAt(option.node, 'defname') ?? '');
  });
}

/** Of CREATE and ALTER ROLE, whose options all have words of the grammar. */
function roleWithSecret(...effects: Effect[]): Command {
  return (draft, node) => {
    for (const effect of effects) draft.does(effect);
    draft.secret ||= listAt(node, 'options').some((item) => {
      const option = unwrap(item);
      return option !== undefined && /pass/i.test(textAt(option.node, 'defname') ?? 'pass');
    });
    return undefined;
  };
}

export const definitions: Readonly<Record<string, Command>> = {
  CreateSchemaStmt: always('create'),
  CreateTableSpaceStmt: always('create', 'os'),
  // An extension's script runs with the rights of the database's owner or of a superuser.
  CreateExtensionStmt: always('create', 'code'),
  CreateFdwStmt: withSecret('create', 'remote'),
  CreateForeignServerStmt: withSecret('create', 'remote'),
  CreateForeignTableStmt: foreignTable,
  CreateUserMappingStmt: withSecret('create', 'remote'),
  ImportForeignSchemaStmt: withSecret('create', 'remote'),
  CreatePolicyStmt: always('create'),
  CreateAmStmt: always('create'),
  CreateTrigStmt: callsLater,
  CreateEventTrigStmt: always('create'),
  CreatePLangStmt: always('create'),
  DefineStmt: always('create'),
  CreateDomainStmt: always('create'),
  CreateOpClassStmt: always('create'),
  CreateOpFamilyStmt: always('create'),
  IndexStmt: index,
  CreateStatsStmt: always('create'),
  CreateFunctionStmt: always('create'),
  RuleStmt: always('create'),
  CompositeTypeStmt: always('create'),
  CreateEnumStmt: always('create'),
  CreateRangeStmt: always('create'),
  CreatedbStmt: always('create'),
  CreateConversionStmt: always('create'),
  CreateCastStmt: always('create'),
  CreateTransformStmt: always('create'),
  CreatePublicationStmt: always('create', 'replication'),
  CreateSubscriptionStmt: withSecret('create', 'remote', 'replication'),

  AlterTableStmt: always('alter'),
  AlterTableCmd: alterTableCommand,
  AlterCollationStmt: always('alter'),
  AlterDatabaseRefreshCollStmt: always('alter'),
  AlterDatabaseSetStmt: always('alter'),
  AlterDatabaseStmt: always('alter'),
  AlterDomainStmt: sweeps('alter'),
  AlterEnumStmt: always('alter'),
  AlterEventTrigStmt: always('alter'),
  AlterExtensionContentsStmt: always('alter'),
  AlterExtensionStmt: always('alter', 'code'),
  AlterFdwStmt: withSecret('alter', 'remote'),
  AlterForeignServerStmt: withSecret('alter', 'remote'),
  AlterFunctionStmt: sweeps('alter'),
  AlterObjectDependsStmt: always('alter'),
  AlterObjectSchemaStmt: always('alter'),
  AlterOpFamilyStmt: always('alter'),
  AlterOperatorStmt: always('alter'),
  AlterOwnerStmt: always('alter'),
  AlterPolicyStmt: always('alter'),
  AlterPublicationStmt: always('alter', 'replication'),
  AlterSeqStmt: always('alter'),
  AlterStatsStmt: always('alter'),
  AlterSubscriptionStmt: withSecret('alter', 'remote', 'replication'),
  AlterSystemStmt: always('administer'),
  AlterTableMoveAllStmt: always('alter'),
  AlterTableSpaceOptionsStmt: always('alter'),
  AlterTSConfigurationStmt: always('alter'),
  AlterTSDictionaryStmt: always('alter'),
  AlterTypeStmt: sweeps('alter'),
  AlterUserMappingStmt: withSecret('alter', 'remote'),
  CommentStmt: describes,
  SecLabelStmt: describes,
  RenameStmt: always('alter'),

  DropStmt: drop,
  DropdbStmt: always('drop'),
  DropOwnedStmt: sweeps('drop', 'grant'),
  DropSubscriptionStmt: always('drop', 'remote', 'replication'),
  DropTableSpaceStmt: always('drop'),
  DropUserMappingStmt: always('drop', 'remote'),
  ReassignOwnedStmt: sweeps('alter', 'drop', 'grant'),

  AlterDefaultPrivilegesStmt: always('grant'),
  AlterRoleSetStmt: always('grant'),
  AlterRoleStmt: roleWithSecret('grant'),
  CreateRoleStmt: roleWithSecret('create', 'grant'),
  DropRoleStmt: always('drop', 'grant'),
  GrantRoleStmt: always('grant'),
  GrantStmt: always('grant'),
};

function foreignTable(draft: Draft, node: Tree): Outcome | undefined {
  draft.does('create');
  draft.does('remote');
  const base = nodeAt(node, 'base');
  const relation = base === undefined ? undefined : nodeAt(base, 'relation');
  if (relation !== undefined) {
    draft.relation(textAt(relation, 'schemaname'), textAt(relation, 'relname') ?? '', 'define');
  }
  draft.secret ||= carriesSecret(node);
  return undefined;
}

/** A trigger's function runs with every later write. */
function callsLater(draft: Draft, node: Tree): undefined {
  draft.does('create');
  const parts = nameParts(listAt(node, 'funcname'));
  draft.function(parts.at(-2), parts.at(-1) ?? '');
}

function index(draft: Draft, node: Tree): undefined {
  const relation = nodeAt(node, 'relation');
  const temporary = relation !== undefined && textAt(relation, 'schemaname') === 'pg_temp';
  draft.does(temporary ? 'temporary' : 'create');
}

/** Actions that lose rows, columns or a guard over them, or that rewrite the table. */
const losing =
  /^AT_(Drop|DetachPartition|SetUnLogged|DisableTrig|DisableRule|DisableRowSecurity|NoForceRowSecurity)/;
const rewriting = /^AT_(AlterColumnType|SetLogged|SetUnLogged|SetTableSpace|SetAccessMethod)/;

function alterTableCommand(draft: Draft, node: Tree): undefined {
  const subtype = textAt(node, 'subtype') ?? '';
  draft.does('alter');
  if (losing.test(subtype)) draft.does('drop', 'drops or disables a part of the table');
  if (rewriting.test(subtype)) draft.does('rewrite', 'rewrites the table under an exclusive lock');
}

const relationKinds = /^OBJECT_(TABLE|VIEW|MATVIEW|INDEX|SEQUENCE|FOREIGN_TABLE)$/;

/** COMMENT and SECURITY LABEL name a relation by a list of words; of a column the last word is the column. */
function describes(draft: Draft, node: Tree): undefined {
  draft.does('alter');
  const kind = textAt(node, 'objtype') ?? '';
  const parts = objectName(node.object);
  if (kind === 'OBJECT_COLUMN') parts.pop();
  else if (!relationKinds.test(kind)) return;
  draft.relation(parts.at(-2), parts.at(-1) ?? '', 'define');
}

function objectName(value: unknown): (string | undefined)[] {
  const child = unwrap(value);
  return child?.type === 'List' ? nameParts(listAt(child.node, 'items')) : [];
}

/** Kinds whose DROP names a relation, if only as what the object belongs to. */
const namesRelation = /^OBJECT_(TABLE|VIEW|MATVIEW|INDEX|SEQUENCE|FOREIGN_TABLE|TRIGGER|RULE|POLICY)$/;

/** Temporary if every object says so by its schema and nothing else is pulled down with it. */
function drop(draft: Draft, node: Tree): undefined {
  const kind = textAt(node, 'removeType') ?? '';
  const objects = listAt(node, 'objects').map(objectName);
  const isRelation = relationKinds.test(kind);
  const temporary =
    isRelation && node.behavior !== 'DROP_CASCADE' && objects.every((parts) => parts.at(-2) === 'pg_temp');
  draft.does(temporary ? 'temporary' : 'drop');
  if (node.behavior === 'DROP_CASCADE' || !namesRelation.test(kind)) draft.sweeping = true;
  for (const parts of isRelation ? objects : []) draft.relation(parts.at(-2), parts.at(-1) ?? '', 'define');
  // DROP TRIGGER, RULE and POLICY name their table before their own name.
  if (/^OBJECT_(TRIGGER|RULE|POLICY)$/.test(kind)) {
    for (const parts of objects) draft.relation(parts.at(-3), parts.at(-2) ?? '', 'define');
  }
}
