// Shared: two Holdpoints on one store in front of one database, and statements that tell by themselves how often they
// ran. What a test on several nodes asks again and again.

import pg from 'pg';
import { query } from '../../src/wire/messages/frontend.ts';
import { type Guard, type GuardOptions, startGuard } from './holdpoint.ts';
import { createDatabase, type TestDatabase } from './postgres.ts';
import { errorFields, type RawClient, type Reply } from './raw.ts';

/** Stores come back, nodes are given up and servers promoted in their own time. */
const patienceMs = 120_000;

export interface Witness {
  readonly database: TestDatabase;
  readonly direct: pg.Client;
  /** A statement that is held, because it deletes, and that leaves a row behind each time that it runs. */
  write(name: string): string;
  /** How often it ran. */
  runs(name: string): Promise<number>;
  /** Every name with how often it ran. */
  all(): Promise<Map<string, number>>;
  close(): Promise<void>;
}

export async function newWitness(): Promise<Witness> {
  const database = await createDatabase({ shop: true });
  const direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  await direct.query('create table runs (name text); create table victims (name text)');
  const all = async (): Promise<Map<string, number>> => {
    const { rows } = await direct.query('select name, count(*)::int as n from runs group by name');
    return new Map(rows.map(({ name, n }) => [name, n]));
  };
  return {
    database,
    direct,
    write: (name) => `with gone as (delete from victims) insert into runs values ('${name}')`,
    runs: async (name) => (await all()).get(name) ?? 0,
    all,
    async close() {
      await direct.end();
      await database.drop();
    },
  };
}

/** Two nodes of one Holdpoint; the first waits long, the second no more than a moment. */
export async function startPair(
  witness: Witness,
  store: string,
  options: Partial<GuardOptions> = {},
): Promise<[Guard, Guard]> {
  const { url } = witness.database;
  const one = await startGuard({
    url,
    store: { url: store, node: 'n1' },
    hold: { waitMs: 300_000 },
    ...options,
  });
  const two = await startGuard({
    url,
    store: { url: store, node: 'n2' },
    hold: { waitMs: 100 },
    ...options,
    like: one,
  });
  return [one, two];
}

/** What a statement came to. */
export interface Answer {
  /** `ran`, or the SQLSTATE of its error, or `lost` where the connection ended without an answer. */
  readonly came: string;
  /** The request that it was held for, if it was. */
  readonly rid: string | undefined;
  readonly message: string;
}

export function answerOf(replies: readonly Reply[]): Answer {
  const error = replies.find(({ letter }) => letter === 'E');
  const told = error ?? replies.find(({ letter }) => letter === 'N');
  const detail = told === undefined ? undefined : errorFields(told).get('D');
  const rid = detail?.startsWith('{') ? (JSON.parse(detail).request as string) : undefined;
  if (error === undefined) {
    const came = replies.some(({ letter }) => letter === 'Z') ? 'ran' : 'lost';
    return { came, rid, message: '' };
  }
  const fields = errorFields(error);
  return { came: fields.get('C') ?? '', rid, message: fields.get('M') ?? '' };
}

/** Sends a statement and waits for its whole answer. */
export async function answered(client: RawClient, sql: string): Promise<Answer> {
  client.patienceMs = patienceMs;
  client.send(query(sql));
  return answerOf(await client.until('Z'));
}

/** Sends a statement that is held, and waits for the notice: the request's name. */
export async function held(client: RawClient, sql: string): Promise<string> {
  client.patienceMs = patienceMs;
  client.send(query(sql));
  const [notice] = await client.take(1);
  const { rid, came, message } = answerOf([notice!]);
  if (notice!.letter !== 'N' || rid === undefined) throw new Error(`not held: ${came} ${message}`);
  return rid;
}
