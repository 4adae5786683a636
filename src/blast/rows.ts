// Rows: how many there are: of what a statement is about, of what foreign keys take along, of what is dropped or emptied.
// In the order of what a person needs first, as long as there is time: what is left then is estimated, or said to be not
// known. Refuses to know how one count is made (counter.ts) and which keys there are (links.ts).

import type { MeasuredEffect, RowCount } from '../approval/effect.ts';
import { effectItemsMax } from '../approval/effect.ts';
import type { LockMode } from '../sql/lock-modes.ts';
import type { Asker } from './asker.ts';
import { type Body, closedBody, referringBody, selectedBody, wholeBody } from './bodies.ts';
import type { Counter } from './counter.ts';
import type { Entry } from './entry.ts';
import { type KeyGraph, keyGraph, keysTo } from './keys.ts';
import { comesAgain, type Link, linksMax, rowLinks, truncateLinks } from './links.ts';
import type { LockTable } from './locks.ts';
import { type Firing, firing, firingsOf, type Member, type Size } from './relations.ts';

export interface RowsOptions {
  readonly effect: MeasuredEffect;
  readonly entries: readonly Entry[];
  readonly countMs: number;
  readonly unmeasured: (sentence: string) => void;
}

/** A table of that many pages is counted whole in a few milliseconds. */
const smallPages = 1000;

/** What is known of the rows that others refer to. */
interface Base {
  /** Undefined: they cannot be told from the text, or not be read. */
  readonly body: Body | undefined;
  readonly rows: RowCount | undefined;
  /** Counting them took too long: so would whatever joins them. */
  readonly slow: boolean;
}

export class Rows {
  readonly #options: RowsOptions;
  #graph: KeyGraph = { keys: [], parts: new Map(), cut: false };
  #links: Link[] = [];
  readonly #bases = new Map<Entry | Link, Base>();

  constructor(options: RowsOptions) {
    this.#options = options;
  }

