// Agenda: what is still to be looked at while one statement is explained, and what has been found so far. Types only, so
// that the rooms that take code apart (routines.ts, tables.ts, meaning.ts) need not know one another or the order.

import type { Access, Effect, SettingUse, Statement } from '../sql/statement.ts';
import type { Bodies } from './bodies.ts';
import type { NameContext } from './names.ts';
import type {
  CatalogObject,
  FunctionObject,
  OperatorObject,
  References,
  RelationObject,
  Snapshot,
} from './snapshot.ts';
import type { Way } from './words.ts';

/** What names in a piece of code are looked up in. */
export interface Scope extends NameContext {
  /** Relations that the code itself makes before it names them. */
  readonly own: ReadonlySet<string>;
  /** The code of a trigger: a relation that nobody knows may be a transition table. */
  readonly trigger: boolean;
  /** Triggers whose code this is, by OID: one that fires again for what it does itself runs for any number of rows. */
  readonly firing?: ReadonlySet<number>;
  /** The code of a trigger that also fires for rows which are then left out, and so are not counted. */
  readonly uncounted?: boolean;
}

export type Task =
  | { readonly kind: 'function'; readonly object: FunctionObject; readonly scope: Scope; readonly way: Way }
  | { readonly kind: 'operator'; readonly object: OperatorObject; readonly scope: Scope; readonly way: Way }
  | {
      readonly kind: 'type';
      readonly oid: number;
      /** A value is made of it: the CHECK constraints of a domain run. Else there is one, and they may run. */
      readonly checks: boolean;
      readonly scope: Scope;
      readonly way: Way;
    }
  | {
      readonly kind: 'relation';
      readonly object: RelationObject;
      readonly access: Access;
      /** Columns that an update assigns; undefined: any. */
      readonly assigns: readonly string[] | undefined;
      /** A partition that an update of its parent may take a row from or put one into. */
      readonly moves?: true;
      readonly scope: Scope;
      readonly way: Way;
    }
  | {
      readonly kind: 'statement';
      readonly statement: Statement;
      /** This and the next as in BodyPart. */
      readonly template: boolean;
      readonly pinnedByRow?: readonly string[] | undefined;
      readonly scope: Scope;
      readonly way: Way;
    };

export interface Agenda {
  readonly snapshot: Snapshot;
  readonly bodies: Bodies;
  /** Each task is done once by each kind of way; what is certain is done before what is not. */
  add(task: Task): void;
  /** Everything that a stored expression or query refers to. */
  addAll(references: References, scope: Scope, way: Way): void;
  /** What that access to any relation of the database may reach. */
  addAny(access: Access, scope: Scope, way: Way): void;
  /**
   * Code on that way has the effect: `what` is a predicate, such as `deletes rows of public.t`. `single`: it changes no more
   * than one row for each row that the statement itself changes.
   */
  does(effect: Effect, what: string, way: Way, single?: boolean): void;
  /** A name or an OID is in no place where it could be: the snapshot may be older than it. */
  lacks(what: string, way: Way): void;
  /** The answer rests on the definition of this object. */
  looksAt(kind: string, object: CatalogObject): void;
  /** Hidden uses, for rules that go by name. */
  uses(relation: RelationObject, access: Access): void;
  calls(object: FunctionObject): void;
  /** Literals of the type, or of one made of it, are read when a statement is parsed, and code of a user's runs then. */
  readsLiterals(type: number, scope: Scope): void;
  sets(setting: SettingUse): void;
  /** Something is not read yet: the answer must not be kept. */
  waits(): void;
}

/** A step further; what follows an uncertain step is uncertain. */
export function step(from: Way, label: string, certain = true): Way {
  return { certain: from.certain && certain, label, from };
}

export function qualifiedName(object: { readonly schema: string; readonly name: string }): string {
  return `${object.schema}.${object.name}`;
}
