// Events: a page hears that something changed while it is open, by server-sent events. It hears that, never what: what a
// reader may see they fetch as ever, so this adds no way to see anything. Refuses to know pages. HTML standard §9.2.

import { type Context, Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { isRid } from '../approval/request.ts';
import { HoldpointError } from '../errors.ts';
import type { AccessPorts, Doorkeeper } from './access.ts';
import { approverOnly, type LogPorts } from './log.ts';

/**
 * Of the connections that there may be, those that streams take at once: the others are for whoever asks. Whoever comes
 * later asks now and then instead.
 */
const streamsPart = 0.4;
/** Between two lines that say nothing: shorter than the patience of proxies in between. */
const beatMs = 20_000;
/** Longest life of a stream; the browser opens the next one by itself, and shows again who it is. */
const streamMsMax = 15 * 60_000;

/** Between two events of the log, which may get thousands of records a second. */
const logMs = 2_000;

/** Has its listener told of each change by name, until what it returns is called. */
type Subscribe = (hear: (name: string) => void) => () => void;

/** The routes /api/events (an approver's list), /api/requests/ID/events and, where there is a log, /api/log/events. */
export function events(
  ports: AccessPorts & { readonly log?: Pick<LogPorts, 'changes'>; readonly connectionsMax: number },
  doorkeeper: Doorkeeper,
): Hono {
  const { desk } = ports;
  const app = new Hono();
  const streamsMax = Math.floor(ports.connectionsMax * streamsPart);
  let streams = 0;

  app.get('/api/events', async (c) => {
    const reader = await doorkeeper.reader(c);
    if (reader.kind !== 'approver')
      throw new HoldpointError('forbidden', 'only approvers hear of every request');
    return stream(c, desk.subscribe.bind(desk));
  });

  app.get('/api/requests/:rid/events', async (c) => {
    const rid = c.req.param('rid');
    if (!isRid(rid)) throw new HoldpointError('not-found', 'this is not the name of a request');
    const reader = await doorkeeper.reader(c, rid);
    const { row } = await desk.get(rid);
    if (reader.kind === 'agent' && row.agent !== reader.id)
      throw new HoldpointError('not-found', `there is no request ${rid} of yours`);
    return stream(c, (hear) => desk.subscribe((changed) => changed === rid && hear(rid)));
  });

  const { log } = ports;
  if (log !== undefined)
    app.get('/api/log/events', async (c) => {
      await approverOnly(c, doorkeeper);
      return stream(c, (hear) => log.changes(() => hear('log')), logMs);
    });

  const stream = async (c: Context, subscribe: Subscribe, pauseMs = 0): Promise<Response> => {
    if (streams >= streamsMax)
      throw new HoldpointError('too-many-connections', 'too many pages are open; ask again now and then');
    // Whoever reads by a cookie hears nothing any more once the visit is over.
    const visit =
      c.req.header('Authorization') === undefined
        ? await doorkeeper.visitOf(c, c.req.param('rid'))
        : undefined;
    const stands = () => visit === undefined || doorkeeper.stands(visit);
    streams += 1;
    return streamSSE(c, async (out) => {
      const queue = new Set<string>();
      let wake: () => void = () => {};
      const unsubscribe = subscribe((name) => {
        queue.add(name);
        wake();
      });
      out.onAbort(() => wake());
      const until = performance.now() + streamMsMax;
      try {
        await out.writeSSE({ event: 'open', data: '' });
        while (!out.aborted && stands() && performance.now() < until) {
          const rids = [...queue];
          queue.clear();
          for (const rid of rids) await out.writeSSE({ event: 'changed', data: rid });
          if (rids.length > 0 && pauseMs > 0) await pause(pauseMs);
          if (queue.size > 0) continue;
          const beat = await new Promise<boolean>((done) => {
            const timer = setTimeout(() => done(true), beatMs);
            timer.unref();
            wake = () => {
              clearTimeout(timer);
              done(false);
            };
          });
          if (beat && !out.aborted) await out.write(': beat\n\n');
        }
      } finally {
        unsubscribe();
        streams -= 1;
      }
    });
  };

  return app;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
