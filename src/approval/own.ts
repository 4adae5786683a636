// Own: what an agent may see of its requests: that they are there, what became of them, and what a person said. Nothing
// that helps to decide on one, and no text that was kept from the log. Refuses to know how it is told.

import type { ListFilter, StoredRequest } from '../store/store.ts';
import { intactRequest } from './release.ts';
import { plainLine, visibleText } from './visible.ts';

/** Newest first, at most so many. */
const ownRowsMax = 50;
/** Characters of a statement, and of a person's words. */
const statementCharactersMax = 200;
export const wordsCharactersMax = 500;

/** Times are milliseconds since the epoch. */
export interface OwnRequest {
  readonly id: string;
  readonly state: string;
  readonly created: number;
  readonly expires: number;
  readonly statement: string;
  readonly approvals: number;
  /** Why it ended, where it has: a person's words, or what came of it. */
  readonly reason: string | null;
}

/** The newest requests of the agent. Rejects with `store-unreachable`. */
export async function ownRequests(
  desk: { list(filter: ListFilter): Promise<StoredRequest[]> },
  agent: string,
): Promise<OwnRequest[]> {
  const rows = await desk.list({ agent, rowsMax: ownRowsMax });
  return rows.flatMap((row) => {
    const own = row.agent === agent ? ownRequest(row) : undefined;
    return own === undefined ? [] : [own];
  });
}

/** Undefined for a row that is not what was recorded. */
function ownRequest(row: StoredRequest): OwnRequest | undefined {
  try {
    const { request } = intactRequest(row);
    return {
      id: row.rid,
      state: row.state,
      created: request.created,
      expires: request.exp,
      statement: [...visibleText(request.sql)].slice(0, statementCharactersMax).join(''),
      approvals: row.votes.filter(({ verdict }) => verdict === 'approve').length,
      reason: row.ending === null ? null : plainLine(row.ending.reason, wordsCharactersMax),
    };
  } catch {
    return undefined;
  }
}
