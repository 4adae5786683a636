// Credentials: by which public keys and accounts approvers are known, to whoever verifies a log: those enrolled in the
// chain while their boot lasts, and those that the verifier brings. Pure; refuses to know what they signed.

import { createHash } from 'node:crypto';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { readSshLine } from './proof/sshkey.ts';
import { readPublicKey } from './token.ts';

/** `id`: whose it is, as the log says; undefined for one that the verifier brings without a name. */
export interface Credential {
  readonly kid: string;
  readonly id: string | undefined;
  readonly form: string;
  /** The public half, where there is one. */
  readonly jwk: JWK | undefined;
  /** Its owner may release alone in an emergency, as the log says. */
  readonly breakGlass: boolean;
  /** True if the verifier brought it: then nobody's word but theirs is taken. */
  readonly given: boolean;
}

const enrolledMax = 100_000;

/** Of one log, as it is walked. */
export class Credentials {
  readonly #given: ReadonlyMap<string, Credential>;
  readonly #enrolled = new Map<string, Credential>();

  /** `given`: those of the verifier, by `kid`. */
  constructor(given: ReadonlyMap<string, Credential> = new Map()) {
    this.#given = given;
  }

  /** A new boot names everybody again who is in force. */
  forget(): void {
    this.#enrolled.clear();
  }

  /** Takes an `approver` record. Throws Error with a reason for a key that is not what its record says. */
  async note(members: Readonly<Record<string, unknown>>): Promise<void> {
    const kid = String(members.kid);
    if (members.act === 'retire') {
      this.#enrolled.delete(kid);
      return;
    }
    const form = members.form === undefined ? 'key' : String(members.form);
    const jwk = await publicHalf(form, kid, members);
    const breakGlass = members.breakglass === true;
    if (this.#enrolled.size >= enrolledMax)
      throw new Error(`more than ${enrolledMax} are enrolled at once: no Holdpoint has so many approvers`);
    this.#enrolled.set(kid, { kid, id: String(members.id), form, jwk, breakGlass, given: false });
  }

  /**
   * The credential of that name and form: the verifier's own if they brought it, but whose it is is what the log says.
   * Undefined if it is not known, or retired by then.
   */
  find(kid: string, form: string): Credential | undefined {
    const [given, enrolled] = [this.#given.get(kid), this.#enrolled.get(kid)];
    const found =
      given === undefined
        ? enrolled
        : { ...given, id: given.id ?? enrolled?.id, breakGlass: enrolled?.breakGlass ?? given.breakGlass };
    return found?.form === form ? found : undefined;
  }
}

async function publicHalf(
  form: string,
  kid: string,
  { jwk, line }: Readonly<Record<string, unknown>>,
): Promise<JWK | undefined> {
  switch (form) {
    case 'key': {
      const key = await readPublicKey(jwk);
      if (key.kid !== kid) throw new Error('it has another thumbprint than the record says');
      return key.jwk;
    }
    case 'ssh': {
      const key = readSshLine(String(line));
      if (key.fingerprint !== kid) throw new Error('it has another fingerprint than the record says');
      return key.key.export({ format: 'jwk' }) as JWK;
    }
    case 'passkey':
      // Throws for what is no public key.
      await calculateJwkThumbprint((jwk ?? {}) as JWK);
      return jwk as JWK;
    default:
      return undefined;
  }
}

/** A credential that a verifier brings: a JWK, or the text of an OpenSSH public key file. Throws Error with a reason. */
export async function givenCredential(value: unknown): Promise<Credential> {
  if (typeof value === 'string') {
    const { fingerprint, key } = readSshLine(value);
    const jwk = key.export({ format: 'jwk' }) as JWK;
    return { kid: fingerprint, id: undefined, form: 'ssh', jwk, breakGlass: false, given: true };
  }
  const { kid, jwk } = await readPublicKey(value);
  return { kid, id: undefined, form: 'key', jwk, breakGlass: false, given: true };
}

/** The `kid` of an account at an OpenID provider. */
export function subjectKid(issuer: string, subject: string): string {
  return `oidc:${createHash('sha256').update(`${issuer}\0${subject}`).digest('base64url')}`;
}
