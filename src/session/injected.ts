// Injected: SQL commands of ours between a client's frames, and what the server will answer to them. By the extended
// protocol with names of their own, never by Query, which would destroy the client's unnamed statement and portal; and
// without a Sync of their own, so that the server discards what stands behind a command that failed. Pure.
// Source: the manual, "Extended Query"; wire.md §0.12, §3.6.

import { bind, close, execute, flush, frontendType, parse, sync } from '../wire/messages/frontend.ts';
import { type Expected, expected, type Part, type Replies } from './replies.ts';

/** Frames that go to the server in one piece, in the order they are added. */
export class Packet {
  readonly #replies: Replies;
  readonly #newId: () => string;
  readonly #frames: Buffer[] = [];

  /** `newId`: as in SessionOptions. */
  constructor(replies: Replies, newId: () => string) {
    this.#replies = replies;
    this.#newId = newId;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#frames);
  }

  /** One command of ours. Its statement and portal are closed at once, so that nobody can use or see them later. */
  command(sql: string): this {
    const name = `holdpoint_${this.#newId()}`;
    this.#frames.push(parse(name, sql), bind(name, name), execute(name), close('P', name), close('S', name));
    for (const type of commandTypes) this.#replies.push(expected(type, undefined, undefined, 'injected'));
    return this;
  }

  /** A frame of the client's. */
  enclosed(bytes: Buffer, entry: Expected): this {
    this.#frames.push(bytes);
    this.#replies.push(entry);
    return this;
  }

  sync(part: Part): this {
    this.#frames.push(sync());
    this.#replies.push(expected(frontendType.sync, undefined, undefined, part));
    return this;
  }

  flush(): this {
    this.#frames.push(flush());
    return this;
  }
}

const commandTypes = [
  frontendType.parse,
  frontendType.bind,
  frontendType.execute,
  frontendType.close,
  frontendType.close,
] as const;
