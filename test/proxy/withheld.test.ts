import { describe, expect, test } from 'vitest';
import { Withheld, withheldBytesMax } from '../../src/proxy/withheld.ts';

const bytes = (text: string): Buffer => Buffer.from(text);
const texts = (frames: readonly Buffer[]): string => frames.map(String).join(' ');

function kept(overflows: () => 'stream' | 'swallow' = () => 'stream'): Withheld {
  return new Withheld(overflows);
}

describe('output of an enclosure', () => {
  test('comes in its order if it stands, and not at all if it does not', () => {
    for (const stands of [true, false]) {
      const withheld = kept();
      withheld.frame(bytes('T'), 'next');
      expect(withheld.passage(bytes('D'), true)).toEqual([]);
      withheld.frame(bytes('C'), 'tail');
      expect(texts(withheld.take(stands))).toBe(stands ? 'T D C' : '');
    }
  });

  test('leaves what is the client s in any case where it stands', () => {
    const withheld = kept();
    expect(texts(withheld.lasting(bytes('1')))).toBe('1');
    expect(texts(withheld.passage(bytes('d'), false))).toBe('d');
    withheld.frame(bytes('T'), 'next');
    expect(withheld.lasting(bytes('S'))).toEqual([]);
    expect(withheld.passage(bytes('d'), false)).toEqual([]);
    withheld.frame(bytes('C'), 'tail');
    expect(texts(withheld.take(false))).toBe('S d');
  });

  test('a notice goes before the tail, and an error in its stead, wherever the tail stands', () => {
    const withheld = kept();
    withheld.frame(bytes('C1'), 'tail');
    withheld.frame(bytes('C2'), 'tail');
    withheld.lasting(bytes('S'));
    withheld.frame(bytes('N'), 'before-tail');
    withheld.frame(bytes('E'), 'instead-of-tail');
    expect(texts(withheld.take(true))).toBe('C1 N E S');
  });

  test('beyond its limit streams: what was kept first, then all but whole frames, which wait for rows behind them', () => {
    let asked = 0;
    const withheld = kept(() => {
      asked += 1;
      return 'stream';
    });
    withheld.frame(bytes('T'), 'next');
    expect(withheld.passage(Buffer.alloc(withheldBytesMax - 10), true)).toEqual([]);
    expect(withheld.passage(Buffer.alloc(20), true).map(({ length }) => length)).toEqual([
      1,
      withheldBytesMax - 10,
      20,
    ]);
    expect(texts(withheld.passage(bytes('D'), true))).toBe('D');
    withheld.frame(bytes('C'), 'tail');
    expect(texts(withheld.take(true))).toBe('C');
    expect(asked).toBe(1);
  });

  test('beyond its limit is swallowed where it will be undone; what lasts is not', () => {
    const withheld = kept(() => 'swallow');
    withheld.frame(bytes('T'), 'next');
    withheld.lasting(bytes('S'));
    expect(withheld.passage(Buffer.alloc(withheldBytesMax), true)).toEqual([]);
    expect(withheld.passage(bytes('D'), true)).toEqual([]);
    withheld.frame(bytes('C'), 'tail');
    expect(texts(withheld.take(false))).toBe('S');
  });
});
