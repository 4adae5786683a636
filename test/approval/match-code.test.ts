import fc from 'fast-check';
import { expect, test } from 'vitest';
import { matchCode } from '../../src/approval/match-code.ts';

test('one digest has one code, of six characters that nobody reads as each other', () => {
  expect(matchCode('A'.repeat(43))).toBe(matchCode('A'.repeat(43)));
  fc.assert(
    fc.property(fc.string(), (rd) => {
      expect(matchCode(rd)).toMatch(/^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$/);
    }),
  );
});

test('digests that differ have codes that differ', () => {
  const codes = new Set(Array.from({ length: 2000 }, (_, index) => matchCode(`digest ${index}`)));
  expect(codes.size).toBeGreaterThan(1995);
});
