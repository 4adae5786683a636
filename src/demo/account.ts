// The unprivileged account that PostgreSQL runs under when Holdpoint runs as root, which PostgreSQL refuses to.
// Knows accounts and who can reach a folder; refuses to know PostgreSQL.

import { existsSync, lstatSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { HoldpointError } from '../errors.ts';

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** In this order: the first that exists. Every Linux has `nobody`; some containers have only `daemon`. */
const accounts = ['nobody', 'postgres', 'daemon'];

/**
 * The account to run a server as, or undefined when this process is not root and may run it itself.
 * Throws HoldpointError('bad-config') if the machine has none.
 */
export function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const lines = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of accounts) {
    const fields = lines.find((line) => line[0] === name);
    if (fields !== undefined) return { uid: Number(fields[2]), gid: Number(fields[3]) };
  }
  throw new HoldpointError(
    'bad-config',
    'PostgreSQL does not run as root and there is no account nobody to run it as; start Holdpoint as an ordinary user',
  );
}

/** The account that owns `folder`, if root must use it: a server runs only as the owner of its cluster. */
export function ownerAccount(folder: string): Account | undefined {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (process.getuid?.() !== 0 || found === undefined || found.uid === 0) return undefined;
  return { uid: found.uid, gid: found.gid };
}

/**
 * Whether `account` may walk to `path` and read it. Judged by the permission bits alone; a missing path is judged by
 * its nearest folder that exists.
 */
export function canReach(path: string, account: Account): boolean {
  let at = resolve(path);
  // Of the folders above, and of one in which the path is yet to be made, only passing through is asked.
  let wanted = existsSync(at) ? 0o5 : 0o1;
  for (;;) {
    const found = statSync(at, { throwIfNoEntry: false });
    if (found !== undefined) {
      const bits =
        found.uid === account.uid
          ? found.mode >> 6
          : found.gid === account.gid
            ? found.mode >> 3
            : found.mode;
      const needed = found.isDirectory() ? wanted : 0o4;
      if ((bits & needed) !== needed) return false;
      wanted = 0o1;
    }
    if (dirname(at) === at) return true;
    at = dirname(at);
  }
}

/**
 * A folder that the account can walk through, for data whose proper place (under /root, say) it cannot reach:
 * `<name>` in the machine's lasting temporary folder. Throws HoldpointError if somebody else made it first.
 */
export function foldersOutside(name: string, lasting: boolean): string {
  // /var/tmp outlives a restart of the machine, /tmp may not.
  const base = [lasting ? '/var/tmp' : tmpdir(), '/tmp'].find((folder) => isShared(folder)) ?? tmpdir();
  const folder = join(base, name);
  mkdirSync(folder, { recursive: true, mode: 0o711 });
  const found = lstatSync(folder);
  // The base is writable to everyone: a folder or link that another user put there must not be used.
  if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0) {
    throw new HoldpointError('bad-config', `${folder} belongs to somebody else; remove it and start again`);
  }
  return folder;
}

function isShared(folder: string): boolean {
  const found = statSync(folder, { throwIfNoEntry: false });
  return found?.isDirectory() === true && (found.mode & 0o1) !== 0;
}
