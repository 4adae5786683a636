// There is no descriptor to be had: what fails, what it is called, what goes on all the same, and that nothing is left of it.

import { once } from 'node:events';
import { openSync } from 'node:fs';
import net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { HoldpointError } from '../../src/errors.ts';
import { hasHop } from '../../src/hop/descriptor.ts';
import { takeOver } from '../../src/hop/takeover.ts';
import { shortageOf } from '../../src/proxy/shortage.ts';
import { cancelUpstream, connectUpstream } from '../../src/proxy/upstream.ts';
import { readTargetUrl } from '../../src/target-url.ts';
import { closeAll, connected } from '../hop/pair.ts';
import { canLimit, descriptorsOf, withoutDescriptors } from '../support/descriptors.ts';

afterEach(closeAll);

const coded = (code: string) => Object.assign(new Error(`connect ${code}`), { code });

test.each([
  ['the process’s', coded('EMFILE')],
  ['the system’s', coded('ENFILE')],
  [
    'what an error of ours stands for',
    new HoldpointError('store-unreachable', 'no', { cause: new Error('no', { cause: coded('EMFILE') }) }),
  ],
  ['one of several addresses’', new AggregateError([coded('ECONNREFUSED'), coded('EMFILE')])],
])('a shortage is told: %s', (_, error) => {
  const shortage = shortageOf(error);
  expect(shortage).toMatchObject({
    code: 'too-many-connections',
    sqlstate: '53300',
    hint: expect.stringContaining('Try again later'),
  });
  expect(shortage).toHaveProperty('cause.message', expect.stringMatching(/^connect E[MN]FILE$/));
});

const unknownName = Object.assign(coded('ENOTFOUND'), { syscall: 'getaddrinfo' });
test.each([
  [coded('ECONNREFUSED')],
  [unknownName],
  [new HoldpointError('upstream-refused', 'no')],
  [undefined],
  ['EMFILE'],
])('what is none is not: %s', (error) => expect(shortageOf(error)).toBeUndefined());

test('an error that is its own cause is looked at no more than a few times', () => {
  const error = new Error('round');
  error.cause = error;
  expect(shortageOf(error)).toBeUndefined();
});

describe.skipIf(!canLimit)('where there is none', () => {
  test.each([['127.0.0.1'], ['localhost']])('a target at %s is not said to be unreachable', async (host) => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    const address = readTargetUrl(`postgres://user:secret@${host}:${port}/shop?sslmode=disable`, {
      baseDir: '.',
      strict: false,
    });
    const before = descriptorsOf(process.pid);
    const [login, cancel] = await withoutDescriptors(() =>
      Promise.allSettled([
        connectUpstream(address, [], async () => []),
        cancelUpstream(address, 1, Buffer.alloc(4)),
      ]),
    );
    for (const { reason } of [login, cancel] as PromiseRejectedResult[])
      expect(reason).toMatchObject({ code: 'too-many-connections' });
    expect(descriptorsOf(process.pid)).toBe(before);
    server.close();
  });

  test('a connection that cannot be taken over goes on as it is', async () => {
    const { far, socket } = await connected();
    // Looked for once.
    hasHop();
    const before = descriptorsOf(process.pid);
    await withoutDescriptors(async () => {
      expect(() => openSync('/dev/null', 'r')).toThrow('EMFILE');
      const { line, head } = takeOver(socket, Buffer.from('read before'));
      expect(line).toBe(socket);
      expect(String(head)).toBe('read before');
      line.on('data', (chunk) => line.write(chunk));
      line.resume();
      far.write('there and back');
      expect(String((await once(far, 'data'))[0])).toBe('there and back');
    });
    expect(descriptorsOf(process.pid)).toBe(before);
  });
});
