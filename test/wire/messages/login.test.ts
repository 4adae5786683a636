import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HoldpointError } from '../../../src/errors.ts';
import * as messages from '../../../src/wire/messages/login.ts';
import { asFrame, rawFrame } from '../../support/frames.ts';

const data = Buffer.from('n,,n=,r=abc');

test.each([
  ['AuthenticationOk', messages.authenticationOk(), '52 00000008 00000000'],
  ['AuthenticationSASL', messages.authenticationSasl(['A', 'B']), '52 0000000d 0000000a 4100 4200 00'],
  [
    'AuthenticationSASLContinue',
    messages.authenticationSaslContinue(Buffer.from('r=')),
    '52 0000000a 0000000b 723d',
  ],
  [
    'AuthenticationSASLFinal',
    messages.authenticationSaslFinal(Buffer.from('v=')),
    '52 0000000a 0000000c 763d',
  ],
  ['PasswordMessage', messages.passwordMessage('pw'), '70 00000007 707700'],
  [
    'SASLInitialResponse',
    messages.saslInitialResponse('A', Buffer.from('n')),
    '70 0000000b 4100 00000001 6e',
  ],
  ['SASLResponse', messages.saslResponse(Buffer.from('c=')), '70 00000006 633d'],
])('%s is written as the manual has it', (_name, bytes, hex) => {
  expect(bytes.toString('hex')).toBe(hex.replaceAll(' ', ''));
});

test.each([
  [messages.authenticationOk(), { kind: 'ok' }],
  [rawFrame('R', '\0\0\0\x03'), { kind: 'cleartext' }],
  [rawFrame('R', '\0\0\0\x05salt'), { kind: 'md5', salt: Buffer.from('salt') }],
  [messages.authenticationSasl(['SCRAM-SHA-256']), { kind: 'sasl', mechanisms: ['SCRAM-SHA-256'] }],
  [messages.authenticationSaslContinue(data), { kind: 'sasl-continue', data }],
  [messages.authenticationSaslFinal(data), { kind: 'sasl-final', data }],
  [rawFrame('R', '\0\0\0\x07gss'), { kind: 'unsupported', code: 7 }],
])('a request for authentication is read: %#', (bytes, request) => {
  expect(messages.readAuthentication(asFrame(bytes))).toEqual(request);
});

test('what a client answers is read', () => {
  const initial = messages.saslInitialResponse('SCRAM-SHA-256', data);
  expect(messages.readSaslInitialResponse(asFrame(initial))).toEqual({ mechanism: 'SCRAM-SHA-256', data });
  const without = rawFrame('p', 'X\0\xff\xff\xff\xff');
  expect(messages.readSaslInitialResponse(asFrame(without))).toEqual({ mechanism: 'X', data: null });
  expect(messages.readSaslResponse(asFrame(messages.saslResponse(data)))).toEqual(data);
});

test.each([
  ['an AuthenticationOk with bytes behind it', messages.readAuthentication, rawFrame('R', '\0\0\0\0x')],
  ['mechanisms without an end', messages.readAuthentication, rawFrame('R', '\0\0\0\nA\0')],
  ['an MD5 salt of 3 bytes', messages.readAuthentication, rawFrame('R', '\0\0\0\x05abc')],
  [
    'an initial response longer than its message',
    messages.readSaslInitialResponse,
    rawFrame('p', 'X\0\x7f\xff\xff\xffabc'),
  ],
  [
    'an initial response of length -2',
    messages.readSaslInitialResponse,
    rawFrame('p', 'X\0\xff\xff\xff\xfe'),
  ],
  [
    'an initial response with bytes behind it',
    messages.readSaslInitialResponse,
    rawFrame('p', 'X\0\0\0\0\x01abc'),
  ],
  ['an empty SASL response', messages.readSaslResponse, rawFrame('p')],
])('%s is refused', (_name, read: (frame: ReturnType<typeof asFrame>) => unknown, bytes) => {
  expect(() => read(asFrame(bytes))).toThrow(HoldpointError);
});

test('the MD5 answer is the one PostgreSQL computes', () => {
  // The inner hash is what PostgreSQL 18 stored for the role m with the password pw.
  expect(messages.md5Password('m', 'pw', Buffer.from([1, 2, 3, 4]))).toBe(
    'md5ee117002b937220287fb2760a970c0b6',
  );
});

test('random bodies are read or refused with a HoldpointError', () => {
  const readers = [messages.readAuthentication, messages.readSaslInitialResponse, messages.readSaslResponse];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(...readers), (body, read) => {
      try {
        read(asFrame(rawFrame('p', Buffer.from(body).toString('latin1'))));
      } catch (error) {
        expect(error).toBeInstanceOf(HoldpointError);
      }
    }),
    { numRuns: 300 },
  );
});
