// Names that come to stand for something else, most of all by approved code, against a real server.

import { afterAll, beforeAll, test } from 'vitest';
import { besiege, type Siege, withstands } from '../../support/siege.ts';
import { fixture } from './fixture.ts';
import { knownAgain, nameScripts } from './names.ts';

let siege: Siege;

beforeAll(async () => {
  siege = await besiege({ fixture });
});

afterAll(() => siege?.close());

test.each([...nameScripts, knownAgain])('%s', async (...script) => {
  await withstands(siege, script);
});
