// Rounds: random scripts for one connection, mostly rounds of prepared reads (Bind, Execute, Sync in one piece), one after
// another, and between them whatever else a client may send. The same seed gives the same bytes. Every script writes rows
// of its own slot alone, so that what it is answered does not depend on what runs beside it.

import {
  bind,
  close,
  describe,
  execute,
  flush,
  parse,
  query,
  sync,
  terminate,
} from '../../src/wire/messages/frontend.ts';
import { functionCall, rawFrame } from './frames.ts';

/** Slots there are: scripts that run at the same time must have different ones. */
export const slots = 1024;

export const roundTables = `
  create table r (id int primary key, a int, b text, c numeric(8,2), e bytea, j jsonb, at timestamp);
  insert into r select n, n % 7, case when n % 11 = 0 then null else 'row ' || n || ' äöü€' end, n * 1.25,
    decode(md5(n::text), 'hex'), jsonb_build_object('n', n), timestamp '2026-01-01' + n * interval '1 hour'
    from generate_series(1, 60) as n;
  create table wide (k int, id int, v text, primary key (k, id));
  insert into wide select k, id, repeat(chr(97 + id % 26), 990) from (values (1), (3), (20), (300)) as s (k),
    lateral generate_series(1, k) as id;
  create table w (slot int, id int, v text, primary key (slot, id));
  insert into w select slot, id, 'old' from generate_series(0, ${slots - 1}) as slot, generate_series(1, 5) as id;
  create schema one; create schema two;
  create table t (id int primary key, v text); insert into t values (0, 'public'), (4, 'also public');
  create table one.t (id int primary key, v text); insert into one.t values (1, 'one'), (2, 'also one');
  create table two.t (id int primary key, v text); insert into two.t values (1, 'two'), (3, 'also two');
  create view rv as select id, b from r where a > 2;
  create function plain(int) returns int language sql stable as 'select a from public.r where id = $1';
  create function reading(int) returns int language plpgsql stable as
    $$ begin return (select count(*) from public.r where id <= $1); end $$;
  create function dynamic(int) returns int language plpgsql as
    $$ declare n int; begin execute 'select ' || $1 || ' + 1' into n; return n; end $$;
  create function shout(text) returns text language plpgsql as
    $$ begin raise notice 'hey %', $1; return upper($1); end $$;
  create function md5(varchar) returns text language plpgsql as
    $$ begin delete from public.w; return 'mine'; end $$;
  create function purge(int) returns int language sql as 'delete from public.w where slot = $1; select 1';
  analyze;`;

/** As the default rules, but that nothing waits: what they hold is denied, and a change of role passes. */
export const roundRules = `
version: 1
rules:
  - name: everyday-work
    action: pass
    effects: [read, lock-rows, advisory-lock, sequence, notify, insert, setting, custom-setting, guard-setting, transaction, temporary, role]
  - name: bounded-updates
    action: pass
    rowsMax: 1000
    effects: [read, lock-rows, insert, update, setting, custom-setting]
  - name: unproven-reads
    action: pass
    readOnly: true
    effects: [read, unproven, advisory-lock, notify, setting, custom-setting]
  - name: the-rest
    action: deny
    effects: [delete, truncate, update-all, large-object, sequence-set, create, alter, drop, grant, code, function, unknown,
      lock-table, maintain, rewrite, two-phase, sessions, administer, remote, os, replication, parser-setting]
`;

/** What is written at once, and what is waited for then. */
export interface Write {
  readonly bytes: Buffer;
  /** Where it is cut in pieces: each is written once all that came to its end before is answered, or after a moment. */
  readonly cuts: readonly number[];
  /**
   * `ready`: every ReadyForQuery that is owed by now. `answer`: the end of one Execute, by a Flush. `closed`: the end of the
   * connection. `gone`: nothing, and the client closes its socket.
   */
  readonly until: 'ready' | 'nothing' | 'answer' | 'closed' | 'gone';
  /** Where what is answered by a ReadyForQuery ends: Syncs, Queries and function calls. */
  readonly readies: readonly number[];
  readonly label: string;
}

export interface Script {
  readonly seed: number;
  readonly slot: number;
  readonly writes: readonly Write[];
  /** What is in a transaction and what is not depends on when an answer came. */
  readonly racing: boolean;
  /** What came of the last statements depends on who was faster: the answer or the end of the connection. */
  readonly torn: boolean;
  /** Rounds, and those of the form that the lane takes. */
  readonly rounds: number;
  readonly fit: number;
}

/** From 0, less than 1. */
export type Random = () => number;

/** mulberry32. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Value {
  readonly format: 0 | 1;
  readonly bytes: Buffer | null;
}

/** A text to prepare, with parameters that it is good with. */
interface Kind {
  readonly text: string;
  readonly oids: readonly number[];
  readonly columns: number;
  /** The rules let it pass as a plain read. */
  readonly plain: boolean;
  readonly values: (random: Random) => readonly Value[];
}

const int4 = 23;
const textOid = 25;
const bool = 16;