  /** Reads the keys and follows them. */
  async reach(asker: Asker, version: number): Promise<void> {
    const { entries, effect, unmeasured } = this.#options;
    const changed = entries.filter(({ aim }) => aim.kind === 'rows' || aim.kind === 'truncate');
    const from = new Set(changed.flatMap(({ found }) => found.members.map(({ oid }) => oid)));
    const truncates = changed.some(({ aim }) => aim.kind === 'truncate');
    this.#graph = await keyGraph(asker, [...from], truncates, version);
    const followed = changed.map((entry) => rowLinks(entry, this.#graph));
    this.#links = followed.flat();
    if (this.#graph.cut || followed.some((links) => links.length >= linksMax))
      unmeasured('more foreign keys lead here than were looked at');
    const emptied = changed.filter(({ aim }) => aim.kind === 'truncate');
    for (const aim of new Set(emptied.map((entry) => entry.aim)))
      this.#links.push(
        ...truncateLinks(
          emptied.filter((entry) => entry.aim === aim),
          this.#graph,
        ),
      );
    effect.cascades.push(...this.#links.map(({ shown }) => shown));
    for (const { found, aim } of changed)
      if (found.kind === 'v' && aim.kind === 'rows')
        unmeasured(
          `${found.schema}.${found.name} is a view: what hangs on the tables behind it was not followed`,
        );
  }

  /** Locks on the tables that keys lead to. */
  needs(): { name: string; members: readonly Member[]; mode: LockMode }[] {
    // A TRUNCATE that a key forbids is refused before it locks the other table.
    const locking = this.#links.filter(({ entry, event }) => entry.aim.kind === 'rows' || event !== 'none');
    return locking.map(({ shown, members, event }) => ({
      name: shown.relation,
      members,
      mode: event === 'truncate' ? 'ACCESS EXCLUSIVE' : event === 'none' ? 'ROW SHARE' : 'ROW EXCLUSIVE',
    }));
  }

  /** What fires for the changes. */
  async fire(asker: Asker): Promise<void> {
    const { entries } = this.#options;
    const members = [
      ...entries.map(({ found }) => found.members),
      ...this.#links.map((link) => link.members),
    ];
    const firings = await firingsOf(asker, [...new Set(members.flat().map(({ oid }) => oid))]);
    for (const { aim, found, shown } of entries) {
      if (aim.kind === 'rows') shown.fires = firing(firings, found, aim.events, aim.assigns);
      if (aim.kind === 'truncate') shown.fires = firing(firings, found, ['truncate']);
    }
    for (const link of this.#links) fireAlong(link, firings);
  }

  /** `sizes` by OID, as far as they are known. */
  async count(counter: Counter, locks: LockTable, sizes: ReadonlyMap<number, Size>): Promise<void> {
    const { entries } = this.#options;
    const blocked = (members: readonly Member[]): boolean =>
      members.some(({ oid }) => locks.blockedBy(oid) !== undefined);
    const shown = entries.slice(0, effectItemsMax);
    for (const entry of shown) {
      if (entry.aim.kind !== 'rows') continue;
      this.#bases.set(entry, blocked(entry.found.members) ? nothing : await this.#selected(entry, counter));
    }
    for (const entry of shown) if (entry.aim.kind === 'rows') await this.#close(entry, counter);
    for (const link of this.#links.slice(0, effectItemsMax)) {
      if (blocked(link.members))
        this.#options.unmeasured(`nothing was read from ${link.shown.relation}: it is locked`);
      else if (link.event === 'truncate') await this.#emptied(link, counter);
      else if (!link.self) await this.#referring(link, counter);
    }
    for (const entry of shown) if (!blocked(entry.found.members)) await this.#whole(entry, counter, sizes);
  }

  async #selected(entry: Entry, counter: Counter): Promise<Base> {
    const { aim, found, only, shown, values } = entry;
    const { unmeasured } = this.#options;
    if (aim.kind !== 'rows' || aim.rows === 'new') return nothing;
    if (aim.rows === 'cursor') {
      shown.touched = { rows: 1, how: 'at-most' };
      return nothing;
    }
    if (aim.rows === undefined) {
      unmeasured(`which rows of ${shown.name} it is about could not be told from its text`);
      return nothing;
    }
    const body = selectedBody(found, only, aim.rows);
    const { rows, why, slow } = await counter.rows(body, values);
    if (why !== undefined) unmeasured(`the rows of ${shown.name} that it is about were not counted: ${why}`);
    if (rows === undefined) return nothing;
    if (slow) this.#saySlow(shown.name);
    // A policy for the command may leave out rows that one for SELECT shows.
    const most = aim.atMost || guarded(found.members);
    shown.touched = most && rows.how === 'count' ? { ...rows, how: 'at-most' } : rows;
    return { body, rows, slow };
  }

  #saySlow(name: string): void {
    this.#options.unmeasured(
      `counting the rows of ${name} takes longer than ${this.#options.countMs} ms: their number is the planner's estimate`,
    );
  }

  /** Where rows refer to rows of their own table, those that go are all that lead to them. */
  async #close(from: Entry | Link, counter: Counter): Promise<void> {
    const base = this.#bases.get(from);
    const self = this.#links.filter((link) => link.self && (link.parent ?? link.entry) === from);
    const [first] = self;
    if (base?.body === undefined || first === undefined) return;
    const columns = keysTo(this.#graph, new Set([first.key.parent])).flatMap((key) => key.parentColumns);
    const keys = self.map(({ key }) => key);
    const body = closedBody(keys, [...new Set(columns)], base.body, this.#links.indexOf(first));
    const { rows, slow } = await counter.rows(body, first.entry.values, base.slow);
    if (rows === undefined || slow || base.rows?.how !== 'count') {
      for (const link of self) await this.#referring(link, counter);
      for (const { shown } of self) if (shown.touched?.how === 'count') shown.touched.how = 'at-least';
      return;
    }
    const more = Math.max(0, rows.rows - base.rows.rows);
    for (const { shown } of self)
      shown.touched = { rows: more, how: self.length === 1 || more === 0 ? 'count' : 'at-most' };
    this.#bases.set(from, { body, rows, slow });
  }

  async #referring(link: Link, counter: Counter): Promise<void> {
    const { shown, key, entry, parent } = link;
    const base = this.#bases.get(parent ?? entry) ?? nothing;
    if (base.rows?.rows === 0 && base.rows.how === 'count') {
      shown.touched = { rows: 0, how: 'count' };
      this.#bases.set(link, base);
      return;
    }
    if (base.body === undefined) return;
    if (key.temporal) {
      this.#options.unmeasured(
        `the rows of ${shown.relation} were not counted: ${key.constraint} is over periods`,
      );
      return;
    }
    const body = referringBody(key, base.body, this.#links.indexOf(link));
    const { rows, why, slow } = await counter.rows(body, entry.values, base.slow);
    if (why !== undefined)
      this.#options.unmeasured(`the rows of ${shown.relation} that refer to them were not counted: ${why}`);
    if (rows === undefined) return;
    if (slow && !base.slow) this.#saySlow(shown.relation);
    this.#bases.set(link, { body, rows, slow });
    const certain = rows.how === 'count' && (comesAgain(link) || guarded(link.members));
    shown.touched = certain ? { ...rows, how: 'at-least' } : rows;
    stop(link, rows, this.#links);
    if (!link.self) await this.#close(link, counter);
  }

  async #emptied({ key, shown }: Link, counter: Counter): Promise<void> {
    const { rows, why } = await counter.rows(wholeBody(key.child));
    if (why !== undefined) this.#options.unmeasured(`the rows of ${shown.relation} were not counted: ${why}`);
    if (rows !== undefined) shown.touched = rows;
  }

  /** All rows of a relation. */
  async #whole(entry: Entry, counter: Counter, sizes: ReadonlyMap<number, Size>): Promise<void> {
    const { aim, found, only, shown } = entry;
    if (!/^[rpmf]$/.test(found.kind)) return;
    const all = aim.kind === 'truncate' || aim.kind === 'drop';
    const every = aim.kind === 'rows' && typeof aim.rows === 'object' && aim.rows.where === undefined;
    if (every && aim.rows.using === undefined && shown.touched !== undefined) {
      const fewer = guarded(found.members) && shown.touched.how !== 'estimate';
      shown.total = fewer ? { ...shown.touched, how: 'at-least' } : shown.touched;
      return;
    }
    const pages = pagesOf(found, sizes);
    let total = estimateOf(found, sizes);
    if (all || (pages !== undefined && pages <= smallPages)) {
      const { rows, why, slow } = await counter.rows(wholeBody(found, only));
      if (rows !== undefined) total = rows;
      if (all && slow && rows !== undefined) this.#saySlow(shown.name);
      if (all && rows === undefined)
        this.#options.unmeasured(`the rows of ${shown.name} were not counted: ${why}`);
    }
    if (total === undefined) return;
    if (guarded(found.members) && total.how === 'count') total = { ...total, how: 'at-least' };
    shown.total = total;
    if (all) shown.touched = total;
  }
}

