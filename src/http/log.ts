// Log: what was recorded, as pages and as JSON, for approvers only: a list that filters and follows, and one statement's
// story with its proof. Reads by way of a thread that is not the writer's; opens no value that the log keeps closed.
// CONTRACT "Who may read".

import { type Context, Hono } from 'hono';
import { HoldpointError } from '../errors.ts';
import type { Token } from '../sql/tokens.ts';
import type { Reader } from '../trail/reader.ts';
import type { Row } from '../trail/rows.ts';
import type { Doorkeeper } from './access.ts';
import { page as document, type ShellOptions, shell } from './draw/document.ts';
import { logMain } from './draw/log.ts';
import { notice } from './draw/marks.ts';
import { storyMain, storyTitle } from './draw/story.ts';
import { choiceBy, filterBy, type LogChoice } from './log-choice.ts';

/** The log of this process, to be read. */
export interface LogPorts {
  readonly reader: Pick<Reader, 'ask'>;
  readonly origin: string;
  /** Has `listener` told whenever records were sealed, until what it returns is called. */
  readonly changes: (listener: () => void) => () => void;
}

export interface LogPagePorts {
  readonly publicUrl: string;
  readonly now: () => number;
  readonly oidc?: unknown;
  readonly tokens: (sql: Buffer) => Promise<readonly Token[] | undefined>;
}

const pageRows = 50;
/** Of the log, for one page. A search that finds little stops there and says so. */
const pageBytes = 32 << 20;
const apiRowsMax = 500;

/** The routes /log, /log/SEQ and /api/log. */
export function logPages(ports: LogPagePorts, log: LogPorts, doorkeeper: Doorkeeper): Hono {
  const { publicUrl, now } = ports;
  const inert: ShellOptions = { publicUrl, oidc: ports.oidc !== undefined };
  const app = new Hono();

  /** The approver who is signed in here. */
  const visitor = async (c: Context): Promise<string | undefined> => {
    const visit = await doorkeeper.visitOf(c);
    return visit?.visitor.kind === 'approver' ? visit.visitor.name : undefined;
  };

  const asked = (choice: LogChoice, rowsMax: number) =>
    log.reader.ask({
      kind: 'page',
      filter: filterBy(choice, now()),
      options: { before: choice.before, rowsMax, bytesMax: pageBytes },
    });

  app.get('/log', async (c) => {
    const who = await visitor(c);
    if (who === undefined) return c.html(shell('Log', inert));
    const frame = { title: 'Log', publicUrl, who, at: 'log' as const };
    const scripts = ['live.js', 'list.js', 'log.js', 'signin.js'];
    let choice: LogChoice = {};
    try {
      choice = choiceBy((name) => c.req.query(name));
      const found = await asked(choice, pageRows);
      const main = logMain({ ...found, choice, origin: log.origin });
      // What is older does not change.
      const events = choice.before === undefined ? '/api/log/events' : undefined;
      return c.html(document({ ...frame, scripts, main, events }));
    } catch (error) {
      if (!(error instanceof HoldpointError)) throw error;
      const empty = { rows: [], older: undefined, cut: false };
      const main = logMain({ ...empty, choice, origin: log.origin, problem: error.message });
      return c.html(document({ ...frame, scripts, main }), error.status as 400);
    }
  });

  app.get('/log/:seq', async (c) => {
    const seq = seqOf(c);
    const who = await visitor(c);
    if (who === undefined) return c.html(shell('Log', inert));
    const frame = { publicUrl, who, at: 'log' as const };
    try {
      const told = await log.reader.ask({ kind: 'story', seq });
      if (told === undefined) throw absent(seq);
      const sql = told.story.statement?.members.sql;
      const tokens = typeof sql === 'string' ? await ports.tokens(Buffer.from(sql)) : undefined;
      const main = storyMain({ ...told, tokens });
      const scripts = ['live.js', 'signin.js'];
      return c.html(document({ ...frame, title: storyTitle(told.story), scripts, main }));
    } catch (error) {
      if (!(error instanceof HoldpointError)) throw error;
      const main = [notice('bad', error.message)];
      return c.html(document({ ...frame, title: 'Log', scripts: ['signin.js'], main }), error.status as 404);
    }
  });

  app.get('/api/log', async (c) => {
    await approverOnly(c, doorkeeper);
    const choice = choiceBy((name) => c.req.query(name));
    const found = await asked(choice, limitOf(c));
    return c.json({
      origin: log.origin,
      rows: found.rows.map(rowJson),
      older: found.older ?? null,
      cut: found.cut,
    });
  });

  app.get('/api/log/:seq', async (c) => {
    await approverOnly(c, doorkeeper);
    const seq = seqOf(c);
    const told = await log.reader.ask({ kind: 'story', seq });
    if (told === undefined) throw absent(seq);
    const { story, proof } = told;
    return c.json({
      origin: log.origin,
      seq,
      statement: story.statement?.seq ?? null,
      request: story.rid ?? null,
      complete: story.complete,
      records: story.records.map(({ members }) => members),
      proof,
    });
  });

  app.get('/api/log/:seq/proof', async (c) => {
    await approverOnly(c, doorkeeper);
    const seq = seqOf(c);
    const bundle = await log.reader.ask({ kind: 'bundle', seq });
    if (bundle === undefined) throw absent(seq);
    if (typeof bundle !== 'string')
      throw new HoldpointError('conflict', `record ${seq} is not proved: ${bundle.error}`);
    return c.body(bundle, 200, {
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Disposition': `attachment; filename="holdpoint-${seq}.json"`,
    });
  });

  return app;
}

/** Throws `unauthorized` for nobody, `forbidden` for everybody else who is no approver. */
export async function approverOnly(c: Context, doorkeeper: Doorkeeper): Promise<void> {
  const reader = await doorkeeper.reader(c);
  if (reader.kind !== 'approver')
    throw new HoldpointError('forbidden', 'the log tells of every agent, so only approvers read it');
}

function rowJson({ entry, outcome }: Row): object {
  return { record: entry.members, outcome: outcome?.members ?? null };
}

function limitOf(c: Context): number {
  const limit = c.req.query('limit');
  if (limit === undefined) return pageRows;
  if (!/^\d{1,3}$/.test(limit) || Number(limit) < 1 || Number(limit) > apiRowsMax)
    throw new HoldpointError('bad-request', `limit is a number from 1 to ${apiRowsMax}`);
  return Number(limit);
}

function seqOf(c: Context): number {
  const text = c.req.param('seq') ?? '';
  if (!/^\d{1,15}$/.test(text)) throw new HoldpointError('not-found', 'a record of the log has a number');
  return Number(text);
}

function absent(seq: number): HoldpointError {
  return new HoldpointError('not-found', `the log has no record ${seq}, or not any more`);
}
