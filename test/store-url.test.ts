import { expect, test } from 'vitest';
import { type RedisAddress, readStoreUrl } from '../src/store-url.ts';

const read = (text: string) => readStoreUrl(text) as RedisAddress;

test('memory is memory', () => {
  expect(readStoreUrl('memory')).toEqual({ kind: 'memory' });
});

test('one server, with TLS by its scheme', () => {
  expect(read('redis://cache')).toMatchObject({
    mode: 'standalone',
    hosts: [{ host: 'cache', port: 6379 }],
    db: 0,
    tls: false,
    username: undefined,
    password: undefined,
    shown: 'redis://cache:6379',
  });
  expect(read('rediss://10.0.0.5:6380/3')).toMatchObject({
    hosts: [{ host: '10.0.0.5', port: 6380 }],
    db: 3,
    tls: true,
  });
  expect(read('redis://[::1]:7000/').hosts).toEqual([{ host: '::1', port: 7000 }]);
});

test('several Sentinels and the name of the primary', () => {
  expect(
    read('redis-sentinel://app:pw@s1,s2:26380/my%20master/2?tls=true&sentinelPassword=a%26b'),
  ).toMatchObject({
    mode: 'sentinel',
    hosts: [
      { host: 's1', port: 26_379 },
      { host: 's2', port: 26_380 },
    ],
    primary: 'my master',
    db: 2,
    tls: true,
    username: 'app',
    password: 'pw',
    sentinel: { username: undefined, password: 'a&b' },
  });
});

test('several nodes of a Cluster, which has one database', () => {
  expect(read('redis-cluster://h1:7000,h2:7001/0').hosts).toHaveLength(2);
  expect(() => read('redis-cluster://h1/1')).toThrow('a Cluster has only database 0');
});

test('what is shown has no secrets, and a password may hold any character', () => {
  const address = read('redis://app:p%40s%3As%2F@cache:6379/0');
  expect(address).toMatchObject({ username: 'app', password: 'p@s:s/', shown: 'redis://cache:6379/0' });
  expect(read('redis://:hunter2@cache')).toMatchObject({ username: undefined, password: 'hunter2' });
});

test.each([
  ['http://cache', 'must be memory, redis://'],
  ['redis://a:secret@b@cache', 'written %40'],
  ['redis://cache:0', 'HOST or HOST:PORT'],
  ['redis://cache:65536', 'HOST or HOST:PORT'],
  ['redis://', 'HOST or HOST:PORT'],
  ['redis://a,b', 'use redis-sentinel:// or redis-cluster://'],
  ['redis://cache/x', 'number of a database'],
  ['redis://cache/1/2', 'number of a database'],
  ['redis://cache?secret=1', 'takes no options'],
  ['redis-sentinel://s1?sentinelpassword=secret', 'takes tls, sentinelUsername, sentinelPassword'],
  ['redis-sentinel://s1', 'needs the name by which the Sentinels know the primary'],
  ['redis://a:%zz@cache', 'write %25'],
])('%s is refused, without a secret in the sentence', (text, why) => {
  expect(() => readStoreUrl(text)).toThrow(why);
  try {
    readStoreUrl(text);
  } catch (error) {
    expect((error as Error).message).not.toContain('secret');
  }
});
