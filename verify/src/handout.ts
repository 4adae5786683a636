// Handout: a file that somebody was given instead of a log: a proof, a bundle, a proof of consistency, a tlog-proof. Tells
// them apart by what they say they are, and checks each as its own. Pure given keys.

import { type Bundled, checkBundle } from './bundle.ts';
import { type Continued, checkConsistency, type TreeHead } from './consistency.ts';
import type { Credential } from './credentials.ts';
import type { NoteKey } from './note.ts';
import { checkProof, type Proved } from './proof.ts';
import { checkTlogProof, type TlogProved } from './tlogproof.ts';

/** What whoever checks brings. */
export interface Brought {
  /** RFC 7638 thumbprint of the root key that they trust. */
  readonly rootKid?: string | undefined;
  /** Approvers' public keys, by `kid`. */
  readonly approvers?: ReadonlyMap<string, Credential> | undefined;
  /** Keys that the log signs its checkpoints with, and those of witnesses, of whom `need` must have cosigned. */
  readonly log?: readonly NoteKey[] | undefined;
  readonly witnesses?: readonly NoteKey[] | undefined;
  readonly need?: number | undefined;
  /** The older state that they remember. */
  readonly old?: TreeHead | undefined;
}

export type Shown =
  | { readonly kind: 'proof'; readonly shows: Proved }
  | { readonly kind: 'bundle'; readonly shows: Bundled }
  | { readonly kind: 'consistency'; readonly shows: Continued }
  | { readonly kind: 'tlog-proof'; readonly shows: TlogProved };

/** Checks a file by its exact text. Throws Error, Offence or Inconsistent that says what is wrong. */
export async function checkHandout(text: string, brought: Brought = {}): Promise<Shown> {
  const { rootKid, approvers, log, witnesses, need, old } = brought;
  const seen = witnesses && { keys: witnesses, need };
  switch (kindOf(text)) {
    case 'holdpoint.proof.v1':
      return { kind: 'proof', shows: await checkProof(text, rootKid, seen) };
    case 'holdpoint.bundle.v1':
      return {
        kind: 'bundle',
        shows: await checkBundle(text, { rootKid, given: approvers, witnesses: seen }),
      };
    case 'holdpoint.consistency.v1':
      return { kind: 'consistency', shows: await checkConsistency(text, { rootKid, old }) };
    case 'tlog-proof':
      if (log === undefined || log.length === 0)
        throw new Error('a tlog-proof is checked with the key of the log: name it with --log-key');
      return {
        kind: 'tlog-proof',
        shows: checkTlogProof(text, {
          log,
          ...(witnesses && { witnesses }),
          ...(need !== undefined && { need }),
        }),
      };
    default:
      throw new Error('this is neither a proof nor a bundle of a log');
  }
}

/** Whether a text says that it is one. */
export function isHandout(text: string): boolean {
  return kindOf(text) !== undefined;
}

function kindOf(text: string): string | undefined {
  if (text.startsWith('c2sp.org/tlog-proof@v1\n')) return 'tlog-proof';
  try {
    const { typ } = JSON.parse(text) as { typ: unknown };
    return typeof typ === 'string' && /^holdpoint\.(proof|bundle|consistency)\.v1$/.test(typ)
      ? typ
      : undefined;
  } catch {
    return undefined;
  }
}
