// Measuring: one effect while it is found out, in one read-only transaction: what the texts name, what hangs on it, who has
// locked it, how many rows it has. Each step may fail by itself and says so; what is known by then stays. Nothing of the
// texts runs: see counter.ts. Refuses to know the connection and who waits for the result. audit-approval §16.1.

import {
  effectItemsMax,
  type LockNeed,
  type MeasuredEffect,
  type TouchedRelation,
} from '../approval/effect.ts';
import type { Aim, Aims, DropAim, Named } from '../sql/aim.ts';
import { aimsOf } from '../sql/aims.ts';
import { isStronger, type LockMode } from '../sql/lock-modes.ts';
import type { Reader } from '../sql/selection.ts';
import type { Analysis } from '../sql/statement.ts';
import type { Asked } from './asked.ts';
import { type Asker, identifier, Refused } from './asker.ts';
import { contextText, elsewhere, keyOf, uncertain, wordsOf } from './context.ts';
import { Counter, refusal, type Values } from './counter.ts';
import { findDatabase, isTraced, namesRelations, traceDrop } from './dependents.ts';
import type { Entry, Task } from './entry.ts';
import { type LockTable, lockTable, openTransaction } from './locks.ts';
import {
  eventTriggers,
  type Found,
  findRelations,
  kindOf,
  type Member,
  nameOf,
  type Size,
  sizesOf,
} from './relations.ts';
import { Rows } from './rows.ts';

export interface MeasuringOptions {
  readonly asker: Asker;
  readonly asked: Asked;
  readonly reader: Reader;
  readonly analyze: (sql: Buffer) => Analysis | Promise<Analysis>;
  /** Major version of the server, once there is a connection to it. */
  readonly version: () => number;
  readonly countMs: number;
  /** Milliseconds left for everything. */
  readonly leftMs: () => number;
}

/** How long a lock on a relation is waited for: others may need it for long. */
const lockMs = 50;

interface Need {
  readonly name: string;
  readonly members: readonly Member[];
  readonly mode: LockMode;
}

export class Measuring {
  readonly #options: MeasuringOptions;
  /** Filled while it runs; `at` and `tookMs` are the caller's. */
  readonly effect: MeasuredEffect = {
    at: 0,
    tookMs: 0,
    relations: [],
    cascades: [],
    dependents: [],
    locks: [],
    unmeasured: [],
  };
  readonly #catalog: Asker;
  readonly #tasks: Task[] = [];
  readonly #aims: Aims[] = [];
  readonly #found = new Map<string, Found | undefined>();
  readonly #entries: Entry[] = [];
  readonly #needs: Need[] = [];
  #rows: Rows | undefined;
  #late = false;

