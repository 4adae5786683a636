// Note signer: a private key that signs notes under a name: the log its checkpoints, a witness its cosignatures.
// C2SP signed-note and tlog-cosignature. Pure given keys: the format is in the verifier's note.ts.

import { createPrivateKey, type JsonWebKey, sign } from 'node:crypto';
import type { JWK } from 'jose';
import {
  cosignatureType,
  cosignedText,
  type NoteKey,
  noteKey,
  type SignatureType,
  signatureLine,
} from '../../verify/src/note.ts';

export interface NoteSigner {
  readonly key: NoteKey;
  /** The signature line over a note's text, without LF. `seconds` since 1970: of a cosignature. */
  sign(text: string, seconds?: number): string;
}

/** Throws Error if `secret` is not a private Ed25519 key, or the name cannot stand in a note. */
export function noteSigner(name: string, type: SignatureType, secret: JWK): NoteSigner {
  const key = noteKey(name, type, Buffer.from(String(secret.x), 'base64url'));
  const privateKey = createPrivateKey({ key: secret as JsonWebKey, format: 'jwk' });
  return {
    key,
    sign: (text, seconds = 0) => {
      const message = type === cosignatureType ? cosignedText(text, seconds) : text;
      return signatureLine(key, sign(null, Buffer.from(message, 'utf8'), privateKey), seconds);
    },
  };
}
