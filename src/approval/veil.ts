// Veil: a request as the log may have it, where values are not to stand there: its texts with their literals lifted, and one
// salted commitment to what a person was shown instead. A decision signs the veiled form, and so by the commitment all that
// was shown. The opposite way takes the text that is committed to, from whoever keeps it. Pure; refuses to know which text is
// a value and which is not, and where anything is kept. audit-approval §10, §16.1.

import { commit } from '../../verify/src/leaf.ts';
import { canonical } from './canonical.ts';

/** What stands in the place of texts. `salt`: base64url(16 random bytes), used for nothing else. */
export interface Veil {
  readonly salt: string;
  /** The text, its literals lifted. */
  readonly sql: string;
  /** The statements of a plan likewise. */
  readonly texts?: readonly string[];
  /** The agent's own words are not to be seen either. */
  readonly words: boolean;
}

/** What the commitment is opened by: `text` is the canonical text of the members that the veil covers. */
export interface VeilOpening {
  readonly salt: string;
  readonly text: string;
}

interface Said {
  readonly why: readonly string[];
}

/** The members of a request that may hold values, or digests that would tell them. */
interface Texts {
  readonly sql: string;
  readonly sha: string;
  readonly statements: readonly Said[];
  readonly policy: { readonly reason: string };
  readonly plan?: {
    readonly statements: readonly (Said & { sql: string; sha: string })[];
    readonly root: string;
  };
  readonly reason?: string;
}

/** The request with its veil on: what is digested, signed, stored and logged. */
export function veiled(shown: Texts, veil: Veil): Record<string, unknown> {
  const { sha: _, reason, plan, ...rest } = shown;
  const quotes = shown.statements.some(({ why }) => why.some((each) => quoted.test(each)));
  return {
    ...rest,
    sql: veil.sql,
    statements: shown.statements.map(unsaid),
    policy: {
      ...shown.policy,
      reason: quotes ? shown.policy.reason.replace(quoted, '$1') : shown.policy.reason,
    },
    ...(reason !== undefined && !veil.words && { reason }),
    ...(plan !== undefined && {
      plan: { statements: plan.statements.map((one, at) => planned(one, veil.texts?.[at] ?? '')) },
    }),
    open: commit(Buffer.from(veil.salt, 'base64url'), 0, Buffer.from(openingOf(shown, veil).text, 'utf8')),
  };
}

/** What the commitment of the veiled form is opened by. */
export function openingOf({ sql, sha, statements, policy, plan, reason }: Texts, veil: Veil): VeilOpening {
  const covered = {
    sql,
    sha,
    statements,
    policy,
    ...(plan && { plan }),
    ...(reason !== undefined && { reason }),
  };
  return { salt: veil.salt, text: canonical(covered) };
}

/** The members under a veil, and the veil, if the opening is the one that is committed to. */
export function unveiled(
  request: Readonly<Record<string, unknown>>,
  { salt, text }: VeilOpening,
): Record<string, unknown> | undefined {
  if (typeof salt !== 'string' || typeof text !== 'string') return undefined;
  const bytes = Buffer.from(salt, 'base64url');
  if (bytes.length !== 16 || request.open !== commit(bytes, 0, Buffer.from(text, 'utf8'))) return undefined;
  const { open: _, ...rest } = request;
  const covered = JSON.parse(text) as Record<string, unknown>;
  const plan = request.plan as { statements: { sql: string }[] } | undefined;
  const veil: Veil = {
    salt,
    sql: String(request.sql),
    ...(plan !== undefined && { texts: plan.statements.map(({ sql }) => sql) }),
    words: covered.reason !== undefined && request.reason === undefined,
  };
  return { ...rest, ...covered, veil };
}

/** A sentence that quotes the text which an EXECUTE runs. */
const quoted = /( runs): [\s\S]*$/;

function unsaid<T extends Said>({ why, ...rest }: T): Omit<T, 'why'> & Said {
  return { ...rest, why: why.filter((each) => !quoted.test(each)) };
}

function planned(
  { sha: _, ...one }: Said & { sql: string; sha: string },
  sql: string,
): Record<string, unknown> {
  return { ...unsaid(one), sql };
}
