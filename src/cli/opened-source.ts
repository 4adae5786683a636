// Opened source: a log as an auditor reads it, who has the key to the ID tokens that were put aside with decisions: they are
// found where they would lie in clear. Refuses to open anything else.

import { hash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { tokenIndex } from '../../verify/src/sidefile.ts';
import { FolderSource, findLogs } from '../../verify/src/source.ts';
import { HoldpointError } from '../errors.ts';
import { type Auditor, auditorIn, entriesIn, opened } from './audit-values.ts';

/** The logs under a path, for the holder of that auditor's private key if a file is named. */
export function logsFor(dir: string, auditorKey: string | undefined): FolderSource[] {
  const found = findLogs(dir);
  if (auditorKey === undefined) return found;
  const auditor = auditorIn(auditorKey);
  return found.map(({ path }) => new OpenedSource(path, auditor));
}

class OpenedSource extends FolderSource {
  readonly #auditor: Auditor;
  #tokens: Promise<ReadonlyMap<string, Buffer>> | undefined;

  constructor(path: string, auditor: Auditor) {
    super(path);
    this.#auditor = auditor;
  }

  override async read(name: string): Promise<Buffer | undefined> {
    const lying = await super.read(name);
    const sha = /^evidence\/([0-9a-f]{64})\.jwt$/.exec(name)?.[1];
    if (lying !== undefined || sha === undefined) return lying;
    this.#tokens ??= this.#open();
    return (await this.#tokens).get(sha);
  }

  /** All tokens by their digest in hex; those of other auditors are left out. */
  async #open(): Promise<ReadonlyMap<string, Buffer>> {
    const tokens = new Map<string, Buffer>();
    for (const name of readdirSync(this.path).filter((one) => one.endsWith('.prv'))) {
      for await (const placed of entriesIn(join(this.path, name))) {
        if (placed.entry[1] !== tokenIndex) continue;
        const { value } = await opened(placed, this.#auditor).catch((error: unknown) => {
          if (error instanceof HoldpointError) return { value: undefined };
          throw error;
        });
        if (value !== undefined) tokens.set(hash('sha256', value, 'hex'), value);
      }
    }
    return tokens;
  }
}
