// A raw protocol client for tests: sends exactly the frames it is given and returns what came back as a transcript,
// one [letter, summary] a message. Knows login; refuses to hide anything else of the protocol.

import { randomBytes } from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';
import { tlsServerEndPoint } from '../../src/wire/channel-binding.ts';
import { FRAME, Framer, typeTable } from '../../src/wire/framer.ts';
import { backendKnown, backendType, readErrorFields } from '../../src/wire/messages/backend.ts';
import {
  md5Password,
  passwordMessage,
  readAuthentication,
  saslInitialResponse,
  saslResponse,
} from '../../src/wire/messages/login.ts';
import { nonceBytes, ScramClient } from '../../src/wire/scram.ts';
import { sslRequest, startupMessage } from '../../src/wire/startup.ts';

/** One message of the server: its letter, a summary that reads well in a transcript, and its body. */
export interface Reply {
  letter: string;
  summary: string;
  body: Buffer;
}

export interface LoginOptions {
  user: string;
  database?: string;
  password?: string;
  minor?: number;
  parameters?: Record<string, string>;
}

/** How long nothing may come while something is awaited. */
const silenceMs = 20_000;
const frameBytesMax = 64 * 1024 * 1024;

export class RawClient {
  readonly socket: net.Socket;
  /** Everything received and not yet taken by `until` or `take`. */
  readonly replies: Reply[] = [];
  /** From BackendKeyData. */
  pid = 0;
  key: Buffer = Buffer.alloc(0);
  readonly parameters = new Map<string, string>();
  closed = false;
  /** How long nothing may come while something is waited for. */
  patienceMs = silenceMs;
  #framer = new Framer({ wanted: backendKnown, known: backendKnown, frameBytesMax: () => frameBytesMax });
  #wake: (() => void) | undefined;
  #failure: Error | undefined;

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
      this.#wake?.();
    });
  }

  /** Connects in plaintext, or through SSLRequest with `tls`. Nothing of PostgreSQL's protocol follows yet. */
  static async connect(host: string, port: number, secure?: tls.ConnectionOptions): Promise<RawClient> {
    const socket = net.connect({ host, port, noDelay: true });
    await once(socket, 'connect');
    if (secure === undefined) return new RawClient(socket);
    socket.write(sslRequest());
    const answer: Buffer = await new Promise((resolve, reject) => {
      socket.once('data', resolve);
      socket.once('close', () => reject(new Error('closed instead of an answer to SSLRequest')));
    });
    if (answer.toString('latin1') !== 'S')
      throw new Error(`SSLRequest was answered ${answer.toString('hex')}`);
    const encrypted = tls.connect({ ALPNProtocols: ['postgresql'], ...secure, socket });
    await once(encrypted, 'secureConnect');
    return new RawClient(encrypted);
  }

  send(...frames: Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /** Logs in and waits for ReadyForQuery. A refusal rejects with the server's message and `sqlstate`. */
  async login(options: LoginOptions): Promise<Reply[]> {
    const { user, database, password = '', minor = 0, parameters = {} } = options;
    const named = database === undefined ? { user } : { user, database };
    this.send(startupMessage(minor, Object.entries({ ...named, ...parameters })));
    let scram: ScramClient | undefined;
    for (;;) {
      const [reply] = await this.take(1);
      if (reply === undefined) throw new Error('the server closed the connection during login');
      if (reply.letter === 'E') throw new ServerError(reply);
      if (reply.letter === 'v') continue;
      if (reply.letter !== 'R') throw new Error(`unexpected ${reply.letter} during authentication`);
      const request = readAuthentication(asFrame(reply));
      if (request.kind === 'ok') break;
      if (request.kind === 'cleartext') this.send(passwordMessage(password));
      else if (request.kind === 'md5') this.send(passwordMessage(md5Password(user, password, request.salt)));
      else if (request.kind === 'sasl') {
        scram = this.#startScram(password, request.mechanisms);
        this.send(saslInitialResponse(scram.mechanism, scram.first()));
      } else if (request.kind === 'sasl-continue') this.send(saslResponse(scram!.final(request.data)));
      else if (request.kind === 'sasl-final') scram!.verify(request.data);
      else throw new Error(`the server asks for authentication ${request.code}`);
    }
    const greeting = await this.until('Z');
    const refused = greeting.find((reply) => reply.letter === 'E');
    if (refused !== undefined) throw new ServerError(refused);
    return greeting;
  }

  /** Messages up to and including the `count`th of any of `letters`. Fewer come back only if the server closed. */
  async until(letters: string, count = 1): Promise<Reply[]> {
    return this.#collect((replies) => {
      let seen = 0;
      const index = replies.findIndex((reply) => letters.includes(reply.letter) && ++seen === count);
      return index < 0 ? undefined : index + 1;
    });
  }

  /** The next `count` messages, or fewer if the server closed. */
  async take(count: number): Promise<Reply[]> {
    return this.#collect((replies) => (replies.length < count ? undefined : count));
  }

  /** Everything until the server closes the connection. */
  async untilClosed(): Promise<Reply[]> {
    return this.#collect(() => undefined);
  }

  /** Closes at once, without Terminate. */
  destroy(): void {
    this.socket.destroy();
  }

  async #collect(enough: (replies: Reply[]) => number | undefined): Promise<Reply[]> {
    const deadline = setTimeout(() => {
      const seen = transcript(this.replies).join('\n');
      this.#failure = new Error(`nothing more came within ${this.patienceMs} ms; so far:\n${seen}`);
      this.#wake?.();
    }, this.patienceMs);
    try {
      for (;;) {
        if (this.#failure !== undefined) throw this.#failure;
        const count = enough(this.replies) ?? (this.closed ? this.replies.length : undefined);
        if (count !== undefined) return this.replies.splice(0, count);
        deadline.refresh();
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(deadline);
    }
  }

  #startScram(password: string, mechanisms: string[]): ScramClient {
    const certificate =
      this.socket instanceof tls.TLSSocket ? this.socket.getPeerCertificate().raw : undefined;
    const channelBinding = certificate === undefined ? undefined : tlsServerEndPoint(certificate);
    return new ScramClient({ password, nonce: randomBytes(nonceBytes), mechanisms, channelBinding });
  }

  #read(chunk: Buffer): void {
    try {
      this.#framer.push(chunk);
      while (this.#framer.next() === FRAME) this.#keep();
    } catch (error) {
      this.#failure = error as Error;
    }
    this.#wake?.();
  }

  #keep(): void {
    const { type, buffer, start, end } = this.#framer;
    const body = Buffer.from(buffer.subarray(start + 5, end));
    const reply = { letter: String.fromCharCode(type), body, summary: summarize(type, body) };
    if (type === backendType.backendKeyData) {
      this.pid = body.readInt32BE(0);
      this.key = body.subarray(4);
    }
    if (type === backendType.parameterStatus) {
      const [name, value] = body.toString('utf8').split('\0');
      this.parameters.set(name!, value!);
    }
    this.replies.push(reply);
  }
}

