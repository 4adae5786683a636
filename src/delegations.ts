// Delegations: what approvers have signed so that others may decide in their name, kept in delegations.json of the data
// folder. An entry is no authority: its signature is verified again with each use. Knows the file; refuses to know what
// an entry covers.

import { join } from 'node:path';
import { z } from 'zod';
import { delegationId, readDelegation, type SignedDelegation } from './approval/delegation.ts';
import type { DelegationShelf } from './approval/ports.ts';
import { HoldpointError } from './errors.ts';
import { readJson, writeWhole } from './json-file.ts';

const fileShape = z.strictObject({
  v: z.literal(1),
  delegations: z.array(z.strictObject({ text: z.string(), evidence: z.string() })),
});

/** Kept at once; past ones make room. */
const keptMax = 1000;

interface Kept extends SignedDelegation {
  readonly from: string;
  readonly to: string;
  readonly exp: number;
}

/** Those of one process, which alone writes the file. */
export class Delegations implements DelegationShelf {
  readonly #path: string;
  readonly #now: () => number;
  #kept: readonly Kept[];
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, now: () => number, kept: readonly Kept[]) {
    this.#path = path;
    this.#now = now;
    this.#kept = kept;
  }

  /** Throws HoldpointError('bad-config') for a broken file. */
  static async open(dataDir: string, now: () => number): Promise<Delegations> {
    const path = join(dataDir, 'delegations.json');
    const file = await readJson(path, fileShape);
    try {
      return new Delegations(path, now, (file?.delegations ?? []).map(keptOf));
    } catch (cause) {
      throw new HoldpointError('bad-config', `${path}: ${(cause as Error).message}`, { cause });
    }
  }

  of(from: string, to: string): readonly SignedDelegation[] {
    return this.#kept.filter((one) => one.from === from && one.to === to);
  }

  all(): readonly (SignedDelegation & { readonly exp: number })[] {
    return this.#kept;
  }

  keep(given: { text: string; evidence: string }): Promise<void> {
    const kept = keptOf(given);
    const keeping = this.#writing.then(async () => {
      const others = this.#kept.filter(({ exp, id }) => exp > this.#now() && id !== kept.id);
      if (others.length >= keptMax)
        throw new HoldpointError('conflict', `${keptMax} delegations are in force; wait until one has ended`);
      const all = [...others, kept];
      const delegations = all.map(({ text, evidence }) => ({ text, evidence }));
      await writeWhole(this.#path, { v: 1, delegations });
      this.#kept = all;
    });
    this.#writing = keeping.catch(() => undefined);
    return keeping;
  }
}

function keptOf({ text, evidence }: { text: string; evidence: string }): Kept {
  const { from, to, exp } = readDelegation(JSON.parse(text));
  return { id: delegationId(text), text, evidence, from, to, exp };
}
