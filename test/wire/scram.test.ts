import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ErrorCode, HoldpointError } from '../../src/errors.ts';
import { tlsServerEndPoint } from '../../src/wire/channel-binding.ts';
import {
  buildVerifier,
  mockVerifier,
  parseVerifier,
  ScramClient,
  type ScramClientOptions,
  ScramServer,
  type ScramVerifier,
} from '../../src/wire/scram.ts';
import { selfSigned } from '../support/certificate.ts';

const clientNonce = Buffer.alloc(18, 1);
const serverNonce = Buffer.alloc(18, 2);
const salt = Buffer.alloc(16, 3);
const binding = Buffer.alloc(32, 4);
/** Few iterations: the count is not what these tests are about. */
const verifier = verifierOf('pencil', 2);

// RFC 7677 §3.
const rfcVerifier =
  'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=';
const rfcNonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';

function verifierOf(password: string, iterations: number): ScramVerifier {
  return parseVerifier(buildVerifier(password, salt, iterations))!;
}

function server(options: Partial<ConstructorParameters<typeof ScramServer>[0]> = {}): ScramServer {
  return new ScramServer({ verifier, nonce: serverNonce, ...options });
}

function client(options: Partial<ScramClientOptions> = {}): ScramClient {
  return new ScramClient({
    password: 'pencil',
    nonce: clientNonce,
    mechanisms: ['SCRAM-SHA-256'],
    ...options,
  });
}

/** Both roles against each other; throws what the first of them to object throws. */
function exchange(one: ScramClient, other: ScramServer): void {
  const serverFirst = other.first(one.mechanism, one.first());
  one.verify(other.final(one.final(serverFirst)));
}

function codeOf(run: () => unknown): ErrorCode {
  try {
    run();
  } catch (error) {
    if (error instanceof HoldpointError) return error.code;
    throw error;
  }
  throw new Error('it was accepted');
}

const text = (buffer: Buffer): string => buffer.toString('latin1');

describe('the vector of RFC 7677', () => {
  /** The vector's server nonce is no base64, so the bytes here are made to say its text. */
  function rfcServer(): ScramServer {
    const nonce = Object.assign(Buffer.alloc(0), { toString: () => '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0' });
    return new ScramServer({ verifier: parseVerifier(rfcVerifier)!, nonce });
  }

  test('its password and salt give its verifier', () => {
    expect(buildVerifier('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'))).toBe(rfcVerifier);
  });

  test('its client is answered with its server messages', () => {
    const rfc = rfcServer();
    const first = rfc.first('SCRAM-SHA-256', Buffer.from('n,,n=user,r=rOprNGfwEbeRWgbNEkqO'));
    expect(text(first)).toBe(`r=${rfcNonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`);
    const final = rfc.final(
      Buffer.from(`c=biws,r=${rfcNonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`),
    );
    expect(text(final)).toBe('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=');
  });

  test('one bit of the proof changed is a wrong password', () => {
    const rfc = rfcServer();
    rfc.first('SCRAM-SHA-256', Buffer.from('n,,n=user,r=rOprNGfwEbeRWgbNEkqO'));
    const changed = Buffer.from(`c=biws,r=${rfcNonce},p=dXzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`);
    expect(codeOf(() => rfc.final(changed))).toBe('bad-credentials');
  });
});

