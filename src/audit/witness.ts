// Witness: the client of one witness, by C2SP tlog-witness. Sends checkpoints with the proof that each continues the
// one before, and believes an answer only if it is a cosignature by the key that was configured.
// A witness that holds to another history of this log than this machine has is a conflict: the log was set back to an
// older copy, or its key is used elsewhere. That is never mended here.

import {
  asCosigner,
  type GoodSignature,
  goodSignature,
  type NoteKey,
  readNote,
  readSignature,
} from '../../verify/src/note.ts';
import type { Anchor, LogCheckpoint } from './anchor.ts';
import type { Remembered } from './remembered.ts';
import type { Wake } from './wake.ts';

const answerMs = 5_000;
const answerBytesMax = 1 << 16;
/** A witness that names another size each time is not followed for ever. */
const triesMax = 3;

/** A witness knows this log otherwise than it is here. `size`: how many records it has cosigned. */
export class WitnessConflict extends Error {
  readonly witness: string;
  readonly size: number;

  constructor(witness: string, size: number, message: string) {
    super(message);
    this.name = 'WitnessConflict';
    this.witness = witness;
    this.size = size;
  }
}

export interface WitnessOptions {
  /** Submission prefix: `add-checkpoint` is added to it. */
  readonly url: string;
  /** In either form, of notes or of cosignatures. */
  readonly key: NoteKey;
  readonly wake: Pick<Wake, 'consistency'>;
  readonly memory: Remembered;
  readonly answerMs?: number | undefined;
}

/** One witness. */
export class Witness implements Anchor {
  readonly kind = 'witness';
  readonly name: string;
  readonly #key: NoteKey;
  readonly #id: string;
  readonly #endpoint: string;
  readonly #options: WitnessOptions;

  constructor(options: WitnessOptions) {
    this.#options = options;
    this.#key = asCosigner(options.key);
    this.name = this.#key.name;
    this.#id = `${this.name}+${this.#key.id}`;
    this.#endpoint = `${options.url.replace(/\/+$/, '')}/add-checkpoint`;
  }

  /** Under which `Remembered` knows it. */
  get id(): string {
    return this.#id;
  }

  /** Rejects with WitnessConflict, or Error with a reason. */
  async keep({ size, root, note }: LogCheckpoint): Promise<readonly GoodSignature[]> {
    const { wake, memory } = this.#options;
    const known = memory.witness(this.#id);
    const old = known.abandoned === undefined ? Math.min(known.kept?.size ?? 0, size) : 0;
    // Begun at once, while the wake stands at this size: it then needs no file. Looked at further down.
    let proof = wake.consistency(old, size);
    proof.catch(() => undefined);
    if (known.sent !== undefined && size < known.sent.size)
      throw new WitnessConflict(
        this.name,
        known.sent.size,
        `${this.name} was sent a checkpoint of ${known.sent.size} records; here are ${size}`,
      );
    memory.note(this.#id, { ...known, sent: { size, root } });
    await memory.write();
    for (let tries = 0, from = old; tries < triesMax; tries += 1) {
      const { status, text } = await this.#post(from, await proof, note);
      if (status === 200) return this.#accept(text, { size, root }, note);
      if (status !== 409) throw this.#refusal(status, text, from, size);
      const cosigned = readSize(text);
      if (cosigned === undefined) throw new Error(`${this.name} answers 409 without a size`);
      if (cosigned === known.abandoned)
        throw new Error(
          `${this.name} holds to the ${cosigned} records that were given up here; its operator has to forget them`,
        );
      if (cosigned > size) throw this.#ahead(cosigned, size);
      if (cosigned === from) throw this.#other(cosigned);
      from = cosigned;
      proof = wake.consistency(from, size);
    }
    throw new Error(`${this.name} names another size each time it is asked`);
  }

  #accept(text: string, extent: { size: number; root: string }, note: string): readonly GoodSignature[] {
    const { memory } = this.#options;
    const read = readNote(note);
    const lines = text.split('\n').filter((line) => line !== '');
    const good = lines
      .map((line) => readSignature(line))
      .filter(({ name, id }) => name === this.#key.name && id === this.#key.id)
      .map((signature) => goodSignature(read.text, signature, this.#key));
    if (good.length === 0) throw new Error(`${this.name} answers without a cosignature by its key`);
    memory.note(this.#id, { sent: extent, kept: extent });
    return good;
  }

  #refusal(status: number, text: string, from: number, size: number): Error {
    if (status === 422 && from > 0) return this.#other(from);
    const what =
      {
        403: 'does not take this log’s key: give its operator what `holdpoint audit vkey` prints',
        404: 'does not know this log: give its operator what `holdpoint audit vkey` prints',
        422: `refuses the proof from ${from} to ${size} records`,
      }[status] ?? `answers ${status}`;
    return new Error(`${this.name} ${what}${text === '' ? '' : ` (${printable(text)})`}`);
  }

  #ahead(cosigned: number, size: number): WitnessConflict {
    return new WitnessConflict(
      this.name,
      cosigned,
      `${this.name} has cosigned ${cosigned} records of this log; here are ${size}: it was set back to an older copy`,
    );
  }

  #other(cosigned: number): WitnessConflict {
    return new WitnessConflict(
      this.name,
      cosigned,
      `${this.name} has cosigned other records than the first ${cosigned} that are here: the log was set back and went on, or its key is used elsewhere`,
    );
  }

  async #post(
    old: number,
    proof: readonly Buffer[],
    note: string,
  ): Promise<{ status: number; text: string }> {
    const lines = [`old ${old}`, ...proof.map((hash) => hash.toString('base64')), ''];
    try {
      const response = await fetch(this.#endpoint, {
        method: 'POST',
        body: `${lines.join('\n')}\n${note}`,
        redirect: 'error',
        signal: AbortSignal.timeout(this.#options.answerMs ?? answerMs),
      });
      return { status: response.status, text: await shortText(response) };
    } catch (error) {
      const { cause, message, name } = error as Error & { cause?: { code?: string } };
      throw new Error(
        `${this.name} cannot be reached: ${name === 'TimeoutError' ? 'no answer in time' : (cause?.code ?? message)}`,
        { cause: error },
      );
    }
  }
}

async function shortText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) throw new Error('its answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function readSize(text: string): number | undefined {
  const size = /^(0|[1-9]\d{0,15})\n$/.exec(text)?.[1];
  return size === undefined ? undefined : Number(size);
}

function printable(text: string): string {
  return text
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, 200);
}
