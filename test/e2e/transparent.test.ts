// Transparency: the same frames sent straight to PostgreSQL and through Holdpoint get the same answers: rows, tags,
// errors with all their fields, notices, order. Each script runs twice, in a database of its own each time; the rules
// are the shadow mode's, so that nothing is held.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { RawClient } from '../support/raw.ts';
import { brokenBodies, cleared, run, scripts } from '../support/scripts.ts';

let guard: Guard;
let direct: TestDatabase;
let guarded: TestDatabase;

beforeAll(async () => {
  direct = await createDatabase();
  guarded = await createDatabase();
  guard = await startGuard({ url: guarded.url, rules: 'observe', audit: { values: 'none' } });
});

afterAll(async () => {
  await guard?.close();
  await direct?.drop();
  await guarded?.drop();
});

describe('answered as by PostgreSQL itself', () => {
  test.each(Object.entries(scripts))('%s', async (_, steps) => {
    const plain = await RawClient.connect(direct.host, direct.port);
    await plain.login({ user: direct.user, password: direct.password, database: direct.name });
    const expected = await run(await cleared(plain), steps);
    const seen = await run(await cleared(await guard.connect()), steps);
    expect(seen).toEqual(expected);
  });

  test('messages with broken bodies, but for the place in the source', async () => {
    const plain = await RawClient.connect(direct.host, direct.port);
    await plain.login({ user: direct.user, password: direct.password, database: direct.name });
    const expected = (await run(plain, brokenBodies)).map((lines) =>
      lines.map((each) => each.replace(/\|F[^|]*\|L\d+\|R[^|]*/, '')),
    );
    expect(await run(await guard.connect(), brokenBodies)).toEqual(expected);
  });
});
