// Upstream: one connection of ours to the target, from the TCP handshake to its first ReadyForQuery. Holds the
// target's credentials, which go nowhere else. Asks the server which one it is before anybody is let near it. Refuses to
// know who it is for and which server is the right one. Source: wire.md §1.1–1.6; the manual,
// "Start-up". Whatever the target says before it is authenticated is a stranger's word and is shown to nobody.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { HoldpointError } from '../errors.ts';
import type { ServerIdentity } from '../server-pins.ts';
import { isLoopback, type TargetAddress } from '../target-url.ts';
import { tlsServerEndPoint } from '../wire/channel-binding.ts';
import type { FrameView } from '../wire/framer.ts';
import {
  backendKnown,
  backendType,
  readBackendKeyData,
  readErrorFields,
  readParameterStatus,
} from '../wire/messages/backend.ts';
import {
  md5Password,
  passwordMessage,
  readAuthentication,
  saslInitialResponse,
  saslResponse,
} from '../wire/messages/login.ts';
import { nonceBytes, ScramClient, saltPassword } from '../wire/scram.ts';
import { cancelRequest, sslRequest, startupMessage } from '../wire/startup.ts';
import { FrameStream } from './framestream.ts';
import { ask } from './question.ts';
import { identityQuestions, readIdentity, readSession } from './server-identity.ts';
import { shortageOf } from './shortage.ts';

