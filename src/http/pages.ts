// Pages: what a browser asks for by an address of its own. With a visit's cookie the page is drawn here, complete; without
// one it is the inert shell, the same for everybody. GET changes nothing; that somebody looked is recorded.

import { type Context, Hono } from 'hono';
import { isRid } from '../approval/request.ts';
import { HoldpointError } from '../errors.ts';
import type { Token } from '../sql/tokens.ts';
import type { Doorkeeper } from './access.ts';
import { accountMain, callbackPage, enrolPage } from './draw/account.ts';
import { page, type ShellOptions, shell } from './draw/document.ts';
import { listMain } from './draw/list.ts';
import { type Html, notice } from './draw/marks.ts';
import { requestMain, titleOf } from './draw/request.ts';
import { chosenBy, listing } from './listing.ts';
import type { OidcPorts } from './oidc.ts';
import { standingOf } from './standing.ts';
import type { Visitor } from './visit.ts';

export interface PagePorts extends OidcPorts {
  /** The tokens of a text, undefined where there are none to be had; see Analyzer. */
  readonly tokens: (sql: Buffer) => Promise<readonly Token[] | undefined>;
}

/** The list, and the page of each request. */
export function pages(ports: PagePorts, doorkeeper: Doorkeeper): Hono {
  const { publicUrl, now } = ports;
  const oidc = ports.oidc !== undefined;
  const inert: ShellOptions = { publicUrl, oidc };
  const app = new Hono();

  app.get('/', async (c) => {
    const visit = await doorkeeper.visitOf(c);
    if (visit?.visitor.kind !== 'approver') return c.html(shell('Requests', inert));
    const who = visit.visitor.name;
    return listPage(c, who);
  });

  app.get('/r/:rid', async (c) => {
    const rid = c.req.param('rid');
    if (!isRid(rid)) throw new HoldpointError('not-found', 'this is not the address of a request');
    const visit = await doorkeeper.visitOf(c, rid);
    if (visit === undefined) return c.html(shell('Request', inert));
    return requestPage(c, rid, visit.visitor);
  });

  app.get('/account', async (c) => {
    const visit = await doorkeeper.visitOf(c);
    const person =
      visit?.visitor.kind === 'approver' ? ports.registry.approver(visit.visitor.name) : undefined;
    if (person === undefined) return c.html(shell('Your account', inert));
    const scripts = ['live.js', 'account.js', 'signin.js'];
    const main = accountMain(person);
    return c.html(page({ title: person.name, publicUrl, scripts, who: person.name, at: 'account', main }));
  });

  app.get('/enrol', (c) => c.html(enrolPage(publicUrl)));

  app.get('/oidc/callback', (c) => c.html(callbackPage(publicUrl)));

  const listPage = async (c: Context, who: string): Promise<Response> => {
    const chosen = chosenBy((name) => c.req.query(name));
    const found = await listing(ports.desk, chosen, who, now());
    const main = listMain({ ...found, chosen, now: now() });
    const scripts = ['live.js', 'list.js', 'signin.js'];
    return c.html(
      page({ title: 'Requests', publicUrl, scripts, who, at: 'requests', main, events: '/api/events' }),
    );
  };

  const requestPage = async (c: Context, rid: string, visitor: Visitor): Promise<Response> => {
    const { desk, registry } = ports;
    const who = visitor.kind === 'approver' ? visitor.name : undefined;
    const frame = { publicUrl, who, at: 'requests' as const };
    try {
      const { row, intact } = await desk.get(rid);
      desk.viewed(rid, visitor.kind === 'approver' ? visitor.name : `link:${visitor.jti}`);
      const person = who === undefined ? undefined : registry.approver(who);
      const standing = standingOf(row, intact, visitor, person, now(), oidc);
      const tokens = await ports.tokens(Buffer.from(intact.request.sql));
      const part = Number(c.req.query('part') ?? 1);
      const drawn = { row, intact, reader: visitor, standing, oidc, tokens, part, now: now() };
      const scripts = ['live.js', 'decide.js', 'signin.js'];
      const main = requestMain({ ...drawn, part: Number.isSafeInteger(part) ? part : 1 });
      const events = `/api/requests/${rid}/events`;
      return c.html(page({ ...frame, title: titleOf(intact.request), scripts, main, events }));
    } catch (error) {
      if (!(error instanceof HoldpointError)) throw error;
      const main = failed(error);
      return c.html(page({ ...frame, title: 'Request', scripts: ['signin.js'], main }), error.status as 404);
    }
  };

  return app;
}

function failed(error: HoldpointError): Html[] {
  return [notice('bad', error.message)];
}
