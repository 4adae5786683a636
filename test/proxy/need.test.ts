// What a hold needs: of target and rules the stronger, and only people whom both name.

import { expect, test } from 'vitest';
import { strongest } from '../../src/policy/decide.ts';
import { jointNeed } from '../../src/proxy/need.ts';

test.each([
  ['the target alone', { level: 'key', quorum: 1 }, undefined, { level: 'key', quorum: 1 }],
  [
    'a rule that asks for more',
    { level: 'key', quorum: 1 },
    { level: 'passkey', quorum: 2 },
    { level: 'passkey', quorum: 2 },
  ],
  [
    'a rule that asks for less',
    { level: 'key', quorum: 2 },
    { level: 'link', quorum: 1 },
    { level: 'key', quorum: 2 },
  ],
  [
    'a group of the target',
    { level: 'key', quorum: 1, approvers: ['a', 'b'] },
    undefined,
    { level: 'key', quorum: 1, of: ['a', 'b'] },
  ],
  ['a group of a rule', { level: 'key', quorum: 1 }, { of: ['b'] }, { level: 'key', quorum: 1, of: ['b'] }],
  [
    'both groups',
    { level: 'key', quorum: 1, approvers: ['a', 'b'] },
    { of: ['b', 'c'] },
    { level: 'key', quorum: 1, of: ['b'] },
  ],
  [
    'groups without anybody in both',
    { level: 'key', quorum: 1, approvers: ['a'] },
    { of: ['c'] },
    { level: 'key', quorum: 1, of: [] },
  ],
] as const)('%s', (_, target, rules, need) => {
  expect(jointNeed(target, rules)).toEqual(need);
});

test('of several rules only the people whom all of them name count', () => {
  expect(strongest({ of: ['a', 'b'], quorum: 2 }, { of: ['b', 'c'] })).toEqual({ of: ['b'], quorum: 2 });
  expect(strongest({ of: ['a'] }, { level: 'passkey' })).toEqual({ of: ['a'], level: 'passkey' });
});
