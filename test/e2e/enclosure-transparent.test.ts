// Transparency of enclosures: with rules that enclose all they can, the same frames get the answers that PostgreSQL
// itself gives: rows, tags, errors with all their fields, notices, order, transaction status.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { enclosedScripts, ofSingleTexts, rulesEnclosing } from '../support/enclosing.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { RawClient } from '../support/raw.ts';
import { RelayServer } from '../support/relay.ts';
import { cleared, run, scripts } from '../support/scripts.ts';

let relay: RelayServer;
let direct: TestDatabase;
let guarded: TestDatabase;

beforeAll(async () => {
  direct = await createDatabase();
  guarded = await createDatabase();
  relay = await RelayServer.start(guarded, rulesEnclosing(1000));
});

afterAll(async () => {
  await relay?.close();
  await direct?.drop();
  await guarded?.drop();
});

async function straight({ host, port, user, password, name }: TestDatabase): Promise<RawClient> {
  const client = await RawClient.connect(host, port);
  await client.login({ user, password, database: name });
  return client;
}

/** Names that exist nowhere are held, whatever the rules enclose. */
const unknownNames = /^BIND binds the prepared statement/;
const notices = /^N .*statement held for approval/;

describe('answered as by PostgreSQL itself', () => {
  test.each(Object.entries({ ...scripts, ...enclosedScripts }))('%s', async (_, all) => {
    const steps = ofSingleTexts(all);
    const expected = await run(await cleared(await straight(direct)), steps);
    (await cleared(await straight(guarded))).destroy();
    const { user, password, name } = guarded;
    relay.held.length = 0;
    relay.decide = () => 'approve';
    const seen = await run(await relay.connect({ user, password, database: name }), steps);
    expect(relay.held.filter((reason) => !unknownNames.test(reason))).toEqual([]);
    expect(seen.map((lines) => lines.filter((line) => !notices.test(line)))).toEqual(expected);
  });
});