/** A connection that is ready for queries. `head`: bytes read behind the last ReadyForQuery. */
export interface Upstream {
  readonly socket: Duplex;
  readonly parameters: ReadonlyMap<string, string>;
  readonly pid: number;
  readonly key: Buffer;
  readonly head: Buffer;
  readonly identity: ServerIdentity;
  /** Its name in the server's own log, as `readSession` gives it. */
  readonly session: string | undefined;
  /** What the operator should know of the server, a sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Resolves, with `warnings`, if the server is the one that is meant; what it throws ends the connection. `session`: the
 * connection's name in the server's own log.
 */
export type Admit = (identity: ServerIdentity, session: string | undefined) => Promise<readonly string[]>;

const loginFrameBytesMax = 1 << 20;
const cancelMs = 5_000;

/** Salted passwords by salt and iterations: PBKDF2 takes milliseconds, and a target has one salt. */
const salted = new Map<string, Buffer>();
const saltedMax = 64;

/** Newest minor version of protocol 3 that a target has shown to speak, by host and port. */
const spoken = new Map<string, 0 | 2>();

/**
 * Connects and logs in, within the address's time. `settings` as from `startupSettings`; `admit` sees every server
 * before anybody else does, and what it throws is thrown. Else throws `upstream-unreachable`, or `upstream-refused` with
 * the target's SQLSTATE where a client can act on it (53300, 57P03, 3D000), or `too-many-connections` where there is no
 * descriptor for it.
 */
export async function connectUpstream(
  address: TargetAddress,
  settings: readonly (readonly [string, string])[],
  admit: Admit,
): Promise<Upstream> {
  const socket = net.connect(whereabouts(address));
  const timer = setTimeout(
    () => socket.destroy(new HoldpointError('upstream-unreachable', 'the database did not answer in time')),
    address.connectTimeoutMs,
  );
  try {
    const { stream, binding } = await open(socket, address);
    const upstream = await logIn(stream, address, settings, binding);
    return { ...upstream, warnings: await admit(upstream.identity, upstream.session) };
  } catch (error) {
    socket.destroy();
    const shortage = shortageOf(error);
    if (shortage !== undefined) throw shortage;
    if (error instanceof HoldpointError) throw error;
    throw new HoldpointError('upstream-unreachable', 'the database cannot be reached', {
      hint: 'Try again later; the operator of this proxy can see the cause in its log.',
      cause: error,
    });
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Asks the target to cancel what `pid` runs. Resolves when the target has taken notice, at the latest after 5 s. Throws
 * `too-many-connections` if there is no descriptor to ask with.
 */
export async function cancelUpstream(address: TargetAddress, pid: number, key: Buffer): Promise<void> {
  const socket = net.connect(whereabouts(address));
  const timer = setTimeout(() => socket.destroy(), cancelMs);
  try {
    const { stream } = await open(socket, address);
    stream.write(cancelRequest(pid, key));
    await new Promise<void>((resolve) => {
      stream.on('close', () => resolve());
      stream.on('error', () => resolve());
      stream.resume();
    });
  } catch (error) {
    const shortage = shortageOf(error);
    if (shortage !== undefined) throw shortage;
    // A cancel that cannot be delivered is what the client would see on a direct connection too: nothing happens.
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

function whereabouts({ host, port }: TargetAddress): net.NetConnectOpts {
  if (host.startsWith('/')) return { path: `${host}/.s.PGSQL.${port}` };
  return { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 };
}

/** TCP and, unless the URL says `disable`, TLS. `binding`: channel binding data of the server's certificate. */
async function open(
  socket: net.Socket,
  address: TargetAddress,
): Promise<{ stream: Duplex; binding: Buffer | undefined }> {
  // A socket error between two waits would otherwise be nobody's, and end the process.
  socket.on('error', ignore);
  await settled(socket, 'connect');
  if (address.sslMode === 'disable') return { stream: socket, binding: undefined };
  socket.write(sslRequest());
  const answer = await oneByte(socket);
  if (answer !== 'S')
    throw new HoldpointError('upstream-refused', 'the database does not offer TLS, which its URL asks for');
  const secure = tls.connect({ socket, ...tlsOptions(address) });
  secure.on('error', ignore);
  await settled(secure, 'secureConnect');
  const certificate = secure.getPeerX509Certificate()?.raw;
  return { stream: secure, binding: certificate === undefined ? undefined : tlsServerEndPoint(certificate) };
}

function ignore(): void {}

function tlsOptions(address: TargetAddress): tls.ConnectionOptions {
  const read = (path: string | undefined): Buffer | undefined =>
    path === undefined ? undefined : readFileSync(path);
  const ca = address.sslRootCert === 'system' ? undefined : read(address.sslRootCert);
  const verified = address.sslMode === 'verify-ca' || address.sslMode === 'verify-full';
  return {
    ALPNProtocols: ['postgresql'],
    minVersion: 'TLSv1.2',
    rejectUnauthorized: verified,
    ...(net.isIP(address.host) === 0 ? { servername: address.host } : {}),
    ...(address.sslMode === 'verify-full' ? { host: address.host } : {}),
    ...(address.sslMode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
    ...(ca === undefined ? {} : { ca }),
  };
}

/** Exactly one byte; more would be plaintext smuggled in front of the handshake (CVE-2021-23222). */
async function oneByte(socket: net.Socket): Promise<string> {
  const chunk = await new Promise<Buffer>((resolve, reject) => {
    socket.once('data', (bytes: Buffer) => {
      socket.pause();
      resolve(bytes);
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed before the answer to SSLRequest')));
  });
  if (chunk.length !== 1)
    throw new HoldpointError('upstream-refused', 'the database sent unencrypted data in front of TLS');
  return chunk.toString('latin1');
}

function settled(socket: net.Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => {
      socket.off('error', reject);
      resolve();
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`closed before ${event}`)));
  });
}

async function logIn(
  stream: Duplex,
  address: TargetAddress,
  settings: readonly (readonly [string, string])[],
  binding: Buffer | undefined,
): Promise<Omit<Upstream, 'warnings'>> {
  const place = `${address.host}:${address.port}`;
  const parameters: [string, string][] = [
    ['user', address.user],
    ['database', address.database],
  ];
  stream.write(startupMessage(spoken.get(place) ?? 0, [...parameters, ...settings]));
  const frames = new FrameStream(stream, { known: backendKnown, frameBytesMax: loginFrameBytesMax });
  await authenticate(stream, frames, address, binding);
  const reported = new Map<string, string>();
  let pid = 0;
  let key: Buffer = Buffer.alloc(0);
  for (;;) {
    const frame = await frames.next();
    if (frame.type === backendType.parameterStatus) {
      const { name, value } = readParameterStatus(frame);
      reported.set(name, value);
    } else if (frame.type === backendType.backendKeyData) {
      const data = readBackendKeyData(frame);
      pid = data.pid;
      // In memory of its own: a session that keeps a piece of a shared buffer keeps all of that.
      key = Buffer.allocUnsafeSlow(data.key.length);
      data.key.copy(key);
    } else if (frame.type === backendType.errorResponse) throw refusal(frame);
    else if (frame.type === backendType.readyForQuery) break;
  }
  checkFitness(reported);
  const answers = await ask(stream, frames, identityQuestions, (frame) => {
    if (frame.type !== backendType.parameterStatus) return;
    const { name, value } = readParameterStatus(frame);
    reported.set(name, value);
  });
  const identity = readIdentity(answers);
  // From 18 on the protocol has cancel keys of 256 bits; asking an older server would only be answered with 3.0.
  spoken.set(place, Number.parseInt(reported.get('server_version') ?? '0', 10) >= 18 ? 2 : 0);
  const session = readSession(answers);
  return { socket: stream, parameters: reported, pid, key, head: frames.detach(), identity, session };
}

async function authenticate(
  stream: Duplex,
  frames: FrameStream,
  address: TargetAddress,
  binding: Buffer | undefined,
): Promise<void> {
  let scram: ScramClient | undefined;
  let proven = false;
  for (;;) {
    const frame = await frames.next();
    if (frame.type === backendType.errorResponse) throw refusal(frame);
    if (frame.type === backendType.negotiateProtocolVersion || frame.type === backendType.noticeResponse)
      continue;
    if (frame.type !== backendType.authentication) throw unexpected(frame.type);
    const request = readAuthentication(frame);
    switch (request.kind) {
      case 'ok':
        // A server that skips the proof of its own identity half-way is not the one we began with.
        if (scram !== undefined && !proven) throw unexpected(frame.type);
        return;
      case 'cleartext':
        if (address.sslMode === 'disable' && !isLoopback(address.host))
          throw new HoldpointError(
            'upstream-refused',
            'the database asks for the password in the clear, without TLS',
          );
        stream.write(passwordMessage(address.password));
        break;
      case 'md5':
        stream.write(passwordMessage(md5Password(address.user, address.password, request.salt)));
        break;
      case 'sasl':
        scram = new ScramClient({
          password: address.password,
          nonce: randomBytes(nonceBytes),
          mechanisms: request.mechanisms,
          channelBinding: binding,
          saltPassword: saltOnce,
        });
        stream.write(saslInitialResponse(scram.mechanism, scram.first()));
        break;
      case 'sasl-continue':
        if (scram === undefined) throw unexpected(frame.type);
        stream.write(saslResponse(scram.final(request.data)));
        break;
      case 'sasl-final':
        if (scram === undefined) throw unexpected(frame.type);
        scram.verify(request.data);
        proven = true;
        break;
      case 'unsupported':
        throw new HoldpointError(
          'upstream-refused',
          `the database asks for an authentication method that is not supported (${request.code})`,
        );
    }
  }
}

function saltOnce(password: string, salt: Buffer, iterations: number): Buffer {
  const key = `${iterations}:${salt.toString('base64')}:${password}`;
  const known = salted.get(key);
  if (known !== undefined) return known;
  if (salted.size >= saltedMax) salted.clear();
  const fresh = saltPassword(password, salt, iterations);
  salted.set(key, fresh);
  return fresh;
}

/** SQLSTATEs that say something of the database and nothing of our credentials. */
const shareable: ReadonlyMap<string, string> = new Map([
  ['53300', 'the database has too many connections'],
  ['57P03', 'the database is starting up or shutting down'],
  ['3D000', 'the database of this target does not exist'],
  ['55000', 'the database does not accept connections'],
]);

/** The target's own text may name its user, so it is kept for the operator (`cause`) and never relayed. */
function refusal(frame: FrameView): HoldpointError {
  const fields = readErrorFields(frame);
  const sqlstate = fields.get('C') ?? '';
  const cause = new Error(`${sqlstate}: ${fields.get('M') ?? ''}`);
  const known = shareable.get(sqlstate);
  if (known !== undefined) return new HoldpointError('upstream-refused', known, { sqlstate, cause });
  return new HoldpointError('upstream-refused', 'the database refused the login of this proxy', {
    hint: 'The operator of this proxy can see the cause in its log.',
    cause,
  });
}

function unexpected(type: number): HoldpointError {
  return new HoldpointError(
    'upstream-refused',
    `the database sent the message ${JSON.stringify(String.fromCharCode(type))} where a login does not have it`,
  );
}

/** What every later reading of statements rests on (wire.md §1.5). */
function checkFitness(reported: ReadonlyMap<string, string>): void {
  if (reported.get('standard_conforming_strings') !== 'on' || reported.get('client_encoding') !== 'UTF8')
    throw new HoldpointError(
      'upstream-refused',
      'the database did not accept client_encoding UTF8 with standard_conforming_strings on',
    );
}
