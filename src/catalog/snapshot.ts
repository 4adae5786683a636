// Snapshot: the objects of one database that can hide code, as its catalog told them at one moment, by name and by OID.
// Only what users and extensions made, and what of the server's own must be told apart from it. Immutable. Refuses to
// know connections, statements and what any of it is worth (reach.ts). OIDs and names as in the manual, "System Catalogs".

/** The first OID that is not the server's own (FirstNormalObjectId in access/transam.h). */
export const firstUserOid = 16_384;

/** What functions of triggers return, the pseudo-type `trigger`. */
export const triggerType = 2279;

/** `version` is another text as soon as the object's definition is another. */
export interface CatalogObject {
  readonly oid: number;
  readonly version: string;
  readonly schema: string;
  readonly name: string;
}

/**
 * What a stored expression or query refers to, by OID, read from its tree (pg_node_tree): exact, because the server has
 * resolved every name already. `functions` holds the server's own too; the others only user objects.
 */
export interface References {
  readonly functions: readonly number[];
  readonly operators: readonly number[];
  readonly types: readonly number[];
  readonly relations: readonly number[];
}

export interface FunctionObject extends CatalogObject {
  readonly kind: 'function' | 'procedure' | 'aggregate' | 'window';
  /** `sql`, `plpgsql`, `c`, `internal`, or any other. */
  readonly language: string;
  /** pg_proc.prosrc: the text, or the symbol of a C or internal function; empty for an aggregate. */
  readonly body: string;
  /** pg_proc.probin: the library of a C function, such as `$libdir/pg_trgm`. */
  readonly library: string | undefined;
  /** The extension it belongs to. */
  readonly extension: string | undefined;
  /** The body of a function of the form BEGIN ATOMIC. */
  readonly compiled: References | undefined;
  /** What the statements of such a body do besides reading, to any of the relations that it refers to. */
  readonly compiledWrites?: readonly WriteEvent[];
  /** What else a call runs: the parts of an aggregate, a planner support function, the defaults of parameters. */
  readonly parts: References;
  /** Arguments of a call: at least, at most. VARIADIC: without end. */
  readonly argsMin: number;
  readonly argsMax: number;
  /** Types of the IN parameters, and of all in order with their names and modes (i, o, b, v, t) for a language's parser. */
  readonly argTypes: readonly number[];
  readonly parameters: readonly { readonly name: string; readonly type: number; readonly mode: string }[];
  readonly resultType: number;
  readonly returnsSet: boolean;
  /** pg_proc.proconfig: `search_path=public`, … */
  readonly settings: readonly string[];
  /** SECURITY DEFINER. */
  readonly definer: boolean;
  /** It takes one argument that may be a whole row: `t.f` calls it. */
  readonly ofRow: boolean;
}

export type WriteEvent = 'insert' | 'update' | 'delete' | 'truncate';

export interface TriggerObject extends CatalogObject {
  readonly function: number;
  readonly events: readonly WriteEvent[];
  /** BEFORE: what it leaves in NEW is what is written. */
  readonly before: boolean;
  /** UPDATE OF these columns only; empty: of any. */
  readonly columns: readonly string[];
  readonly when: References;
}

export interface RuleObject extends CatalogObject {
  readonly event: Exclude<WriteEvent, 'truncate'>;
  readonly instead: boolean;
  /** pg_get_ruledef: CREATE RULE … DO …; its actions are statements to be classified. */
  readonly definition: string;
  readonly refers: References;
}

/** A foreign key seen from the table it refers to. Actions as in pg_constraint: a, r, c, n, d. */
export interface ForeignKey extends CatalogObject {
  readonly child: number;
  readonly onDelete: string;
  readonly onUpdate: string;
  /** Columns of the referenced table. */
  readonly columns: readonly string[];
}