const nothing: Base = { body: undefined, rows: undefined, slow: false };

function guarded(members: readonly Member[]): boolean {
  return members.some((member) => member.guarded);
}

function fireAlong({ event, key, members, shown }: Link, firings: readonly Firing[]): void {
  if (event === 'none') return;
  const fires = firing(firings, { oid: key.child.oid, members }, [event], key.childColumns);
  if (fires.length > 0) shown.fires = fires;
}

/** Rows that refer to others stop the statement, unless they can still go before the check. */
function stop(link: Link, rows: RowCount, links: readonly Link[]): void {
  if (link.event !== 'none' || rows.rows === 0 || rows.how !== 'count') return;
  const goes = ({ event, key }: Link): boolean => event === 'delete' && key.child.oid === link.key.child.oid;
  const own = link.entry.found.members.some(({ oid }) => oid === link.key.child.oid);
  const mayGo = link.shown.action === 'NO ACTION' && (link.key.deferrable || own || links.some(goes));
  if (!mayGo) link.shown.stops = true;
}

function pagesOf(
  found: { readonly members: readonly Member[] },
  sizes: ReadonlyMap<number, Size>,
): number | undefined {
  let pages = 0;
  for (const { oid, kind } of found.members) {
    if (kind === 'p') continue;
    const size = sizes.get(oid);
    if (size === undefined) return undefined;
    pages += size.pages;
  }
  return pages;
}

/** As the planner reckons: the density of the last VACUUM or ANALYZE, and the present size. */
function estimateOf(
  found: { readonly members: readonly Member[] },
  sizes: ReadonlyMap<number, Size>,
): RowCount | undefined {
  let rows = 0;
  for (const { oid, kind, rows: known, pages } of found.members) {
    const size = sizes.get(oid);
    if (kind === 'p' || size?.pages === 0) continue;
    if (size === undefined || known < 0 || pages === 0) return undefined;
    rows += (known / pages) * size.pages;
  }
  return { rows: Math.round(rows), how: 'estimate' };
}
