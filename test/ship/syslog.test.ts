// Records at a syslog collector: messages that a strict parser of RFC 5424 takes, over TCP, TLS and UDP.

import { expect, onTestFinished, test } from 'vitest';
import { outlineOf } from '../../src/ship/outline.ts';
import type { SyslogSettings } from '../../src/ship/settings.ts';
import { messageOf, syslogDestination } from '../../src/ship/syslog.ts';
import { leafHash } from '../../verify/src/leaf.ts';
import { openTestLog, statement, temporaryFolder } from '../audit/fixture.ts';
import { selfSigned } from '../support/certificate.ts';
import { collectDatagrams, collectStream, parseSyslog } from '../support/syslog.ts';
import { entry, follow } from './following.ts';

const from = { origin: 'holdpoint/test', host: 'db1.example', isClear: false };
const signal = () => AbortSignal.timeout(10_000);

function settings(port: number, more: Partial<SyslogSettings> = {}): SyslogSettings {
  return {
    host: '127.0.0.1',
    port,
    transport: 'tcp',
    ca: undefined,
    facility: 13,
    enterprise: 32_473,
    ...more,
  };
}

async function stream(tls?: { cert: string; key: string }) {
  const collector = await collectStream(tls);
  onTestFinished(() => collector.close());
  return collector;
}

const some = (n: number) =>
  Array.from({ length: n }, (_, seq) => entry({ kind: 'hb', seq, ts: 1_700_000_000_000_000 + seq }));
const seqs = (messages: readonly Buffer[]) =>
  messages.map((message) => Number(parseSyslog(message).params.seq));

test('a record is one message with its place in the chain and no value of the statement', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const seq = log.append(
    statement(1, { dec: 'deny', sql: 'drop table t', lits: ['canary'], params: ['canary'] }),
  );
  await log.close();
  const collector = await stream();
  await follow(path, log, syslogDestination(settings(collector.port), from)).drain();
  const messages = collector.messages.map(parseSyslog);
  expect(messages.map(({ params }) => params.seq)).toEqual(messages.map((_, i) => String(i)));
  expect(collector.messages.join()).not.toContain('canary');
  expect(messages[seq]).toMatchObject({
    pri: 13 * 8 + 4,
    host: 'db1.example',
    app: 'holdpoint',
    msgid: 'stmt',
    sdId: 'holdpoint@32473',
    text: 'drop table t',
    params: { kind: 'stmt', origin: 'holdpoint/test', agent: 'claude', target: 'shop', dec: 'deny' },
  });
});

test('the time has the microseconds of the record, and the leaf is the hash of its line', () => {
  const record = entry({ kind: 'hb', seq: 7, ts: 1_700_000_000_123_456 });
  const message = parseSyslog(messageOf(outlineOf(record, false), settings(1), from));
  expect(message.timestamp).toBe('2023-11-14T22:13:20.123456Z');
  expect(message.params.leaf).toBe(leafHash(record.line));
});

test('whatever a statement holds, it is one message that parses, of at most 8192 bytes', () => {
  const nasty = [
    'a\n<34>1 forged',
    '"]\\',
    ']"\u0000\u007f',
    '\ud800 alone',
    '\u2028\u2029',
    '€'.repeat(9000),
    '',
  ];
  for (const text of nasty) {
    const record = entry({
      kind: 'stmt',
      seq: 1,
      ts: 1,
      sql: text,
      agent: text,
      rule: text,
      target: 'a b',
      cmd: [text],
    });
    const bytes = messageOf(outlineOf(record, false), settings(1), { origin: text, host: text });
    expect(bytes.length).toBeLessThanOrEqual(8192);
    const message = parseSyslog(bytes);
    expect(message.text).not.toMatch(/[\0-\x1f\x7f]/);
    expect(message.params.agent).not.toMatch(/[\0-\x1f\x7f]/);
  }
  const quoted = parseSyslog(
    messageOf(outlineOf(entry({ kind: 'stmt', seq: 1, ts: 1, agent: 'a"]\\b' }), false), settings(1), from),
  );
  expect(quoted.params.agent).toBe('a"]\\b');
});

test('a collector that hangs up in the middle gets the batch again', async () => {
  const collector = await stream();
  const destination = syslogDestination(settings(collector.port), from);
  collector.fault = (socket) => socket.once('data', () => socket.resetAndDestroy());
  await expect(destination.deliver(some(3000), signal())).rejects.toThrow();
  collector.fault = undefined;
  await destination.deliver(some(3000), signal());
  expect(seqs(collector.messages)).toEqual(Array.from({ length: 3000 }, (_, i) => i));
});

test('a collector that reads nothing is given up in time', async () => {
  const collector = await stream();
  collector.fault = (socket) => socket.pause();
  const big = Array.from({ length: 2000 }, (_, seq) =>
    entry({ kind: 'stmt', seq, ts: 1, sql: 'x'.repeat(7000) }),
  );
  const destination = syslogDestination(settings(collector.port), from);
  await expect(destination.deliver(big, AbortSignal.timeout(300))).rejects.toThrow(
    'the collector took too long',
  );
});

test('over TLS the collector has to be the one whose authority was given', async () => {
  const { certificatePem, keyPem } = selfSigned();
  const collector = await stream({ cert: certificatePem, key: keyPem });
  const trusting = syslogDestination(
    settings(collector.port, { transport: 'tls', ca: certificatePem }),
    from,
  );
  await trusting.deliver(some(50), signal());
  expect(seqs(collector.messages)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  const other = syslogDestination(
    settings(collector.port, { transport: 'tls', ca: selfSigned().certificatePem }),
    from,
  );
  await expect(other.deliver(some(1), signal())).rejects.toThrow(/certificate|self-signed|signature/i);
  const system = syslogDestination(settings(collector.port, { transport: 'tls' }), from);
  await expect(system.deliver(some(1), signal())).rejects.toThrow(/self-signed/);
  expect(collector.messages).toHaveLength(50);
});

test('over UDP each message is a datagram of its own', async () => {
  const collector = await collectDatagrams();
  onTestFinished(() => collector.close());
  await syslogDestination(settings(collector.port, { transport: 'udp' }), from).deliver(some(20), signal());
  await expect.poll(() => collector.messages.length).toBe(20);
  expect(seqs(collector.messages).sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
});
