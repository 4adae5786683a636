// What the text itself hides or shows (threats A), and what it calls by name (B, C, D, F): the texts that the classifier
// is tested with, sent through Holdpoint with nobody to approve, as a Query and in the extended protocol. Nothing is
// asked of the classifier here: every text must be refused, and nothing may be another in the database afterwards.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { besiege, changes, pipelined, refused, type Siege, sent, unharmed } from '../../support/siege.ts';
import { attackRows, harmfulRows, harmless } from './corpus.ts';
import { fixture } from './fixture.ts';

let siege: Siege;

beforeAll(async () => {
  siege = await besiege({ fixture });
});

afterAll(() => siege?.close());

test.each(attackRows)('%s: every text is refused, and nothing changes', async (_row, texts) => {
  await unharmed(siege, texts);
});

test('unguarded, some text of each row does its harm: the siege looks where it hurts', async () => {
  const before = await siege.digest();
  const harmed = new Set<string>();
  for (const [row, texts] of attackRows) {
    for (const text of harmfulRows.has(row) ? texts : []) {
      if (harmed.has(row)) break;
      await siege.direct.query('begin');
      const ran = await siege.direct.query(text).then(
        () => true,
        () => false,
      );
      if (ran && changes(before, await siege.digest()).length > 0) harmed.add(row);
      await siege.direct.query('rollback');
    }
  }
  expect([...harmed].sort()).toEqual([...harmfulRows].sort());
});

test.each(harmless)('%s passes, with the answer of a direct connection', async (text) => {
  const before = await siege.digest();
  const answer = await sent(await siege.guard.connect(), text);
  expect(answer).toEqual(await sent(await siege.unguarded(), text));
  expect(refused(answer)).toBe(false);
  if (!text.includes(';')) expect(refused(await pipelined(await siege.guard.connect(), text))).toBe(false);
  expect(changes(before, await siege.digest())).toEqual([]);
});