export interface RelationObject extends CatalogObject {
  /** pg_class.relkind: r, p, v, m, f, S, c, i, I, t. */
  readonly kind: string;
  /** Names of its columns in their order; a dropped one is empty. None for an index or a sequence. */
  readonly columns: readonly string[];
  /** What reading it runs: the query of a view, virtual generated columns, operator classes of its indexes. */
  readonly onRead: References;
  /** What any write runs: CHECK constraints, stored generated columns, index expressions, predicates and operator classes. */
  readonly onWrite: References;
  /**
   * What planning any access to it may run, since constant parts of expressions are computed then: all of `onWrite`, and
   * extended statistics.
   */
  readonly onPlan: References;
  /** What INSERT and an UPDATE to DEFAULT run. */
  readonly defaults: References;
  /** Row-level policies in force, of all commands. */
  readonly policies: References;
  /** Names of stored generated columns. */
  readonly generated: readonly string[];
  /** User types of its columns, and its own row type where that or a type over it hides code. */
  readonly types: readonly number[];
  /** Type of its rows; 0: none. */
  readonly rowType: number;
  /** Partitions and inheriting tables: reading or writing this one reaches them. */
  readonly children: readonly number[];
  /** Partitions are part of it; what merely inherits has indexes of its own. */
  readonly partitioned: boolean;
  readonly triggers: readonly TriggerObject[];
  readonly rules: readonly RuleObject[];
  readonly referencedBy: readonly ForeignKey[];
  /** Column lists of unique indexes that are valid, immediate, whole (no predicate) and of plain columns. */
  readonly uniques: readonly (readonly string[])[];
}

export interface TypeObject extends CatalogObject {
  /** pg_type.typtype: b, c, d, e, p, r, m. */
  readonly kind: string;
  /** A domain's base, an array's element, a range's subtype, the columns of a row; user types only. */
  readonly parts: readonly number[];
  /** CHECK constraints of a domain. */
  readonly checks: References;
  /** What its DEFAULT runs where a row is inserted. */
  readonly defaults: References;
  /** Input and output functions, casts from and to it, support functions of its operator classes; user functions only. */
  readonly functions: readonly number[];
  /** Types, of users or of the server, that are cast to it without being asked. */
  readonly implicitFrom: readonly number[];
}

export interface OperatorObject extends CatalogObject {
  readonly left: number;
  readonly right: number;
  readonly result: number;
  /** The function behind it and its estimators. */
  readonly functions: readonly number[];
}

/** The role that sessions log in as: what it may do beyond the tables (pg_roles, pg_has_role). */
export interface RoleFacts {
  readonly name: string;
  readonly superuser: boolean;
  /** Words for people, such as `BYPASSRLS`, `pg_write_server_files`; empty for an ordinary role. */
  readonly powers: readonly string[];
}

export interface Snapshot {
  /** Another text as soon as anything in it is. */
  readonly epoch: string;
  /** Major version of the server. */
  readonly serverVersion: number;
  readonly role: RoleFacts;
  /** search_path of a fresh session, `"$user"` resolved, without implicit schemas. */
  readonly searchPath: readonly string[];
  /** Temporary relations and types of all sessions, by name, as of the last reading; not part of the epoch. */
  readonly temporaryNames: ReadonlySet<string>;
  /** What may run in any statement at all: casts between the server's own types, operator classes for them. */
  readonly everywhere: References;
  /** Event triggers: what any CREATE, ALTER or DROP may run, of temporary objects too. */
  readonly onDefine: References;
  function(oid: number): FunctionObject | undefined;
  /** User functions of that name, in all schemas. */
  functionsNamed(name: string): readonly FunctionObject[];
  /** One of the server's own functions. */
  builtin(oid: number): { readonly schema: string; readonly name: string } | undefined;
  relation(oid: number): RelationObject | undefined;
  /** Relations of that name in all schemas, the server's own (without code) among them. */
  relationsNamed(name: string): readonly RelationObject[];
  /**
   * All user relations that hide code: views, foreign tables, and what has rules, triggers, policies or foreign keys that
   * refer to it.
   */
  relations(): Iterable<RelationObject>;
  type(oid: number): TypeObject | undefined;
  typesNamed(name: string): readonly TypeObject[];
  /** All user types that hide code: functions, casts, operator classes or constraints of theirs. */
  types(): Iterable<TypeObject>;
  /** Those of them that are made of that type: domains over it, arrays, rows and ranges of it. */
  typesOver(oid: number): readonly number[];
  operator(oid: number): OperatorObject | undefined;
  operatorsNamed(symbol: string): readonly OperatorObject[];
}
