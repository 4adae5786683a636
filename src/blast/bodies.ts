// Bodies: the FROM and WHERE of the SELECTs by which rows are counted: of a whole relation, of the rows that a selection of
// the text is about, and of the rows of another table that refer to those. Only builds text; what may be sent is
// decided by whoever counts. Every name in it is quoted, every relation named by its schema.

import type { Selection } from '../sql/selection.ts';
import { identifier, qualified } from './asker.ts';
import type { Key } from './keys.ts';
import type { Member } from './relations.ts';

export interface Body {
  /** `WITH … `, or empty. */
  readonly with: string;
  /** `FROM … WHERE …`. */
  readonly from: string;
  /** What its columns are called by. */
  readonly name: string;
  /** Numbers of the parameters of the text that are in it. */
  readonly parameters: readonly number[];
  /** Words of the text are in it. */
  readonly quotes: boolean;
}

/** All rows. `only`: without those of what inherits. */
export function wholeBody(member: Member, only = false): Body {
  const from = `FROM ${only ? 'ONLY ' : ''}${qualified(member)}`;
  return { with: '', from, name: identifier(member.name), parameters: [], quotes: false };
}

/**
 * The rows of the target that the selection is about. A text without a name of its own for the target may call it by
 * schema and name, so it gets none here either.
 */
export function selectedBody(member: Member, only: boolean, selection: Selection): Body {
  const { alias, using, where, unmatched, parameters } = selection;
  const whole = wholeBody(member, only);
  if (using === undefined && where === undefined) return whole;
  const condition = where === undefined ? '' : ` WHERE (${where})`;
  const rows =
    using === undefined
      ? condition
      : ` WHERE ${unmatched ? 'NOT ' : ''}EXISTS (SELECT FROM ${using}${condition})`;
  return {
    with: selection.with,
    from: `${whole.from}${alias === undefined ? '' : ` AS ${identifier(alias)}`}${rows}`,
    name: alias === undefined ? whole.name : identifier(alias),
    parameters,
    quotes: true,
  };
}

/** The rows that refer by `key` to those of `parent`. `round`: a number that no body around it has. */
export function referringBody(key: Key, parent: Body, round: number): Body {
  const name = `holdpoint_${round}`;
  const columns = key.parentColumns.map((column, at) => `${parent.name}.${identifier(column)} AS k${at}`);
  const equal = key.childColumns.map(
    (column, at) => `keys.k${at} ${key.operators[at]} ${name}.${identifier(column)}`,
  );
  // What merely inherits from the referencing table is not under its constraint.
  const only = key.child.kind === 'p' ? '' : 'ONLY ';
  const keys = `(${parent.with}SELECT ${columns.join(', ')} ${parent.from}) AS keys`;
  return {
    with: '',
    from: `FROM ${only}${qualified(key.child)} AS ${name} WHERE EXISTS (SELECT FROM ${keys} WHERE ${equal.join(' AND ')})`,
    name,
    parameters: parent.parameters,
    quotes: parent.quotes,
  };
}

/**
 * The rows of `parent` and all that refer to them by keys from its table to itself, however far. Each row is known by the
 * columns that keys refer to, which are all that is left of it.
 */
export function closedBody(
  self: readonly Key[],
  columns: readonly string[],
  parent: Body,
  round: number,
): Body {
  const name = `holdpoint_all_${round}`;
  const list = (of: string): string => columns.map((column) => `${of}.${identifier(column)}`).join(', ');
  const refers = self.map((key) => {
    const equal = key.childColumns.map(
      (column, at) =>
        `${name}.${identifier(key.parentColumns[at] ?? '')} ${key.operators[at]} own.${identifier(column)}`,
    );
    return `(${equal.join(' AND ')})`;
  });
  const table = wholeBody(self[0]!.child, self[0]!.child.kind !== 'p').from;
  const more = `SELECT ${list('own')} ${table} AS own JOIN ${name} ON ${refers.join(' OR ')}`;
  return {
    with: `WITH RECURSIVE ${name} AS ((${parent.with}SELECT ${list(parent.name)} ${parent.from}) UNION ${more}) `,
    from: `FROM ${name}`,
    name,
    parameters: parent.parameters,
    quotes: parent.quotes,
  };
}

export function countText(body: Body): string {
  return `${body.with}SELECT pg_catalog.count(*) ${body.from}`;
}

/** Its plan's rows are those that would be counted. */
export function rowsText(body: Body): string {
  return `${body.with}SELECT ${body.from}`;
}
