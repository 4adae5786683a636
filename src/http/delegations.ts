// Delegations over HTTP: the one way in for what an approver signs to let another decide in their name. It changes
// something only if the body carries that signature, whoever sends it. Refuses to verify it: the desk does.

import { Hono } from 'hono';
import type { AccessPorts } from './access.ts';
import { jsonBody } from './body.ts';

const bytesMax = 32_768;

/** The route /api/delegations. */
export function delegationsApi({ desk }: Pick<AccessPorts, 'desk'>): Hono {
  const api = new Hono();
  api.post('/', async (c) => {
    const { delegation, evidence } = await jsonBody(c, bytesMax);
    const { id, from, to, exp } = await desk.delegate(delegation, evidence);
    return c.json({ id, from, to, expires: new Date(exp).toISOString() }, 201);
  });
  return api;
}
