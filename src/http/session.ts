// Session: how a browser's visit begins, and ends. It begins with a link's token, an approver's access token, or a
// passkey's answer to a challenge of ours. GET tells the visitor who they are. Refuses to decide about requests.

import { type Context, Hono } from 'hono';
import { claimedType } from '../approval/token.ts';
import { HoldpointError } from '../errors.ts';
import { type Doorkeeper, nobody } from './access.ts';
import { jsonBody } from './body.ts';
import { answeredBy, askPasskey, type PasskeyPorts } from './passkeys.ts';
import { type Visit, type Visitor, visitMsMax } from './visit.ts';

const bodyBytesMax = 32_768;

/** The routes under /api/session. */
export function sessionApi(ports: PasskeyPorts, doorkeeper: Doorkeeper): Hono {
  const api = new Hono();

  /** Whether a reload would show something: asked by the shell, which holds nothing itself. */
  api.get('/', async (c) => {
    const rid = c.req.query('rid');
    const visit = await doorkeeper.visitOf(c, rid);
    return c.json(told(visit));
  });

  /** A challenge to whichever passkey the browser has for this page. */
  api.post('/passkey', async (c) => c.json(await askPasskey(ports, { act: 'sign-in' })));

  api.post('/', async (c) => {
    const body = await jsonBody(c, bodyBytesMax);
    const { visitor, until } = await shown(c, body);
    return c.json(told(await doorkeeper.visits.begin(c, visitor, until)), 201);
  });

  api.delete('/', async (c) => {
    await doorkeeper.visits.end(c);
    return c.json(told(undefined));
  });

  /** Who the caller has shown to be. */
  const shown = async (
    c: Context,
    body: Record<string, unknown>,
  ): Promise<{ visitor: Visitor; until: number }> => {
    const until = ports.now() + visitMsMax;
    const [scheme, token] = (c.req.header('Authorization') ?? '').split(' ', 2);
    if (body.passkey !== undefined && scheme === '') {
      const { name, id } = await answeredBy(ports, body, 'sign-in');
      const by = `passkey:${id}`;
      if (!doorkeeper.counts(name, by)) throw nobody();
      return { visitor: { kind: 'approver', name, by }, until };
    }
    if (scheme?.toLowerCase() !== 'bearer' || !token) throw nobody();
    if (claimedType(token) === 'holdpoint-link+jws') {
      const { rid } = body;
      if (typeof rid !== 'string')
        throw new HoldpointError('bad-request', 'a link opens one request; say which: {"rid": ID}');
      const { jti, rd } = await doorkeeper.linkClaims(token, rid);
      // Also past the end of the request: what became of it is what its page then shows.
      return { visitor: { kind: 'link', rid, rd, jti }, until };
    }
    return { visitor: { kind: 'approver', ...(await doorkeeper.approverKey(c, token)) }, until };
  };

  return api;
}

/** What a visit lets its visitor know of itself. */
function told(visit: Visit | undefined) {
  if (visit === undefined) return { kind: 'none' };
  const expires = new Date(visit.until).toISOString();
  const { visitor } = visit;
  return visitor.kind === 'approver'
    ? { kind: 'approver', name: visitor.name, expires }
    : { kind: 'link', rid: visitor.rid, expires };
}
