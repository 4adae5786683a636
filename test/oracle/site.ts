// Site: one fresh copy of the ground with a whole Holdpoint in front of it and nobody to approve, a session through it,
// and a direct connection that watches. Plays a script and tells what Holdpoint said and what the server shows of it.

import pg from 'pg';
import { query } from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { openSession, type Session } from './client.ts';
import { pulse, type Standing, standing } from './digest.ts';
import { declarable, type Script, type Step } from './generate.ts';
import type { Ground, Variant, worker } from './schema.ts';
import { type Entry, isQuiet, type VerdictLog, verdictLog } from './verdicts.ts';

/** What a site is made of. */
export interface SiteOptions {
  readonly login: 'postgres' | typeof worker;
  readonly variant: Variant;
  readonly rules: string;
}

/** One step of a script as it went. */
export interface Played {
  readonly step: Step;
  readonly entries: readonly Entry[];
  /** What is wrong with it whatever else happened. */
  readonly wrong: readonly string[];
  /** Something was written though nothing that passed should have; to be looked at once the transaction is over. */
  readonly suspect: boolean;
}

export interface Site {
  play(script: Script): Promise<readonly Played[]>;
  /** Everything that is watched, now that no transaction is open. */
  look(before?: Standing): Promise<Standing>;
  close(): Promise<void>;
}

/** Rows that one UPDATE may change without a person: `bounded-updates` of the default rules. */
const updateRowsMax = 1000;
/** Its own transaction number is what these ask for; nothing else is written. */
const numbered = /txid_current|pg_current_xact_id|export_snapshot|for\s+(no\s+key\s+)?(update|share)/i;

export async function openSite(ground: Ground, { login, variant, rules }: SiteOptions): Promise<Site> {
  const database = await ground.fresh(variant);
  const watch = new pg.Client({ connectionString: ground.server.url(database) });
  await watch.connect();
  await watch.query('SET search_path = pg_catalog');
  const bystander = new pg.Client({
    connectionString: ground.server.url(database),
    application_name: 'bystander',
  });
  bystander.on('error', () => undefined);
  await bystander.connect();
  const guard = await startGuard({
    url: ground.server.url(database, login),
    rules,
    hold: { waitMs: 100, pendingMax: 1, expiresMs: 86_400_000 },
    // What is repeated goes by the lane where values are not in clear, as it does by default.
    audit: { segmentBytesMax: 1_073_741_824, values: 'none' },
  });
  await fillQueue(guard);
  const log: VerdictLog = verdictLog(guard.auditDir);
  const named = await watch.query<{ name: string; oid: number }>(
    `SELECT name, to_regtype(CASE WHEN name ~ '^(integer|text|date)$' THEN name ELSE 'public.' || name END)::oid::int AS oid
     FROM unnest($1::text[]) AS name`,
    [declarable],
  );
  const session: Session = await openSession(guard, new Map(named.rows.map(({ name, oid }) => [name, oid])));
  log.next();
  const first = await standing(watch, ground);
  const sequences = [...first.contents.keys()].filter((name) => /_seq$|tickets/.test(name));
  let last = await pulse(watch, session.pid, sequences);

  const playStep = async (step: Step): Promise<Played> => {
    const replies = await session.play(step);
    const entries = log.next();
    const passed = entries.filter((entry) => entry.dec === 'pass');
    const now = await pulse(watch, session.pid, sequences);
    const moved = now !== last;
    last = now;
    const wrong = replies
      .filter(
        ({ letter, summary }) =>
          letter === 'C' && Number(/^UPDATE (\d+)/.exec(summary)?.[1] ?? 0) > updateRowsMax,
      )
      .map(({ summary }) => `${summary} passed, which is more than ${updateRowsMax} rows`);
    const quiet = passed.every(
      (entry) => isQuiet(entry) && !/transaction|temporary/.test(entry.effects.join()),
    );
    const excused = passed.some((entry) => numbered.test(entry.sql ?? ''));
    return { step, entries, wrong, suspect: moved && quiet && !excused };
  };

  return {
    async play({ steps }) {
      const played: Played[] = [];
      for (const step of steps) played.push(await playStep(step));
      if (await session.clear()) {
        log.next();
        last = await pulse(watch, session.pid, sequences);
      }
      return played;
    },
    look: (before) => standing(watch, ground, before),
    async close() {
      session.close();
      log.close();
      await guard.close();
      await bystander.end().catch(() => undefined);
      await watch.end();
    },
  };
}

/** The one request that may be pending is this one, so that every other hold is answered at once. */
async function fillQueue(guard: Guard): Promise<void> {
  const client = await guard.connect();
  client.send(query('DROP TABLE held_for_ever'));
  await client.until('Z');
  client.destroy();
}
