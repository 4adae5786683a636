// Listing: `SHOW holdpoint.requests`, answered by a stand-in: a SELECT over constants that the server answers, so that
// order, transactions, pipelines and Describe are the server's own. Nothing in it is looked up, called or read. Pure;
// refuses to know where the requests come from. Source: DESIGN §1.3; the manual, "String Constants with C-Style Escapes".

import { HoldpointError } from '../errors.ts';
import type { Statement } from '../sql/statement.ts';
import type { BindMessage } from '../wire/messages/frontend.ts';
import { bind, close, frontendType, parse } from '../wire/messages/frontend.ts';
import { expected, type Replies } from './replies.ts';

/** One of the agent's own requests, as the agent may see it. Times are milliseconds since the epoch. */
export interface OwnRequest {
  readonly id: string;
  readonly state: string;
  readonly created: number;
  readonly expires: number;
  /** The beginning of the text, without secrets. */
  readonly statement: string;
  readonly approvals: number;
  readonly reason: string | null;
}

const setting = 'holdpoint.requests';

/** True if the text asks for the list. Throws `not-supported` if it does so among others: it is not put together anew. */
export function asksForRequests(statements: readonly Statement[]): boolean {
  if (!statements.some(({ shows }) => shows === setting)) return false;
  if (statements.length === 1) return true;
  throw new HoldpointError('not-supported', `SHOW ${setting} cannot be one of several statements of a text`, {
    hint: 'Send it by itself.',
  });
}

/** Columns and their types, in order. */
const columns = [
  ['id', 'text'],
  ['state', 'text'],
  ['created', 'timestamptz'],
  ['expires', 'timestamptz'],
  ['statement', 'text'],
  ['approvals', 'int4'],
  ['reason', 'text'],
] as const;

/**
 * The SELECT that gives these rows. Means the same whatever the session's settings and search_path are: types are
 * qualified, and literals are ASCII in a form that no setting changes. `unicode`: the server's encoding has every
 * character; elsewhere what is beyond ASCII becomes `?`.
 */
export function listingQuery(requests: readonly OwnRequest[], unicode: boolean): string {
  const rows = requests.map(({ id, state, created, expires, statement, approvals, reason }) => [
    literal(id, unicode),
    literal(state, unicode),
    literal(new Date(created).toISOString(), unicode),
    literal(new Date(expires).toISOString(), unicode),
    literal(statement, unicode),
    String(Math.trunc(approvals)),
    reason === null ? 'NULL' : literal(reason, unicode),
  ]);
  const values = (rows.length > 0 ? rows : [columns.map(() => 'NULL')]).map(typed);
  const names = columns.map(([name]) => `"${name}"`).join(', ');
  const none = rows.length > 0 ? '' : ' WHERE false';
  return `SELECT ${names} FROM (VALUES ${values.join(', ')}) AS requests (${names})${none}`;
}

function typed(row: readonly string[]): string {
  return `(${row.map((value, at) => `${value}::pg_catalog.${columns[at]![1]}`).join(', ')})`;
}

/** An escape string: backslashes mean the same there under every setting, and no byte of it can be part of another. */
function literal(text: string, unicode: boolean): string {
  const escaped = text
    .toWellFormed()
    .replaceAll('\0', '')
    .replaceAll(/['\\]|[^\x20-\x7e]/gu, (character) => {
      if (character === "'") return "''";
      if (character === '\\') return '\\\\';
      const code = character.codePointAt(0) ?? 0;
      if (code > 0x7f && !unicode) return '?';
      return `\\U${code.toString(16).padStart(8, '0')}`;
    });
  return `E'${escaped}'`;
}

/** The list of one session: fetched for a frame, and given to it when it is offered again. */
export class Listing {
  readonly #fetch: (() => Promise<readonly OwnRequest[]>) | undefined;
  readonly #newId: () => string;
  /** Names a statement of ours that a portal is bound to; the client's own keeps the list of its Parse. */
  #statement = '';
  readonly #unicode: boolean;
  #fetched: readonly OwnRequest[] | HoldpointError | undefined;

  /** `fetch` undefined: the server is asked for the setting itself. `newId`: as in SessionOptions. */
  constructor(
    fetch: (() => Promise<readonly OwnRequest[]>) | undefined,
    newId: () => string,
    unicode: boolean,
  ) {
    this.#fetch = fetch;
    this.#newId = newId;
    this.#unicode = unicode;
  }

  /** True if the text is one that this answers. Throws `not-supported`. */
  answers(statements: readonly Statement[]): boolean {
    return this.#fetch !== undefined && asksForRequests(statements);
  }

  /**
   * The SELECT in place of the text; or, while the list is not there yet, when to offer the frame again. Throws
   * `store-unreachable`.
   */
  query(): string | Promise<void> {
    const fetched = this.#fetched;
    if (fetched === undefined) return this.#load();
    this.#fetched = undefined;
    if (fetched instanceof HoldpointError) throw fetched;
    return listingQuery(fetched, this.#unicode);
  }

  async #load(): Promise<void> {
    this.#fetched = await this.#fetch!().catch((cause: unknown) => {
      if (cause instanceof HoldpointError && cause.code === 'store-unreachable') return cause;
      return new HoldpointError('store-unreachable', 'the requests cannot be listed now', {
        hint: 'Try again in a moment.',
        cause,
      });
    });
  }

  /**
   * A Bind to a list of now, whenever its statement was prepared: frames of ours that make it, for which nothing is
   * owed to the client, and the Bind itself.
   */
  bound(query: string, asked: BindMessage, replies: Replies): { before: Buffer; instead: Buffer } {
    const { portal, parameters, parameterFormats, resultFormats } = asked;
    if (this.#statement === '') this.#statement = `holdpoint_${this.#newId()}`;
    const before = Buffer.concat([close('S', this.#statement), parse(this.#statement, query)]);
    for (const type of [frontendType.close, frontendType.parse])
      replies.push(expected(type, undefined, undefined, 'injected'));
    return { before, instead: bind(portal, this.#statement, parameters, parameterFormats, resultFormats) };
  }
}
