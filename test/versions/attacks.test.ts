// The attacks on a server of an older version: 15, whose grammar and whose READ ONLY mode differ from 18's.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { attackRows } from '../e2e/attacks/corpus.ts';
import { deeperFixture, deeperTexts } from '../e2e/attacks/deeper.ts';
import { enclosedFixture, escapes, leaking, leakingFixture, tooMany } from '../e2e/attacks/enclosed.ts';
import { fixture } from '../e2e/attacks/fixture.ts';
import {
  defaultPathFixture,
  defaultPathTexts,
  hiddenFixture,
  hiddenSettings,
  hiddenTexts,
} from '../e2e/attacks/hidden.ts';
import { byPipeline, byQuery, footings } from '../e2e/attacks/lexer.ts';
import { knownAgain, nameScripts } from '../e2e/attacks/names.ts';
import { transactionScripts } from '../e2e/attacks/transaction.ts';
import { wireScripts } from '../e2e/attacks/wire.ts';
import { besiege, changes, type Siege, sent, together, unharmed, withstands } from '../support/siege.ts';

const version = 15;

describe('texts', () => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await besiege({ fixture, version });
  });

  afterAll(() => siege?.close());

  test.each(attackRows)('%s: every text is refused, and nothing changes', async (_row, texts) => {
    await unharmed(siege, texts);
  });

  test.each(footings)('$setting: every route is refused', async (footing) => {
    const before = await siege.digest();
    const fates = await together(footing.routes, async (route) => [
      { text: route, ...(await byQuery(await siege.guard.connect(), footing, route)) },
      { text: route, ...(await byPipeline(await siege.guard.connect(), footing, route, false)) },
      { text: route, ...(await byPipeline(await siege.guard.connect(), footing, route, true)) },
    ]);
    const changed = fates
      .flat()
      .filter(({ route, now }) => !route.startsWith('E ') || now !== footing.pinned);
    expect(changed).toEqual([]);
    expect(changes(before, await siege.digest())).toEqual([]);
  });

  test.each(footings)('$setting: what goes back to our value passes', async (footing) => {
    for (const route of footing.harmless) {
      const fate = await byQuery(await siege.guard.connect(), footing, route);
      expect(fate, route).toEqual({ route: 'passed', now: footing.pinned });
    }
  });
});

describe('scripts', () => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await besiege({ fixture, version, hold: { waitMs: 300 } });
  });

  afterAll(() => siege?.close());

  test.each([...transactionScripts, ...wireScripts, ...nameScripts, knownAgain])('%s', async (...script) => {
    await withstands(siege, script);
  });
});

describe.each([
  ['what a name hides', hiddenFixture, hiddenTexts],
  ['the search_path of the database', defaultPathFixture, defaultPathTexts],
  ['what else a name hides', deeperFixture, deeperTexts],
  ['ways out of an enclosure', enclosedFixture, [...escapes, ...tooMany]],
  ['what READ ONLY would not stop', leakingFixture, leaking],
] as const)('%s', (_, made, texts) => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await besiege({ fixture: made, version });
  });

  afterAll(() => siege?.close());

  test('every text of the table is refused, and nothing changes', async () => {
    await unharmed(siege, texts);
  });

  test.each(made === hiddenFixture ? hiddenSettings : [])(
    '%s leaves it as it is',
    async (text, setting, value) => {
      expect(await sent(await siege.guard.connect(), text, `SHOW ${setting}`)).toEqual([
        expect.stringContaining('42501'),
        expect.stringMatching(/^Z/),
        `D ${value}`,
        'C SHOW',
        'Z I',
      ]);
    },
  );
});

describe('names that a newer grammar reads as syntax, or a newer server has itself (wire.md §0.17, §3.3)', () => {
  let siege: Siege;
  const calls: readonly string[] = [
    "json_scalar('x')",
    'merge_action()',
    "json('x'::text)",
    "json_serialize('x')",
    "json_array('x')",
    "json_value('x', 'y')",
    "json_query('x', 'y')",
    "json_exists('x', 'y')",
    'any_value(1)',
    "crc32('x')",
    "casefold('x')",
    'random(1, 2)',
    "array_reverse('{1,2}'::int[])",
  ];
  const made: readonly string[] = [
    'json_scalar(text)',
    'merge_action()',
    'json(text)',
    'json_serialize(text)',
    'json_array(text)',
    'json_value(text, text)',
    'json_query(text, text)',
    'json_exists(text, text)',
    'any_value(int)',
    'crc32(text)',
    'casefold(text)',
    'random(int, int)',
    'array_reverse(int[])',
  ];

  beforeAll(async () => {
    const definitions = made.map(
      (signature) =>
        `create function ${signature} returns int language plpgsql as 'begin return public.purge(); end';`,
    );
    siege = await besiege({ fixture: `${fixture} ${definitions.join('\n')}`, version });
  });

  afterAll(() => siege?.close());

  test('are refused where they are functions of users', async () => {
    await unharmed(siege, [
      ...calls.map((call) => `SELECT ${call}`),
      ...calls.map((call) => `SELECT 1 FROM t WHERE ${call} IS NOT NULL`),
    ]);
  });

  test('unguarded, each of them deletes', async () => {
    for (const call of calls) {
      const answer = await sent(
        await siege.unguarded(),
        `BEGIN; SELECT ${call}; SELECT count(*) FROM customers`,
        'ROLLBACK',
      );
      expect(answer, call).toContain('D 0');
    }
  });
});
