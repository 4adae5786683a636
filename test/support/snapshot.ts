// The snapshot of a real database as the proxy reads it, for tests, and the side connection for those that read again.

import type { Snapshot } from '../../src/catalog/snapshot.ts';
import { type Reading, readCatalog } from '../../src/proxy/catalog-read.ts';
import { Side } from '../../src/proxy/side.ts';
import { connectUpstream, type Upstream } from '../../src/proxy/upstream.ts';
import { readTargetUrl } from '../../src/target-url.ts';

const statementMs = 30_000;

/** Connects as the catalog's watch does. */
export function connectTo(
  url: string,
): (settings: readonly (readonly [string, string])[]) => Promise<Upstream> {
  const address = readTargetUrl(url, { baseDir: '/', strict: false });
  return (settings) => connectUpstream(address, settings, async () => []);
}

export async function openSide(url: string): Promise<Side> {
  const settings = [
    ['client_encoding', 'UTF8'],
    ['standard_conforming_strings', 'on'],
  ] as const;
  return new Side(await connectTo(url)(settings), statementMs);
}

/** Reads again on the same side; the second of two readings that saw the same is the first. */
export function readAgain(side: Side, before?: Reading): Promise<Reading> {
  return readCatalog(side, before, { statementMs, outdated: () => undefined });
}

export async function readSnapshot(url: string): Promise<Snapshot> {
  const side = await openSide(url);
  try {
    return (await readAgain(side)).snapshot;
  } finally {
    side.close();
  }
}
