// Strings of a frame: whatever their length and letters, read as the manual has them.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HoldpointError } from '../../src/errors.ts';
import { BodyCursor } from '../../src/wire/bytes.ts';

/** A cursor over a body in the middle of other bytes. */
function cursorOver(body: Buffer): BodyCursor {
  const header = Buffer.alloc(5);
  const buffer = Buffer.concat([Buffer.from('before'), header, body, Buffer.from('behind\0')]);
  const start = 'before'.length;
  return new BodyCursor({ type: 0x43, buffer, start, end: start + header.length + body.length });
}

function errorOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof HoldpointError) return error.code;
    throw error;
  }
  return 'none';
}

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.string({ minLength: 60, maxLength: 70 }),
  fc.constant(''),
);

test('names and tags are read in full, one behind the other, up to their end', () => {
  fc.assert(
    fc.property(fc.array(text, { maxLength: 4 }), (texts) => {
      const names = texts.map((each) => each.toWellFormed().replaceAll('\0', ''));
      const body = Buffer.from(names.map((name) => `${name}\0`).join(''));
      const cursor = cursorOver(body);
      expect(names.map(() => cursor.name())).toEqual(names);
      cursor.finish();
      const again = cursorOver(body);
      expect(names.map(() => again.ascii())).toEqual(
        names.map((name) => Buffer.from(name).toString('latin1')),
      );
      again.finish();
    }),
  );
});

test('a String that does not end in its frame is refused, whatever stands behind the frame', () => {
  for (const length of [0, 1, 63, 64, 65, 200]) {
    const body = Buffer.alloc(length, 'a');
    expect(errorOf(() => cursorOver(body).name())).toBe('protocol-violation');
    expect(errorOf(() => cursorOver(body).ascii())).toBe('protocol-violation');
  }
});

test('a name that is not UTF-8 is refused, never repaired', () => {
  for (const bytes of [[0xff], [0x61, 0xc3], [0xed, 0xa0, 0x80]])
    expect(errorOf(() => cursorOver(Buffer.from([...bytes, 0])).name())).toBe('bad-encoding');
});