/** An ErrorResponse as a JavaScript error. */
export class ServerError extends Error {
  readonly sqlstate: string;
  readonly fields: Map<string, string>;

  constructor(reply: Reply) {
    const fields = readErrorFields(asFrame(reply));
    super(fields.get('M') ?? 'no message');
    this.fields = fields;
    this.sqlstate = fields.get('C') ?? '';
  }
}

/** Fields of an ErrorResponse or NoticeResponse. */
export function errorFields(reply: Reply): Map<string, string> {
  return readErrorFields(asFrame(reply));
}

/** Replies as lines to compare with: `['C INSERT 0 1', 'Z I']`. `without` leaves out the letters given. */
export function transcript(replies: readonly Reply[], without = ''): string[] {
  return replies
    .filter(({ letter }) => !without.includes(letter))
    .map(({ letter, summary }) => (summary === '' ? letter : `${letter} ${summary}`));
}

const textual = typeTable('CSd');

function summarize(type: number, body: Buffer): string {
  const letter = String.fromCharCode(type);
  if (letter === 'Z') return body.toString('latin1');
  if (letter === 'E' || letter === 'N') {
    const fields = errorFields({ letter, body, summary: '' });
    return `${fields.get('V') ?? fields.get('S')} ${fields.get('C')} ${fields.get('M')}`;
  }
  if (letter === 'D') return dataRow(body).join('|');
  // Behind the pid of the notifying session, which differs from run to run.
  if (letter === 'A') return body.toString('utf8', 4).replaceAll('\0', ' ').trim();
  return textual[type] === 1 ? body.toString('utf8').replaceAll('\0', ' ').trim() : '';
}

/** Values of a DataRow as text; NULL is the word. */
function dataRow(body: Buffer): string[] {
  const values: string[] = [];
  for (let at = 2; at < body.length; ) {
    const length = body.readInt32BE(at);
    values.push(length < 0 ? 'NULL' : body.toString('utf8', at + 4, at + 4 + length));
    at += 4 + Math.max(length, 0);
  }
  return values;
}

function asFrame(reply: Reply): { type: number; buffer: Buffer; start: number; end: number } {
  const buffer = Buffer.concat([Buffer.alloc(5), reply.body]);
  return { type: reply.letter.charCodeAt(0), buffer, start: 0, end: buffer.length };
}

function once(socket: net.Socket, event: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => resolve());
    socket.once('error', reject);
  });
}
