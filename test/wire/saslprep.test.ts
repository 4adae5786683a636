import fc from 'fast-check';
import { expect, test } from 'vitest';
import { preparePassword } from '../../src/wire/saslprep.ts';

// Code points are spelled out: the characters are invisible or look alike.
test.each([
  ['I\u00ADX', 'IX', 'a soft hyphen is mapped to nothing (RFC 4013 §3)'],
  ['user', 'user', 'ASCII is left alone (RFC 4013 §3)'],
  ['USER', 'USER', 'case is kept (RFC 4013 §3)'],
  ['\u00AA', 'a', 'NFKC replaces the feminine ordinal (RFC 4013 §3)'],
  ['\u2168', 'IX', 'NFKC replaces the Roman numeral nine (RFC 4013 §3)'],
  ['a\u00A0b\u3000c', 'a b c', 'spaces beyond ASCII become spaces'],
  ['a\u200Bb', 'a b', 'a zero-width space counts as a space before it counts as nothing'],
  ['e\u0301', '\u00E9', 'accents are composed'],
  ['\u0627\u0628', '\u0627\u0628', 'right-to-left text that stands alone is kept'],
  ['\u06271\u0628', '\u06271\u0628', 'digits may stand inside right-to-left text'],
])('%j is prepared as %j: %s', (password, prepared) => {
  expect(preparePassword(password).toString()).toBe(prepared);
});

test.each([
  ['\u0007\u00AA', 'a control character (RFC 4013 §3)'],
  ['\u06271', 'right-to-left text that ends in a digit (RFC 4013 §3)'],
  ['\u0627a\u0628\u00AA', 'both directions mixed'],
  ['\u00AD', 'nothing left'],
  ['\u00AA\uE000', 'a private-use character'],
  ['\u00AA\u{1F600}', 'a character that Unicode 3.2 did not know'],
  ['\u00AA\u0221', 'the first unassigned character'],
  ['\u00AA\u{E0001}', 'a language tag'],
  ['\u00AA\uFFFD', 'the replacement character'],
])('%j is hashed as it is, for SASLprep refuses it: %s', (password) => {
  expect(preparePassword(password).toString()).toBe(password);
});

test('ASCII is never changed, not even control characters', () => {
  const ascii = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code)).join('');
  expect(preparePassword(ascii).toString()).toBe(ascii);
});

test('preparing twice changes nothing more', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (password) => {
      const once = preparePassword(password).toString();
      expect(preparePassword(once).toString()).toBe(once);
    }),
  );
});
