// Unrecorded: in a process of a bench, the hop as it is built for benches: rounds of lanes are not recorded there. Never in
// the product, which has no such addon.

import { existsSync } from 'node:fs';
import Module from 'node:module';
import { basename, join } from 'node:path';
import type { Borrower, Loan } from '../../src/hop/lane-log.ts';

type Loader = (module: NodeJS.Module, file: string) => void;

/** Has the hop loaded from here, before anybody loads it. False where it is not built. */
export function loadUnrecorded(): boolean {
  const platform = `${process.platform}-${process.arch}`;
  const file = join(import.meta.dirname, '../prebuilt', platform, 'hop.node');
  if (!existsSync(file)) return false;
  const { _extensions: loaders } = Module as unknown as { _extensions: Record<string, Loader> };
  loaders['.node'] = (module, asked) => process.dlopen(module, basename(asked) === 'hop.node' ? file : asked);
  return true;
}

const nothing = Buffer.alloc(43);
/** Of records that are not made; but they are counted. */
const loan: Loan = {
  fd: 0,
  block: nothing,
  at: 0,
  blank: nothing,
  head: nothing,
  leaves: Buffer.alloc(1 << 20),
  leafCount: 0,
  synced: undefined,
  seq: 0,
  start: 0,
  mono: 0,
};

/** Members of a log that lends its end, to nobody who writes to it. */
export const lendsNothing = {
  lend: (_borrower: Borrower): Loan => loan,
  settle: (): void => undefined,
};
