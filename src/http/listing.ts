// Listing: which requests an approver's list shows, by what the address asks for. Refuses to draw them.

import type { Desk } from '../approval/desk.ts';
import { type IntactRequest, intactRequest } from '../approval/release.ts';
import type { ListFilter, RequestState, StoredRequest } from '../store/store.ts';
import { standingOf } from './standing.ts';

/** What the address asks for. `before`: milliseconds since the epoch. */
export interface Chosen {
  readonly show: 'waiting' | 'mine' | 'decided' | 'all';
  readonly agent: string | undefined;
  readonly target: string | undefined;
  readonly before: number | undefined;
}

const pageRows = 50;
/** Rows looked at for the names that the filters offer, and for those that wait for one approver. */
const lookRowsMax = 500;

const states: Readonly<Record<Chosen['show'], readonly RequestState[] | undefined>> = {
  waiting: ['pending'],
  mine: ['pending'],
  decided: ['approved', 'consumed', 'executed', 'failed', 'unknown', 'rejected', 'expired', 'canceled'],
  all: undefined,
};

/** What a query asks for; what it does not know it takes for not said. */
export function chosenBy(query: (name: string) => string | undefined): Chosen {
  const asked = query('show');
  const show = (Object.keys(states) as Chosen['show'][]).find((one) => one === asked) ?? 'waiting';
  const text = (name: string) => {
    const value = query(name);
    return value === undefined || value === '' || value.length > 200 ? undefined : value;
  };
  const before = Number(query('before'));
  return {
    show,
    agent: text('agent'),
    target: text('target'),
    before: Number.isSafeInteger(before) && before > 0 ? before : undefined,
  };
}

export interface Listing {
  readonly rows: readonly { readonly row: StoredRequest; readonly intact: IntactRequest | undefined }[];
  readonly agents: readonly string[];
  readonly targets: readonly string[];
  readonly before: number | undefined;
}

/** The page of rows for `approver`, and the names that occur. */
export async function listing(desk: Desk, chosen: Chosen, approver: string, now: number): Promise<Listing> {
  const { show, agent, target, before } = chosen;
  const filter: Omit<ListFilter, 'rowsMax'> = {
    ...(states[show] && { states: states[show] }),
    ...(agent !== undefined && { agent }),
    ...(target !== undefined && { target }),
    ...(before !== undefined && { before }),
  };
  const [found, all] = await Promise.all([
    desk.list({ ...filter, rowsMax: show === 'mine' ? lookRowsMax : pageRows + 1 }),
    desk.list({ rowsMax: lookRowsMax }),
  ]);
  const opened = found.map((row) => ({ row, intact: intactOf(row) }));
  const wanted = show === 'mine' ? opened.filter((each) => waitsFor(each, approver, now)) : opened;
  const rows = wanted.slice(0, pageRows);
  return {
    rows,
    agents: namesOf(all.map((row) => row.agent)),
    targets: namesOf(all.map((row) => row.target)),
    before: wanted.length > pageRows ? rows.at(-1)?.row.created : undefined,
  };
}

function waitsFor(
  { row, intact }: { row: StoredRequest; intact: IntactRequest | undefined },
  name: string,
  now: number,
): boolean {
  if (intact === undefined) return false;
  const { open, voted, barred } = standingOf(row, intact, { kind: 'approver', name }, undefined, now, false);
  return open && voted === undefined && barred === undefined;
}

function intactOf(row: StoredRequest): IntactRequest | undefined {
  try {
    return intactRequest(row);
  } catch {
    return undefined;
  }
}

function namesOf(names: readonly string[]): string[] {
  return [...new Set(names)].sort().slice(0, 50);
}
