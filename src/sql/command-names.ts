// Command names: what the manual calls the statement of a node: `DROP TABLE`, `ALTER ROLE`. For rules, people and log;
// no effect follows from a name.

import type { Tree } from './engine.ts';
import { listAt, nodeAt, textAt } from './tree.ts';

const fixed: Readonly<Record<string, string>> = {
  SelectStmt: 'SELECT',
  InsertStmt: 'INSERT',
  UpdateStmt: 'UPDATE',
  DeleteStmt: 'DELETE',
  MergeStmt: 'MERGE',
  CopyStmt: 'COPY',
  TruncateStmt: 'TRUNCATE',
  LockStmt: 'LOCK TABLE',
  ExplainStmt: 'EXPLAIN',
  PrepareStmt: 'PREPARE',
  ExecuteStmt: 'EXECUTE',
  DeallocateStmt: 'DEALLOCATE',
  DeclareCursorStmt: 'DECLARE',
  ClosePortalStmt: 'CLOSE',
  ConstraintsSetStmt: 'SET CONSTRAINTS',
  VariableShowStmt: 'SHOW',
  NotifyStmt: 'NOTIFY',
  ListenStmt: 'LISTEN',
  UnlistenStmt: 'UNLISTEN',
  DoStmt: 'DO',
  CallStmt: 'CALL',
  ClusterStmt: 'CLUSTER',
  RefreshMatViewStmt: 'REFRESH MATERIALIZED VIEW',
  CheckPointStmt: 'CHECKPOINT',
  LoadStmt: 'LOAD',
  CreateStmt: 'CREATE TABLE',
  CreateSeqStmt: 'CREATE SEQUENCE',
  ViewStmt: 'CREATE VIEW',
  CreateTableSpaceStmt: 'CREATE TABLESPACE',
  CreateFdwStmt: 'CREATE FOREIGN DATA WRAPPER',
  CreateForeignServerStmt: 'CREATE SERVER',
  CreateAmStmt: 'CREATE ACCESS METHOD',
  CreateTrigStmt: 'CREATE TRIGGER',
  CreateEventTrigStmt: 'CREATE EVENT TRIGGER',
  CreatePLangStmt: 'CREATE LANGUAGE',
  CreateOpClassStmt: 'CREATE OPERATOR CLASS',
  CreateOpFamilyStmt: 'CREATE OPERATOR FAMILY',
  IndexStmt: 'CREATE INDEX',
  CreateStatsStmt: 'CREATE STATISTICS',
  RuleStmt: 'CREATE RULE',
  CompositeTypeStmt: 'CREATE TYPE',
  CreateEnumStmt: 'CREATE TYPE',
  CreateRangeStmt: 'CREATE TYPE',
  CreatedbStmt: 'CREATE DATABASE',
  AlterDatabaseRefreshCollStmt: 'ALTER DATABASE',
  AlterDatabaseSetStmt: 'ALTER DATABASE',
  AlterEnumStmt: 'ALTER TYPE',
  AlterEventTrigStmt: 'ALTER EVENT TRIGGER',
  AlterExtensionContentsStmt: 'ALTER EXTENSION',
  AlterFdwStmt: 'ALTER FOREIGN DATA WRAPPER',
  AlterForeignServerStmt: 'ALTER SERVER',
  AlterOpFamilyStmt: 'ALTER OPERATOR FAMILY',
  AlterRoleSetStmt: 'ALTER ROLE',
  AlterSeqStmt: 'ALTER SEQUENCE',
  AlterStatsStmt: 'ALTER STATISTICS',
  AlterTableMoveAllStmt: 'ALTER TABLE',
  AlterTableSpaceOptionsStmt: 'ALTER TABLESPACE',
  AlterTSConfigurationStmt: 'ALTER TEXT SEARCH CONFIGURATION',
  AlterTSDictionaryStmt: 'ALTER TEXT SEARCH DICTIONARY',
  CommentStmt: 'COMMENT',
  SecLabelStmt: 'SECURITY LABEL',
  DropdbStmt: 'DROP DATABASE',
  DropTableSpaceStmt: 'DROP TABLESPACE',
  AlterDefaultPrivilegesStmt: 'ALTER DEFAULT PRIVILEGES',
};

const transactions: Readonly<Record<string, string>> = {
  TRANS_STMT_BEGIN: 'BEGIN',
  TRANS_STMT_START: 'START TRANSACTION',
  TRANS_STMT_COMMIT: 'COMMIT',
  TRANS_STMT_ROLLBACK: 'ROLLBACK',
  TRANS_STMT_SAVEPOINT: 'SAVEPOINT',
  TRANS_STMT_RELEASE: 'RELEASE SAVEPOINT',
  TRANS_STMT_ROLLBACK_TO: 'ROLLBACK TO SAVEPOINT',
  TRANS_STMT_PREPARE: 'PREPARE TRANSACTION',
  TRANS_STMT_COMMIT_PREPARED: 'COMMIT PREPARED',
  TRANS_STMT_ROLLBACK_PREPARED: 'ROLLBACK PREPARED',
};

