// Links: the closure of foreign keys under the rows that one statement changes: each key by which it reaches a table, in the
// order in which rows are counted along them. A graph of keys becomes a tree of links here; a table that comes back on
// the same way ends it. Refuses to know rows. Source: the manual, 5.5.5 and TRUNCATE.

import type { Cascade } from '../approval/effect.ts';
import type { RowEvent } from '../sql/aim.ts';
import type { Entry } from './entry.ts';
import { type Key, type KeyAction, type KeyGraph, keysTo, withParts } from './keys.ts';
import { type Member, nameOf } from './relations.ts';

export interface Link {
  readonly shown: Cascade;
  readonly entry: Entry;
  readonly key: Key;
  /** The link whose rows are referred to; undefined: those of the statement itself. */
  readonly parent: Link | undefined;
  /** What becomes of the referencing rows. */
  readonly event: RowEvent | 'truncate' | 'none';
  /** The referencing table and its partitions. */
  readonly members: readonly Member[];
  /** From a table to itself: rows of rows, however far. */
  readonly self: boolean;
  /** It is part of a round, of which only the first is followed: there may be more rows. */
  endless: boolean;
}

/** Links that are followed under one relation. */
export const linksMax = 300;

/** The links under the rows of `entry`, a DELETE, an UPDATE or both. */
export function rowLinks(entry: Entry, graph: KeyGraph): Link[] {
  const links: Link[] = [];
  if (entry.aim.kind !== 'rows') return links;
  const { events, assigns } = entry.aim;
  for (const event of events)
    if (event !== 'insert')
      follow(links, graph, { entry, event, assigns, members: entry.found.members, way: [] });
  return links;
}

interface Step {
  readonly entry: Entry;
  readonly event: RowEvent;
  /** Columns that are changed by an update. */
  readonly assigns: readonly string[];
  readonly members: readonly Member[];
  /** The links that lead here. */
  readonly way: readonly Link[];
}

function follow(links: Link[], graph: KeyGraph, step: Step): void {
  const { entry, event, assigns, members, way } = step;
  for (const key of keysTo(graph, new Set(members.map(({ oid }) => oid)))) {
    if (event === 'update' && !key.parentColumns.some((column) => assigns.includes(column))) continue;
    const again = way.findIndex((link) => link.key.oid === key.oid);
    // From there on the way leads round and round.
    if (again >= 0) for (const link of way.slice(again)) link.endless = true;
    if (again >= 0 || links.length >= linksMax) continue;
    const action = event === 'delete' ? key.onDelete : key.onUpdate;
    const next = eventOf(action, event);
    const self = key.child.oid === key.parent && next === 'delete';
    const link: Link = {
      shown: cascadeOf(entry, key, action, members),
      entry,
      key,
      parent: way.at(-1),
      event: next,
      members: withParts(graph, key.child),
      self,
      endless: false,
    };
    links.push(link);
    // What refers to rows of the table is followed from the table, not once more from its own key.
    if (next === 'none' || self) continue;
    follow(links, graph, {
      entry,
      event: next,
      assigns: key.childColumns,
      members: link.members,
      way: [...way, link],
    });
  }
}

function eventOf(action: KeyAction, event: RowEvent): RowEvent | 'none' {
  if (action === 'RESTRICT' || action === 'NO ACTION') return 'none';
  return action === 'CASCADE' ? event : 'update';
}

function cascadeOf(entry: Entry, key: Key, action: Cascade['action'], members: readonly Member[]): Cascade {
  const via = members.find(({ oid }) => oid === key.parent) ?? members[0]!;
  return {
    ...(entry.statement === undefined ? {} : { statement: entry.statement }),
    relation: nameOf(key.child),
    constraint: key.constraint,
    action,
    via: nameOf(via),
  };
}

/** True if more rounds may lead to it, or to what it refers to. */
export function comesAgain(link: Link): boolean {
  return link.endless || (link.parent !== undefined && comesAgain(link.parent));
}

/** The links of one TRUNCATE: every table that refers to one of `entries`, and so on, or why it is refused. */
export function truncateLinks(entries: readonly Entry[], graph: KeyGraph): Link[] {
  const links: Link[] = [];
  const [first] = entries;
  if (first?.aim.kind !== 'truncate') return links;
  const { cascade } = first.aim;
  const emptied = new Map(
    entries.flatMap(({ found }) => found.members.map((member) => [member.oid, member])),
  );
  // Grows while it is walked over.
  for (const member of emptied.values()) {
    for (const key of keysTo(graph, new Set([member.oid]))) {
      if (emptied.has(key.child.oid) || emptied.has(rootOf(key, graph)) || links.length >= linksMax) continue;
      const members = withParts(graph, key.child);
      const shown = cascadeOf(first, key, cascade ? 'TRUNCATE' : 'RESTRICT', [member]);
      if (!cascade) shown.stops = true;
      const event = cascade ? 'truncate' : 'none';
      links.push({
        shown,
        entry: first,
        key,
        parent: undefined,
        event,
        members,
        self: false,
        endless: false,
      });
      if (cascade) for (const each of members) emptied.set(each.oid, each);
    }
  }
  return links;
}

/** The referencing table of the constraint that this one is a partition's copy of. */
function rootOf(key: Key, graph: KeyGraph): number {
  return graph.keys.find(({ oid }) => oid === key.copyOf)?.child.oid ?? key.child.oid;
}
