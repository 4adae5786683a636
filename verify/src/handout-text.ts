// A file that somebody was given instead of a log, checked and put into words: a proof, a bundle, a proof of consistency, a
// tlog-proof. Needs no log and no key but public ones.

import type { Bundled } from './bundle.ts';
import { Inconsistent } from './consistency.ts';
import { type Brought, checkHandout, type Shown } from './handout.ts';
import { readText } from './input.ts';
import { Offence, offenceCodes } from './offence.ts';
import { storyText } from './story-text.ts';
import { plain, recordText, time } from './text.ts';
import type { SeenBy } from './witnessed.ts';

/** Checks the file and says so: exit code 0 only if it holds. */
export async function verifyHandout(
  path: string,
  brought: Brought,
  isJson: boolean,
  output: { out(text: string): void },
): Promise<number> {
  const text = readText(path);
  try {
    const shown = await checkHandout(text, brought);
    output.out(isJson ? shownJson(shown, brought) : `${path}: ${shownText(shown, brought)}`);
    return 0;
  } catch (error) {
    const message = plain((error as Error).message);
    output.out(
      isJson ? `${JSON.stringify({ ok: false, error: message })}\n` : `${path}: NOT PROVED\n  ${message}\n`,
    );
    if (error instanceof Inconsistent) return offenceCodes.expectation;
    return error instanceof Offence ? offenceCodes[error.kind] : offenceCodes.signature;
  }
}

function shownText(shown: Shown, { rootKid }: Brought): string {
  const root = (kid: string | undefined) =>
    `root ${kid}${rootKid === undefined ? ', read from the file: name the one you trust with --root-key' : ', the one you named'}`;
  switch (shown.kind) {
    case 'proof': {
      const { seq, origin, size, sealedAt, seen, rootKid: kid } = shown.shows;
      return `proved\n  record ${seq} of ${plain(origin)} was in the log of ${size} records sealed ${time(sealedAt)}\n  ${root(kid)}\n${seenText(seen)}`;
    }
    case 'tlog-proof': {
      const { seq, origin, size, signedBy } = shown.shows;
      const signers = signedBy.map(({ name, seconds }) =>
        seconds === undefined
          ? `signed by ${plain(name)}`
          : `cosigned by ${plain(name)}, who saw it ${time(seconds * 1e6)}`,
      );
      return `proved\n  record ${seq} of ${plain(origin)} was in the log of ${size} records\n${signers.map((line) => `  ${line}\n`).join('')}`;
    }
    case 'consistency': {
      const { origin, old, new: now, sealedAt, rootKid: kid } = shown.shows;
      const signed =
        sealedAt === undefined
          ? 'nothing in it says that the newer state is the log’s: compare that, too, with what you have'
          : `the newer state was sealed ${time(sealedAt)}; ${root(kid)}`;
      return `proved\n  ${plain(origin)} of ${now.size} records (${now.root})\n  continues what it was with ${old.size} (${old.root}): compare that with what you remember\n  ${signed}\n`;
    }
    case 'bundle': {
      const { records, origin, sealedAt, seen, rootKid: kid } = shown.shows;
      return `verified\n  ${records.length} records of ${plain(origin)}, sealed ${time(sealedAt)}\n  ${root(kid)}\n${seenText(seen)}\n${toldText(shown.shows)}`;
    }
  }
}

/** Who had seen the log by when. Nothing where it has no checkpoint. */
function seenText(seen: SeenBy | undefined): string {
  if (seen === undefined) return '';
  if (seen.witnesses.length === 0)
    return `  the log’s checkpoint of ${seen.size} records continues it; who cosigned that was not looked at\n`;
  return seen.witnesses
    .map(({ name, seconds }) => `  ${plain(name)} had seen it by ${time(seconds * 1e6)}\n`)
    .join('');
}

/** The story of a bundle; of one without a request, its records. */
function toldText({ story, records }: Bundled): string {
  if (story !== undefined) return storyText(story);
  return records.map((record) => `${recordText(record)}\n`).join('');
}

function shownJson({ kind, shows }: Shown, { rootKid }: Brought): string {
  const said = kind === 'bundle' ? { ...shows, records: shows.records.map(({ members }) => members) } : shows;
  return `${JSON.stringify({ ok: true, kind, pinned: rootKid !== undefined, ...said }, null, 2)}\n`;
}