const objects: Readonly<Record<string, string>> = {
  AMOP: 'OPERATOR FAMILY',
  AMPROC: 'OPERATOR FAMILY',
  ATTRIBUTE: 'TYPE',
  COLUMN: 'TABLE',
  DOMCONSTRAINT: 'DOMAIN',
  FDW: 'FOREIGN DATA WRAPPER',
  FOREIGN_SERVER: 'SERVER',
  LARGEOBJECT: 'LARGE OBJECT',
  MATVIEW: 'MATERIALIZED VIEW',
  OPCLASS: 'OPERATOR CLASS',
  OPFAMILY: 'OPERATOR FAMILY',
  STATISTIC_EXT: 'STATISTICS',
  TABCONSTRAINT: 'TABLE',
  TSCONFIGURATION: 'TEXT SEARCH CONFIGURATION',
  TSDICTIONARY: 'TEXT SEARCH DICTIONARY',
  TSPARSER: 'TEXT SEARCH PARSER',
  TSTEMPLATE: 'TEXT SEARCH TEMPLATE',
};

function objectWords(node: Tree, field: string): string {
  const bare = (textAt(node, field) ?? '').replace(/^OBJECT_/, '');
  return objects[bare] ?? bare.replaceAll('_', ' ');
}

/** Names that a part of the statement decides. */
const computed: Readonly<Record<string, (node: Tree) => string>> = {
  TransactionStmt: (node) => transactions[textAt(node, 'kind') ?? ''] ?? 'TRANSACTION',
  FetchStmt: (node) => (node.ismove === true ? 'MOVE' : 'FETCH'),
  DiscardStmt: (node) => (textAt(node, 'target') ?? 'DISCARD').replace('_', ' '),
  VariableSetStmt: setName,
  VacuumStmt: (node) => (node.is_vacuumcmd === true ? 'VACUUM' : 'ANALYZE'),
  ReindexStmt: () => 'REINDEX',
  CreateTableAsStmt: (node) =>
    node.objtype === 'OBJECT_MATVIEW' ? 'CREATE MATERIALIZED VIEW' : 'CREATE TABLE AS',
  CreateFunctionStmt: (node) => (node.is_procedure === true ? 'CREATE PROCEDURE' : 'CREATE FUNCTION'),
  DefineStmt: (node) => `CREATE ${objectWords(node, 'kind')}`,
  AlterTableStmt: (node) => `ALTER ${objectWords(node, 'objtype')}`,
  AlterFunctionStmt: (node) => `ALTER ${objectWords(node, 'objtype')}`,
  AlterObjectDependsStmt: (node) => `ALTER ${objectWords(node, 'objectType')}`,
  AlterObjectSchemaStmt: (node) => `ALTER ${objectWords(node, 'objectType')}`,
  AlterOwnerStmt: (node) => `ALTER ${objectWords(node, 'objectType')}`,
  RenameStmt: (node) => `ALTER ${objectWords(node, relationOfColumn(node))}`,
  DropStmt: (node) => `DROP ${objectWords(node, 'removeType')}`,
  GrantStmt: (node) => (node.is_grant === true ? 'GRANT' : 'REVOKE'),
  GrantRoleStmt: (node) => (node.is_grant === true ? 'GRANT' : 'REVOKE'),
  SelectStmt: (node) => {
    if (nodeAt(node, 'intoClause') !== undefined) return 'SELECT INTO';
    return listAt(node, 'valuesLists').length > 0 ? 'VALUES' : 'SELECT';
  },
};

/** ALTER VIEW v RENAME COLUMN: the kind of the relation stands in another field. */
function relationOfColumn(node: Tree): string {
  const kind = textAt(node, 'renameType');
  return kind === 'OBJECT_COLUMN' || kind === 'OBJECT_ATTRIBUTE' ? 'relationType' : 'renameType';
}

function setName(node: Tree): string {
  const verb = /RESET/.test(textAt(node, 'kind') ?? '') ? 'RESET' : 'SET';
  const name = textAt(node, 'name');
  if (name === 'role') return `${verb} ROLE`;
  if (name === 'session_authorization') return `${verb} SESSION AUTHORIZATION`;
  if (node.kind === 'VAR_SET_MULTI') return `SET ${name ?? ''}`;
  return verb;
}

/** Upper case. `CREATE SCHEMA`-like names follow from the node's own name where no table above says otherwise. */
export function commandOf(type: string, node: Tree): string {
  const known = computed[type]?.(node) ?? fixed[type];
  if (known !== undefined) return known;
  if (!type.endsWith('Stmt')) return 'UNKNOWN';
  return type
    .slice(0, -4)
    .replaceAll(/([a-z])([A-Z])/g, '$1 $2')
    .toUpperCase();
}
