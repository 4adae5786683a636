// The attacks on a server of an older version: 15, whose grammar and whose READ ONLY mode differ from 18's.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { attackRows } from '../e2e/attacks/corpus.ts';
import { fixture } from '../e2e/attacks/fixture.ts';
import { byPipeline, byQuery, footings } from '../e2e/attacks/lexer.ts';
import { knownAgain, nameScripts } from '../e2e/attacks/names.ts';
import { transactionScripts } from '../e2e/attacks/transaction.ts';
import { wireScripts } from '../e2e/attacks/wire.ts';
import { besiege, changes, type Siege, together, unharmed, withstands } from '../support/siege.ts';

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
