// Login of one client: from the first byte to a proven identity. TLS, protocol version, startup parameters, SCRAM.
// Nothing a stranger sends reaches the target; an unknown agent, a wrong password, another agent's target and an
// expired agent are one answer. Refuses to know the target and what comes after. Source: wire.md §1.1–1.4, §1.7–1.8.

import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { HoldpointError } from '../errors.ts';
import { errorFrom, negotiateProtocolVersion } from '../wire/messages/backend.ts';
import {
  authenticationOk,
  authenticationSasl,
  authenticationSaslContinue,
  authenticationSaslFinal,
  loginFrameBytesMax,
  loginKnown,
  readSaslInitialResponse,
  readSaslResponse,
} from '../wire/messages/login.ts';
import {
  mockVerifier,
  nonceBytes,
  ScramServer,
  type ScramVerifier,
  scramPlusMechanism,
} from '../wire/scram.ts';
import { type FirstPacket, PacketReader, type StartupMessage } from '../wire/startup.ts';
import { type StartupSettings, startupSettings } from '../wire/startup-settings.ts';
import { FrameStream } from './framestream.ts';

/** The clients' leg of TLS. */
export interface ClientTls {
  readonly context: tls.SecureContext;
  /** Data for channel binding of the certificate in `context`; undefined where RFC 5929 defines none. */
  readonly binding: Buffer | undefined;
  /** Plaintext sessions are refused. Cancel requests in plaintext are not: most drivers know no other. */
  readonly required: boolean;
}

export interface LoginOptions {
  readonly tls: ClientTls | undefined;
  /** The verifier of an agent that may use the target now; undefined for every reason why not. */
  readonly verifier: (agent: string, target: string) => Promise<ScramVerifier | undefined>;
  /** Makes the salt of agents that do not exist look as constant as a real one. 32 random bytes of this process. */
  readonly mockSecret: Buffer;
}

export type Login =
  | { readonly kind: 'cancel'; readonly pid: number; readonly key: Buffer }
  | {
      readonly kind: 'session';
      readonly client: Duplex;
      readonly startup: StartupSettings;
      readonly auth: 'scram-sha-256' | 'scram-sha-256-plus';
      /** Bytes behind the login: the first frames of the session. */
      readonly head: Buffer;
    };

/** Who failed to log in, and why, for the log; the client is told less. */
export class LoginFailure extends Error {
  readonly agent: string;
  readonly target: string;
  readonly reason: string;

  constructor(agent: string, target: string, reason: string) {
    super(`login of ${agent} to ${target} failed: ${reason}`);
    this.name = 'LoginFailure';
    this.agent = agent;
    this.target = target;
    this.reason = reason;
  }
}

/**
 * Reads a client from its first byte. Resolves with what it turned out to be, or undefined if it was closed without a
 * word. Rejects after the client was told why: with LoginFailure if an identity was claimed, else with the error.
 */
export async function login(socket: Duplex, options: LoginOptions): Promise<Login | undefined> {
  let stream = socket;
  try {
    const opened = await openStream(socket, options.tls);
    if (opened === undefined) return undefined;
    stream = opened.stream;
    const { packet } = opened;
    if (packet.kind === 'cancel') return packet;
    if (!opened.encrypted && options.tls?.required === true)
      throw new HoldpointError('unauthorized', 'this server accepts encrypted connections only', {
        hint: 'Connect with sslmode=require or stronger.',
      });
    return await authenticate(stream, packet, opened.head, opened.encrypted, options);
  } catch (error) {
    if (error instanceof LoginFailure)
      stream.write(
        errorFrom(
          new HoldpointError('bad-credentials', `password authentication failed for user "${error.agent}"`),
          'FATAL',
        ),
      );
    else if (error instanceof HoldpointError) stream.write(errorFrom(error, 'FATAL'));
    throw error;
  }
}

interface OpenedStream {
  readonly stream: Duplex;
  readonly encrypted: boolean;
  readonly packet: StartupMessage | Extract<FirstPacket, { kind: 'cancel' }>;
  readonly head: Buffer;
}

