import fc from 'fast-check';
import { expect, test } from 'vitest';
import { countHidden, visible } from '../../src/approval/visible.ts';

test('hidden characters are counted as they are marked', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'a',
      '\n',
      '\t',
      '\u202e',
      '\u200b\u200b',
      '\u00a0',
      '\r',
      '\u0000',
      '\ud800',
      '😀',
      'é',
      '\ufeff',
    ),
    fc.string({ unit: 'binary' }),
  );
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const text = pieces.join('');
      expect(countHidden(text)).toBe(visible(text).hidden);
    }),
  );
});
