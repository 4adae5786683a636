import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HoldpointError } from '../../src/errors.ts';
import {
  cancelRequest,
  type FirstPacket,
  gssencRequest,
  PacketReader,
  type PacketReaderOptions,
  sslRequest,
  startupMessage,
} from '../../src/wire/startup.ts';

const hello = startupMessage(0, [
  ['user', 'claude'],
  ['database', 'shop'],
]);

function first(bytes: Buffer, options?: PacketReaderOptions): FirstPacket | undefined {
  const reader = new PacketReader(options);
  reader.push(bytes);
  return reader.next();
}

/** A packet with any length field and code. */
function packet(length: number, code: number, body = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt32BE(length, 0);
  head.writeUInt32BE(code, 4);
  return Buffer.concat([head, body]);
}

function thrownBy(run: () => unknown): HoldpointError {
  try {
    run();
  } catch (error) {
    if (error instanceof HoldpointError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

test.each([
  ['SSLRequest', sslRequest(), '00000008 04d2162f'],
  ['GSSENCRequest', gssencRequest(), '00000008 04d21630'],
  ['CancelRequest', cancelRequest(7, Buffer.from('aabbccdd', 'hex')), '00000010 04d2162e 00000007 aabbccdd'],
  ['StartupMessage 3.0', startupMessage(0, [['user', 'a']]), '00000010 00030000 7573657200 6100 00'],
  ['StartupMessage 3.2', startupMessage(2, []), '00000009 00030002 00'],
])('%s is written as the manual has it', (_name, bytes, hex) => {
  expect(bytes.toString('hex')).toBe(hex.replaceAll(' ', ''));
});

test('a StartupMessage gives its parameters in order, repetitions included', () => {
  const parameters = [
    ['user', 'clüde'],
    ['options', ''],
    ['DateStyle', 'ISO'],
    ['DateStyle', 'SQL'],
  ] as const;
  expect(first(startupMessage(9999, parameters))).toEqual({ kind: 'startup', minor: 9999, parameters });
});

test('every split point of every packet gives the same packet', () => {
  const packets = [hello, sslRequest(), gssencRequest(), cancelRequest(1, Buffer.alloc(32, 7))];
  for (const bytes of packets) {
    const whole = first(bytes);
    for (let cut = 1; cut < bytes.length; cut++) {
      const reader = new PacketReader();
      reader.push(bytes.subarray(0, cut));
      expect(reader.next()).toBeUndefined();
      reader.push(bytes.subarray(cut));
      expect(reader.next()).toEqual(whole);
    }
  }
});

test('bytes behind a StartupMessage are left for the messages that follow', () => {
  const reader = new PacketReader();
  reader.push(Buffer.concat([hello, Buffer.from('p more')]));
  expect(reader.next()?.kind).toBe('startup');
  expect(reader.rest().toString()).toBe('p more');
  expect(reader.rest()).toHaveLength(0);
});

test('a TLS handshake as the first byte is direct TLS, and its bytes are handed on whole', () => {
  const reader = new PacketReader();
  reader.push(Buffer.from([0x16, 3, 1]));
  expect(reader.next()).toEqual({ kind: 'direct-tls' });
  expect(reader.rest()).toEqual(Buffer.from([0x16, 3, 1]));
});

test('there is no direct TLS inside TLS, nor behind another packet', () => {
  const handshake = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1]);
  expect(first(handshake, { encrypted: true })?.kind).toBe('close');
  const reader = new PacketReader();
  reader.push(gssencRequest());
  reader.next();
  reader.push(handshake);
  expect(reader.next()?.kind).toBe('close');
});

test('one SSLRequest and one GSSENCRequest may come, in either order, before the StartupMessage', () => {
  for (const kinds of [
    ['ssl', 'gssenc', 'startup'],
    ['gssenc', 'ssl', 'startup'],
  ] as const) {
    const packets = { ssl: sslRequest(), gssenc: gssencRequest(), startup: hello };
    const reader = new PacketReader();
    for (const kind of kinds) {
      reader.push(packets[kind]);
      expect(reader.next()?.kind).toBe(kind);
    }
  }
});

test.each([
  ['a second SSLRequest', sslRequest(), { sslDone: true }, '1234.5679'],
  ['a second GSSENCRequest', gssencRequest(), { gssDone: true }, '1234.5680'],
  ['protocol 2.0', packet(8, 0x20000), {}, '2.0'],
  ['protocol 4.0', packet(9, 0x40000, Buffer.from([0])), {}, '4.0'],
])('%s is refused as an unsupported protocol', (_name, bytes, options, version) => {
  const error = thrownBy(() => first(bytes, options));
  expect(error.sqlstate).toBe('0A000');
  expect(error.message).toBe(`unsupported frontend protocol ${version}: server supports 3.0 to 3.2`);
});

test('an SSLRequest twice in one stream is refused', () => {
  const reader = new PacketReader();
  reader.push(sslRequest());
  expect(reader.next()).toEqual({ kind: 'ssl' });
  reader.push(sslRequest());
  expect(thrownBy(() => reader.next()).sqlstate).toBe('0A000');
});

test.each([
  ['SSL', sslRequest(), 'received unencrypted data after SSL request'],
  ['GSSAPI', gssencRequest(), 'received unencrypted data after GSSAPI encryption request'],
])('plaintext behind a request for %s is refused, whatever it is', (_name, request, message) => {
  for (const stuffed of [Buffer.from([0]), hello]) {
    const error = thrownBy(() => first(Buffer.concat([request, stuffed])));
    expect([error.sqlstate, error.message]).toEqual(['08P01', message]);
  }
});

test('a CancelRequest gives the pid and a key of 4 to 256 bytes', () => {
  for (const keyBytes of [4, 32, 256]) {
    const key = Buffer.alloc(keyBytes, 3);
    expect(first(cancelRequest(-2, key))).toEqual({ kind: 'cancel', pid: -2, key });
  }
  expect(first(cancelRequest(1, Buffer.alloc(3)))?.kind).toBe('close');
  expect(first(cancelRequest(1, Buffer.alloc(257)))?.kind).toBe('close');
});

test.each([
  ['0', 0],
  ['3', 3],
  ['7', 7],
  ['-1', -1],
  ['-2147483648', -0x80000000],
  ['10,001', 10_001],
  ['2 GiB - 1', 0x7fffffff],
])('a first packet of length %s is closed without a word as soon as its length is there', (_name, length) => {
  expect(first(packet(length, 0x30000).subarray(0, 4))?.kind).toBe('close');
});

test('a first packet of 10,000 bytes is read, one of 10,001 is not', () => {
  const overhead = startupMessage(0, [['user', '']]).length;
  const largest = startupMessage(0, [['user', 'x'.repeat(10_000 - overhead)]]);
  expect(largest).toHaveLength(10_000);
  expect(first(largest)?.kind).toBe('startup');
  expect(first(startupMessage(0, [['user', 'x'.repeat(10_001 - overhead)]]))?.kind).toBe('close');
});

test.each([
  ['an HTTP request', 'GET / HTTP/1.1\r\n\r\n'],
  ['an SSH greeting', 'SSH-2.0-OpenSSH_9.2\r\n'],
])('%s is closed without a word', (_name, text) => {
  expect(first(Buffer.from(text))?.kind).toBe('close');
});

test('an SSLRequest of another length is closed', () => {
  expect(first(packet(9, 80877103, Buffer.from([0])))?.kind).toBe('close');
});

test.each([
  ['no terminator', 'user\0a\0'],
  ['bytes behind the terminator', 'user\0a\0\0x'],
  ['a terminator and a pair behind it', 'user\0a\0\0user\0b\0'],
  ['a name without a value', 'user\0'],
  ['a value without an end', 'user\0a'],
  ['nothing at all', ''],
])('a StartupMessage with %s is refused', (_name, body) => {
  const bytes = Buffer.from(body, 'latin1');
  const error = thrownBy(() => first(packet(8 + bytes.length, 0x30000, bytes)));
  expect(error.sqlstate).toBe('08P01');
  expect(error.message).toBe('invalid startup packet layout: expected terminator as last byte');
});

test('a StartupMessage that is not UTF-8 is refused', () => {
  const bytes = Buffer.from('user\0a\xe9\0\0', 'latin1');
  expect(thrownBy(() => first(packet(8 + bytes.length, 0x30000, bytes))).sqlstate).toBe('22021');
});

test('random first bytes are read, refused or closed', () => {
  const codes = fc.constantFrom(0x30000, 0x30002, 80877102, 80877103, 80877104, 0);
  fc.assert(
    fc.property(codes, fc.uint8Array({ maxLength: 300 }), fc.boolean(), (code, body, framed) => {
      const bytes = framed ? packet(8 + body.length, code, Buffer.from(body)) : Buffer.from(body);
      try {
        first(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(HoldpointError);
      }
    }),
    { numRuns: 500 },
  );
});