/** Answers requests for encryption until there is a packet that is not one. */
async function openStream(
  socket: Duplex,
  clientTls: ClientTls | undefined,
): Promise<OpenedStream | undefined> {
  let stream = socket;
  let encrypted = false;
  let reader = new PacketReader();
  for (;;) {
    const packet = await nextPacket(stream, reader);
    if (packet === undefined) return undefined;
    switch (packet.kind) {
      case 'close':
        return undefined;
      case 'gssenc':
        stream.write('N');
        break;
      case 'ssl':
        if (clientTls === undefined || encrypted) {
          stream.write('N');
          break;
        }
        stream.write('S');
        stream = await secure(stream, clientTls, false);
        encrypted = true;
        reader = new PacketReader({ encrypted: true, sslDone: true, gssDone: true });
        break;
      case 'direct-tls':
        if (clientTls === undefined) return undefined;
        stream.unshift(reader.rest());
        stream = await secure(stream, clientTls, true);
        encrypted = true;
        reader = new PacketReader({ encrypted: true });
        break;
      default:
        return { stream, encrypted, packet, head: reader.rest() };
    }
  }
}

/** Undefined when the socket ends first. */
function nextPacket(stream: Duplex, reader: PacketReader): Promise<FirstPacket | undefined> {
  return new Promise((resolve, reject) => {
    const done = (settle: () => void): void => {
      stream.pause();
      stream.off('data', data);
      stream.off('close', closed);
      stream.off('end', closed);
      settle();
    };
    const look = (): boolean => {
      try {
        const packet = reader.next();
        if (packet === undefined) return false;
        done(() => resolve(packet));
      } catch (error) {
        done(() => reject(error));
      }
      return true;
    };
    const data = (chunk: Buffer): void => {
      reader.push(chunk);
      look();
    };
    const closed = (): void => done(() => resolve(undefined));
    stream.on('data', data);
    stream.on('close', closed);
    stream.on('end', closed);
    if (!look()) stream.resume();
  });
}

/**
 * The TLS handshake as server. Direct TLS needs ALPN, lest another protocol's client be made to speak to us (ALPACA);
 * after SSLRequest older clients offer none.
 */
function secure(stream: Duplex, { context }: ClientTls, direct: boolean): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = new tls.TLSSocket(stream, {
      isServer: true,
      secureContext: context,
      ALPNProtocols: ['postgresql'],
    });
    const failed = (): void => {
      socket.destroy();
      reject(new Error('the TLS handshake failed'));
    };
    socket.on('error', failed);
    socket.once('close', failed);
    socket.once('secure', () => {
      socket.off('close', failed);
      if (direct && socket.alpnProtocol !== 'postgresql') failed();
      else resolve(socket);
    });
  });
}

async function authenticate(
  client: Duplex,
  packet: StartupMessage,
  head: Buffer,
  encrypted: boolean,
  options: LoginOptions,
): Promise<Login> {
  const startup = startupSettings(packet);
  if (startup.negotiate !== undefined)
    client.write(negotiateProtocolVersion(startup.negotiate.minor, startup.negotiate.unknown));
  const known = await options.verifier(startup.user, startup.database);
  const scram = new ScramServer({
    verifier: known ?? mockVerifier(options.mockSecret, startup.user),
    nonce: randomBytes(nonceBytes),
    channelBinding: encrypted ? options.tls?.binding : undefined,
  });
  const frames = new FrameStream(client, { known: loginKnown, frameBytesMax: loginFrameBytesMax }, head);
  client.resume();
  client.write(authenticationSasl(scram.mechanisms));
  try {
    const initial = readSaslInitialResponse(await frames.next());
    client.write(authenticationSaslContinue(scram.first(initial.mechanism, initial.data ?? Buffer.alloc(0))));
    const final = scram.final(readSaslResponse(await frames.next()));
    client.write(Buffer.concat([authenticationSaslFinal(final), authenticationOk()]));
    const plus = initial.mechanism === scramPlusMechanism;
    return {
      kind: 'session',
      client,
      startup,
      auth: plus ? 'scram-sha-256-plus' : 'scram-sha-256',
      head: frames.detach(),
    };
  } catch (error) {
    if (error instanceof HoldpointError && error.code === 'bad-credentials')
      throw new LoginFailure(
        startup.user,
        startup.database,
        known === undefined ? 'not admitted' : 'wrong password',
      );
    throw error;
  }
}
