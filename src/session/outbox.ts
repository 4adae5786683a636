// Outbox: the frames of one session on their way to the server, in order. A gated Parse begins a deferral: it and what
// follows wait here for its Bind, or until the client asks for an answer. Pure bookkeeping: the bytes are the relay's.
// Source: DESIGN §1.4; wire.md §2.4.

import { frontendType } from '../wire/messages/frontend.ts';
import type { Outcomes } from './outcomes.ts';
import type { Expected, Replies } from './replies.ts';

export class Outbox {
  readonly #replies: Replies;
  readonly #outcomes: Outcomes;
  #deferred: Expected[] | undefined;

  constructor(replies: Replies, outcomes: Outcomes) {
    this.#replies = replies;
    this.#outcomes = outcomes;
  }

  get deferring(): boolean {
    return this.#deferred !== undefined;
  }

  /** From now on frames wait. */
  defer(): void {
    this.#deferred ??= [];
  }

  /** The frame goes to the server, or waits behind those that do. */
  forward(expected: Expected): void {
    if (this.#deferred === undefined) this.#send(expected);
    else this.#deferred.push(expected);
  }

  /** Ends a deferral: what waited goes to the server. False if nothing did. */
  flush(): boolean {
    const frames = this.#deferred;
    if (frames === undefined) return false;
    this.#deferred = undefined;
    for (const each of frames) this.#send(each);
    return true;
  }

  /** The session is over: gates that waited never reached the server. */
  abandon(): void {
    for (const { type, gate } of this.#deferred ?? []) {
      if (type !== frontendType.bind || gate === undefined) continue;
      gate.state = 'skipped';
      this.#outcomes.open(gate);
    }
    this.#deferred = undefined;
  }

  #send(expected: Expected): void {
    const { type, gate } = expected;
    if (gate !== undefined && type !== frontendType.execute) this.#outcomes.open(gate);
    this.#replies.push(expected);
  }
}
