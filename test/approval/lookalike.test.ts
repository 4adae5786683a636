import { expect, test } from 'vitest';
import { lookalikes } from '../../src/approval/lookalike.ts';

const words = (text: string) => lookalikes(text).map(({ word, like }) => [word, like]);

test('a word of another script that reads as an English one is named, with what it reads as', () => {
  expect(lookalikes('DELETE FROM \u043erders')).toEqual([
    { word: '\u043erders', like: 'orders', scripts: ['Latin', 'Cyrillic'], codes: ['U+043E'] },
  ]);
  // All of one script, and still read as ASCII.
  expect(words('SELECT \u0441\u043e\u0440')).toEqual([['\u0441\u043e\u0440', 'cop']]);
  expect(words('\u039f\u03a1 1 = 1')).toEqual([['\u039f\u03a1', 'OP']]);
  expect(words('\uff2f\uff32 true')).toEqual([['\uff2f\uff32', 'OR']]);
  expect(words('\u{1d5e8}ser')).toEqual([['\u{1d5e8}ser', 'User']]);
});

test('scripts mixed within a word are named also where it reads as nothing', () => {
  expect(words('x = data\u0436')).toEqual([['data\u0436', null]]);
  expect(words('caf\u00e9\u03b1\u03b8')).toEqual([['caf\u00e9\u03b1\u03b8', null]]);
});

test('words that people write are left alone', () => {
  for (const text of [
    'caf\u00e9 na\u00efve \u00fcber',
    'заказы',
    '\u6771\u4eac\u3067\u3059',
    '\u03bb\u03cc\u03b3\u03bf\u03c2',
    'plain',
  ]) {
    expect(words(text), text).toEqual([]);
  }
});

test('a word is named once, and a text full of them does not fill the page', () => {
  const many = Array.from({ length: 200 }, (_, index) => `\u043e${index}`).join(' ');
  expect(lookalikes(many)).toHaveLength(50);
  expect(lookalikes('\u043ea \u043ea')).toHaveLength(1);
});
