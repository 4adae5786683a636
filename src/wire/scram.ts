// SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677) as PostgreSQL speaks them: the verifier a server keeps,
// and one exchange in either role. Pure: nonces, salts and secrets are arguments, and the messages go in and out as
// bytes. Refuses to know frames, sockets, TLS (the certificate's hash is an argument) and who the user is: the name
// comes from the StartupMessage, what SCRAM's `n=` says is ignored as the server does.

import { createHash, createHmac, pbkdf2Sync, timingSafeEqual } from 'node:crypto';
import { HoldpointError } from '../errors.ts';
import { preparePassword } from './saslprep.ts';

export const scramMechanism = 'SCRAM-SHA-256';
export const scramPlusMechanism = 'SCRAM-SHA-256-PLUS';

/** PostgreSQL's default of `scram_iterations`. */
export const iterationsDefault = 4096;
/** Most iterations a server may ask of us: PBKDF2 of more would hold up every other session for seconds. */
const iterationsMax = 1_000_000;

/** Random bytes of a nonce, as in PostgreSQL (SCRAM_RAW_NONCE_LEN). */
export const nonceBytes = 18;
/** Random bytes of a salt, as in PostgreSQL (SCRAM_DEFAULT_SALT_LEN). */
export const saltBytes = 16;
const keyBytes = 32;
/** Longest nonce accepted from a peer, in characters. */
const nonceLengthMax = 512;

/** What a server keeps of a password. With it one can check a login and impersonate the server, but not log in. */
export interface ScramVerifier {
  iterations: number;
  salt: Buffer;
  storedKey: Buffer;
  serverKey: Buffer;
  /** Stands for a user that does not exist: the exchange runs to its end and then fails. */
  mock?: boolean;
}

/** PBKDF2 of the password's SASLprep form (RFC 5802 `Hi`). Synchronous: about 1 ms for 4096 iterations. */
export function saltPassword(password: string, salt: Buffer, iterations: number): Buffer {
  return pbkdf2Sync(preparePassword(password), salt, iterations, keyBytes, 'sha256');
}

/** The verifier of a password in the format of `pg_authid.rolpassword`. `salt` should be `saltBytes` random bytes. */
export function buildVerifier(
  password: string,
  salt: Buffer,
  iterations: number = iterationsDefault,
): string {
  const saltedPassword = saltPassword(password, salt, iterations);
  const storedKey = sha256(hmac(saltedPassword, 'Client Key'));
  const serverKey = hmac(saltedPassword, 'Server Key');
  const keys = `${storedKey.toString('base64')}:${serverKey.toString('base64')}`;
  return `${scramMechanism}$${iterations}:${salt.toString('base64')}$${keys}`;
}

/** Reads `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`; undefined if it is anything else. */
export function parseVerifier(text: string): ScramVerifier | undefined {
  const match = /^SCRAM-SHA-256\$([1-9][0-9]{0,9}):([^$:]+)\$([^$:]+):([^$:]+)$/.exec(text);
  if (match === null) return undefined;
  const [salt, storedKey, serverKey] = match.slice(2).map(decodeBase64);
  if (salt === undefined || storedKey?.length !== keyBytes || serverKey?.length !== keyBytes)
    return undefined;
  return { iterations: Number(match[1]), salt, storedKey, serverKey };
}

/** Whether the password is the verifier's. Costs PBKDF2: for a caller that is told a password, not for logins. */
export function passwordFits(password: string, verifier: ScramVerifier): boolean {
  const clientKey = hmac(saltPassword(password, verifier.salt, verifier.iterations), 'Client Key');
  return timingSafeEqual(sha256(clientKey), verifier.storedKey) && verifier.mock !== true;
}

/**
 * The verifier to run the exchange with for a user that does not exist, always the same for one name, so that neither
 * salt nor timing tells which names exist. `secret` is the server's own and must outlive a restart.
 */
