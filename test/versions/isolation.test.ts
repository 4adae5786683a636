// What isolation rests on, on every version: an ordinary role may ask which server it is, and a read-only agent of a
// superuser finds no way out of its mode.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { attempt, everyday, fixture } from '../e2e/read-only.ts';
import { startGuard } from '../support/holdpoint.ts';
import { startPostgres } from '../support/postgres.ts';
import { besiege, pipelined, refused, type Siege, sent, together } from '../support/siege.ts';

test.each([13, 14, 15, 16, 17, 18])(
  'PostgreSQL %i tells an ordinary role which server it is',
  async (version) => {
    const server = await startPostgres({ version, user: 'owner' });
    try {
      const guard = await startGuard({ url: server.url('postgres', 'owner'), environment: 'production' });
      expect(guard.reports.filter((each) => !each.startsWith('info'))).toEqual([]);
      expect(guard.reports.join()).toMatch(
        /the server of a production target is remembered.*"systemIdentifier":"\d+"/,
      );
      (await guard.connect()).destroy();
      await guard.close();
    } finally {
      await server.stop();
    }
  },
);

describe.each([13, 15])('PostgreSQL %i', (version) => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await besiege({ fixture, version, rules: 'observe', access: 'read-only' });
  });

  afterAll(async () => {
    await siege?.close();
  });

  test.each([
    ['by itself', sent],
    ['in one pipeline', pipelined],
  ])('nothing that a read-only agent sends %s changes anything', async (_, way) => {
    const { changed, letThrough } = await attempt(siege, way);
    expect(changed).toEqual([]);
    expect(letThrough).toEqual([]);
  });

  test('everyday reading is answered as ever', async () => {
    const answers = await together(everyday, async (texts) => ({
      texts,
      lines: await sent(await siege.guard.connect(), ...texts),
    }));
    expect(answers.filter(({ lines }) => refused(lines))).toEqual([]);
  });
});
