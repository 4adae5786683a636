// Question: what the thread that reads the log for pages is asked, and what it answers. Types only: both sides know them.

import type { Filter } from './filter.ts';
import type { Page, PageOptions } from './page.ts';
import type { Story } from './story.ts';

/** How a story is proved: its records under a seal, or why not. */
export type StoryProof =
  | {
      readonly ok: true;
      /** How many records, and of how many the seal is over. */
      readonly records: number;
      readonly size: number;
      /** µs since 1970, as the seal says. */
      readonly sealedAt: number;
      readonly rootKid: string;
      /** Outsiders who had seen a log with all of it, and when: seconds since 1970. */
      readonly seen: readonly { readonly name: string; readonly seconds: number }[];
      /** Records that no seal covers yet. */
      readonly unsealed: number;
      /** By the seq of a decision's record: what its evidence proves to somebody who has the bundle only. */
      readonly decisions: Readonly<Record<number, 'proved' | 'unproved' | 'slack' | 'link'>>;
    }
  | { readonly ok: false; readonly pending: boolean; readonly error: string };

export type Question =
  | { readonly kind: 'page'; readonly filter: Filter; readonly options: PageOptions }
  | { readonly kind: 'story'; readonly seq: number }
  | { readonly kind: 'bundle'; readonly seq: number };

export interface Told {
  readonly story: Story;
  readonly proof: StoryProof;
}

export interface Answers {
  readonly page: Page;
  readonly story: Told | undefined;
  /** The bundle's text, as `audit who --bundle` writes it. */
  readonly bundle: string | { readonly error: string } | undefined;
}
