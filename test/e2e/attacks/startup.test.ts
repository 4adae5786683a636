// Startup parameters that would take the footing away are refused before the server hears of them.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { besiege, type Siege } from '../../support/siege.ts';
import { startupAttacks } from './startup.ts';

let siege: Siege;

beforeAll(async () => {
  siege = await besiege({ fixture: 'select 1' });
});

afterAll(() => siege?.close());

test.each(startupAttacks.map((parameters) => [JSON.stringify(parameters), parameters] as const))(
  '%s is refused',
  async (_, parameters) => {
    await expect(siege.guard.connect(parameters)).rejects.toMatchObject({
      sqlstate: expect.stringMatching(/^(0A000|22023)$/),
    });
  },
);
