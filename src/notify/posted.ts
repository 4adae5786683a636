// Posted: which messages stand where, over a restart of the process, so that a message of a request that ended with it
// does not go on asking. A file in the data folder, written whole and lazily: losing it costs nothing but that. Holds
// names of channels, messages and people, no token and no statement.

import { z } from 'zod';
import { readJson, writeWhole } from '../json-file.ts';

const subject = z.union([z.strictObject({ rid: z.string() }), z.strictObject({ crowd: z.string() })]);

const keptShape = z.strictObject({
  subject,
  address: z.strictObject({ to: z.string(), name: z.string() }),
  memo: z.record(z.string(), z.string()),
  /** Milliseconds since the epoch: when the request is past its time. */
  until: z.number(),
  /** What it was about, in one line. */
  headline: z.string(),
});

const fileShape = z.strictObject({ messages: z.array(keptShape.extend({ channel: z.string() })) });

/** What is remembered of one message. */
export interface Kept {
  readonly subject: { readonly rid: string } | { readonly crowd: string };
  readonly address: { readonly to: string; readonly name: string };
  readonly memo: Readonly<Record<string, string>>;
  readonly until: number;
  headline: string;
}

export type KeptAt = Kept & { readonly channel: string };

/** The file at `path`. */
export class Posted {
  readonly #path: string;
  readonly #failed: (why: string) => void;
  #writing: Promise<void> | undefined;
  #next: readonly KeptAt[] | undefined;

  /** `failed` is told of a file that cannot be read or written; notifications go on without it. */
  constructor(path: string, failed: (why: string) => void) {
    this.#path = path;
    this.#failed = failed;
  }

  async load(): Promise<KeptAt[]> {
    try {
      return (await readJson(this.#path, fileShape))?.messages ?? [];
    } catch (error) {
      this.#failed((error as Error).message);
      return [];
    }
  }

  /** Resolves when this, or something later, is on disk. Never rejects. */
  async save(messages: readonly KeptAt[]): Promise<void> {
    this.#next = messages;
    this.#writing ??= this.#write();
    await this.#writing;
  }

  async #write(): Promise<void> {
    try {
      while (this.#next !== undefined) {
        const messages = this.#next;
        this.#next = undefined;
        await writeWhole(this.#path, { messages });
      }
    } catch (error) {
      this.#failed((error as Error).message);
    } finally {
      this.#writing = undefined;
    }
  }
}
