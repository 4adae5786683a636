import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HoldpointError } from '../../../src/errors.ts';
import type { FrameView } from '../../../src/wire/framer.ts';
import * as messages from '../../../src/wire/messages/frontend.ts';
import { asFrame, functionCall, rawFrame } from '../../support/frames.ts';

const { bind, close, execute, flush, parse, query, sync, terminate } = messages;

test.each([
  ['Query', query('select 1'), '51 0000000d 73656c6563742031 00'],
  ['an empty Query', query(''), '51 00000005 00'],
  ['Parse', parse('s', 'select $1', [23, 0]), '50 0000001a 7300 73656c65637420243100 0002 00000017 00000000'],
  ['Parse without types', parse('', 'x'), '50 00000009 00 7800 0000'],
  ['Bind: portal before statement', bind('p', 's'), '42 0000000e 7000 7300 0000 0000 0000'],
  [
    'Bind with values',
    bind('', 's', [Buffer.from('7'), null, Buffer.alloc(0)], [0, 1, 0], [1]),
    '42 00000022 00 7300 0003 0000 0001 0000 0003 00000001 37 ffffffff 00000000 0001 0001',
  ],
  ['Describe of a statement', messages.describe('S', 's'), '44 00000007 53 7300'],
  ['Close of a portal', close('P', ''), '43 00000006 50 00'],
  ['Execute', execute('p', 5), '45 0000000a 7000 00000005'],
  ['Flush', flush(), '48 00000004'],
  ['Sync', sync(), '53 00000004'],
  ['Terminate', terminate(), '58 00000004'],
])('%s is written as the manual has it', (_name, bytes, hex) => {
  expect(bytes.toString('hex')).toBe(hex.replaceAll(' ', ''));
});

describe('what was written is read', () => {
  test('Query', () => {
    expect(messages.readQuery(asFrame(query('sélect'))).sql.toString()).toBe('sélect');
  });

  test('Parse', () => {
    const read = messages.readParse(asFrame(parse('ñame', 'select $1', [23, 0xffffffff])));
    expect({ ...read, sql: read.sql.toString() }).toEqual({
      name: 'ñame',
      sql: 'select $1',
      parameterOids: [23, 0xffffffff],
    });
  });

  test('Bind', () => {
    const parameters = [Buffer.from('7'), null, Buffer.alloc(0)];
    const frame = asFrame(bind('p', 's', parameters, [0, 1, 0], [1]));
    expect(messages.readBind(frame)).toEqual({
      portal: 'p',
      statement: 's',
      parameterFormats: [0, 1, 0],
      parameters,
      resultFormats: [1],
    });
  });

  test('a Bind of 65,535 parameters', () => {
    const parameters = Array.from({ length: 65_535 }, () => null);
    expect(messages.readBind(asFrame(bind('', '', parameters))).parameters).toHaveLength(65_535);
  });

  test('Describe, Close, Execute and FunctionCall', () => {
    expect(messages.readDescribe(asFrame(messages.describe('P', 'p')))).toEqual({ kind: 'P', name: 'p' });
    expect(messages.readClose(asFrame(close('S', 's')))).toEqual({ kind: 'S', name: 's' });
    expect(messages.readExecute(asFrame(execute('p', -1)))).toEqual({ portal: 'p', maxRows: -1 });
    expect(messages.readFunctionCall(asFrame(functionCall(4_000_000_000)))).toEqual({ oid: 4_000_000_000 });
  });
});

const readers: [string, (frame: FrameView) => unknown][] = [
  ['Q', messages.readQuery],
  ['P', messages.readParse],
  ['B', messages.readBind],
  ['C', messages.readClose],
  ['D', messages.readDescribe],
  ['E', messages.readExecute],
  ['F', messages.readFunctionCall],
];

