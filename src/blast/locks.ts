// Locks: who holds and who waits for locks on relations now, and what the session that is held has locked already. Counts
// sessions; refuses to know their statements. Where the role may not see another's transaction, that is said.
// Source: the manual, 13.3 and "pg_locks".

import type { LockNeed, OpenTransaction } from '../approval/effect.ts';
import { flag, number, type Row, text } from '../catalog/row.ts';
import { conflicting, type LockMode, lockModes } from '../sql/lock-modes.ts';
import { type Asker, oids } from './asker.ts';
import type { Member } from './relations.ts';

/** One lock that somebody else has or wants. */
interface Held {
  readonly relation: number;
  readonly mode: LockMode;
  readonly granted: boolean;
  /** Names the session, or the prepared transaction. */
  readonly by: string;
  /** The session that is held itself. */
  readonly own: boolean;
  /** Milliseconds since its transaction began. */
  readonly ageMs: number | undefined;
  /** Its transaction may not be seen. */
  readonly hidden: boolean;
}

export interface LockTable {
  /** A sentence if somebody locks everybody out of it, or is next to. */
  blockedBy(relation: number): string | undefined;
  need(relation: string, members: readonly Member[], mode: LockMode): LockNeed;
  /** Some of the transactions counted may not be seen. */
  readonly hidden: boolean;
}

const locksMax = 10_000;
/** What other roles' rows of pg_stat_activity hold in place of their statement. */
const hiddenText = '<insufficient privilege>';

/** `pid`: of the session that is held. */
export async function lockTable(
  asker: Asker,
  relations: Iterable<number>,
  pid: number | undefined,
): Promise<LockTable> {
  const [rows = []] = await asker.ask(question([...relations], pid));
  return new Table(rows.map(heldOf));
}

const question = (relations: readonly number[], pid: number | undefined): string => `
SELECT l.relation, l.mode, l.granted, COALESCE(l.pid::pg_catalog.text, l.virtualtransaction), l.pid = ${pid ?? -1},
  (EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.xact_start) * 1000)::pg_catalog.int8, a.query = '${hiddenText}'
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.mode <> 'SIReadLock' AND l.relation = ANY (${oids(relations)}) AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
LIMIT ${locksMax}`;

/** pg_locks has `AccessExclusiveLock` for ACCESS EXCLUSIVE. */
function modeOf(cell: string): LockMode {
  const words = cell
    .replace(/Lock$/, '')
    .replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ')
    .toUpperCase();
  return lockModes.find((mode) => mode === words) ?? 'ACCESS EXCLUSIVE';
}

function heldOf([relation, mode, granted, by, own, ageMs, hidden]: Row): Held {
  return {
    relation: number(relation),
    mode: modeOf(text(mode)),
    granted: flag(granted),
    by: text(by),
    own: flag(own),
    ageMs: ageMs === null || ageMs === undefined ? undefined : Math.max(0, number(ageMs)),
    hidden: flag(hidden),
  };
}

class Table implements LockTable {
  readonly #held: readonly Held[];
  hidden = false;

  constructor(held: readonly Held[]) {
    this.#held = held;
  }

  blockedBy(relation: number): string | undefined {
    // Who waits for it comes before us as well.
    const found = this.#held.find((each) => each.relation === relation && each.mode === 'ACCESS EXCLUSIVE');
    if (found === undefined) return undefined;
    const who = found.own ? 'this session itself' : 'another session';
    return found.granted
      ? `${who} holds an ACCESS EXCLUSIVE lock on it`
      : `${who} waits for an ACCESS EXCLUSIVE lock on it`;
  }

  need(relation: string, members: readonly Member[], mode: LockMode): LockNeed {
    const numbers = new Set(members.map(({ oid }) => oid));
    const others = this.#held.filter((each) => numbers.has(each.relation) && !each.own);
    const modes = conflicting(mode);
    const holders = others.filter((each) => each.granted && modes.includes(each.mode));
    if (holders.some(({ hidden }) => hidden)) this.hidden = true;
    const ages = holders.flatMap(({ ageMs }) => (ageMs === undefined ? [] : [ageMs]));
    return {
      relation,
      mode,
      behind: new Set(holders.map(({ by }) => by)).size,
      waiting: new Set(others.filter(({ granted }) => !granted).map(({ by }) => by)).size,
      ...(ages.length === 0 ? {} : { oldestMs: Math.max(...ages) }),
    };
  }
}

/** `wrote`: it has changed something that nobody else sees. */
export interface Opened {
  readonly transaction: OpenTransaction;
  readonly wrote: boolean;
}

/** Of the session with that backend; undefined if it is not found or has none open. */
export async function openTransaction(asker: Asker, pid: number): Promise<Opened | undefined> {
  const [[row] = [], locks = [], [waiting] = []] = await asker.ask(`
SELECT (EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.xact_start) * 1000)::pg_catalog.int8, a.backend_xid IS NOT NULL
FROM pg_catalog.pg_stat_activity a WHERE a.pid = ${pid} AND a.xact_start IS NOT NULL;
SELECT l.mode, n.nspname, c.relname
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = ${pid} AND l.granted AND l.locktype = 'relation' AND l.mode <> 'SIReadLock' AND l.relation >= 16384
  AND (c.relkind IS NULL OR c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S'))
ORDER BY n.nspname, c.relname, l.mode LIMIT ${locksMax};
SELECT count(DISTINCT l.pid) FROM pg_catalog.pg_locks l
WHERE NOT l.granted AND l.pid <> ${pid} AND ${pid} = ANY (pg_catalog.pg_blocking_pids(l.pid))`);
  if (row === undefined) return undefined;
  const words = locks.map(([mode, schema, name]) =>
    schema === null
      ? `${modeOf(text(mode))} on a relation that only this session sees`
      : `${modeOf(text(mode))} on ${schema}.${name}`,
  );
  return {
    transaction: {
      openMs: Math.max(0, number(row[0])),
      locks: [...new Set(words)],
      blocks: number(waiting?.[0]),
    },
    wrote: flag(row[1]),
  };
}
