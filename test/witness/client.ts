// A log as a witness sees it: a key, leaves, signed checkpoints and proofs; and how each is sent.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { type NoteSigner, noteSigner } from '../../src/audit/note-signer.ts';
import { consistencyProof, rootOf } from '../../verify/src/merkle.ts';
import { checkpointText, noteOf, noteType } from '../../verify/src/note.ts';

export class ToyLog {
  readonly origin: string;
  readonly signer: NoteSigner;
  leaves: Buffer[] = [];

  constructor(origin: string) {
    this.origin = origin;
    const { privateKey } = generateKeyPairSync('ed25519');
    this.signer = noteSigner(origin, noteType, privateKey.export({ format: 'jwk' }) as never);
  }

  grow(count: number): this {
    for (let n = 0; n < count; n += 1) this.leaves.push(randomBytes(32));
    return this;
  }

  note(size = this.leaves.length): string {
    const root = rootOf(this.leaves.slice(0, size));
    const text = checkpointText({ origin: this.origin, size, root, extensions: [] });
    return noteOf(text, [this.signer.sign(text)]);
  }

  /** The body of an add-checkpoint. */
  body(old: number, size = this.leaves.length, note = this.note(size)): string {
    const proof = old === 0 || old > size ? [] : consistencyProof(this.leaves.slice(0, size), old);
    return `old ${old}\n${proof.map((hash) => `${hash.toString('base64')}\n`).join('')}\n${note}`;
  }
}

export async function add(
  port: number,
  body: string,
): Promise<{ status: number; text: string; type: string | null }> {
  const response = await fetch(`http://127.0.0.1:${port}/add-checkpoint`, {
    method: 'POST',
    body,
  });
  return { status: response.status, text: await response.text(), type: response.headers.get('content-type') };
}