  constructor(options: MeasuringOptions) {
    this.#options = options;
    const { asker, leftMs } = options;
    const limit = (): number => Math.max(1, Math.floor(leftMs()));
    this.#catalog = {
      ask: (text) => asker.ask(`SET LOCAL statement_timeout TO ${limit()};${text}`),
      bind: (text, parameters) => asker.bind(text, parameters),
    };
    this.#read();
  }

  /** False if there is nothing to ask a database for. */
  get asks(): boolean {
    const { inTransaction, pid } = this.#options.asked;
    return this.#names().length > 0 || this.#tasks.length > 0 || (inTransaction && pid !== undefined);
  }

  /** Rejects only with what broke the connection, which must not be used any more then. */
  async run(): Promise<void> {
    const { asker } = this.#options;
    await this.#open();
    try {
      await this.#step('what the session has locked', () => this.#transaction());
      await this.#step('what the names stand for', () => this.#find());
      for (const { aim, statement } of this.#tasks)
        if (aim.kind === 'drop') await this.#step('what depends on it', () => this.#drop(aim, statement));
      await this.#step('the foreign keys', () => this.#reach());
      const locks = await this.#step('who holds locks', () => this.#locks());
      if (locks !== undefined) await this.#figures(locks);
    } finally {
      await asker.ask('ROLLBACK');
    }
  }

  /** Cuts every list, so that R stays of a size that can be shown and logged. */
  finish(): MeasuredEffect {
    const effect = structuredClone(this.effect);
    const more: Record<string, number> = {};
    for (const list of ['relations', 'cascades', 'dependents', 'locks', 'unmeasured'] as const) {
      const left = effect[list].length - effectItemsMax;
      if (left > 0) more[list] = left;
      effect[list].length = Math.min(effect[list].length, effectItemsMax);
    }
    for (const each of [...effect.relations, ...effect.cascades]) each.fires?.splice(effectItemsMax);
    effect.transaction?.locks.splice(effectItemsMax);
    effect.fires?.splice(effectItemsMax);
    return Object.keys(more).length === 0 ? effect : { ...effect, more };
  }

  /** Says once that something could not be measured. */
  unmeasured(sentence: string): void {
    const { unmeasured } = this.effect;
    if (!unmeasured.includes(sentence)) unmeasured.push(sentence);
  }

  #read(): void {
    const { asked, reader } = this.#options;
    if (asked.hidden) this.unmeasured('it runs code whose effects are not known before it has run');
    const texts = asked.texts.map((text) => ({ text, aims: aimsOf(text.sql, reader, text.prepared) }));
    if (texts.some(({ aims }) => aims === undefined))
      this.unmeasured('the text is too long to be taken apart');
    const count = texts.reduce((sum, { aims = [] }) => sum + aims.length, 0);
    for (const { text, aims = [] } of texts) {
      for (const one of aims) {
        const statement = count === 1 ? undefined : this.#aims.length;
        this.#aims.push(one);
        for (const aim of one.aims)
          if (aim.kind !== 'execute') this.#tasks.push({ aim, values: text, statement });
      }
    }
  }

  async #open(): Promise<void> {
    const { asker, asked, leftMs } = this.#options;
    const role =
      asked.role === null || asked.role === asked.login ? '' : `SET LOCAL ROLE ${identifier(asked.role)};`;
    await asker.ask(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL search_path TO pg_catalog, pg_temp;
SET LOCAL statement_timeout TO ${Math.max(1, Math.floor(leftMs()))};
SET LOCAL lock_timeout TO ${lockMs};
SET LOCAL jit TO off;
SET LOCAL max_parallel_workers_per_gather TO 0;
${role}
SAVEPOINT holdpoint`);
  }

  /** Runs one step, unless there is no time left; undefined if it failed, which is then said. */
  async #step<T>(what: string, run: () => Promise<T>): Promise<T | undefined> {
    if (this.#options.leftMs() <= 0) {
      if (!this.#late) this.unmeasured(`there was no time left for ${what}`);
      this.#late = true;
      return undefined;
    }
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.unmeasured(`${what} could not be found out: ${refusal(error)}`);
      await this.#options.asker.ask('ROLLBACK TO SAVEPOINT holdpoint');
      return undefined;
    }
  }

  async #transaction(): Promise<void> {
    const { pid, inTransaction } = this.#options.asked;
    if (pid === undefined || !inTransaction) return;
    const opened = await openTransaction(this.#catalog, pid);
    if (opened === undefined) {
      this.unmeasured('the transaction of the session was not found on the server');
      return;
    }
    this.effect.transaction = opened.transaction;
    if (opened.wrote)
      this.unmeasured(
        'the session has changed something in its open transaction, which only it sees: the figures are without that',
      );
  }

  /** Every relation that the texts name. */
  #names(): Named[] {
    const names = this.#tasks.flatMap(({ aim }): readonly Named[] => {
      if (aim.kind === 'rows' || aim.kind === 'alter') return [aim.relation];
      if (aim.kind === 'truncate') return aim.relations;
      return aim.kind === 'drop' ? dropNames(aim) : [];
    });
    const locked = this.#aims.flatMap(({ locks }) => locks.map((use) => ({ ...use, only: false })));
    const all = [...names, ...locked].map(({ schema, name, only }) => ({ schema, name, only }));
    return [...new Map(all.map((named) => [keyOf(named), named])).values()];
  }

  async #find(): Promise<void> {
    const { asked } = this.#options;
    const certain: Named[] = [];
    for (const named of this.#names()) {
      const why = uncertain(named, asked);
      if (why === undefined) certain.push(named);
      else this.unmeasured(why);
    }
    const found = await findRelations(this.#catalog, certain, asked.path ?? []);
    for (const [at, named] of certain.entries()) {
      this.#found.set(keyOf(named), found[at]);
      if (found[at] === undefined) this.unmeasured(`${wordsOf(named)} was not found in the database`);
      else if (named.schema === undefined && asked.shadowed)
        this.unmeasured(
          `what was measured is ${nameOf(found[at])}; a temporary relation of the session may stand in front of it`,
        );
    }
    if (asked.role === null)
      this.unmeasured(`the role of the session is not known: what was measured is what ${asked.login} sees`);
    for (const { aim, values, statement } of this.#tasks) this.#enter(aim, values, statement);
    for (const { locks } of this.#aims)
      for (const use of locks) this.#need(this.#found.get(keyOf({ ...use, only: false })), use.mode);
    if (this.#tasks.some(({ aim }) => aim.kind === 'drop' || aim.kind === 'alter')) {
      const drops = this.#tasks.some(({ aim }) => aim.kind === 'drop');
      const fires = await eventTriggers(this.#catalog, drops);
      if (fires.length > 0) this.effect.fires = fires;
    }
  }

  #enter(aim: Aim, values: Values, statement: number | undefined): void {
    if (aim.kind === 'rows') this.#entry(aim.relation, rowsWords(aim.events), { aim, values, statement });
    if (aim.kind === 'alter') this.#entry(aim.relation, aim.does, { aim, values, statement });
    if (aim.kind === 'truncate')
      for (const relation of aim.relations) this.#entry(relation, 'TRUNCATE', { aim, values, statement });
    if (aim.kind === 'drop' && namesRelations(aim))
      for (const relation of dropNames(aim)) this.#entry(relation, 'DROP', { aim, values, statement });
  }

  #entry(named: Named, does: string, task: Task): void {
    const found = this.#found.get(keyOf(named));
    if (found !== undefined) this.#add(found, does, task, named.only);
  }

  #add(found: Found, does: string, task: Task, only: boolean): void {
    const { aim, statement } = task;
    const shown: TouchedRelation = {
      ...(statement === undefined ? {} : { statement }),
      does,
      name: nameOf(found),
      kind: kindOf(found),
      ...(found.members.length === 1 ? {} : { parts: found.members.length - 1 }),
      ...(aim.kind === 'alter' && aim.work !== undefined ? { work: aim.work } : {}),
      fires: [],
    };
    this.effect.relations.push(shown);
    this.#entries.push({ ...task, shown, found, only });
  }

  #need(found: Found | undefined, mode: LockMode): void {
    if (found === undefined) return;
    this.#needs.push({ name: nameOf(found), members: found.members, mode });
    if (found.table !== undefined)
      this.#needs.push({ name: nameOf(found.table), members: [found.table], mode });
  }

  async #drop(aim: DropAim, statement: number | undefined): Promise<void> {
    const { asked } = this.#options;
    if (aim.what === 'database') return this.#dropDatabase(aim, statement);
    if (!isTraced(aim)) {
      // These have no rows, and nothing depends on them.
      if (!/^(trigger|rule|policy)$/.test(aim.what))
        this.unmeasured(`what goes with it was not looked for: DROP of ${aim.what}`);
      return;
    }
    const names = aim.of === undefined ? dropNames(aim) : [aim.of];
    const found = names.flatMap((named) => this.#found.get(keyOf(named)) ?? []);
    const dropped = await traceDrop(this.#catalog, aim, found, asked.path ?? []);
    if (!namesRelations(aim) && dropped.roots !== aim.names.length)
      this.unmeasured(
        `the DROP names ${aim.names.length} of ${aim.what}, and ${dropped.roots} were found by their names`,
      );
    this.effect.dependents.push(...dropped.dependents);
    if (!aim.cascade && dropped.dependents.length > 0) this.effect.refused = true;
    const part = new Set(found.flatMap(({ members }) => members.map(({ oid }) => oid)));
    for (const member of dropped.relations) {
      if (part.has(member.oid) || aim.of !== undefined) continue;
      const values = { types: [], parameters: [] };
      this.#add({ ...member, members: [member], table: undefined }, 'DROP', { aim, values, statement }, true);
      this.#needs.push({ name: nameOf(member), members: [member], mode: 'ACCESS EXCLUSIVE' });
    }
    for (const member of dropped.losing)
      this.#needs.push({ name: nameOf(member), members: [member], mode: 'ACCESS EXCLUSIVE' });
  }

  async #dropDatabase(aim: DropAim, statement: number | undefined): Promise<void> {
    const name = aim.names[0]?.at(-1) ?? '';
    const found = await findDatabase(this.#catalog, name);
    if (found === undefined) {
      this.unmeasured(`the database ${name} was not found`);
      return;
    }
    const at = statement === undefined ? {} : { statement };
    this.effect.relations.push({
      ...at,
      does: 'DROP',
      name,
      kind: 'database',
      bytes: found.bytes,
      fires: [],
    });
    if (found.sessions > 0) this.effect.dependents.push(`${found.sessions} sessions in the database ${name}`);
  }

  async #reach(): Promise<void> {
    const { countMs, version } = this.#options;
    const rows = new Rows({
      effect: this.effect,
      entries: this.#entries,
      countMs,
      unmeasured: (sentence) => this.unmeasured(sentence),
    });
    await rows.reach(this.#catalog, version());
    this.#rows = rows;
    this.#needs.push(...rows.needs());
  }

  async #locks(): Promise<LockTable> {
    const { pid } = this.#options.asked;
    const needs = strongest(this.#needs);
    const relations = new Set(needs.flatMap(({ members }) => members.map(({ oid }) => oid)));
    for (const { found } of this.#entries) for (const { oid } of found.members) relations.add(oid);
    const table = await lockTable(this.#catalog, relations, pid);
    this.effect.locks = needs.map(({ name, members, mode }): LockNeed => table.need(name, members, mode));
    if (table.hidden) this.unmeasured('of some sessions that hold locks this role may not see since when');
    return table;
  }

  /** What reads the relations themselves, and so must not wait for whoever has locked them. */
  async #figures(locks: LockTable): Promise<void> {
    const { asker, asked, analyze, countMs, leftMs } = this.#options;
    const free = this.#entries.filter(({ found, shown }) => {
      const why = found.members.map(({ oid }) => locks.blockedBy(oid)).find((each) => each !== undefined);
      if (why !== undefined) this.unmeasured(`nothing was read from ${shown.name}: ${why}`);
      return why === undefined;
    });
    const members = new Map(free.flatMap(({ found }) => found.members.map((member) => [member.oid, member])));
    const sizes = await this.#step('sizes on disk', () => sizesOf(this.#catalog, members.values()));
    for (const entry of free) size(entry, sizes ?? new Map());
    const rows = this.#rows;
    if (rows === undefined) return;
    await this.#step('triggers and rules', () => rows.fire(this.#catalog));
    const prepared = await this.#step('the context of the session', () => asker.ask(contextText(asked)));
    if (prepared === undefined) return;
    if (asked.custom)
      this.unmeasured(
        'the session has set settings of its own, which policies may read: rows were counted without them',
      );
    const judge: typeof asked.judge = (analysis, types, quotes) =>
      (quotes ? elsewhere(analysis, asked) : undefined) ?? asked.judge(analysis, types, quotes);
    await rows.count(new Counter({ asker, analyze, judge, countMs, leftMs }), locks, sizes ?? new Map());
  }
}

function dropNames(aim: DropAim): Named[] {
  if (aim.of !== undefined) return [aim.of];
  if (!namesRelations(aim)) return [];
  return aim.names.map((words) => ({ schema: words.at(-2), name: words.at(-1) ?? '', only: false }));
}

function rowsWords(events: readonly string[]): string {
  if (events.length === 1) return events[0]!.toUpperCase();
  return events.join() === 'insert,update' ? 'INSERT … ON CONFLICT DO UPDATE' : 'MERGE';
}

/** One need for each relation, with the strongest mode. */
function strongest(needs: readonly Need[]): Need[] {
  const byName = new Map<string, Need>();
  for (const need of needs) {
    const known = byName.get(need.name);
    if (known === undefined || isStronger(need.mode, known.mode)) byName.set(need.name, need);
  }
  return [...byName.values()];
}

function size({ found, shown }: Entry, sizes: ReadonlyMap<number, Size>): void {
  const known = found.members.flatMap(({ oid }) => sizes.get(oid) ?? []);
  if (known.length > 0) shown.bytes = known.reduce((sum, { bytes }) => sum + bytes, 0);
}
