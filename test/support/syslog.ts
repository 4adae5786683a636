// Syslog collectors on loopback ports, and a parser of RFC 5424 that takes nothing that its grammar does not.

import { createSocket } from 'node:dgram';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

export interface SyslogMessage {
  readonly pri: number;
  readonly timestamp: string;
  readonly host: string;
  readonly app: string;
  readonly procid: string;
  readonly msgid: string;
  readonly sdId: string;
  readonly params: Readonly<Record<string, string>>;
  readonly text: string;
}

const header =
  /^<(0|[1-9]\d{0,2})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) /;
const param = /^ ([!#-<>-\\^-~]{1,32})="((?:[^"\\\]]|\\["\\\]])*)"/;

/** Throws on anything that RFC 5424 §6 does not allow, and on text that is not UTF-8 behind a byte order mark. */
export function parseSyslog(bytes: Buffer): SyslogMessage {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  const head = header.exec(text);
  if (head === null) throw new Error(`not a header of RFC 5424: ${text.slice(0, 120)}`);
  const [, pri, timestamp, host, app, procid, msgid] = head as unknown as string[];
  if (Number(pri) > 191) throw new Error('PRIVAL above 191');
  let rest = text.slice(head[0].length);
  const id = /^\[([!#-<>-\\^-~]{1,32})/.exec(rest);
  if (id === null) throw new Error(`no structured data: ${rest.slice(0, 80)}`);
  rest = rest.slice(id[0].length);
  const params: Record<string, string> = {};
  for (let match = param.exec(rest); match !== null; match = param.exec(rest)) {
    if (params[match[1]!] !== undefined) throw new Error(`${match[1]} is there twice`);
    params[match[1]!] = match[2]!.replace(/\\(["\\\]])/g, '$1');
    rest = rest.slice(match[0].length);
  }
  if (!rest.startsWith('] \ufeff')) throw new Error(`the structured data does not end: ${rest.slice(0, 80)}`);
  return {
    pri: Number(pri),
    timestamp: timestamp!,
    host: host!,
    app: app!,
    procid: procid!,
    msgid: msgid!,
    sdId: id[1]!,
    params,
    text: rest.slice(3),
  };
}

export interface SyslogCollector {
  readonly port: number;
  readonly messages: Buffer[];
  /** What to do with a connection instead of reading it. */
  fault: ((socket: Socket) => void) | undefined;
  close(): Promise<void>;
}

/** Reads octet-counted messages; a connection is ended once the other side has ended it. */
export async function collectStream(tls?: { cert: string; key: string }): Promise<SyslogCollector> {
  const take = (socket: Socket): void => {
    socket.on('error', () => {});
    if (collector.fault !== undefined) {
      collector.fault(socket);
      return;
    }
    let rest = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      for (;;) {
        const count = /^([1-9]\d*) /.exec(rest.toString('latin1', 0, 12));
        if (count === null) {
          if (rest.length > 11) throw new Error(`no octet count: ${rest.toString('utf8', 0, 80)}`);
          return;
        }
        const end = count[0].length + Number(count[1]);
        if (rest.length < end) return;
        collector.messages.push(rest.subarray(count[0].length, end));
        rest = rest.subarray(end);
      }
    });
  };
  const server: Server = tls === undefined ? createServer(take) : createTlsServer(tls, take);
  server.on('tlsClientError', () => {});
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const collector: SyslogCollector = {
    port: (server.address() as AddressInfo).port,
    messages: [],
    fault: undefined,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
  return collector;
}

/** Takes each datagram as one message. */
export async function collectDatagrams(): Promise<Omit<SyslogCollector, 'fault'>> {
  const socket = createSocket('udp4');
  const messages: Buffer[] = [];
  socket.on('message', (message) => messages.push(message));
  await new Promise<void>((done) => socket.bind(0, '127.0.0.1', done));
  return {
    port: socket.address().port,
    messages,
    async close() {
      await new Promise<void>((done) => {
        socket.close(done);
      });
    },
  };
}
