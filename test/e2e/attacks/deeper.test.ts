// More of what a name hides (threats B) against a real server: temporary objects that come and go, row movement, casts
// that JSON functions look up, operator classes, extensions.

import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  bind,
  describe as describeMessage,
  execute,
  parse,
  query,
  sync,
} from '../../../src/wire/messages/frontend.ts';
import { copyData, copyDone } from '../../support/frames.ts';
import { besiege, changes, inert, type Siege, sent, unharmed } from '../../support/siege.ts';
import { deeperFixture, deeperHarmless, deeperTexts, deeperUnseen } from './deeper.ts';

let siege: Siege;

beforeAll(async () => {
  siege = await besiege({ fixture: deeperFixture });
});

afterAll(() => siege?.close());

test('every text of the table, in both protocols, is refused and changes nothing', async () => {
  await unharmed(siege, [...deeperTexts, ...deeperUnseen.filter((each) => typeof each === 'string')]);
});

test('what does nothing passes in the same database', async () => {
  for (const texts of deeperHarmless) {
    const answer = await sent(await siege.guard.connect(), ...texts);
    expect(
      answer.filter((line) => line.startsWith('E ')),
      texts.join('; '),
    ).toEqual([]);
  }
});

test('unguarded, each of them changes the database', async () => {
  expect(await inert(siege, deeperTexts)).toEqual([]);
});

test.each(deeperUnseen.filter((each) => typeof each !== 'string'))(
  'the last of %j is refused',
  async (...texts) => {
    const before = await siege.digest();
    const client = await siege.guard.connect();
    for (const text of texts) client.send(query(text));
    const replies = await client.until('Z', texts.length);
    expect(replies.findLast(({ letter }) => 'CE'.includes(letter))?.letter).toBe('E');
    client.destroy();
    expect(changes(before, await siege.digest())).toEqual([]);
  },
);

test.each(['dm', 'deeper', 'of_domain', 'dm[]', 'typed'])(
  'a parameter declared as %s is refused',
  async (type) => {
    const before = await siege.digest();
    const { rows } = await siege.direct.query(`select '${type}'::regtype::oid::int as oid`);
    const value = type.endsWith(']') ? '{1}' : /^(typed|of_domain)$/.test(type) ? '(1)' : '1';
    const client = await siege.guard.connect();
    client.send(
      parse('', 'SELECT $1', [rows[0].oid]),
      bind('', '', [Buffer.from(value)]),
      execute(''),
      sync(),
    );
    expect((await client.until('Z')).map(({ letter }) => letter)).toContain('E');
    client.send(parse('n', 'SELECT $1', [rows[0].oid]), describeMessage('S', 'n'), sync());
    await client.until('Z');
    client.send(bind('', 'n', [Buffer.from(value)]), sync());
    expect((await client.until('Z')).map(({ letter }) => letter)).toContain('E');
    client.destroy();
    expect(changes(before, await siege.digest())).toEqual([]);
  },
);

test.each(['COPY triggered FROM STDIN', 'COPY typed FROM STDIN', 'COPY odd_index FROM STDIN'])(
  '%s is refused before its rows are taken',
  async (text) => {
    const before = await siege.digest();
    const client = await siege.guard.connect();
    client.send(query(text), copyData('7\t7\n'), copyDone());
    expect((await client.until('Z')).map(({ letter }) => letter)).not.toContain('G');
    client.destroy();
    expect(changes(before, await siege.digest())).toEqual([]);
  },
);
