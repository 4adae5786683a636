// What a name hides (threats B and C7): views, operators, casts, overloads, triggers, rules, bodies of functions, another
// search_path. Each text runs into it; with nobody to approve, nothing may be another afterwards.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { query } from '../../../src/wire/messages/frontend.ts';
import { besiege, inert, refused, type Siege, sent, unharmed } from '../../support/siege.ts';
import {
  defaultPathFixture,
  defaultPathTexts,
  harmlessHere,
  hiddenFixture,
  hiddenSettings,
  hiddenTexts,
} from './hidden.ts';

let siege: Siege;

beforeAll(async () => {
  siege = await besiege({ fixture: hiddenFixture });
});

afterAll(() => siege?.close());

test('every text of the table, in both protocols, is refused and changes nothing', async () => {
  await unharmed(siege, hiddenTexts);
});

test.each(harmlessHere)('%s passes, with the answer of a direct connection', async (text) => {
  const answer = await sent(await siege.guard.connect(), text);
  expect(answer).toEqual(await sent(await siege.unguarded(), text));
  expect(refused(answer)).toBe(false);
});

test('unguarded, each of them changes the database: the table is of attacks', async () => {
  expect(await inert(siege, hiddenTexts)).toEqual([]);
});

test('whatever brings the search_path of the database back, names are looked up there', async () => {
  const other = await besiege({ fixture: defaultPathFixture });
  try {
    await unharmed(other, defaultPathTexts);
    const answer = await sent(
      await other.guard.connect(),
      'SET search_path = public',
      'SELECT count(*) FROM t',
    );
    expect(answer).toContain('D 10');
  } finally {
    await other.close();
  }
});

test.each([
  [
    ['SET search_path = evil, public', 'BEGIN; SET LOCAL search_path = public'],
    ['ROLLBACK', 'SELECT * FROM t'],
  ],
  [['SET search_path = public'], ['SET search_path = evil, public', 'SELECT * FROM t']],
  [
    ['SET search_path = evil, public', 'BEGIN; SAVEPOINT a; SET search_path = public'],
    ['ROLLBACK TO a', 'TABLE t'],
  ],
])(
  'after %j, %j in one segment are looked up where the first has moved the second',
  async (before, together) => {
    const client = await siege.guard.connect();
    for (const text of before) {
      client.send(query(text));
      await client.until('Z');
    }
    client.send(...together.map((text) => query(text)));
    const replies = await client.until('Z', together.length);
    expect(replies.findLast(({ letter }) => 'CE'.includes(letter))?.letter).toBe('E');
    client.destroy();
    const { rows } = await siege.direct.query('select count(*)::int as n from customers');
    expect(rows[0].n).toBe(10);
  },
);

test.each(hiddenSettings)('%s leaves it as it is', async (text, setting, value) => {
  const client = await siege.guard.connect();
  client.send(query(text), query(`SHOW ${setting}`));
  const replies = await client.until('Z', 2);
  client.destroy();
  expect(replies.find(({ letter }) => letter === 'E')?.summary).toContain('42501');
  expect(replies.findLast(({ letter }) => letter === 'D')?.summary).toBe(value);
});
