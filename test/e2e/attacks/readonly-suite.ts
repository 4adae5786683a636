// The table of what READ ONLY lets through, tried on one server: 18 in readonly.test.ts, 15 in test/versions/.

import { existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { query } from '../../../src/wire/messages/frontend.ts';
import { besiege, changes, pipelined, refused, type Siege, sent, together } from '../../support/siege.ts';
import { fixture } from './fixture.ts';
import { type Leak, leakFixture, leaks, permitted, temporary } from './readonly.ts';

/** A server of its own: slots, prepared transactions and configuration are the whole server's. */
export function readOnlySuite(version: number): void {
  let siege: Siege;
  const file = join(tmpdir(), `holdpoint-leak-${process.pid}-${version}`);
  const text = (leak: Leak): string =>
    leak.text.replace('{file}', file).replace('{dsn}', siege.dsn.replaceAll("'", "''"));

  beforeAll(async () => {
    const settings = { max_prepared_transactions: '5', wal_level: 'logical', logging_collector: 'off' };
    siege = await besiege({ fixture: `${fixture} ${leakFixture}`, version, settings });
    await siege.direct.query("select pg_create_physical_replication_slot('kept_slot')");
    await siege.direct.query("select pg_replication_origin_create('kept_origin')");
    await siege.direct.query("begin; insert into b values (99); prepare transaction 'kept_transaction'");
  });

  afterAll(async () => {
    rmSync(file, { force: true });
    await siege?.direct.query("rollback prepared 'kept_transaction'");
    await siege?.close();
  });

  test('every leak is refused, by itself and inside BEGIN READ ONLY, in both protocols', async () => {
    const before = await siege.digest();
    const attacks = leaks.map(text).flatMap((each) =>
      [sent, pipelined].flatMap((way) => [
        { way, texts: [each] },
        { way, texts: ['BEGIN READ ONLY', each] },
      ]),
    );
    const answers = await together(attacks, async ({ way, texts }) => ({
      texts,
      lines: await way(await siege.guard.connect(), ...texts),
    }));
    expect(changes(before, await siege.digest())).toEqual([]);
    expect(existsSync(file)).toBe(false);
    expect(answers.filter(({ lines }) => !refused(lines))).toEqual([]);
    // By Holdpoint, not by the server's read-only mode or by the lack of something.
    const simple = answers.filter((_, at) => attacks[at]!.way === sent);
    const by = /^E ERROR (42501 (statement|.* needs approval)|54001|42601 prepared)/;
    expect(simple.filter(({ lines }) => !lines.some((line) => by.test(line)))).toEqual([]);
  });

  test('unguarded, READ ONLY lets them through', async () => {
    const stopped: unknown[] = [];
    for (const leak of leaks) {
      const { untried, from = 0, to = 99 } = leak;
      if (untried || version < from || version > to) continue;
      const client = await siege.unguarded();
      client.send(query('BEGIN READ ONLY'), query(text(leak)));
      const failed = (await client.until('Z', 2)).find(({ letter }) => letter === 'E');
      if (failed !== undefined) stopped.push([leak.text, failed.summary]);
      client.destroy();
    }
    expect(stopped).toEqual([]);
  });

  test.each(permitted)('%s passes, by itself and inside BEGIN READ ONLY', async (each) => {
    const before = await siege.digest();
    expect(refused(await sent(await siege.guard.connect(), 'BEGIN READ ONLY', each, 'COMMIT'))).toBe(false);
    expect(refused(await sent(await siege.guard.connect(), 'BEGIN', each, 'COMMIT'))).toBe(false);
    expect(changes(before, await siege.digest())).toEqual([]);
  });

  test('a temporary table is written in a READ ONLY transaction', async () => {
    expect(await sent(await siege.guard.connect(), ...temporary)).toContain('D 1');
  });
}
