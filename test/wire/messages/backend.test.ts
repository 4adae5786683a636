import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HoldpointError } from '../../../src/errors.ts';
import * as messages from '../../../src/wire/messages/backend.ts';
import { asFrame, commandComplete, rawFrame } from '../../support/frames.ts';

const { errorResponse, noticeResponse, rewriteErrorResponse } = messages;

test.each([
  [
    'BackendKeyData',
    messages.backendKeyData(7, Buffer.from('01020304', 'hex')),
    '4b 0000000c 00000007 01020304',
  ],
  [
    'ErrorResponse',
    errorResponse({ S: 'ERROR', C: '42501', M: 'no' }),
    '45 00000017 53 4552524f5200 43 343235303100 4d 6e6f00 00',
  ],
  ['NoticeResponse', noticeResponse({ M: 'so' }), '4e 00000009 4d 736f00 00'],
  [
    'NegotiateProtocolVersion',
    messages.negotiateProtocolVersion(2, ['_pq_.x']),
    '76 00000013 00030002 00000001 5f70715f2e7800',
  ],
  ['ParameterStatus', messages.parameterStatus('a', 'b'), '53 00000008 6100 6200'],
  ['ReadyForQuery', messages.readyForQuery('T'), '5a 00000005 54'],
])('%s is written as the manual has it', (_name, bytes, hex) => {
  expect(bytes.toString('hex')).toBe(hex.replaceAll(' ', ''));
});

test('what was written is read', () => {
  const key = Buffer.alloc(32, 9);
  expect(messages.readBackendKeyData(asFrame(messages.backendKeyData(-5, key)))).toEqual({ pid: -5, key });
  expect(messages.readCommandComplete(asFrame(commandComplete('INSERT 0 5')))).toBe('INSERT 0 5');
  const status = messages.readParameterStatus(asFrame(messages.parameterStatus('TimeZone', 'Europe/Zürich')));
  expect(status).toEqual({ name: 'TimeZone', value: 'Europe/Zürich' });
  const negotiated = messages.readNegotiateProtocolVersion(
    asFrame(messages.negotiateProtocolVersion(0, ['_pq_.a', '_pq_.b'])),
  );
  expect(negotiated).toEqual({ minor: 0, unknown: ['_pq_.a', '_pq_.b'] });
  for (const letter of ['I', 'T', 'E'] as const) {
    expect(messages.readReadyForQuery(asFrame(messages.readyForQuery(letter)))).toBe(letter);
  }
});

test('all fields of an error are read, unknown letters too', () => {
  const frame = asFrame(rawFrame('E', 'SERROR\0VERROR\0C42601\0Mno\0P15\0zlater\0\0'));
  expect([...messages.readErrorFields(frame)]).toEqual([
    ['S', 'ERROR'],
    ['V', 'ERROR'],
    ['C', '42601'],
    ['M', 'no'],
    ['P', '15'],
    ['z', 'later'],
  ]);
});

test('an error of ours carries what is known and nothing else', () => {
  const full = new HoldpointError('syntax', 'no', { detail: 'd', hint: 'h', position: 3 });
  expect(messages.errorFrom(full)).toEqual(
    errorResponse({ S: 'ERROR', V: 'ERROR', C: '42601', M: 'no', D: 'd', H: 'h', P: '3' }),
  );
  const short = new HoldpointError('shutdown', 'bye');
  expect(messages.errorFrom(short, 'FATAL')).toEqual(
    errorResponse({ S: 'FATAL', V: 'FATAL', C: '57P01', M: 'bye' }),
  );
});

test('an error that quotes a NUL is still said', () => {
  const fields = messages.readErrorFields(asFrame(errorResponse({ M: 'near "a\0b"', C: '42601' })));
  expect(fields.get('M')).toBe('near "a\uFFFDb"');
  expect(fields.get('C')).toBe('42601');
});

test('a rewritten error keeps the other fields to the byte, loses the ones taken and gains the ones given', () => {
  const original = asFrame(rawFrame('E', 'SFEHLER\0VERROR\0C42601\0M\xff\xfe\0P1\0Fscan.l\0\0'));
  const rewritten = rewriteErrorResponse(original, { C: '42501', P: null, D: '{"request":"r1"}', W: null });
  expect(rewritten).toEqual(
    rawFrame('E', 'SFEHLER\0VERROR\0C42501\0M\xff\xfe\0Fscan.l\0D{"request":"r1"}\0\0'),
  );
});

test('a rewritten notice stays a notice', () => {
  expect(rewriteErrorResponse(asFrame(noticeResponse({ M: 'a' })), { M: 'b' })).toEqual(
    noticeResponse({ M: 'b' }),
  );
});

test.each([
  [
    'an error without its last NUL',
    messages.readErrorFields,
    rawFrame('E', 'SERROR\0'),
    'no data left in message',
  ],
  [
    'an error with a field cut off',
    messages.readErrorFields,
    rawFrame('E', 'SERROR'),
    'invalid string in message',
  ],
  [
    'an error with bytes behind it',
    messages.readErrorFields,
    rawFrame('E', 'Sx\0\0y'),
    'invalid message format',
  ],
  [
    'a transaction status of X',
    messages.readReadyForQuery,
    rawFrame('Z', 'X'),
    'the server sent transaction status "X"',
  ],
  [
    'a key without a pid',
    messages.readBackendKeyData,
    rawFrame('K', 'ab'),
    'insufficient data left in message',
  ],
  [
    'a tag with a NUL inside',
    messages.readCommandComplete,
    rawFrame('C', 'SELECT\0 1\0'),
    'invalid message format',
  ],
  [
    'protocol 2 negotiated',
    messages.readNegotiateProtocolVersion,
    rawFrame('v', '\0\x02\0\0\0\0\0\0'),
    'the server negotiated protocol version 2.0 instead of 3.x',
  ],
  [
    'more options announced than sent',
    messages.readNegotiateProtocolVersion,
    rawFrame('v', '\0\x03\0\0\x7f\xff\xff\xffa\0'),
    'invalid string in message',
  ],
])('%s is refused', (_name, read, bytes, message) => {
  expect(() => read(asFrame(bytes))).toThrow(new HoldpointError('protocol-violation', message));
});

test('random bodies are read or refused with a HoldpointError', () => {
  const readers = [
    messages.readBackendKeyData,
    messages.readCommandComplete,
    messages.readErrorFields,
    messages.readNegotiateProtocolVersion,
    messages.readParameterStatus,
    messages.readReadyForQuery,
  ];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(...readers), (body, read) => {
      try {
        read(asFrame(rawFrame('E', Buffer.from(body).toString('latin1'))));
      } catch (error) {
        expect(error).toBeInstanceOf(HoldpointError);
      }
    }),
    { numRuns: 500 },
  );
});
