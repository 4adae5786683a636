// Syslog: records as RFC 5424 messages over TCP with octet counting (RFC 6587 §3.4.1), over TLS (RFC 5425) or as UDP
// datagrams (RFC 5426). None of them acknowledges anything, so over TCP and TLS each batch has a connection of its own,
// which we end and which the collector then ends, after it has read all of it. UDP is as lossy as it is.

import { createSocket } from 'node:dgram';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Destination } from './follower.ts';
import { type Outline, outlineOf } from './outline.ts';
import type { Sender, SyslogSettings } from './settings.ts';

/** RFC 5424 §6.2.1. */
const severities = { info: 6, notice: 5, warning: 4, error: 3 } as const;
/** What collectors take by default, rsyslog for one; the text is cut, never the structured data. */
const messageBytesMax = 8_192;
const valueCharactersMax = 256;
/** How long a collector may take to end a connection that we have ended. One that never does is believed. */
const farewellMs = 2_000;

/** Sends to `settings.host`. */
export function syslogDestination(settings: SyslogSettings, from: Sender): Destination {
  const { host, port, transport } = settings;
  return {
    place: `${transport} ${host}:${port}`,
    async deliver(records, signal) {
      const messages = records.map((entry) => messageOf(outlineOf(entry, from.isClear), settings, from));
      if (transport === 'udp') await sendDatagrams(messages, host, port);
      else await sendStream(messages, settings, signal);
      return { bytes: messages.reduce((sum, { length }) => sum + length, 0), refused: 0 };
    },
    close() {},
  };
}

/** One message of RFC 5424, without framing. */
export function messageOf(
  { seq, leaf, kind, ts, severity, text, attributes }: Outline,
  { facility, enterprise }: Pick<SyslogSettings, 'facility' | 'enterprise'>,
  { origin, host }: { readonly origin: string; readonly host: string },
): Buffer {
  const data = { seq, leaf, kind, origin, ...attributes };
  const params = Object.entries(data).map(([name, value]) => ` ${name}="${paramValue(String(value))}"`);
  const time = new Date(ts / 1000).toISOString().replace('Z', `${String(ts % 1000).padStart(3, '0')}Z`);
  const head =
    `<${facility * 8 + severities[severity]}>1 ${time} ${headerValue(host, 255)} holdpoint ${process.pid} ` +
    `${headerValue(kind, 32)} [holdpoint@${enterprise}${params.join('')}] \ufeff`;
  const bytes = Buffer.from(head);
  return Buffer.concat([bytes, cut(Buffer.from(oneLine(text)), messageBytesMax - bytes.length)]);
}

/** PRINTUSASCII without blanks, or the nil value. */
function headerValue(text: string, most: number): string {
  return text.replace(/[^!-~]/g, '').slice(0, most) || '-';
}

/** RFC 5424 §6.3.3: these three characters are escaped, nothing else. */
function paramValue(text: string): string {
  return oneLine(text.slice(0, valueCharactersMax))
    .toWellFormed()
    .replace(/["\\\]]/g, '\\$&');
}

/** A statement may hold line ends and other controls; a collector's file must not get a forged line by them. */
function oneLine(text: string): string {
  return text.replace(/[\0-\x1f\x7f-\x9f\u2028\u2029]+/g, ' ').toWellFormed();
}

/** The first bytes of a UTF-8 text, whole characters. */
function cut(bytes: Buffer, most: number): Buffer {
  let end = Math.max(0, Math.min(bytes.length, most));
  while (end < bytes.length && end > 0 && (bytes[end]! & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end);
}

async function sendDatagrams(messages: readonly Buffer[], host: string, port: number): Promise<void> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  try {
    for (const message of messages)
      await new Promise<void>((resolve, reject) =>
        socket.send(message, port, host, (error) => (error === null ? resolve() : reject(error))),
      );
  } finally {
    socket.close();
  }
}

/** All messages over one connection. Resolves once the collector has ended it after us. */
async function sendStream(
  messages: readonly Buffer[],
  { host, port, transport, ca }: SyslogSettings,
  signal: AbortSignal,
): Promise<void> {
  const framed = Buffer.concat(messages.flatMap((message) => [Buffer.from(`${message.length} `), message]));
  const socket: Socket =
    transport === 'tls'
      ? connectTls({
          host,
          port,
          minVersion: 'TLSv1.2',
          ...(ca !== undefined && { ca }),
          ...(isIP(host) === 0 && { servername: host }),
        })
      : connect({ host, port });
  const abort = () => socket.destroy(new Error('the collector took too long'));
  signal.addEventListener('abort', abort, { once: true });
  let farewell: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      // Collectors have nothing to say; reading is what notices their end.
      socket.resume();
      socket.once('end', () =>
        socket.writableFinished ? resolve() : reject(new Error('the collector hung up')),
      );
      socket.once('close', () => reject(new Error('the collector hung up')));
      socket.once(transport === 'tls' ? 'secureConnect' : 'connect', () => {
        socket.end(framed, () => {
          farewell = setTimeout(resolve, farewellMs);
        });
      });
    });
  } finally {
    clearTimeout(farewell);
    signal.removeEventListener('abort', abort);
    socket.on('error', () => {});
    socket.destroy();
  }
}