test.each([
  [
    'a NUL inside a Query',
    messages.readQuery,
    rawFrame('Q', 'select 1\0; drop table t\0'),
    'invalid message format',
  ],
  ['a Query without its NUL', messages.readQuery, rawFrame('Q', 'select 1'), 'invalid string in message'],
  ['an empty Query body', messages.readQuery, rawFrame('Q', ''), 'invalid string in message'],
  [
    'a NUL inside a Parse',
    messages.readParse,
    rawFrame('P', 'a\0b\0c\0\0\0'),
    'insufficient data left in message',
  ],
  ['a Parse with a byte too many', messages.readParse, rawFrame('P', '\0x\0\0\0z'), 'invalid message format'],
  [
    'a Parse that announces more types',
    messages.readParse,
    rawFrame('P', '\0x\0\0\x02\0\0\0\x17'),
    'insufficient data left in message',
  ],
  [
    'a Bind value longer than the message',
    messages.readBind,
    rawFrame('B', '\0\0\0\0\0\x01\0\0\x10\0x\0\0'),
    'insufficient data left in message',
  ],
  [
    'a Bind value of length -2 GiB',
    messages.readBind,
    rawFrame('B', '\0\0\0\0\0\x01\x80\0\0\0\0\0'),
    'insufficient data left in message',
  ],
  [
    'a Bind value of length -2',
    messages.readBind,
    rawFrame('B', '\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0'),
    'insufficient data left in message',
  ],
  [
    '2 formats for 3 parameters',
    messages.readBind,
    rawFrame('B', '\0\0\0\x02\0\0\0\0\0\x03'),
    'bind message has 2 parameter formats but 3 parameters',
  ],
  [
    'a Bind with a byte too many',
    messages.readBind,
    rawFrame('B', '\0\0\0\0\0\0\0\0z'),
    'invalid message format',
  ],
  ['Describe of an X', messages.readDescribe, rawFrame('D', 'Xs\0'), 'invalid DESCRIBE message subtype 88'],
  ['Close of an X', messages.readClose, rawFrame('C', 'Xs\0'), 'invalid CLOSE message subtype 88'],
  ['an empty Describe', messages.readDescribe, rawFrame('D', ''), 'no data left in message'],
  [
    'an Execute without its row limit',
    messages.readExecute,
    rawFrame('E', 'p\0\0\0'),
    'insufficient data left in message',
  ],
  [
    'a FunctionCall without its OID',
    messages.readFunctionCall,
    rawFrame('F', 'abc'),
    'insufficient data left in message',
  ],
])(
  '%s is refused in the words of PostgreSQL',
  (_name, read: (frame: FrameView) => unknown, bytes, message) => {
    const error = thrownBy(() => read(asFrame(bytes)));
    expect([error.sqlstate, error.message]).toEqual(['08P01', message]);
  },
);

test('a name that is not UTF-8 is refused, because repairing it would make two names one', () => {
  const error = thrownBy(() => messages.readParse(asFrame(rawFrame('P', 'a\xc3(\0x\0\0\0'))));
  expect([error.sqlstate, error.message]).toEqual([
    '22021',
    'invalid byte sequence for encoding "UTF8": 0xc3 0x28',
  ]);
});

test('a string with a NUL inside cannot be written', () => {
  expect(() => query('a\0b')).toThrow(HoldpointError);
  expect(() => parse('a\0b', 'x')).toThrow(HoldpointError);
});

test.each(readers)('random bodies of %s are read or refused with a HoldpointError', (letter, read) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (body) => {
      try {
        read(asFrame(rawFrame(letter, Buffer.from(body).toString('latin1'))));
      } catch (error) {
        expect(error).toBeInstanceOf(HoldpointError);
      }
    }),
    { numRuns: 200 },
  );
});

test('no reader looks beyond the end of its frame', () => {
  for (const frame of [
    query('x'),
    parse('s', 'x', [1]),
    bind('p', 's', [null]),
    execute('p'),
    close('S', 's'),
  ]) {
    for (let cut = 5; cut < frame.length; cut++) {
      const cutFrame = Buffer.from(frame.subarray(0, cut));
      for (const [letter, read] of readers) {
        if (letter !== String.fromCharCode(frame[0]!)) continue;
        expect(() => read(asFrame(cutFrame))).toThrow(HoldpointError);
      }
    }
  }
});

function thrownBy(run: () => unknown): HoldpointError {
  try {
    run();
  } catch (error) {
    if (error instanceof HoldpointError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}
