// Origin: who a browser says is asking. A page of another site can make a browser send requests here, with what it
// stores for us; it cannot make it lie about where they come from. Refuses to know identities. Fetch standard, `Origin`
// and `Sec-Fetch-Site`; audit-approval §15 P14.

import type { Context, MiddlewareHandler } from 'hono';
import { HoldpointError } from '../errors.ts';

/** Refuses whatever could change something and comes from another site's page. Callers that are no browser say nothing. */
export function sameOriginOnly(publicUrl: string): MiddlewareHandler {
  return async (c, next) => {
    if (!['GET', 'HEAD', 'OPTIONS'].includes(c.req.method)) refuseForeignOrigin(c, publicUrl);
    await next();
  };
}

function refuseForeignOrigin(c: Context, publicUrl: string): void {
  const origin = c.req.header('Origin');
  const site = c.req.header('Sec-Fetch-Site');
  const own = [new URL(publicUrl).origin, new URL(c.req.url).origin];
  if (origin !== undefined && !own.includes(origin))
    throw foreign(`pages of ${origin.slice(0, 100)}`, publicUrl);
  if (site !== undefined && site !== 'same-origin') throw foreign('pages of other sites', publicUrl);
  // A cookie comes from a browser, and a browser says where a request comes from.
  if (c.req.header('Cookie') !== undefined && origin === undefined && site === undefined) {
    throw foreign('requests with a cookie and without Origin', publicUrl);
  }
}

function foreign(who: string, publicUrl: string): HoldpointError {
  return new HoldpointError('forbidden', `${who} may change nothing here; open ${publicUrl}`);
}
