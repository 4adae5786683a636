// Values and plans against a real server: with nobody to approve, nothing may be another afterwards.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { bind, execute, parse, sync } from '../../../src/wire/messages/frontend.ts';
import { besiege, changes, inert, refused, type Siege, sent, unharmed } from '../../support/siege.ts';
import { valuesFixture, valuesTexts } from './values.ts';

let siege: Siege;

beforeAll(async () => {
  siege = await besiege({ fixture: valuesFixture });
});

afterAll(() => siege?.close());

test('every text of the table, in both protocols, is refused and changes nothing', async () => {
  await unharmed(siege, valuesTexts);
});

test('unguarded, each of them changes the database', async () => {
  expect(await inert(siege, valuesTexts)).toEqual([]);
});

test('a parameter beside a value is one of its type, and is refused', async () => {
  const before = await siege.digest();
  const client = await siege.guard.connect();
  client.send(
    parse('', 'SELECT lag(d, 1, $1) OVER () FROM td', []),
    bind('', '', [Buffer.from('-1')]),
    execute(''),
    sync(),
  );
  expect((await client.until('Z')).map(({ letter }) => letter)).toContain('E');
  client.destroy();
  expect(changes(before, await siege.digest())).toEqual([]);
});

test('what only reads passes beside it', async () => {
  for (const text of ['SELECT * FROM td', 'SELECT id FROM td WHERE d = 1', 'SELECT j FROM documents'])
    expect(refused(await sent(await siege.guard.connect(), text)), text).toBe(false);
});
