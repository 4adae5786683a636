// Signer: what an approver signs with at the command line: a private JWK in a file, or whatever `ssh-keygen -Y sign` can
// use (a key file, a key in ssh-agent, a security key). The private key never leaves the file or the agent but for the one
// signature. Refuses to know what is signed and where it goes.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { readSshLine } from '../../verify/src/proof/sshkey.ts';
import type { Signature } from '../approval/evidence.ts';
import type { Level } from '../approval/request.ts';
import { sshAuthorization } from '../approval/sshaccess.ts';
import { sshNamespaces } from '../approval/sshsig.ts';
import {
  type AccessClaims,
  accessText,
  type SigningKey,
  signAccess,
  signingKey,
  signToken,
} from '../approval/token.ts';
import { HoldpointError } from '../errors.ts';

export interface SignerOptions {
  /** The file with the private JWK, or the SSH key; one of them. */
  readonly key?: string;
  readonly sshKey?: string;
}

/** What is signed; a signature over one never stands for another. */
export type Purpose = 'decision' | 'delegation' | 'review';

export interface Signer {
  /** The file, for messages. */
  readonly file: string;
  /** The most that its signatures can prove. */
  readonly level: Level;
  /** The value of an Authorization header. */
  authorization(claims: AccessClaims): Promise<string>;
  /** Evidence over a canonical text. */
  sign(text: string, purpose: Purpose): Promise<Signature>;
}

/** Reads the key. Throws HoldpointError with a sentence for whatever is in the way. */
export async function signerOf({ key, sshKey }: SignerOptions): Promise<Signer> {
  if ((key === undefined) === (sshKey === undefined))
    throw new HoldpointError('bad-request', 'say what you sign with: --key FILE or --ssh-key FILE');
  return key !== undefined ? jwkSigner(key, await keyIn(key)) : sshSigner(sshKey!);
}

function jwkSigner(file: string, key: SigningKey): Signer {
  return {
    file,
    level: 'key',
    authorization: async (claims) => `Bearer ${await signAccess(claims, key)}`,
    sign: async (text, purpose) => ({
      kind: 'jws',
      jws: await signToken(`holdpoint-${purpose}+jws`, text, key),
    }),
  };
}

async function sshSigner(file: string): Promise<Signer> {
  const lineFile = file.endsWith('.pub') ? file : `${file}.pub`;
  if (!existsSync(file) && !existsSync(lineFile))
    throw new HoldpointError('not-found', `cannot read the SSH key ${file}: there is no such file`);
  return {
    file,
    // A key whose public half is not at hand is taken for one in software: claiming less is never refused.
    level: (await isSecurityKey(lineFile)) ? 'passkey' : 'key',
    async authorization(claims) {
      const text = accessText(claims);
      return sshAuthorization(text, await sshSign(file, text, 'access'));
    },
    sign: async (text, purpose) => ({ kind: 'sshsig', signature: await sshSign(file, text, purpose) }),
  };
}

async function isSecurityKey(lineFile: string): Promise<boolean> {
  try {
    return readSshLine(await readFile(lineFile, 'utf8')).application !== undefined;
  } catch {
    return false;
  }
}

/** By stock ssh-keygen, which asks for a passphrase, a PIN or a touch itself. */
function sshSign(file: string, text: string, purpose: keyof typeof sshNamespaces): Promise<string> {
  const child = spawn('ssh-keygen', ['-Y', 'sign', '-n', sshNamespaces[purpose], '-f', file], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let signature = '';
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    signature += part;
  });
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    said += part;
    // It asks for the touch of a security key here.
    if (/touch|presence|confirm/i.test(part)) process.stderr.write(part);
  });
  return new Promise((resolve, reject) => {
    child.once('error', (cause) =>
      reject(
        new HoldpointError(
          'not-supported',
          `ssh-keygen cannot be run (${(cause as NodeJS.ErrnoException).code}); install OpenSSH 8.2 or newer`,
          { cause },
        ),
      ),
    );
    child.once('close', (code) => {
      if (code === 0) return resolve(signature);
      const why = said.trim().split('\n').at(-1) ?? '';
      reject(new HoldpointError('unauthorized', `ssh-keygen did not sign with ${file}: ${why}`));
    });
    child.stdin.on('error', () => {});
    child.stdin.end(text);
  });
}

async function keyIn(file: string): Promise<SigningKey> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : String(cause);
    throw new HoldpointError('not-found', `cannot read the key ${file}: ${why}`, { cause });
  }
  try {
    return await signingKey(JSON.parse(text));
  } catch (cause) {
    throw new HoldpointError(
      'bad-request',
      `${file} is not a private Ed25519 JWK, as holdpoint approver add NAME --generate FILE writes it`,
      { cause },
    );
  }
}
