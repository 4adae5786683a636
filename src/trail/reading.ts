// Reading: the thread's side of a reader: answers one question after the other from the files of one log, with a bound on
// what each may look at. Proofs are made and checked here as an outsider would who has nothing but the bundle.

import { keptOf } from '../../verify/src/account.ts';
import { bundleText, makeBundle } from '../../verify/src/bundle.ts';
import { Unprovable } from '../../verify/src/prover.ts';
import { FolderSource } from '../../verify/src/source.ts';
import { readToken } from '../../verify/src/token.ts';
import { page } from './page.ts';
import type { Answers, Question, StoryProof } from './question.ts';
import { back } from './scan.ts';
import { type Story, storyOf } from './story.ts';
import { Trail } from './trail.ts';

/** Of the log, for one story: some seconds on a slow disk. */
const storyBytesMax = 1 << 30;
const storyRecordsMax = 500;

export class Reading {
  readonly #trail: Trail;

  constructor(path: string) {
    this.#trail = new Trail(path);
  }

  async answer(question: Question): Promise<Answers[Question['kind']]> {
    switch (question.kind) {
      case 'page':
        return page(this.#trail, question.filter, question.options);
      case 'story': {
        const story = await this.#story(question.seq);
        return story && { story, proof: (await this.#proved(story)).proof };
      }
      case 'bundle': {
        const story = await this.#story(question.seq);
        if (story === undefined) return undefined;
        const { proof, text } = await this.#proved(story);
        return text ?? { error: proof.ok ? '' : proof.error };
      }
    }
  }

  #story(seq: number): Promise<Story | undefined> {
    return storyOf(this.#trail, seq, { bytesMax: storyBytesMax, recordsMax: storyRecordsMax });
  }

  async #proved({ asked, records, rid }: Story): Promise<{ proof: StoryProof; text?: string }> {
    const size = await this.#sealed();
    const sealed = records.filter(({ seq }) => seq < size);
    if (!sealed.some(({ seq }) => seq === asked.seq)) {
      const error = 'it is under no seal yet: the next one covers it';
      return { proof: { ok: false, pending: true, error } };
    }
    const source = new FolderSource(this.#trail.path);
    const lines = new Map(sealed.map(({ seq, line }) => [seq, line]));
    const held = sealed.some(({ kind, members }) => kind === 'hold' && members.rid === rid);
    try {
      const about = { rid: held ? rid : undefined, seq: asked.seq };
      const made = await makeBundle(source, { ...about, lines, ...(await keptOf(source, sealed)) });
      const { shows, bundle } = made;
      const ballots = shows.story?.ballots ?? [];
      const proof: StoryProof = {
        ok: true,
        records: shows.records.length,
        size: Number(readToken(bundle.seal).claims.size),
        sealedAt: shows.sealedAt,
        rootKid: shows.rootKid,
        seen: shows.seen?.witnesses ?? [],
        unsealed: records.length - sealed.length,
        decisions: Object.fromEntries(ballots.map(({ seq, proof }) => [seq, proof])),
      };
      return { proof, text: bundleText(bundle) };
    } catch (error) {
      return { proof: { ok: false, pending: error instanceof Unprovable, error: (error as Error).message } };
    }
  }

  /** How many records the newest seal in the files is over. */
  async #sealed(): Promise<number> {
    const end = await this.#trail.end();
    if (end === undefined) return 0;
    for await (const { lines } of back(this.#trail, end)) {
      const seal = lines.find(({ bytes }) => bytes[0] === 0x65);
      if (seal !== undefined) return Number(readToken(seal.bytes.toString('utf8')).claims.size);
    }
    return 0;
  }
}