export function mockVerifier(
  secret: Buffer,
  user: string,
  iterations: number = iterationsDefault,
): ScramVerifier {
  return {
    iterations,
    salt: hmac(secret, `salt${user}`).subarray(0, saltBytes),
    storedKey: hmac(secret, `StoredKey${user}`),
    serverKey: hmac(secret, `ServerKey${user}`),
    mock: true,
  };
}

export interface ScramServerOptions {
  verifier: ScramVerifier;
  /** `nonceBytes` random bytes, never used twice. */
  nonce: Buffer;
  /** `tlsServerEndPoint` of the certificate this client was shown; undefined: -PLUS is not offered. */
  channelBinding?: Buffer | undefined;
}

/** One exchange in the server's role: `first`, then `final`, each once. */
export class ScramServer {
  /** What to offer in AuthenticationSASL, in order of preference. */
  readonly mechanisms: readonly string[];
  readonly #verifier: ScramVerifier;
  readonly #nonce: string;
  readonly #channelBinding: Buffer | undefined;
  #gs2Header = '';
  #clientFirstBare = '';
  #serverFirst = '';
  #fullNonce = '';
  #step: 'first' | 'final' | 'done' = 'first';

  constructor(options: ScramServerOptions) {
    this.#verifier = options.verifier;
    this.#nonce = options.nonce.toString('base64');
    this.#channelBinding = options.channelBinding;
    this.mechanisms =
      options.channelBinding === undefined ? [scramMechanism] : [scramPlusMechanism, scramMechanism];
  }