const written = (value: string): Value => ({ format: 0, bytes: Buffer.from(value) });
const nothing: Value = { format: 0, bytes: null };

function integer(random: Random, from: number, to: number): Value {
  const value = from + Math.floor(random() * (to - from + 1));
  if (random() < 0.3) {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    return { format: 1, bytes };
  }
  return written(String(value));
}

function words(random: Random): Value {
  const length = pick(random, [0, 1, 7, 40, 40, 200, 999, 1001, 4000, 10_000]);
  const letters = pick(random, ['x', 'äé', '€', '😀', `it's "q" \\ `, '\n\t ']);
  const bytes = Buffer.from(letters.repeat(Math.ceil(length / letters.length)).slice(0, length), 'utf8');
  return { format: random() < 0.3 ? 1 : 0, bytes };
}

const sizes = [0, 1, 1, 3, 3, 3, 20, 20, 300];

const kinds: readonly Kind[] = [
  {
    text: 'select id, a, b from r where id = $1',
    oids: [int4],
    columns: 3,
    plain: true,
    values: (random) => [integer(random, -3, 70)],
  },
  {
    text: 'select id, a, b, c, e, j, at from r where id <= $1 order by id',
    oids: [int4],
    columns: 7,
    plain: true,
    values: (random) => [integer(random, 0, 12)],
  },
  {
    text: 'select v from wide where k = $1 order by id',
    oids: [int4],
    columns: 1,
    plain: true,
    values: (random) => [written(String(pick(random, sizes)))],
  },
  {
    text: 'select $1::text as t, length($2::text) as n',
    oids: [textOid, textOid],
    columns: 2,
    plain: true,
    values: (random) => [words(random), words(random)],
  },
  {
    text: 'select 10 / $1::int as q',
    oids: [int4],
    columns: 1,
    plain: true,
    values: (random) => [integer(random, -1, 5)],
  },
  {
    text: "SELECT a, b, c FROM r WHERE a = $1 AND b <> 'row 3' AND c < 1000.5 ORDER BY id LIMIT 5",
    oids: [],
    columns: 3,
    plain: true,
    values: (random) => [integer(random, 0, 8)],
  },
  {
    text: 'select id from r where id = any($1::int[]) order by id /* a comment */',
    oids: [],
    columns: 1,
    plain: true,
    values: (random) => [written(pick(random, ['{}', '{1}', '{1,2,3}', '{60,61,null}', '{1,']))],
  },
  { text: 'select 1 as one', oids: [], columns: 1, plain: true, values: () => [] },
  { text: 'select from r where id < 4', oids: [], columns: 0, plain: true, values: () => [] },
  {
    text: `select ${Array.from({ length: 32 }, (_, at) => `$${at + 1}::int4`).join(' + ')} as sum`,
    oids: [],
    columns: 1,
    plain: true,
    values: (random) => Array.from({ length: 32 }, () => integer(random, 0, 1000)),
  },
  {
    text: `select ${Array.from({ length: 33 }, (_, at) => `$${at + 1}::text`).join(' || ')} as joined`,
    oids: [],
    columns: 1,
    plain: true,
    values: (random) => Array.from({ length: 33 }, () => written(pick(random, ['', 'a', 'bc']))),
  },
  {
    text: 'select $1::bool as b, $2::int4 as i, $3::text as t, $4::numeric as n',
    oids: [bool, int4, textOid],
    columns: 4,
    plain: true,
    values: (random) => [
      random() < 0.3 ? nothing : written(pick(random, ['t', 'f', 'true', 'perhaps'])),
      random() < 0.3 ? nothing : integer(random, -5, 5),
      random() < 0.3 ? nothing : words(random),
      random() < 0.3 ? nothing : written(pick(random, ['0', '1.50', '-1e5', 'NaN'])),
    ],
  },
  {
    text: 'select slot, id, v from w where slot = $1 order by id',
    oids: [int4],
    columns: 3,
    plain: true,
    values: () => [written('SLOT')],
  },
  {
    text: 'select 100 / (id - $1::int) as q from r where id < 30 order by id',
    oids: [int4],
    columns: 1,
    plain: true,
    values: (random) => [integer(random, 1, 60)],
  },
  {
    text: 'select id, v from t where id < $1 order by id',
    oids: [int4],
    columns: 2,
    plain: true,
    values: (random) => [integer(random, 0, 5)],
  },
  {
    text: 'select id, b from rv where id < $1 order by id',
    oids: [],
    columns: 2,
    plain: true,
    values: (random) => [integer(random, 0, 20)],
  },
  {
    text: 'select plain($1) as a, current_user::text as u',
    oids: [],
    columns: 2,
    plain: true,
    values: (random) => [integer(random, 0, 20)],
  },
  {
    text: 'select reading($1) as n',
    oids: [],
    columns: 1,
    plain: true,
    values: (random) => [integer(random, 0, 70)],
  },
  {
    text: 'with s as (select id, b from r where id < $1) select count(*), max(b) from s',
    oids: [],
    columns: 2,
    plain: true,
    values: (random) => [integer(random, 0, 20)],
  },
  {
    text: 'select $1::int as n from pg_sleep(0.02)',
    oids: [],
    columns: 1,
    plain: true,
    values: (random) => [integer(random, 0, 20)],
  },
  { text: 'show search_path', oids: [], columns: 1, plain: false, values: () => [] },
  { text: 'values (1, $1::text), (2, null)', oids: [], columns: 2, plain: true, values: (r) => [words(r)] },
  {
    text: 'select dynamic($1) as n',
    oids: [int4],
    columns: 1,
    plain: false,
    values: (random) => [integer(random, 0, 20)],
  },
  {
    // With a better match in public, what it means is certain only on the server: it runs in an enclosure.
    text: 'select md5($1::text) as m',
    oids: [textOid],
    columns: 1,
    plain: false,
    values: (random) => [words(random)],
  },
  {
    text: 'select shout($1) as s',
    oids: [textOid],
    columns: 1,
    plain: false,
    values: (random) => [written(pick(random, ['a', 'what', '']))],
  },
  {
    text: `select set_config('application_name', $1, false) as s`,
    oids: [],
    columns: 1,
    plain: false,
    values: (random) => [written(pick(random, ['a', 'b', 'c']))],
  },
  {
    text: 'select id, v from w where slot = $1 order by id for update',
    oids: [int4],
    columns: 2,
    plain: false,
    values: () => [written('SLOT')],
  },
  {
    text: 'insert into w values ($1, $2, $3) on conflict (slot, id) do nothing',
    oids: [],
    columns: 0,
    plain: false,
    values: (random) => [written('SLOT'), integer(random, 1, 12), words(random)],
  },
  {
    // One row: in which order several come depends on where they lie.
    text: 'update w set v = $2 where slot = $1 and id = $3 returning id',
    oids: [],
    columns: 1,
    plain: false,
    values: (random) => [written('SLOT'), words(random), integer(random, 0, 6)],
  },
  {
    text: 'delete from w where slot = $1',
    oids: [int4],
    columns: 0,
    plain: false,
    values: () => [written('SLOT')],
  },
  { text: 'select purge($1)', oids: [int4], columns: 1, plain: false, values: () => [written('SLOT')] },
  {
    text: 'with gone as (delete from w where slot = $1 returning id) select count(*) from gone',
    oids: [],
    columns: 1,
    plain: false,
    values: () => [written('SLOT')],
  },
  { text: 'begin', oids: [], columns: 0, plain: false, values: () => [] },
  { text: 'commit', oids: [], columns: 0, plain: false, values: () => [] },
  {
    text: 'copy (select id, b from r order by id) to stdout',
    oids: [],
    columns: 0,
    plain: false,
    values: () => [],
  },
  { text: '', oids: [], columns: 0, plain: false, values: () => [] },
  { text: 'select nope from r', oids: [], columns: 1, plain: false, values: () => [] },
];