// Computed with Python's hashlib and hmac.
const vectors = [
  {
    mechanism: 'SCRAM-SHA-256',
    first: 'n,,n=,r=AQEBAQEBAQEBAQEBAQEBAQEB',
    final:
      'c=biws,r=AQEBAQEBAQEBAQEBAQEBAQEBAgICAgICAgICAgICAgICAgIC,p=Xr+QLEA7S2E5FdFXZoiZQb7zt1zl4DQvpuVDfGkGLvk=',
    verdict: 'v=Y/sSzYcRa9dxV5R8I/mBeX5CecwZi8IwiooHYa8+Ras=',
    options: {},
  },
  {
    mechanism: 'SCRAM-SHA-256-PLUS',
    first: 'p=tls-server-end-point,,n=,r=AQEBAQEBAQEBAQEBAQEBAQEB',
    final:
      'c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=,r=AQEBAQEBAQEBAQEBAQEBAQEBAgICAgICAgICAgICAgICAgIC,p=ZOGyOV6MgXHyiAP9oL9NSIb3l4dL2Af3inPFJrl1Hqw=',
    verdict: 'v=3TlpSudjbXo8DjrlyIW8wsut1n1IkuLZvDG+SaTvS4s=',
    options: { channelBinding: binding, mechanisms: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'] },
  },
];

test.each(vectors)('$mechanism as a client sends the bytes of an independent implementation', (vector) => {
  const one = client(vector.options);
  expect(one.mechanism).toBe(vector.mechanism);
  expect(text(one.first())).toBe(vector.first);
  const serverFirst = 'r=AQEBAQEBAQEBAQEBAQEBAQEBAgICAgICAgICAgICAgICAgIC,s=AwMDAwMDAwMDAwMDAwMDAw==,i=4096';
  expect(text(one.final(Buffer.from(serverFirst)))).toBe(vector.final);
  one.verify(Buffer.from(vector.verdict));
});

describe('both roles', () => {
  test('agree without channel binding', () => {
    exchange(client(), server());
  });

  test('agree with channel binding', () => {
    const other = server({ channelBinding: binding });
    exchange(client({ channelBinding: binding, mechanisms: other.mechanisms }), other);
  });

  test('agree without channel binding on a server that offers it to a client that cannot', () => {
    const other = server({ channelBinding: binding });
    const one = client({ mechanisms: other.mechanisms });
    expect(one.mechanism).toBe('SCRAM-SHA-256');
    exchange(one, other);
  });

  test('agree where only the client can bind', () => {
    const one = client({ channelBinding: binding });
    expect(text(one.first())).toMatch(/^y,,/);
    exchange(one, server());
  });

  test('agree on passwords that are written differently but prepared alike', () => {
    exchange(client({ password: 'I\u00ADX' }), server({ verifier: verifierOf('IX', 2) }));
    exchange(client({ password: '\u2168' }), server({ verifier: verifierOf('IX', 2) }));
  });

  test('a wrong password is refused by the server', () => {
    expect(codeOf(() => exchange(client({ password: 'pencil ' }), server()))).toBe('bad-credentials');
  });

  test('another certificate than the one shown is refused by the server', () => {
    const other = server({ channelBinding: binding });
    const one = client({ channelBinding: Buffer.alloc(32, 5), mechanisms: other.mechanisms });
    expect(codeOf(() => exchange(one, other))).toBe('unauthorized');
  });

  test('an offer of -PLUS that was stripped on the way is noticed by the server', () => {
    const one = client({ channelBinding: binding, mechanisms: ['SCRAM-SHA-256'] });
    expect(codeOf(() => exchange(one, server({ channelBinding: binding })))).toBe('unauthorized');
  });
});

test('a mock verifier runs the whole exchange and fails like a wrong password', () => {
  const secret = Buffer.alloc(32, 9);
  const mock = mockVerifier(secret, 'nobody', 2);
  const outcome = (options: { verifier: ScramVerifier; password: string }) => {
    try {
      exchange(client({ password: options.password }), server({ verifier: options.verifier }));
    } catch (error) {
      return (error as HoldpointError).message;
    }
    return 'accepted';
  };
  expect(outcome({ verifier: mock, password: 'x' })).toBe(outcome({ verifier, password: 'x' }));
  expect(outcome({ verifier: { ...verifier, mock: true }, password: 'pencil' })).toBe(
    'password authentication failed',
  );
  expect(mock).toEqual(mockVerifier(secret, 'nobody', 2));
  expect(mock.salt).toHaveLength(16);
  expect(mock.salt).not.toEqual(mockVerifier(secret, 'nobody2', 2).salt);
  expect(mock.salt).not.toEqual(mockVerifier(Buffer.alloc(32, 8), 'nobody', 2).salt);
});

test('-PLUS over TLS with a self-made certificate', async () => {
  const own = selfSigned();
  const listener = tls.createServer({ cert: own.certificatePem, key: own.keyPem });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as AddressInfo;
  const socket = tls.connect({ host: '127.0.0.1', port, ca: own.certificatePem });
  try {
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    const other = server({ channelBinding: tlsServerEndPoint(own.der) });
    const seen = tlsServerEndPoint(socket.getPeerCertificate().raw);
    const one = client({ channelBinding: seen, mechanisms: other.mechanisms });
    expect(one.mechanism).toBe('SCRAM-SHA-256-PLUS');
    exchange(one, other);
    const elsewhere = server({ channelBinding: tlsServerEndPoint(selfSigned().der) });
    expect(
      codeOf(() => exchange(client({ channelBinding: seen, mechanisms: other.mechanisms }), elsewhere)),
    ).toBe('unauthorized');
  } finally {
    socket.destroy();
    await new Promise((resolve) => listener.close(resolve));
  }
});

describe('the first message of a client', () => {
  const plain = 'SCRAM-SHA-256';
  const plus = 'SCRAM-SHA-256-PLUS';

  test.each([
    ['an identity to act as', plain, 'n,a=root,n=,r=abc', 'not-supported'],
    ['a mandatory extension', plain, 'n,,m=x,n=,r=abc', 'not-supported'],
    ['a mechanism that is not offered', 'SCRAM-SHA-1', 'n,,n=,r=abc', 'protocol-violation'],
    ['-PLUS without binding', plus, 'n,,n=,r=abc', 'protocol-violation'],
    ['-PLUS with y', plus, 'y,,n=,r=abc', 'protocol-violation'],
    ['y although -PLUS is offered', plain, 'y,,n=,r=abc', 'unauthorized'],
    ['binding without -PLUS', plain, 'p=tls-server-end-point,,n=,r=abc', 'protocol-violation'],
    ['another type of binding', plus, 'p=tls-unique,,n=,r=abc', 'protocol-violation'],
    ['no gs2 header', plain, 'n=,r=abc', 'protocol-violation'],
    ['no nonce', plain, 'n,,n=', 'protocol-violation'],
    ['an empty nonce', plain, 'n,,n=,r=', 'protocol-violation'],
    ['a nonce with a space', plain, 'n,,n=,r=a b', 'protocol-violation'],
    ['a nonce of 513 characters', plain, `n,,n=,r=${'x'.repeat(513)}`, 'protocol-violation'],
    ['a NUL in the name', plain, 'n,,n=a\0,r=abc', 'protocol-violation'],
    ['something behind the nonce that is no attribute', plain, 'n,,n=,r=abc,', 'protocol-violation'],
    ['nothing', plain, '', 'protocol-violation'],
  ])('is refused with %s', (_name, mechanism, message, code) => {
    const other = server({ channelBinding: binding });
    expect(codeOf(() => other.first(mechanism, Buffer.from(message, 'latin1')))).toBe(code);
  });

  test('may name any user and carry optional attributes, which count for nothing', () => {
    const first = server().first(plain, Buffer.from('n,,n=root,r=abc,x=1'));
    expect(text(first)).toBe(`r=abc${serverNonce.toString('base64')},s=${salt.toString('base64')},i=2`);
  });

  test('may have a nonce of 512 characters', () => {
    expect(() => server().first(plain, Buffer.from(`n,,n=,r=${'x'.repeat(512)}`))).not.toThrow();
  });
});

describe('the last message of a client', () => {
  /** The right one, and what `change` makes of it. */
  function lastMessage(change: (message: string) => string, options = {}): ErrorCode {
    const other = server(options);
    const one = client({ ...options, mechanisms: other.mechanisms });
    const message = text(one.final(other.first(one.mechanism, one.first())));
    const changed = change(message);
    expect(changed).not.toBe(message);
    return codeOf(() => other.final(Buffer.from(changed, 'latin1')));
  }

  test.each([
    ['an attribute behind the proof', (m: string) => `${m},x=1`, 'protocol-violation'],
    ['an attribute before the proof', (m: string) => m.replace(',p=', ',x=1,p='), 'protocol-violation'],
    ['another order', (m: string) => m.replace(/^(c=[^,]*),(r=[^,]*)/, '$2,$1'), 'protocol-violation'],
    ['no proof', (m: string) => m.replace(/,p=.*/, ''), 'protocol-violation'],
    [
      'a proof of 31 bytes',
      (m: string) => m.replace(/p=.*/, `p=${Buffer.alloc(31).toString('base64')}`),
      'protocol-violation',
    ],
    [
      'a proof of 33 bytes',
      (m: string) => m.replace(/p=.*/, `p=${Buffer.alloc(33).toString('base64')}`),
      'protocol-violation',
    ],
    ['a proof without its padding', (m: string) => m.slice(0, -1), 'protocol-violation'],
    ['a shorter nonce', (m: string) => m.replace(/.,p=/, ',p='), 'protocol-violation'],
    [
      'the client nonce alone',
      (m: string) => m.replace(/r=[^,]*/, `r=${clientNonce.toString('base64')}`),
      'protocol-violation',
    ],
    ['y for n', (m: string) => m.replace('c=biws', 'c=eSws'), 'unauthorized'],
    ['another spelling of the same header', (m: string) => m.replace('c=biws', 'c=biwt'), 'unauthorized'],
    [
      'a proof of zeros',
      (m: string) => m.replace(/p=.*/, `p=${Buffer.alloc(32).toString('base64')}`),
      'bad-credentials',
    ],
    ['nothing', () => '', 'protocol-violation'],
  ] as const)('is refused with %s', (_name, change, code) => {
    expect(lastMessage(change)).toBe(code);
  });

  test('is refused with the header of -PLUS but without its certificate', () => {
    const header = Buffer.from('p=tls-server-end-point,,').toString('base64');
    const change = (message: string) => message.replace(/c=[^,]*/, `c=${header}`);
    expect(lastMessage(change, { channelBinding: binding })).toBe('unauthorized');
  });
});

test('an exchange cannot be begun twice, ended twice or ended first', () => {
  const begun = server();
  const one = client();
  const final = one.final(begun.first('SCRAM-SHA-256', one.first()));
  expect(codeOf(() => begun.first('SCRAM-SHA-256', one.first()))).toBe('protocol-violation');
  begun.final(final);
  expect(codeOf(() => begun.final(final))).toBe('protocol-violation');
  expect(codeOf(() => server().final(final))).toBe('protocol-violation');
});

describe('a server that a client should not trust', () => {
  const nonce = clientNonce.toString('base64');
  const salted = salt.toString('base64');

  test.each([
    ['answers with another nonce', `r=xyz,s=${salted},i=4096`],
    ['adds nothing to the nonce', `r=${nonce},s=${salted},i=4096`],
    ['sends no salt', `r=${nonce}x,s=,i=4096`],
    ['asks for 0 iterations', `r=${nonce}x,s=${salted},i=0`],
    ['asks for a billion iterations', `r=${nonce}x,s=${salted},i=1000000000`],
    ['asks for a mandatory extension', `m=x,r=${nonce}x,s=${salted},i=4096`],
    ['says nothing', ''],
  ])('%s', (_name, message) => {
    const one = client({ saltPassword: () => Buffer.alloc(32) });
    expect(codeOf(() => one.final(Buffer.from(message)))).toBe('upstream-refused');
  });

  test.each([
    ['signs wrongly', `v=${Buffer.alloc(32).toString('base64')}`],
    ['signs with too few bytes', 'v=AAAA'],
    ['reports an error', 'e=other-error'],
    ['signs and says more', 'v='],
    ['says nothing', ''],
  ])('%s', (_name, message) => {
    const one = client();
    one.final(server().first('SCRAM-SHA-256', one.first()));
    expect(codeOf(() => one.verify(Buffer.from(message)))).toBe('upstream-refused');
  });

  test('signs before it was given anything to sign', () => {
    expect(codeOf(() => client().verify(Buffer.from(`v=${Buffer.alloc(32).toString('base64')}`)))).toBe(
      'upstream-refused',
    );
  });

  test('offers nothing that we speak', () => {
    expect(codeOf(() => client({ mechanisms: ['OAUTHBEARER'] }))).toBe('upstream-refused');
    expect(codeOf(() => client({ mechanisms: ['SCRAM-SHA-256-PLUS'] }))).toBe('upstream-refused');
  });
});

test('a caller may remember salted passwords', () => {
  const asked: unknown[] = [];
  const other = server();
  const saltPassword = (password: string, theirSalt: Buffer, iterations: number) => {
    asked.push([password, theirSalt, iterations]);
    return Buffer.alloc(32);
  };
  const one = client({ saltPassword });
  expect(codeOf(() => exchange(one, other))).toBe('bad-credentials');
  expect(asked).toEqual([['pencil', salt, 2]]);
});

test.each([
  ['md5 hash', 'md57764e463c73a54e4bb79b9b9e419e145'],
  ['plain password', 'secret'],
  ['verifier with more behind it', `${rfcVerifier}x`],
  ['verifier with 0 iterations', rfcVerifier.replace('4096', '0')],
  ['verifier without a salt', rfcVerifier.replace('W22ZaJ0SNY7soEsUEjb6gQ==', '')],
  ['verifier with a short key', rfcVerifier.replace(/\$[^$:]*:/, '$AAAA:')],
  ['verifier of another mechanism', rfcVerifier.replace('256', '512')],
  ['verifier with a line end', `${rfcVerifier}\n`],
])('a %s is not a verifier', (_name, value) => {
  expect(parseVerifier(value)).toBeUndefined();
});

test('random messages are refused with a HoldpointError', () => {
  const pieces = fc.constantFrom(
    'n,,',
    'y,,',
    'p=x,,',
    'n=',
    ',r=',
    'c=biws',
    ',p=',
    'abc',
    '=',
    ',',
    '\0',
    'é',
  );
  const message = fc.array(pieces, { maxLength: 8 }).map((parts) => Buffer.from(parts.join('')));
  fc.assert(
    fc.property(message, message, (first, final) => {
      const other = server();
      try {
        other.first('SCRAM-SHA-256', first);
        other.final(final);
        throw new Error('it was accepted');
      } catch (error) {
        expect(error).toBeInstanceOf(HoldpointError);
      }
    }),
    { numRuns: 500 },
  );
});
