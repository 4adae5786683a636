// People who decide by other means than an Ed25519 key of ours: SSH keys, passkeys, an OpenID provider's tokens, Slack
// buttons. Each in software, with every claim open to a test that wants it wrong.

import {
  createHash,
  createHmac,
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  sign as signBytes,
} from 'node:crypto';
import { type CryptoKey, exportJWK, generateKeyPair, type JSONWebKeySet, type JWK, SignJWT } from 'jose';
import type { Passkey } from '../../src/approval/approvers.ts';
import { type Decision, decisionText } from '../../src/approval/decision.ts';
import type { OidcPort } from '../../src/approval/ground.ts';
import { actionValue } from '../../src/approval/slack-callback.ts';
import { sshNamespaces } from '../../src/approval/sshsig.ts';
import { challengeOf } from '../../src/approval/webauthn.ts';
import { nonceOf } from '../../verify/src/proof/idtoken.ts';
import { readSshLine, sshString } from '../../verify/src/proof/sshkey.ts';
import { type Bench, publicUrl } from './approvals.ts';
import { edwardsSecurityKey } from './securitykey.ts';

/** An SSH key without ssh-keygen: signs as it does. */
export interface SshSigner {
  readonly line: string;
  readonly fingerprint: string;
  sign(text: string, namespace?: string): string;
}

export function softwareSshKey(): SshSigner {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const point = Buffer.from(publicKey.export({ format: 'jwk' }).x as string, 'base64url');
  const blob = Buffer.concat([sshString('ssh-ed25519'), sshString(point)]);
  const line = `ssh-ed25519 ${blob.toString('base64')}`;
  return {
    line,
    fingerprint: readSshLine(line).fingerprint,
    sign(text, namespace = sshNamespaces.decision) {
      const head = Buffer.concat([sshString(namespace), sshString(''), sshString('sha512')]);
      const digest = createHash('sha512').update(text).digest();
      const message = Buffer.concat([Buffer.from('SSHSIG'), head, sshString(digest)]);
      const signature = signBytes(null, message, privateKey);
      const whole = Buffer.concat([sshString('ssh-ed25519'), sshString(signature)]);
      const version = Buffer.of(0, 0, 0, 1);
      const bytes = Buffer.concat([Buffer.from('SSHSIG'), version, sshString(blob), head, sshString(whole)]);
      const lines = bytes.toString('base64').match(/.{1,70}/g)!;
      return `-----BEGIN SSH SIGNATURE-----\n${lines.join('\n')}\n-----END SSH SIGNATURE-----\n`;
    },
  };
}

/** Enrols an SSH key for `approver`; `verified`: a security key whose token verifies its holder. */
export function sshPerson(
  bench: Bench,
  approver: string,
  kind: 'software' | 'touched' | 'verified' = 'software',
) {
  if (kind === 'software') {
    const key = softwareSshKey();
    bench.book.ssh.set(key.fingerprint, { approver, fingerprint: key.fingerprint, line: key.line });
    return key;
  }
  const key = edwardsSecurityKey();
  const { fingerprint } = readSshLine(key.line);
  bench.book.ssh.set(fingerprint, { approver, fingerprint, line: key.line });
  const flags = kind === 'verified' ? 0x05 : 0x01;
  const sign = (text: string, namespace: string = sshNamespaces.decision) =>
    key.sign(text, namespace, { flags, counter: 1 });
  return { line: key.line, fingerprint, sign };
}

export function sshEvidence(decision: Decision, key: Pick<SshSigner, 'sign'>) {
  return { kind: 'sshsig', signature: key.sign(decisionText(decision)) };
}

/** What an authenticator and a browser claim about one assertion. */
export interface AssertionClaims {
  challenge: string;
  origin: string;
  rpId: string;
  type: string;
  /** UP 0x01, UV 0x04, BE 0x08, BS 0x10. */
  flags: number;
  counter: number;
  client: object;
}

export interface SoftPasskey {
  readonly passkey: Passkey;
  evidence(
    text: string,
    change?: Partial<AssertionClaims>,
  ): {
    kind: 'webauthn';
    id: string;
    authenticatorData: string;
    clientDataJSON: string;
    signature: string;
  };
}

