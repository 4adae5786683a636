// Keyring: the private halves of the epoch keys, in a folder apart from the log. audit-approval §7.
// The root key certifies epoch 0 and is never written down; every epoch key certifies the next and is deleted once the
// next is in the log and sealed. So whoever steals the folder today cannot sign yesterday's log anew. The signer is in
// this process; a signer process of its own can take this file's place.

import { join } from 'node:path';
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
} from 'jose';
import { canonical } from '../../verify/src/jcs.ts';
import { folderName } from '../../verify/src/names.ts';
import type { CheckpointCertificate, EpochCertificate } from '../../verify/src/token.ts';
import { HoldpointError } from '../errors.ts';
import { type LogFs, makeFolder, writeWhole } from './folder.ts';
import type { Sign, SigningKey } from './seal.ts';

/** A key as it is made: the private JWK leaves memory only through `Keyring.keep`. */
export interface FreshKey extends SigningKey {
  readonly secret: JWK;
}

/** A new Ed25519 key. */
export async function freshKey(): Promise<FreshKey> {
  const { publicKey, privateKey } = await generateKeyPair('Ed25519', { extractable: true });
  const { x } = await exportJWK(publicKey);
  const jwk: JWK = { crv: 'Ed25519', kty: 'OKP', x: x! };
  return {
    kid: await calculateJwkThumbprint(jwk),
    jwk,
    key: privateKey,
    secret: await exportJWK(privateKey),
  };
}

/** What `by` says of the key of an epoch, as a token. */
export function certify(
  by: SigningKey,
  sign: Sign,
  origin: string,
  epoch: number,
  kid: string,
): Promise<string> {
  const certificate: EpochCertificate = { v: 1, origin, epoch, kid };
  return sign(by, 'holdpoint-epoch+jws', canonical(certificate));
}

/** What `by` says of the key of the log's notes, as a token. */
export function certifyCheckpoints(by: SigningKey, sign: Sign, origin: string, kid: string): Promise<string> {
  const certificate: CheckpointCertificate = { v: 1, origin, kid };
  return sign(by, 'holdpoint-checkpoint+jws', canonical(certificate));
}

/** The folder of private epoch keys of one log, mode 0700. */
export class Keyring {
  readonly #dir: string;
  readonly #fs: LogFs;

  constructor(dir: string, origin: string, fs: LogFs) {
    this.#dir = join(dir, `audit-${folderName(origin)}`);
    this.#fs = fs;
  }

  /** Writes the key durably, before the log names it. */
  keep(epoch: number, key: FreshKey): void {
    makeFolder(this.#fs, this.#dir);
    writeWhole(this.#fs, this.#path(epoch), `${JSON.stringify(key.secret)}\n`);
  }

  /** The key of an epoch. Throws `log-unwritable` if it is not there or is another than the log names. */
  async load(epoch: number, kid: string): Promise<SigningKey> {
    const path = this.#path(epoch);
    try {
      const secret = JSON.parse(String(this.#fs.readFileSync(path))) as JWK;
      const jwk: JWK = { crv: 'Ed25519', kty: 'OKP', x: secret.x! };
      if ((await calculateJwkThumbprint(jwk)) !== kid)
        throw new Error('it is another key than the log names');
      return { kid, jwk, key: (await importJWK(secret, 'Ed25519')) as CryptoKey };
    } catch (cause) {
      throw new HoldpointError(
        'log-unwritable',
        `the log cannot go on: the key of its epoch ${epoch} (${path}) is unusable: ${(cause as Error).message}. ` +
          'Put the key file back, or move the log folder away to begin a new log',
        { cause },
      );
    }
  }

  /** Writes the key of the log's notes durably. */
  keepCheckpointKey(key: FreshKey): void {
    makeFolder(this.#fs, this.#dir);
    writeWhole(this.#fs, this.#checkpointPath, `${JSON.stringify(key.secret)}\n`);
  }

  /** The private key of the log's notes; undefined if it was never made, or is none. */
  checkpointKey(): JWK | undefined {
    try {
      const secret = JSON.parse(String(this.#fs.readFileSync(this.#checkpointPath))) as JWK;
      return typeof secret.x === 'string' && typeof secret.d === 'string' ? secret : undefined;
    } catch {
      return undefined;
    }
  }

  /** Deletes the keys of all epochs but this one. The file system may keep copies that no program can reach. */
  forgetAllBut(epoch: number): void {
    const keep = this.#path(epoch);
    for (const name of this.#fs.readdirSync(this.#dir)) {
      const path = join(this.#dir, String(name));
      if (/^epoch-\d+\.jwk(\.new)?$/.test(String(name)) && path !== keep) this.#fs.unlinkSync(path);
    }
  }

  get #checkpointPath(): string {
    return join(this.#dir, 'checkpoint.jwk');
  }

  #path(epoch: number): string {
    return join(this.#dir, `epoch-${epoch}.jwk`);
  }
}