const plainKinds = kinds.filter(({ plain }) => plain);
/** They begin and end transactions, which an interruption of its own does. */
const others = kinds.filter(({ plain, text }) => !plain && text !== 'begin' && text !== 'commit');

function pick<Item>(random: Random, list: readonly Item[]): Item {
  return list[Math.floor(random() * list.length)]!;
}

const names = ['s1', 's2', 'read', 'S_1', `n${'x'.repeat(40)}`, 'ä'];

interface WriteOptions {
  readonly until?: Write['until'];
  readonly cuts?: readonly number[];
  /** It may change whether the session is in a transaction, or whether that has failed. */
  readonly moves?: boolean;
}

/** Puts one script together. */
class Writer {
  readonly #random: Random;
  readonly slot: number;
  readonly writes: Write[] = [];
  /** What the names mean, as far as the script knows. */
  readonly prepared = new Map<string, Kind>();
  inTransaction = false;
  racing = false;
  torn = false;
  rounds = 0;
  fit = 0;
  #unanswered = false;

  constructor(random: Random, slot: number) {
    this.#random = random;
    this.slot = slot;
  }

  chance(share: number): boolean {
    return this.#random() < share;
  }

  pick<Item>(list: readonly Item[]): Item {
    return pick(this.#random, list);
  }

  between(from: number, to: number): number {
    return from + Math.floor(this.#random() * (to - from + 1));
  }

  write(label: string, frames: readonly Buffer[], options: WriteOptions = {}): void {
    const bytes = Buffer.concat(frames);
    const readies: number[] = [];
    let at = 0;
    for (const frame of frames) {
      at += frame.length;
      // What is broken begins with other letters.
      if (frame[0] === 0x51 || frame[0] === 0x53 || frame[0] === 0x46) readies.push(at);
    }
    // A Query takes the place of the statement without a name.
    if (frames.some((frame) => frame[0] === 0x51)) this.prepared.delete('');
    const until = options.until ?? 'ready';
    // A multiple answer, or none that is waited for: what follows may be read before or after it came.
    const many = readies.length > 1 || until === 'nothing' || until === 'answer';
    if (options.moves === true && (many || this.#unanswered)) this.racing = true;
    this.#unanswered = until === 'nothing';
    this.writes.push({ bytes, cuts: options.cuts ?? [], until, readies, label });
  }

  /** Where to cut a piece of so many bytes, if at all. */
  cuts(length: number, share: number): number[] {
    if (!this.chance(share)) return [];
    return [this.between(1, Math.max(length - 1, 1))];
  }

  values(kind: Kind): Value[] {
    return kind
      .values(this.#random)
      .map((value) => (value.bytes?.toString() === 'SLOT' ? written(String(this.slot)) : value));
  }

  /** Values of which one is none, too long for its type, or no such value at all. */
  odd(kind: Kind): Value[] {
    const values = this.values(kind);
    if (values.length === 0) return values;
    const at = this.between(0, values.length - 1);
    values[at] = this.pick<Value>([
      nothing,
      written('abc'),
      written(''),
      written('99999999999'),
      { format: 1, bytes: Buffer.from([0, 0, 1]) },
      { format: 0, bytes: Buffer.from([0xff, 0xfe]) },
      { format: 0, bytes: Buffer.from('a\0b') },
      { format: 1, bytes: Buffer.from([0, 0, 0, 7]) },
    ]);
    return values;
  }

  bind(name: string, kind: Kind, values: readonly Value[], portal = ''): Buffer {
    const each = values.map(({ format }) => format);
    const text = each.every((format) => format === 0);
    const binary = each.length > 0 && each.every((format) => format === 1);
    const formats = text ? this.pick([[], [], [], [0], each]) : binary ? this.pick([[1], each]) : each;
    const results = this.chance(0.75)
      ? []
      : this.pick([[0], [1], Array.from({ length: kind.columns }, () => this.between(0, 1))]);
    return bind(
      portal,
      name,
      values.map(({ bytes }) => bytes),
      formats,
      // A single format counts for any number of columns, but not for none of a statement that gives no rows.
      kind.columns === 0 && results.length > 0 ? [] : results,
    );
  }

  round(name: string, kind: Kind, { described = false, odd = false, limit = 0 } = {}): Buffer[] {
    const values = odd ? this.odd(kind) : this.values(kind);
    return [
      this.bind(name, kind, values),
      ...(described ? [describe('P', '')] : []),
      execute('', limit),
      sync(),
    ];
  }

  count(kind: Kind, many = 1, fit = true): void {
    this.rounds += many;
    if (fit && kind.plain && !this.inTransaction) this.fit += many;
  }

  /** The name stands for the text from here on. */
  prepare(name: string, kind: Kind): void {
    const frames = [
      // Also where the script knows of none: there may be one from a transaction that failed.
      ...(name === '' ? [] : [close('S', name)]),
      parse(name, kind.text, kind.oids),
    ];
    const way = this.between(0, 3);
    if (way === 1) frames.push(describe('S', name));
    if (way === 2) frames.push(...this.round(name, kind));
    else if (way === 3 && this.chance(0.3)) frames.push(flush(), sync());
    else frames.push(sync());
    this.write(`prepare ${name}: ${kind.text}`, frames, { moves: this.inTransaction });
    this.prepared.set(name, kind);
  }

  /** A name for the text, with a Parse where there is none or by chance. */
  named(kind: Kind): string {
    const known = [...this.prepared].find(([, one]) => one === kind);
    if (known !== undefined && this.chance(0.8)) return known[0];
    const name = this.chance(0.2) ? '' : this.pick(names);
    this.prepare(name, kind);
    return name;
  }

  /** Rounds of one statement, one after another. */
  burst(many: number, kind: Kind = this.pick(plainKinds)): void {
    const name = this.named(kind);
    const described = this.chance(0.3);
    const way = this.between(0, 9);
    if (way === 0) {
      this.glued(name, kind, many);
      return;
    }
    // A few hundred kilobytes a few times, not each time.
    for (let at = 0; at < many; at += 1) {
      const odd = this.chance(0.08);
      const limit = this.chance(0.05) ? this.between(1, 4) : 0;
      const shown = this.chance(0.1) ? !described : described;
      const frames = this.round(name, kind, { described: shown, odd, limit });
      const bytes = frames.reduce((sum, { length }) => sum + length, 0);
      const cuts = this.cuts(bytes, 0.06);
      const until = way === 1 && this.chance(0.5) && at < many - 1 ? 'nothing' : 'ready';
      this.count(kind, 1, limit === 0 && cuts.length === 0);
      this.write(`round of ${kind.text}`, frames, { cuts, until, moves: this.inTransaction });
    }
  }

  /** Rounds whose pieces end anywhere but where a round does. */
  glued(name: string, kind: Kind, many: number): void {
    const frames = Array.from({ length: many }, () => this.round(name, kind)).flat();
    const bytes = frames.reduce((sum, { length }) => sum + length, 0);
    const cuts = Array.from({ length: many }, () => this.between(1, bytes - 1)).sort((a, b) => a - b);
    this.count(kind, many, false);
    this.write(`${many} rounds in ${many} other pieces of ${kind.text}`, frames, {
      cuts: [...new Set(cuts)],
      moves: this.inTransaction,
    });
  }

  get script(): Omit<Script, 'seed' | 'slot'> {
    const { writes, racing, torn, rounds, fit } = this;
    return { writes, racing, torn, rounds, fit };
  }
}

/** What is between the rounds. */
const interruptions: readonly ((writer: Writer, slot: number) => void)[] = [
  (writer, slot) => {
    const text = writer.pick([
      'select id, b from r where id < 4 order by id',
      `select v from w where slot = ${slot} order by id`,
      '',
      ';;',
      'select 1; select 2 as two; select 3',
      'select 1/0',
      'selec',
      'show search_path',
      'show statement_timeout',
      'select v from wide where k = 300 order by id',
    ]);
    writer.write(`query ${text}`, [query(text)], { moves: writer.inTransaction });
  },
  (writer, slot) => {
    const text = writer.pick([
      `insert into w values (${slot}, ${writer.between(6, 40)}, 'new') on conflict (slot, id) do nothing`,
      `update w set v = v || '.' where slot = ${slot} and id < 3`,
      `update w set v = 'u' where slot = ${slot} and id = ${writer.between(1, 9)} returning id, v`,
      `insert into w values (${slot}, 1, 'twice')`,
    ]);
    writer.write(`query ${text}`, [query(text)], { moves: writer.inTransaction });
  },
  (writer) => {
    // What is no plain read, prepared and repeated in the same form.
    const kind = writer.pick(others);
    const name = writer.named(kind);
    const many = writer.between(1, 3);
    for (let at = 0; at < many; at += 1) {
      writer.count(kind);
      writer.write(`round of ${kind.text}`, writer.round(name, kind, { described: writer.chance(0.3) }), {
        moves: true,
      });
    }
  },
  (writer) => transaction(writer),
  (writer) => transaction(writer),
  (writer) => {
    const name = writer.pick(names);
    const kind = writer.pick(plainKinds);
    writer.write(
      `parse ${name} though it may be there: ${kind.text}`,
      [parse(name, kind.text, kind.oids), sync()],
      { moves: writer.inTransaction },
    );
    if (!writer.prepared.has(name)) writer.prepared.set(name, kind);
  },
  (writer) => {
    // The same name for another text, in one piece with its first round.
    const name = writer.pick(names);
    const kind = writer.pick(plainKinds);
    writer.count(kind, 1, false);
    writer.write(
      `close ${name}, parse it anew and run: ${kind.text}`,
      [close('S', name), parse(name, kind.text, kind.oids), ...writer.round(name, kind)],
      { moves: writer.inTransaction },
    );
    writer.prepared.set(name, kind);
  },
  (writer) => {
    const kind = writer.pick(plainKinds);
    const name = writer.pick(names);
    writer.prepare(name, kind);
    const text = writer.pick([`deallocate "${name}"`, 'deallocate all', 'discard all']);
    // A DISCARD within a transaction fails, and one that is refused leaves the names as they are.
    writer.write(`query ${text}`, [query(text)], { moves: writer.inTransaction });
    writer.write(`round of what may be gone: ${kind.text}`, writer.round(name, kind), {
      moves: writer.inTransaction,
    });
    writer.prepared.clear();
  },
  (writer) => {
    const value = writer.between(0, 20);
    const again = `prepare p1(int) as select id, a from r where id = $1`;
    writer.write('SQL PREPARE', [query(writer.chance(0.7) ? again : `deallocate p1; ${again}`)], {
      moves: writer.inTransaction,
    });
    writer.write('SQL EXECUTE', [query(`execute p1(${value})`)], { moves: writer.inTransaction });
    for (let at = 0; at < 3; at += 1)
      writer.write(
        'round of an SQL PREPARE',
        [bind('', 'p1', [Buffer.from(String(value + at))]), execute(''), sync()],
        { moves: writer.inTransaction },
      );
    writer.rounds += 3;
  },
  (writer) => {
    const text = writer.pick([
      'set search_path = one',
      'set search_path = two, public',
      'set search_path = public',
      'reset search_path',
      'set role pg_read_all_data',
      'set role pg_monitor',
      'reset role',
      'set role none',
      `set statement_timeout = '60s'`,
      'reset statement_timeout',
      `set application_name = 'x'`,
      `set timezone = 'Asia/Tokyo'; set datestyle = 'german'`,
      'reset all',
      `select set_config('search_path', 'one', false)`,
      `set standard_conforming_strings = off`,
      `set bytea_output = 'escape'`,
      `set plan_cache_mode = 'force_generic_plan'`,
    ]);
    writer.write(`query ${text}`, [query(text)], { moves: writer.inTransaction });
  },
  (writer, slot) => {
    const text = writer.pick([
      `delete from w where slot = ${slot}`,
      'drop table r',
      `select purge(${slot})`,
      'vacuum r',
      'create table nope (a int)',
    ]);
    if (writer.chance(0.5)) writer.write(`query ${text}`, [query(text)], { moves: writer.inTransaction });
    else
      writer.write(`as a round: ${text}`, [parse('', text), bind('', ''), execute(''), sync()], {
        moves: writer.inTransaction,
      });
    writer.prepared.delete('');
  },
  (writer, slot) => {
    // A refusal in the middle of a pipeline.
    const kind = writer.pick(plainKinds);
    const name = writer.named(kind);
    const read = () => [writer.bind(name, kind, writer.values(kind)), execute('')];
    writer.count(kind, 2, false);
    writer.write(
      `a pipeline with a DELETE between two of: ${kind.text}`,
      [
        ...read(),
        parse('', `delete from w where slot = ${slot}`),
        bind('', ''),
        execute(''),
        ...(name === '' ? [] : read()),
        sync(),
      ],
      { moves: writer.inTransaction },
    );
    writer.prepared.delete('');
  },
  (writer) => {
    const text = writer.pick([
      'copy (select id, b from r order by id) to stdout',
      'copy wide to stdout with (format binary)',
    ]);
    writer.write(`query ${text}`, [query(text)], { moves: writer.inTransaction });
  },
  (writer) => {
    // Portals with a name live until the Sync.
    const kind = writer.pick(plainKinds);
    const name = writer.named(kind);
    const limit = writer.between(1, 3);
    writer.count(kind, 1, false);
    writer.write(
      `a named portal of: ${kind.text}`,
      [
        writer.bind(name, kind, writer.values(kind), 'p'),
        ...(writer.chance(0.5) ? [describe('P', 'p')] : []),
        execute('p', limit),
        execute('p', limit),
        ...(writer.chance(0.5) ? [close('P', 'p')] : []),
        ...(writer.chance(0.3) ? [execute('p')] : []),
        sync(),
      ],
      { moves: writer.inTransaction },
    );
    if (writer.chance(0.5))
      writer.write('its portal once more', [execute('p'), sync()], { moves: writer.inTransaction });
  },
  (writer) => {
    // Several rounds in one piece, each with its Sync.
    const kind = writer.pick(plainKinds);
    const name = writer.named(kind);
    const many = writer.between(2, 6);
    writer.count(kind, many, false);
    const frames = Array.from({ length: many }, () =>
      writer.round(name, kind, { odd: writer.chance(0.1), described: writer.chance(0.2) }),
    ).flat();
    writer.write(`${many} rounds in one piece of: ${kind.text}`, frames, { moves: writer.inTransaction });
  },
  (writer) => {
    // Several statements before one Sync, which may come later.
    const kind = writer.pick(plainKinds);
    const name = writer.named(kind);
    const many = writer.between(1, 4);
    writer.count(kind, many, false);
    const frames = Array.from({ length: many }, () => [
      writer.bind(name, kind, writer.chance(0.1) ? writer.odd(kind) : writer.values(kind)),
      execute(''),
    ]).flat();
    if (writer.chance(0.5))
      writer.write(`${many} before one Sync: ${kind.text}`, [...frames, sync()], {
        moves: writer.inTransaction,
      });
    else {
      writer.write(`${many} without a Sync: ${kind.text}`, frames, {
        until: 'nothing',
        moves: writer.inTransaction,
      });
      writer.write('the Sync', [sync()]);
    }
  },
  (writer) => {
    const kind = writer.pick(plainKinds);
    const name = writer.named(kind);
    writer.count(kind, 1, false);
    writer.write(
      `with a Flush: ${kind.text}`,
      [writer.bind(name, kind, writer.values(kind)), execute(''), flush()],
      { until: 'answer', moves: writer.inTransaction },
    );
    writer.write('the Sync', [sync()]);
  },
  (writer) => {
    // The same frames in other orders and numbers.
    const kind = writer.pick(plainKinds);
    const name = writer.named(kind);
    const bound = () => writer.bind(name, kind, writer.values(kind));
    const frames = writer.pick([
      () => [bound(), sync()],
      () => [bound(), describe('P', ''), sync()],
      () => [bound(), execute(''), execute(''), sync()],
      () => [bound(), execute(''), describe('P', ''), sync()],
      () => [bound(), bound(), execute(''), sync()],
      () => [bound(), execute(''), close('P', ''), sync()],
      () => [bound(), execute(''), sync(), sync()],
      () => [bound(), execute('', -1), sync()],
      () => [describe('S', name), bound(), execute(''), sync()],
      () => [execute(''), sync()],
      () => [sync()],
      () => [flush(), bound(), execute(''), sync()],
      () => [bound(), describe('P', ''), describe('P', ''), execute(''), sync()],
    ])();
    writer.count(kind, 1, false);
    writer.write(`another order: ${kind.text}`, frames, { moves: writer.inTransaction });
  },
  (writer) => {
    // A Query ahead of the Sync: of a round that cannot fail, since what follows an error is skipped up to the Sync.
    const kind = kinds.find(({ text }) => text === 'select 1 as one')!;
    if (writer.inTransaction) return;
    writer.prepare('s1', kind);
    writer.count(kind, 1, false);
    writer.write(`a Query ahead of the Sync: ${kind.text}`, [
      writer.bind('s1', kind, []),
      execute(''),
      query('select 7'),
      sync(),
    ]);
    // PostgreSQL itself fails at the next Parse after that.
    writer.write('a Parse behind it', [parse('', 'select 1'), sync()]);
  },
  (writer) => {
    // Answered by an error and a ReadyForQuery of its own.
    writer.write('a function call', [functionCall(1)], { moves: writer.inTransaction });
  },
  (writer) => {
    // What a driver without names sends each time.
    const kind = writer.pick(plainKinds);
    for (let at = writer.between(1, 4); at > 0; at -= 1) {
      writer.count(kind, 1, false);
      writer.write(
        `without a name: ${kind.text}`,
        [
          parse('', kind.text, kind.oids),
          writer.bind('', kind, writer.values(kind)),
          describe('P', ''),
          execute(''),
          sync(),
        ],
        { moves: writer.inTransaction },
      );
    }
    writer.prepared.set('', kind);
  },
  (writer) => {
    const channel = writer.pick(['a', 'b']);
    const text = writer.pick([`listen "ch"`, `unlisten *`, `select pg_notify('nobody', '${channel}')`]);
    writer.write(`query ${text}`, [query(text)], { moves: writer.inTransaction });
  },
  (writer) => {
    // What the server, or the proxy, must refuse, and the connection goes on.
    const kind = writer.pick(plainKinds);
    const name = writer.named(kind);
    const good = writer.bind(name, kind, writer.values(kind));
    const values = writer.values(kind).map(({ bytes }) => bytes);
    const broken = writer.pick([
      () => bind('', name, [...values, Buffer.from('1')]),
      () => bind('', name, values.slice(1)),
      () => bind('', name, values, [9]),
      () => bind('', name, values, [0, 0, 0, 0, 0]),
      () => bind('', name, values, [], [7]),
      () => bind('', name, values, [], [0, 1, 0, 1, 0, 1, 0, 1, 0]),
      () => bind('', 'gone', values),
      () => bind('', `${name}2`, values),
      // Shorter, longer, and with a length that is none, each in a frame whose own length is right.
      () => rawFrame('B', good.subarray(5, good.length - writer.between(1, 4))),
      () => rawFrame('B', Buffer.concat([good.subarray(5), Buffer.from([0])])),
      () => rawFrame('B', Buffer.from(`\0${name}\0\0\0\0\x01\xff\xff\xff\xfe\0\0`, 'latin1')),
      () => rawFrame('B', Buffer.from(`\0${name}\0\0\0\0\x01\x7f\xff\xff\xff\0\0`, 'latin1')),
      () => rawFrame('B', Buffer.from(`\0${name}\0\0\0\xff\xff\0\0`, 'latin1')),
      () => rawFrame('B', Buffer.from(`${name}`, 'latin1')),
      () => rawFrame('B', ''),
    ])();
    const behind = writer.pick([
      [execute(''), sync()],
      [execute(''), sync()],
      [rawFrame('E', Buffer.from('\0')), sync()],
      [execute('nobody'), sync()],
      [describe('P', 'nobody'), sync()],
      [rawFrame('D', Buffer.from('Q\0')), sync()],
    ]);
    writer.count(kind, 1, false);
    writer.write(`a round that is broken: ${kind.text}`, [writer.chance(0.7) ? broken : good, ...behind], {
      moves: writer.inTransaction,
    });
  },
];

/** The same statements again and again, with other values: queries, changes of one row, whole transactions of both. */
function loop(writer: Writer, slot: number): void {
  const n = () => writer.between(-9, 70);
  const texts = [
    () => `select a, b from r where id = ${n()}`,
    () => `select count(*) from r where a < ${n()} and id > ${n()}`,
    () => 'select v from t order by id',
    () => `select b from r where id in (${n()}, ${n()}) order by id -- ${writer.between(0, 1)}`,
    () => `select a, '${writer.between(0, 9)}' from r where id = 7`,
    () => `select 7 / ${writer.between(0, 4)}`,
  ];
  const changes = [
    () => `update w set v = 'new' where slot = ${slot} and id = ${writer.between(0, 6)}`,
    () =>
      `update w set v = v || ${writer.between(0, 9)} where slot = ${slot} and id = ${writer.between(1, 5)}`,
    () => `insert into w values (${slot}, ${writer.between(5, 9)}, 'more') on conflict do nothing`,
    () => `insert into w values (${slot}, ${writer.between(4, 12)}, 'maybe twice')`,
    () => `select v from w where slot = ${slot} and id = ${writer.between(1, 5)} for update`,
  ];
  const chosen = [writer.pick(texts), writer.pick(texts), writer.pick(changes), writer.pick(changes)];
  const ask = (text: string) => writer.write(`query ${text}`, [query(text)], { moves: writer.inTransaction });
  const inside = writer.inTransaction ? 0 : writer.between(0, 4);
  if (inside === 0) {
    // Within a transaction a change that fails would end all.
    const some = writer.inTransaction ? chosen.slice(0, 2) : chosen;
    for (let at = writer.between(4, 16); at > 0; at -= 1) ask(writer.pick(some)());
    return;
  }
  const end = writer.pick(['commit', 'commit', 'end', 'rollback']);
  for (let at = inside + 1; at > 0; at -= 1) {
    writer.write('query begin', [query('begin')], { moves: true });
    for (let each = writer.between(1, 5); each > 0; each -= 1) {
      const text = writer.pick(chosen)();
      writer.write(`query ${text}`, [query(text)], { moves: true });
    }
    const last = writer.chance(0.9) ? end : writer.pick(['commit', 'rollback', 'commit and chain']);
    writer.write(`query ${last}`, [query(last)], { moves: true });
    if (last === 'commit and chain') writer.write('query rollback', [query('rollback')], { moves: true });
  }
}

/** BEGIN, rounds and some of the rest, and its end. */
function transaction(writer: Writer): void {
  if (writer.inTransaction) return;
  const begin = writer.pick([
    'begin',
    'begin',
    'start transaction read only',
    'begin isolation level serializable',
  ]);
  const extended = (text: string) => [parse('', text), bind('', ''), execute(''), sync()];
  const say = (text: string) => {
    if (writer.chance(0.7)) writer.write(`query ${text}`, [query(text)], { moves: true });
    else {
      writer.write(`as a round: ${text}`, extended(text), { moves: true });
      writer.prepared.delete('');
    }
  };
  say(begin);
  writer.inTransaction = true;
  for (let at = writer.between(1, 3); at > 0; at -= 1) {
    if (writer.chance(0.5)) writer.burst(writer.between(1, 4));
    else writer.pick(interruptions)(writer, writer.slot);
    if (writer.chance(0.2))
      say(writer.pick(['savepoint s', 'rollback to s', 'set local search_path = two', 'select 1/0']));
  }
  // A portal that outlives its Sync.
  if (writer.chance(0.3)) {
    const kind = writer.pick(plainKinds);
    const name = writer.named(kind);
    writer.write(
      `a portal in a transaction: ${kind.text}`,
      [writer.bind(name, kind, writer.values(kind), 'q'), execute('q', 1), sync()],
      { moves: true },
    );
    writer.burst(1);
    writer.write('the portal goes on', [execute('q', 2), sync()], { moves: true });
  }
  if (writer.chance(0.15)) {
    // In a transaction, so that nothing but the sleeper can be too slow.
    writer.write('a limit of its own', [query('set local statement_timeout = 300')], { moves: true });
    writer.write('a sleeper', extended('select 1 from pg_sleep(30)'), { moves: true });
    writer.prepared.delete('');
  }
  say(writer.pick(['commit', 'commit', 'rollback', 'commit and chain']));
  say('rollback');
  writer.inTransaction = false;
  // What was prepared in it may have failed.
  writer.prepared.clear();
}

/** How it ends. */
function ending(writer: Writer): void {
  const kind = writer.pick(plainKinds);
  const name = writer.named(kind);
  const round = writer.round(name, kind);
  const length = round.reduce((sum, frame) => sum + frame.length, 0);
  const way = writer.between(0, 11);
  switch (way) {
    case 0:
      writer.write('Terminate in the middle of a round', [...round.slice(0, -1), terminate()], {
        until: 'closed',
      });
      writer.torn = true;
      return;
    case 1:
      writer.write('Terminate right behind a round', [...round, terminate()], { until: 'closed' });
      writer.torn = true;
      return;
    case 2:
      writer.write(
        'a round whose end never comes',
        [Buffer.concat(round).subarray(0, writer.between(1, length - 1))],
        { until: 'gone' },
      );
      writer.torn = true;
      return;
    case 3:
      writer.write('a round that nobody waits for', round, { until: 'gone' });
      writer.torn = true;
      return;
    case 4:
      writer.write('an unknown type', [rawFrame('y', 'what')], { until: 'closed' });
      return;
    case 5:
      writer.write('an unknown type behind a round', [...round, rawFrame('\x01', '')], { until: 'closed' });
      writer.torn = true;
      return;
    case 6:
      writer.write('a frame of a negative length', [Buffer.from([0x42, 0xff, 0xff, 0xff, 0xf0, 0, 0])], {
        until: 'closed',
      });
      return;
    case 7:
      writer.write('a frame that is too short', [Buffer.from([0x42, 0, 0, 0, 3])], { until: 'closed' });
      return;
    case 8:
      writer.write('a frame that is too long', [Buffer.from([0x42, 0x7f, 0xff, 0xff, 0xff, 0, 0])], {
        until: 'closed',
      });
      return;
    default:
      writer.write('Terminate', [terminate()], { until: 'closed' });
  }
}

/** The script of a seed. Scripts of neighboring seeds have different slots. */
export function scriptOf(seed: number): Script {
  const slot = seed % slots;
  const random = randomOf(seed);
  const writer = new Writer(random, slot);
  for (let at = writer.between(3, 7); at > 0; at -= 1) {
    writer.burst(writer.between(4, 16));
    if (writer.chance(0.7)) writer.pick(interruptions)(writer, slot);
    if (writer.chance(0.4)) loop(writer, slot);
  }
  ending(writer);
  return { seed, slot, ...writer.script };
}
