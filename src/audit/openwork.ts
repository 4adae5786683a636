// OpenWork: what the log has begun and not ended: bytes on their way without an outcome, requests without an end, releases
// in an emergency without a review. A restart must answer for all of them. Knows record bodies; refuses to know why.

import type { OwedReview } from '../../verify/src/token.ts';
import type { RecordBody } from './record.ts';

/** Kept while a log is written, carried over segments in the manifest, rebuilt by recovery. */
export class OpenWork {
  /** Seqs of `stmt` records whose held bytes went on and whose outcome is not known. */
  readonly intents: Set<number>;
  /** Requests that were neither used nor ended. */
  readonly holds: Set<string>;
  /** By request. */
  readonly reviews: Map<string, OwedReview>;

  constructor(
    intents: readonly number[] = [],
    holds: readonly string[] = [],
    reviews: readonly OwedReview[] = [],
  ) {
    this.intents = new Set(intents);
    this.holds = new Set(holds);
    this.reviews = new Map(reviews.map((owed) => [owed.rid, owed]));
  }

  /** As it is now. */
  copy(): OpenWork {
    return new OpenWork([...this.intents], [...this.holds], [...this.reviews.values()]);
  }

  /** Takes note of a record. Reads only what the kind has; a foreign value is ignored. */
  note(body: RecordBody): void {
    switch (body.kind) {
      case 'outcome':
        if (this.intents.size > 0) this.intents.delete(body.ref);
        break;
      case 'intent':
        this.intents.add(body.ref);
        break;
      case 'hold':
        this.holds.add(body.rid);
        break;
      case 'grant_use':
      case 'reject':
      case 'expire':
      case 'cancel':
        this.holds.delete(body.rid);
        break;
      case 'breakglass': {
        const { rid, rd, target, agent, by, reason, due } = body;
        this.reviews.set(rid, { rid, rd, target, agent, by, reason, due });
        break;
      }
      case 'review':
        this.reviews.delete(body.rid);
        break;
    }
  }
}
