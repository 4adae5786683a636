// The mirror of names by itself: what a name may stand for, and what it costs. Facts are hand-made; only identity counts.

import { describe, expect, test } from 'vitest';
import { nameKey, type Prepared, PreparedMirror, samePrepared } from '../../src/session/prepared.ts';
import { statement } from '../policy/statements.ts';

function text(sql: string, inner = false): Prepared {
  return { sql: Buffer.from(sql), statements: [statement('SELECT', ['read'])], inner, parameterOids: [] };
}

const one = text('select 1');
const two = text('delete from t');

function defined(mirror: PreparedMirror, name: string, prepared: Prepared): void {
  mirror.confirm(mirror.stage(name, prepared, 0));
}

describe('a Parse', () => {
  test('counts for its own segment at once, for another only when confirmed', () => {
    const mirror = new PreparedMirror(true);
    const staged = mirror.stage('s', one, 1);
    expect(mirror.candidates('s', 1)).toEqual([one]);
    expect(mirror.candidates('s', 2)).toBe('open');
    mirror.confirm(staged);
    expect(mirror.candidates('s', 2)).toEqual([one]);
  });

  test('of the same text as before is certain whether it runs or not', () => {
    const mirror = new PreparedMirror(true);
    defined(mirror, 's', one);
    mirror.stage('s', text('select 1'), 1);
    expect(mirror.candidates('s', 2)).toEqual([one]);
  });

  test('that is refused keeps a named statement and destroys the unnamed one', () => {
    const mirror = new PreparedMirror(true);
    for (const name of ['s', '']) {
      defined(mirror, name, one);
      mirror.refuse(mirror.stage(name, two, 1));
    }
    expect(mirror.candidates('s', 2)).toEqual([one]);
    expect(mirror.candidates('', 2)).toBeUndefined();
  });

  test('that is skipped changes nothing; one in doubt leaves both', () => {
    const mirror = new PreparedMirror(true);
    defined(mirror, 's', one);
    mirror.skip(mirror.stage('s', two, 1));
    expect(mirror.candidates('s', 2)).toEqual([one]);
    mirror.doubt(mirror.stage('s', two, 1));
    expect(mirror.candidates('s', 2)).toEqual([one, two]);
  });

  test('in doubt does not explain a name that nobody explained before', () => {
    const mirror = new PreparedMirror(true);
    mirror.doubt(mirror.stage('s', one, 1));
    expect(mirror.candidates('s', 2)).toBeUndefined();
  });
});

describe('a PREPARE', () => {
  test('is open until its gate ends, even in the segment of a Parse', () => {
    const mirror = new PreparedMirror(true);
    mirror.stage('s', one, 1);
    const prepare = mirror.stagePrepare('s', text('prepare s as delete', true));
    expect(mirror.candidates('s', 1)).toBe('open');
    mirror.settlePrepare(prepare, false);
    expect(mirror.candidates('s', 1)).toEqual([one]);
  });

  test('that ran is what the name stands for; one that may have run stands beside what was there', () => {
    const mirror = new PreparedMirror(true);
    const first = mirror.stagePrepare('s', one);
    mirror.ran(first);
    mirror.settlePrepare(first, false);
    expect(mirror.candidates('s', 1)).toEqual([one]);
    mirror.settlePrepare(mirror.stagePrepare('s', two), true);
    expect(mirror.candidates('s', 1)).toEqual([one, two]);
  });

  test('that may have run does not explain a name that may have been there unseen', () => {
    const mirror = new PreparedMirror(true);
    mirror.settlePrepare(mirror.stagePrepare('s', one), true);
    expect(mirror.candidates('s', 1)).toBeUndefined();
  });

  test('of the same text is another statement if its facts are', () => {
    const again = text('prepare s as select 1', true);
    expect(samePrepared(again, text('prepare s as select 1', true))).toBe(false);
    expect(samePrepared(again, { ...again })).toBe(true);
    expect(samePrepared(text('a'), text('a'))).toBe(true);
    expect(samePrepared(text('a'), text('a', true))).toBe(false);
  });
});

test('a dropped name is unknown; without a name all are', () => {
  const mirror = new PreparedMirror(true);
  defined(mirror, 'a', one);
  defined(mirror, 'b', one);
  defined(mirror, 'c', one);
  mirror.drop('a');
  expect([mirror.candidates('a', 1), mirror.candidates('b', 1)]).toEqual([undefined, [one]]);
  mirror.drop(undefined);
  expect([mirror.candidates('b', 1), mirror.candidates('c', 1)]).toEqual([undefined, undefined]);
});

