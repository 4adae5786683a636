// The everyday statements of one version as tests: each is answered through Holdpoint as by the server itself, and none of
// them waited for anybody.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StatementBody } from '../../src/audit/record.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { startPostgres, type TestServer } from '../support/postgres.ts';
import { RawClient } from '../support/raw.ts';
import { type Everyday, everydayLists } from './corpus.ts';
import { answers, freshDatabase, known, makeTemplate, owner } from './run.ts';

const nameLength = 120;

/** Declares the tests. The server is of its own, since both databases must have the same name. */
export function compareEveryday(version: number): void {
  const lists = Object.entries(everydayLists).map(([from, list]) => ({ from, list: known(list, version) }));
  const expected = new Map<Everyday, string[][]>();
  let server: TestServer;
  let guard: Guard;
  let client: RawClient;

  beforeAll(async () => {
    server = await startPostgres({ version, user: owner, settings: { autovacuum: 'off' } });
    await makeTemplate(server);
    await freshDatabase(server);
    const direct = await RawClient.connect(server.host, server.port);
    await direct.login({ user: owner, password: server.password, database: 'everyday' });
    for (const { list } of lists)
      for (const everyday of list) expected.set(everyday, await answers(direct, everyday));
    direct.destroy();
    await freshDatabase(server);
    guard = await startGuard({
      url: server.url('everyday', owner),
      hold: { waitMs: 100, pendingMax: 1000 },
      // What is repeated goes by the lane then, as it does by default.
      audit: { values: 'none' },
    });
    client = await guard.connect();
  });

  afterAll(async () => {
    client?.destroy();
    await guard?.close();
    await server?.stop();
  });

  describe.each(lists)('$from', ({ list }) => {
    const cases = list.map((everyday) => [nameOf(everyday), everyday] as const);
    test.each(cases)('%s', async (_, everyday) => {
      if (client.closed) client = await guard.connect();
      expect(await answers(client, everyday)).toEqual(expected.get(everyday));
    });
  });

  test('none of them was held, denied or refused', () => {
    const folder = join(guard.auditDir, readdirSync(guard.auditDir)[0]!);
    const statements = readFileSync(join(folder, 'seg-00000000.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('"kind":"stmt"'))
      .map((line) => JSON.parse(line) as StatementBody);
    expect(statements.length).toBeGreaterThan(250);
    expect(
      statements.filter(({ dec }) => dec !== 'pass').map(({ dec, reason, sql }) => [dec, reason, sql]),
    ).toEqual([]);
  });
}

function nameOf({ steps: [first, ...more] }: Everyday): string {
  const text = typeof first === 'string' ? first : first!.sql;
  return `${text.slice(0, nameLength)}${more.length > 0 ? ` and ${more.length} more` : ''}`;
}
