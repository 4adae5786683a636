// Holdpoint as it is started by default: the rules `default`, the catalog watched, the log in its default class, and
// somebody who scrapes its metrics.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { GuardAddress, GuardSetting } from '../load/guard.ts';
import { Absent, type Candidate } from './subject.ts';

const scrapeMs = 5000;

export const holdpoint: Candidate = {
  name: 'holdpoint',
  async start({ server, sessionsMax, tls }) {
    const { host, port, user, password, database } = server;
    const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
    const setting: GuardSetting = {
      url: `postgres://${login}@${host}:${port}/${database}`,
      log: 'on',
      audit: { values: 'none' },
      connectionsMax: sessionsMax + 10,
      ...(tls && { tls: { cert: tls.cert, key: tls.key } }),
    };
    const guard = fork(join(import.meta.dirname, '../load/guard.ts'));
    const answered = once(guard, 'message');
    guard.send(setting);
    const address = await Promise.race([
      answered.then(([message]) => message as GuardAddress),
      once(guard, 'exit').then(() => new Absent('did not start')),
    ]);
    if (address instanceof Absent) return address;
    const scraper = setInterval(() => {
      // A scrape that fails is seen as such by the next statement, not here.
      fetch(`${address.http}/metrics`)
        .then((response) => response.text())
        .catch(() => undefined);
    }, scrapeMs);
    return {
      address,
      pid: guard.pid,
      async stop() {
        clearInterval(scraper);
        const gone = once(guard, 'exit');
        guard.disconnect();
        await gone;
      },
    };
  },
};
