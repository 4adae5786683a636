// Holdpoint as it is started by default: the rules `default`, the catalog watched, the log in its default class, and
// somebody who scrapes its metrics.

import { ask, end, start } from '../load/ask.ts';
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
    const guard = start('guard.ts');
    let address: GuardAddress;
    try {
      address = await ask(guard, setting);
    } catch {
      return new Absent('did not start');
    }
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
        await end(guard);
      },
    };
  },
};
