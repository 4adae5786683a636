// Server: the HTTP side as one function from ports to an app, and the socket it listens on. Puts the security headers on
// everything and turns errors into problems. Refuses to know PostgreSQL's protocol and where the ports come from.

import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { Hono } from 'hono';
import type { JWK } from 'jose';
import { HoldpointError } from '../errors.ts';
import { Doorkeeper } from './access.ts';
import { requestsApi } from './api.ts';
import { assets } from './assets.ts';
import { delegationsApi } from './delegations.ts';
import { enrolPage } from './draw/account.ts';
import { type EnrolPorts, enrolApi } from './enrol.ts';
import { events } from './events.ts';
import { securityHeaders } from './headers.ts';
import { type LogPorts, logPages } from './log.ts';
import { oidcApi } from './oidc.ts';
import { sameOriginOnly } from './origin.ts';
import { type PagePorts, pages } from './pages.ts';
import { type PasskeyPorts, passkeysApi } from './passkeys.ts';
import { type PlanPorts, plansApi } from './plans-api.ts';
import { problem, problemOf } from './problem.ts';
import { sessionApi } from './session.ts';
import { type SlackPorts, slackApi } from './slack.ts';
import { Visits } from './visit.ts';

/** One thing that has to work. `problem` is a sentence, absent when it works; `warnings` are for whoever runs it. */
export interface Check {
  readonly name: string;
  readonly problem?: string;
  readonly warnings?: readonly string[];
}

export interface HttpPorts extends PagePorts, PasskeyPorts, PlanPorts, Pick<EnrolPorts, 'enrolKey'> {
  /** Text and content type of the Prometheus exposition. */
  readonly metrics: () => Promise<{ text: string; contentType: string }>;
  /** Log writable, store reachable, every target reachable and the one that is meant. */
  readonly ready: () => Promise<readonly Check[]>;
  /** Every public key an outsider may need, each with its `kid` and `use`. */
  readonly publicKeys: () => readonly JWK[];
  /** Of the listener that this is for. */
  readonly connectionsMax?: number;
  /** The log of this process, to be read. */
  readonly log?: LogPorts;
  /** Set where Slack may call back. */
  readonly slack?: SlackPorts;
  /** Told of errors that are not ours to explain. */
  readonly onError?: (error: unknown) => void;
}

/** Where nobody has to share descriptors with others. */
const connectionsMaxDefault = 1_000;

/** An app that answers nothing yet: with the headers, the refusal of foreign pages, and errors as problems. */
function bare(publicUrl: string, onError?: (error: unknown) => void): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    await next();
    for (const [name, value] of Object.entries(securityHeaders)) c.res.headers.set(name, value);
  });
  app.use(sameOriginOnly(publicUrl));
  app.onError((error) => {
    if (!(error instanceof HoldpointError)) onError?.(error);
    return problem(error);
  });
  app.notFound((c) => {
    if (c.req.method === 'OPTIONS') return new Response(null, { status: 204 });
    return problemOf(404, 'not-found', `there is nothing at ${c.req.path.slice(0, 200)}`);
  });
  return app;
}

/** Only the page that registers passkeys: for the first approvers of a Holdpoint that does not start without them. */
export function enrolmentApp(ports: EnrolPorts): Hono {
  const app = bare(ports.publicUrl);
  app.get('/enrol', (c) => c.html(enrolPage(ports.publicUrl)));
  app.route('/assets', assets());
  app.route('/api/enrol', enrolApi(ports, new Visits(ports)));
  return app;
}

/** The app, without a socket: `app.request('/healthz')` is enough to test it. */
export function httpApp(ports: HttpPorts): Hono {
  const app = bare(ports.publicUrl, ports.onError);
  const doorkeeper = new Doorkeeper(ports);
  app.route('/', pages(ports, doorkeeper));
  app.route('/', events({ connectionsMax: connectionsMaxDefault, ...ports }, doorkeeper));
  if (ports.log !== undefined) app.route('/', logPages(ports, ports.log, doorkeeper));
  app.route('/assets', assets());
  app.route('/api/requests', requestsApi(ports, doorkeeper));
  app.route('/api/plans', plansApi(ports, doorkeeper));
  app.route('/api/session', sessionApi(ports, doorkeeper));
  app.route('/api/delegations', delegationsApi(ports));
  app.route('/api/enrol', enrolApi(ports, doorkeeper.visits));
  app.route('/api/passkeys', passkeysApi(ports, doorkeeper));
  app.route('/', oidcApi(ports, doorkeeper));
  if (ports.slack !== undefined) app.route('/api/slack', slackApi(ports.slack));
  app.get('/healthz', (c) => c.json({ status: 'up' }));
  app.get('/readyz', async (c) => {
    const checks = await ports.ready();
    const failing = checks.flatMap(({ name, problem }) => (problem === undefined ? [] : [{ name, problem }]));
    const warnings = checks.flatMap(({ name, warnings = [] }) =>
      warnings.map((warning) => ({ name, warning })),
    );
    const ready = failing.length === 0;
    return c.json({ status: ready ? 'ready' : 'not ready', failing, warnings }, ready ? 200 : 503);
  });
  app.get('/metrics', async (c) => {
    const { text, contentType } = await ports.metrics();
    return c.body(text, 200, { 'Content-Type': contentType });
  });
  app.get('/.well-known/jwks.json', (c) => c.json({ issuer: ports.publicUrl, keys: ports.publicKeys() }));
  return app;
}

export interface HttpListener {
  readonly host: string;
  /** The port in use, also where 0 was asked for. */
  readonly port: number;
  close(): Promise<void>;
}

const requestMsMax = 15_000;
const headersMsMax = 10_000;
const headerBytesMax = 16_384;

/** Listens, to `connectionsMax` at once; rejects with `bad-config` and a sentence when it cannot. */
export async function listenHttp(
  app: Hono,
  listen: { host: string; port: number },
  connectionsMax = connectionsMaxDefault,
): Promise<HttpListener> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: {
      requestTimeout: requestMsMax,
      headersTimeout: headersMsMax,
      maxHeaderSize: headerBytesMax,
    },
  });
  server.maxConnections = connectionsMax;
  await new Promise<void>((done, fail) => {
    server.once('error', (cause: NodeJS.ErrnoException) => fail(cannotListen(listen, cause)));
    server.listen(listen.port, listen.host, done);
  });
  const { port } = server.address() as AddressInfo;
  return {
    host: listen.host,
    port,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        if ('closeAllConnections' in server) server.closeAllConnections();
      }),
  };
}

function cannotListen(listen: { host: string; port: number }, cause: NodeJS.ErrnoException): HoldpointError {
  const where = `${listen.host}:${listen.port}`;
  const why =
    cause.code === 'EADDRINUSE'
      ? `another process listens there already; stop it or set listen.http (HOLDPOINT_HTTP without a holdpoint.yaml)`
      : cause.code === 'EACCES'
        ? 'this user may not use that port; set listen.http to one above 1023'
        : `${cause.message}; set listen.http`;
  return new HoldpointError('bad-config', `cannot listen for HTTP on ${where}: ${why}`, { cause });
}