export function softPasskey(kind: 'P-256' | 'Ed25519' | 'RSA' = 'P-256'): SoftPasskey {
  const pair =
    kind === 'P-256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : kind === 'RSA'
        ? generateKeyPairSync('rsa', { modulusLength: 2048 })
        : generateKeyPairSync('ed25519');
  const jwk = pair.publicKey.export({ format: 'jwk' }) as JWK;
  const id = randomBytes(16).toString('base64url');
  const algorithm = { 'P-256': -7, Ed25519: -8, RSA: -257 }[kind];
  const passkey: Passkey = {
    id,
    jwk,
    algorithm,
    counter: 0,
    transports: ['internal'],
    backedUp: false,
    createdAt: 0,
  };
  return {
    passkey,
    evidence(text, change = {}) {
      const claims: AssertionClaims = {
        challenge: challengeOf(text),
        origin: publicUrl,
        rpId: new URL(publicUrl).hostname,
        type: 'webauthn.get',
        flags: 0x05,
        counter: 0,
        client: { crossOrigin: false },
        ...change,
      };
      const { type, challenge, origin } = claims;
      const client = Buffer.from(JSON.stringify({ type, challenge, origin, ...claims.client }));
      const tail = Buffer.alloc(5);
      tail.writeUInt8(claims.flags, 0);
      tail.writeUInt32BE(claims.counter, 1);
      const data = Buffer.concat([createHash('sha256').update(claims.rpId).digest(), tail]);
      const signed = Buffer.concat([data, createHash('sha256').update(client).digest()]);
      const signature = signBytes(kind === 'Ed25519' ? null : 'sha256', signed, pair.privateKey);
      return {
        kind: 'webauthn',
        id,
        authenticatorData: data.toString('base64url'),
        clientDataJSON: client.toString('base64url'),
        signature: signature.toString('base64url'),
      };
    },
  };
}

export function passkeyPerson(
  bench: Bench,
  approver: string,
  kind?: Parameters<typeof softPasskey>[0],
): SoftPasskey {
  const soft = softPasskey(kind);
  bench.book.passkeys.set(soft.passkey.id, { ...soft.passkey, approver });
  return soft;
}

/** An OpenID provider as far as its keys and tokens go. */
export class TokenMaker {
  readonly issuer = 'https://id.example.com';
  readonly clientId = 'holdpoint';
  readonly key: CryptoKey;
  readonly keys: JSONWebKeySet;
  readonly kid: string;

  private constructor(key: CryptoKey, jwk: JWK) {
    this.key = key;
    this.kid = jwk.kid!;
    this.keys = { keys: [jwk] };
  }

  static async make(alg = 'ES256'): Promise<TokenMaker> {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const kid = randomBytes(6).toString('base64url');
    return new TokenMaker(privateKey, { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' });
  }

  port(change: Partial<OidcPort> = {}): OidcPort {
    const { issuer, clientId } = this;
    return { issuer, clientId, acr: [], maxAgeSeconds: 300, keys: async () => this.keys, ...change };
  }

  /** An ID token for `subject` over a decision, at `nowMs`. `change`: claims and header members set otherwise. */
  async token(
    decision: Decision,
    subject: string,
    nowMs: number,
    change: Record<string, unknown> = {},
    header: Record<string, unknown> = {},
  ): Promise<string> {
    const now = Math.floor(nowMs / 1000);
    const claims = {
      iss: this.issuer,
      sub: subject,
      aud: this.clientId,
      iat: now,
      exp: now + 300,
      auth_time: now - 10,
      nonce: nonceOf(decisionText(decision)),
      ...change,
    };
    return new SignJWT(JSON.parse(JSON.stringify(claims)))
      .setProtectedHeader({ alg: 'ES256', kid: this.kid, ...header })
      .sign(this.key);
  }
}

export const slackSecret = '8f742231b10e8888abcd99yyyzzz85a5';

/** A button pressed in Slack, as its server sends it; with a reason, the form that asked for it. */
export function slackEvidence(
  decision: Decision,
  nowMs: number,
  change: { secret?: string; payload?: object; value?: string; team?: string; user?: string } = {},
) {
  const { secret = slackSecret, team = 'T012AB3CD', user = 'U012AB3CD' } = change;
  const value = change.value ?? actionValue(decision.verdict, decision);
  const said = { reason: { reason: { type: 'plain_text_input', value: decision.reason } } };
  const form = { type: 'view_submission', view: { private_metadata: value, state: { values: said } } };
  const payload = {
    type: 'block_actions',
    team: { id: team },
    user: { id: user, team_id: team },
    trigger_id: '1.2.3',
    actions: [{ action_id: 'x', value }],
    ...(decision.reason !== '' && form),
    ...change.payload,
  };
  const timestamp = String(Math.floor(nowMs / 1000));
  const body = new URLSearchParams({ payload: JSON.stringify(payload) }).toString();
  const signature = `v0=${createHmac('sha256', secret).update(`v0:${timestamp}:${body}`).digest('hex')}`;
  return { kind: 'slack', timestamp, signature, body };
}

/** An Ed25519 JWK as OpenSSH would write its public half: one key in two formats. */
export function sshLineOf(jwk: JWK): string {
  const key = createPrivateKey({ key: { ...jwk, kty: 'OKP', crv: 'Ed25519' }, format: 'jwk' });
  const { x } = key.export({ format: 'jwk' });
  const blob = Buffer.concat([sshString('ssh-ed25519'), sshString(Buffer.from(x as string, 'base64url'))]);
  return `ssh-ed25519 ${blob.toString('base64')}`;
}
