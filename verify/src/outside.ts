// Outside: everything about a log that is not in its segments: what witnesses and the caller have seen of it, and what its
// root says of its keys. audit-approval §5, §7, §12. Pure given the source.

import { AnchorCheck, type AnchorOptions, type Walked, type Witnessed } from './anchors.ts';
import type { ChainedRecord } from './chain.ts';
import { Offence, type Place } from './offence.ts';
import type { LogSource } from './port.ts';
import { Revocations } from './revocations.ts';
import { publicKeyOf } from './token.ts';

/** What is to be said of a log that nothing outside speaks against. */
export interface Told {
  readonly witnessed: Witnessed | undefined;
  readonly notes: readonly string[];
  readonly breaks: readonly { readonly seq: number; readonly kind: string; readonly place: Place }[];
}

/** What is outside of one log. Told of its genesis and its keys in their order. */
export class Outside {
  readonly #anchors: AnchorCheck;
  readonly #revocations: Revocations;
  #root: Walked['root'];

  private constructor(anchors: AnchorCheck, revocations: Revocations) {
    this.#anchors = anchors;
    this.#revocations = revocations;
  }

  /** Reads what is kept beside the segments: before them, so that a log that grows meanwhile is never behind it. */
  static async open(source: LogSource, options: AnchorOptions): Promise<Outside> {
    const anchors = await AnchorCheck.open(options, (name) => source.read(name));
    const revoked = (await source.read('keys/revoked.jsonl'))?.toString('utf8') ?? '';
    return new Outside(anchors, new Revocations([revoked, ...(options.revocations ?? [])]));
  }

  /** The sizes of the log at which its root is wanted. */
  get sizes(): readonly number[] {
    return this.#anchors.sizes;
  }

  /** The log's beginning is not here; its files name this root. */
  beginAt(root: Walked['root']): void {
    this.#root = root;
  }

  /** Takes a record that the walk has accepted; those that name no key are passed over. Throws Offence. */
  note({ kind, seq, members }: ChainedRecord, origin: string, place: Place): void {
    if (kind === 'genesis') this.#root = publicKeyOf(members.jwk);
    if (kind === 'key')
      this.#revocations.key(String(members.kid), String(members.cert), seq, this.#root, origin, place);
  }

  /** What only the end of the log can tell. Throws Offence. */
  async finish(walked: Walked, end: Place): Promise<Told> {
    const witnessed = await this.#anchors.finish(walked, end);
    const notes: string[] = [];
    const breaks: { seq: number; kind: string; place: Place }[] = [];
    for (const { kid, from, to, at, isReplaced, place } of this.#revocations.finish(walked.sealed, end)) {
      const seen = Math.max(from, await this.#anchors.witnessedBefore(at / 1e6, walked));
      if (seen >= to) continue;
      const what = `records ${seen} to ${to - 1} were sealed while key ${kid} was in doubt, which the root has revoked`;
      if (!isReplaced)
        throw new Offence('keys', place, `${what}; no witness had seen them before: they are unproved`);
      notes.push(
        `${what}. The root's next key took them up as they were found; no witness had seen them before`,
      );
      breaks.push({ seq: seen, kind: 'revoked', place });
    }
    return { witnessed, notes, breaks };
  }
}