  /** client-first-message to server-first-message. Throws `protocol-violation`, `not-supported` or `unauthorized`. */
  first(mechanism: string, clientFirst: Buffer): Buffer {
    this.#advance('first', 'final');
    if (!this.mechanisms.includes(mechanism)) {
      throw new HoldpointError(
        'protocol-violation',
        'client selected an invalid SASL authentication mechanism',
      );
    }
    const { flag, gs2Header, bare, nonce } = parseClientFirst(clientFirst);
    checkBindingFlag(flag, mechanism, this.#channelBinding !== undefined);
    this.#gs2Header = gs2Header;
    this.#clientFirstBare = bare;
    this.#fullNonce = nonce + this.#nonce;
    const { salt, iterations } = this.#verifier;
    this.#serverFirst = `r=${this.#fullNonce},s=${salt.toString('base64')},i=${iterations}`;
    return Buffer.from(this.#serverFirst, 'latin1');
  }

  /**
   * client-final-message to server-final-message; that it returns means the client knows the password.
   * Throws `bad-credentials` for a wrong proof and for every mock verifier alike.
   */
  final(clientFinal: Buffer): Buffer {
    this.#advance('final', 'done');
    const { binding, nonce, proof, withoutProof } = parseClientFinal(clientFinal);
    if (binding !== this.#expectedBinding()) {
      throw new HoldpointError('unauthorized', 'SCRAM channel binding check failed');
    }
    if (nonce !== this.#fullNonce) throw malformed('Nonce does not match.');
    const authMessage = Buffer.from(
      `${this.#clientFirstBare},${this.#serverFirst},${withoutProof}`,
      'latin1',
    );
    const { storedKey, serverKey, mock } = this.#verifier;
    const clientKey = xor(proof, hmac(storedKey, authMessage));
    const proven = timingSafeEqual(sha256(clientKey), storedKey);
    const serverSignature = hmac(serverKey, authMessage);
    if (!proven || mock === true)
      throw new HoldpointError('bad-credentials', 'password authentication failed');
    return Buffer.from(`v=${serverSignature.toString('base64')}`, 'latin1');
  }

  /** The base64 is compared, not what it decodes to: the one spelling that RFC 5802 allows. */
  #expectedBinding(): string {
    const header = Buffer.from(this.#gs2Header, 'latin1');
    const bound = this.#gs2Header.startsWith('p') ? [header, this.#channelBinding!] : [header];
    return Buffer.concat(bound).toString('base64');
  }

  #advance(from: 'first' | 'final', to: 'final' | 'done'): void {
    if (this.#step !== from) throw malformed(`A ${from} message is not expected now.`);
    this.#step = to;
  }
}

export interface ScramClientOptions {
  password: string;
  /** `nonceBytes` random bytes, never used twice. */
  nonce: Buffer;
  /** What the server offered in AuthenticationSASL. */
  mechanisms: readonly string[];
  /** `tlsServerEndPoint` of the server's certificate; undefined without TLS or where the RFC defines none. */
  channelBinding?: Buffer | undefined;
  /** Takes the place of `saltPassword`, for a caller that remembers results. */
  saltPassword?: typeof saltPassword;
}

/** One exchange in the client's role: `first`, `final`, `verify`, each once. */
export class ScramClient {
  /** The one chosen of those offered; -PLUS wherever both sides can. */
  readonly mechanism: string;
  readonly #options: ScramClientOptions;
  readonly #nonce: string;
  readonly #gs2Header: string;
  #serverSignature: Buffer | undefined;

  /** Throws `upstream-refused` if the server offers no mechanism of SCRAM-SHA-256. */
  constructor(options: ScramClientOptions) {
    this.#options = options;
    this.#nonce = options.nonce.toString('base64');
    const canBind = options.channelBinding !== undefined;
    if (canBind && options.mechanisms.includes(scramPlusMechanism)) {
      this.mechanism = scramPlusMechanism;
      this.#gs2Header = 'p=tls-server-end-point,,';
    } else if (options.mechanisms.includes(scramMechanism)) {
      this.mechanism = scramMechanism;
      // `y` says that we could have bound: a server that can too will notice the stripped offer.
      this.#gs2Header = canBind ? 'y,,' : 'n,,';
    } else {
      throw new HoldpointError(
        'upstream-refused',
        `the server offers no SCRAM-SHA-256 but ${options.mechanisms.join(', ') || 'nothing'}`,
      );
    }
  }

  first(): Buffer {
    return Buffer.from(`${this.#gs2Header}n=,r=${this.#nonce}`, 'latin1');
  }

  /** server-first-message to client-final-message. Throws `upstream-refused` on anything but a proper one. */
  final(serverFirst: Buffer): Buffer {
    const text = serverFirst.toString('latin1');
    const match = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/=]+),i=([1-9][0-9]{0,9})$/.exec(text);
    const nonce = match?.[1] ?? '';
    const salt = decodeBase64(match?.[2] ?? '');
    const iterations = Number(match?.[3]);
    if (match === null || salt === undefined || nonce.length > nonceLengthMax) {
      throw refusedServer('its first message is malformed');
    }
    if (!nonce.startsWith(this.#nonce) || nonce.length === this.#nonce.length) {
      throw refusedServer('it did not extend our nonce');
    }
    if (iterations > iterationsMax) {
      throw refusedServer(`it asks for ${iterations} iterations, more than the ${iterationsMax} allowed`);
    }
    const withoutProof = `c=${this.#binding()},r=${nonce}`;
    const authMessage = Buffer.from(`n=,r=${this.#nonce},${text},${withoutProof}`, 'latin1');
    const salted = (this.#options.saltPassword ?? saltPassword)(this.#options.password, salt, iterations);
    const clientKey = hmac(salted, 'Client Key');
    const proof = xor(clientKey, hmac(sha256(clientKey), authMessage));
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), authMessage);
    return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`, 'latin1');
  }

  /** Checks server-final-message: that it returns means the server knows the password's verifier too. */
  verify(serverFinal: Buffer): void {
    const match = /^v=([A-Za-z0-9+/=]+)$/.exec(serverFinal.toString('latin1'));
    const signature = decodeBase64(match?.[1] ?? '');
    const expected = this.#serverSignature;
    if (expected === undefined || signature?.length !== keyBytes || !timingSafeEqual(signature, expected)) {
      throw refusedServer('its signature is wrong: it does not know the password');
    }
  }

  #binding(): string {
    const header = Buffer.from(this.#gs2Header, 'latin1');
    const bound = this.mechanism === scramPlusMechanism ? [header, this.#options.channelBinding!] : [header];
    return Buffer.concat(bound).toString('base64');
  }
}

interface ClientFirst {
  flag: string;
  gs2Header: string;
  bare: string;
  nonce: string;
}

/** `latin1` keeps every byte, so that AuthMessage is made of what was received and not of what was understood. */
function parseClientFirst(message: Buffer): ClientFirst {
  const text = message.toString('latin1');
  const gs2 = /^(n|y|p=[A-Za-z0-9.-]+),(a=[^,]*)?,/.exec(text);
  if (gs2 === null) throw malformed('The gs2 header is not understood.');
  const [gs2Header, flag, identity] = gs2;
  if (identity !== undefined) {
    throw new HoldpointError('not-supported', 'client uses authorization identity, but it is not supported');
  }
  const bare = text.slice(gs2Header.length);
  if (bare.startsWith('m=')) {
    throw new HoldpointError('not-supported', 'client requires an unsupported SCRAM extension');
  }
  const nonce = /^n=[^,\0]*,r=([\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,\0]*)*$/.exec(bare)?.[1];
  if (nonce === undefined || nonce.length > nonceLengthMax)
    throw malformed('The nonce is missing or not printable.');
  return { flag: flag!, gs2Header, bare, nonce };
}

/** The table of RFC 5802 §6 for a server that does or does not offer channel binding. */
function checkBindingFlag(flag: string, mechanism: string, offered: boolean): void {
  const plus = mechanism === scramPlusMechanism;
  if (flag === 'n' || flag === 'y') {
    if (plus) throw malformed('The client selected SCRAM-SHA-256-PLUS without channel binding.');
    if (flag === 'y' && offered) {
      throw new HoldpointError('unauthorized', 'SCRAM channel binding negotiation error', {
        detail:
          'The client supports SCRAM channel binding but thinks the server does not. However, this server does support channel binding.',
      });
    }
    return;
  }
  if (!plus)
    throw malformed('The client selected SCRAM-SHA-256 but the message includes channel binding data.');
  if (flag !== 'p=tls-server-end-point') {
    throw new HoldpointError('protocol-violation', 'unsupported SCRAM channel-binding type');
  }
}

/** Exactly `c=`, `r=`, `p=` in this order: an attribute more would be signed over and understood by nobody. */
function parseClientFinal(message: Buffer): {
  binding: string;
  nonce: string;
  proof: Buffer;
  withoutProof: string;
} {
  const text = message.toString('latin1');
  const match = /^(c=([A-Za-z0-9+/=]+),r=([\x21-\x2b\x2d-\x7e]+)),p=([A-Za-z0-9+/=]+)$/.exec(text);
  const proof = decodeBase64(match?.[4] ?? '');
  if (match === null || proof?.length !== keyBytes)
    throw malformed('The client-final-message is not understood.');
  return { withoutProof: match[1]!, binding: match[2]!, nonce: match[3]!, proof };
}

/** Bytes of canonical base64; undefined if it is empty, or if another spelling would decode to the same. */
function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return text !== '' && bytes.toString('base64') === text ? bytes : undefined;
}

function malformed(detail: string): HoldpointError {
  return new HoldpointError('protocol-violation', 'malformed SCRAM message', { detail });
}

function refusedServer(reason: string): HoldpointError {
  return new HoldpointError('upstream-refused', `the server could not be authenticated: ${reason}`);
}

function hmac(key: Buffer, data: Buffer | string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

function sha256(data: Buffer): Buffer {
  return createHash('sha256').update(data).digest();
}

function xor(left: Buffer, right: Buffer): Buffer {
  return Buffer.from(left.map((byte, i) => byte ^ right[i]!));
}