describe('after code of which nothing is known', () => {
  test('no name, staged or confirmed, is explained but the unnamed one; what comes later is', () => {
    const mirror = new PreparedMirror(true);
    for (const name of ['s', '']) defined(mirror, name, one);
    const parsing = mirror.stage('parsing', one, 1);
    const preparing = mirror.stagePrepare('preparing', text('select 1', true));
    mirror.codeRan();
    mirror.confirm(parsing);
    mirror.ran(preparing);
    mirror.settlePrepare(preparing, false);
    for (const name of ['s', 'parsing', 'preparing'])
      expect(mirror.candidates(name, 1), name).toBeUndefined();
    expect(mirror.candidates('', 1)).toEqual([one]);
    defined(mirror, 's', two);
    expect(mirror.candidates('s', 1)).toEqual([two]);
  });

  test('no cursor is known, and a portal that nobody saw bound may be one that code has opened', () => {
    const mirror = new PreparedMirror(true);
    mirror.noteCursor('c');
    expect(mirror.mayBeOpenedByCode('never seen')).toBe(false);
    mirror.codeRan();
    expect(mirror.knowsCursor('c')).toBe(false);
    expect(mirror.mayBeOpenedByCode('c')).toBe(true);
    mirror.noteCursor('c');
    expect(mirror.mayBeOpenedByCode('c')).toBe(false);
  });

  test('the room of what is forgotten is given back', () => {
    const mirror = new PreparedMirror(true, { namesMax: 10, sqlBytesMax: 13, candidatesMax: 8 });
    defined(mirror, 's', one);
    mirror.stage('t', text('12345'), 1);
    expect(mirror.full).toBe(true);
    mirror.codeRan();
    expect(mirror.full).toBe(false);
  });
});

test('once distrusted no name is explained, not even in its own segment', () => {
  const mirror = new PreparedMirror(true);
  defined(mirror, 's', one);
  mirror.stage('t', one, 1);
  mirror.distrust();
  expect([mirror.candidates('s', 1), mirror.candidates('t', 1)]).toEqual([undefined, undefined]);
});

test('names compare by their first 63 bytes; beyond ASCII only where the encodings agree and nothing is cut', () => {
  expect(nameKey('a'.repeat(70), true)).toBe('a'.repeat(63));
  expect(nameKey('é'.repeat(20), true)).toBe('é'.repeat(20));
  expect(nameKey('é'.repeat(21), true)).toBeUndefined();
  expect(nameKey('é', false)).toBeUndefined();
});

describe('limits', () => {
  const limits = { namesMax: 2, sqlBytesMax: 30, candidatesMax: 2 };

  test('a name beyond the limit is unknown, and known names are not hurt', () => {
    const mirror = new PreparedMirror(true, limits);
    for (const name of ['a', 'b', 'c']) defined(mirror, name, one);
    expect([mirror.candidates('a', 1), mirror.candidates('c', 1)]).toEqual([[one], undefined]);
  });

  test('a text beyond the limit makes its name unknown, never what it was before', () => {
    const mirror = new PreparedMirror(true, limits);
    defined(mirror, 'a', one);
    const large = mirror.stage('a', text('x'.repeat(40)), 1);
    expect(mirror.candidates('a', 1)).toBeUndefined();
    expect(mirror.candidates('a', 2)).toBe('open');
    mirror.confirm(large);
    expect(mirror.candidates('a', 2)).toBeUndefined();
  });

  test('more statements than can be weighed are unknown', () => {
    const mirror = new PreparedMirror(true, limits);
    defined(mirror, 'a', text('1'));
    for (const sql of ['2', '3']) mirror.doubt(mirror.stage('a', text(sql), 1));
    expect(mirror.candidates('a', 2)).toBeUndefined();
  });

  test('whatever happens to a text, its room is given back', () => {
    const mirror = new PreparedMirror(true, { ...limits, sqlBytesMax: 8 });
    const fill = (): Prepared => text('12345678');
    const ends: ((mirror: PreparedMirror) => void)[] = [
      (m) => m.skip(m.stage('s', fill(), 1)),
      (m) => m.refuse(m.stage('s', fill(), 1)),
      (m) => m.refuse(m.stage('', fill(), 1)),
      (m) => m.doubt(m.stage('s', fill(), 1)),
      (m) => m.settlePrepare(m.stagePrepare('s', fill()), false),
      (m) => m.settlePrepare(m.stagePrepare('s', fill()), true),
      (m) => {
        m.confirm(m.stage('s', fill(), 1));
        expect(m.full).toBe(true);
        m.drop('s');
      },
      (m) => {
        m.confirm(m.stage('s', fill(), 1));
        m.drop(undefined);
      },
    ];
    for (const end of ends) {
      end(mirror);
      expect(mirror.full).toBe(false);
    }
  });
});
