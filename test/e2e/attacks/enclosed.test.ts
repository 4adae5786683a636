// Ways out of an enclosure against a real server: what passes only within READ ONLY writes nothing, and what passes only
// within a number of rows changes no more, whatever carries it.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { bind, execute, flush, parse, query, sync } from '../../../src/wire/messages/frontend.ts';
import { besiege, inert, type Siege, sent, unharmed, withstands } from '../../support/siege.ts';
import { enclosedFixture, escapes, leaking, leakingFixture, tooMany } from './enclosed.ts';

let siege: Siege;

beforeAll(async () => {
  siege = await besiege({ fixture: enclosedFixture });
});

afterAll(() => siege?.close());

test('no way leads out of READ ONLY', async () => {
  await unharmed(siege, escapes);
});

test('unguarded, each of them writes', async () => {
  // Not the ones that end the transaction that this is tried in, nor a number that no rollback gives back.
  const within = escapes.filter((each) => !/COMMIT|HOLD|nextval/.test(JSON.stringify(each)));
  expect(await inert(siege, within)).toEqual([]);
});

test('where SQL that is built may reach what READ ONLY does not stop, it is refused, and so is what reaches it', async () => {
  const other = await besiege({ fixture: leakingFixture });
  try {
    await unharmed(other, leaking);
  } finally {
    await other.close();
  }
});

test('no way changes more rows than the rules let one statement change', async () => {
  await unharmed(siege, tooMany);
});

test('what stays within passes', async () => {
  const sessions = [
    ["SELECT counts('t')", "SELECT counts('customers')"],
    ['BEGIN', "SELECT counts('t')", 'COMMIT'],
    ['BEGIN', "DECLARE c CURSOR FOR SELECT counts('t')", 'FETCH c', 'COMMIT'],
    ['UPDATE big SET a = 0 WHERE id <= 1000'],
    ['BEGIN', 'UPDATE big SET a = 0 WHERE id > 2000', 'COMMIT'],
    ['UPDATE big SET a = 0 WHERE id = 7'],
  ];
  for (const texts of sessions) {
    const answer = await sent(await siege.guard.connect(), ...texts);
    expect(
      answer.filter((line) => line.startsWith('E ')),
      texts.join('; '),
    ).toEqual([]);
  }
});

const update = 'UPDATE big SET a = 1 WHERE id > 0 RETURNING id';
const writer = "SELECT counts('hidden')";

test.each([
  ['a portal that is read one row at a time', 1, [parse('', update), bind('', ''), execute('', 1), sync()]],
  [
    'and never to its end, in a block',
    2,
    [query('BEGIN'), parse('', update), bind('p', ''), execute('p', 1), query('COMMIT'), sync()],
  ],
  [
    'and closed by a COMMIT of the same flight',
    1,
    [parse('', update), bind('', ''), execute('', 1), parse('', 'COMMIT'), bind('', ''), execute(''), sync()],
  ],
  [
    'behind a Flush',
    1,
    [
      parse('', update),
      bind('', ''),
      execute('', 1),
      flush(),
      parse('', 'SELECT 1'),
      bind('', ''),
      execute(''),
      sync(),
    ],
  ],
  [
    'bound twice',
    1,
    [parse('u', update), bind('p', 'u'), bind('q', 'u'), execute('p', 1), execute('q', 1), sync()],
  ],
  [
    'a Bind that is never executed',
    1,
    [parse('', "SELECT counts('hidden') WHERE false"), bind('', ''), sync()],
  ],
  [
    'a read that writes, in a flight with a write',
    1,
    [
      parse('', 'INSERT INTO log (id) VALUES (1)'),
      bind('', ''),
      execute(''),
      parse('', writer),
      bind('', ''),
      execute(''),
      sync(),
    ],
  ],
  [
    'a portal in a block, executed in a later flight',
    3,
    [query('BEGIN'), parse('', writer), bind('p', ''), sync(), execute('p'), sync()],
  ],
  [
    'two portals of it, executed in turn',
    2,
    [query('BEGIN'), parse('w', writer), bind('p', 'w'), bind('q', 'w'), execute('q'), execute('p'), sync()],
  ],
  [
    'between two reads',
    1,
    [
      parse('r', 'SELECT 1'),
      bind('', 'r'),
      execute(''),
      parse('w', writer),
      bind('', 'w'),
      execute(''),
      bind('', 'r'),
      execute(''),
      sync(),
    ],
  ],
  [
    'behind an error of the same flight',
    2,
    [
      parse('', 'SELECT 1/0'),
      bind('', ''),
      execute(''),
      parse('', writer),
      bind('', ''),
      execute(''),
      sync(),
      query(writer),
    ],
  ],
  [
    'a Query in the middle of a flight',
    2,
    [parse('', 'SELECT 1'), bind('', ''), execute(''), query(writer), sync()],
  ],
] as const)('%s changes nothing', async (_, readies, frames) => {
  await withstands(siege, [
    _,
    async ({ guard }) => {
      const client = await guard.connect();
      client.send(...frames);
      await client.until('Z', readies);
      client.send(query('ROLLBACK'));
      await client.until('Z');
      client.destroy();
    },
  ]);
});
