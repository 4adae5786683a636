// Where rules files lie: shipped packs by name, others by path. The one file of this folder that reads the disk; the
// rest of policy is pure, and the architecture test exempts this file by name. Works from a checkout and from a
// build, where rules/ stands beside src/ or dist/.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { HoldpointError } from '../errors.ts';
import { didYouMean } from './nearest.ts';
import { type Policy, parsePolicy, type RuleSource } from './rules.ts';

/** The folder of the shipped packs: `rules/` in the nearest folder above this file that has one. */
export function packsDir(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let parent = dirname(folder); parent !== folder; parent = dirname(folder)) {
    folder = parent;
    const candidate = join(folder, 'rules');
    if (existsSync(join(candidate, 'default.yaml'))) return candidate;
  }
  throw new HoldpointError('bad-config', 'the shipped rules are missing; install Holdpoint again');
}

/** Names of the shipped packs, sorted. */
export function packNames(): string[] {
  return readdirSync(packsDir())
    .filter((file) => file.endsWith('.yaml') && !file.endsWith('.test.yaml'))
    .map((file) => file.slice(0, -'.yaml'.length))
    .sort();
}

/**
 * The file that a `rules:` or `extends:` value means. A bare word is a shipped pack; anything with a slash or a dot is
 * a path relative to `baseDir`. Throws HoldpointError('not-found') naming the nearest pack.
 */
export function policyPath(nameOrPath: string, baseDir: string): string {
  if (/^[\w-]+$/.test(nameOrPath)) {
    const packs = packNames();
    if (packs.includes(nameOrPath)) return join(packsDir(), `${nameOrPath}.yaml`);
    throw new HoldpointError(
      'not-found',
      `no rule pack is called "${nameOrPath}"${didYouMean(nameOrPath, packs)}; shipped packs: ${packs.join(', ')}; a file of your own needs its path, such as ./${nameOrPath}.yaml`,
    );
  }
  return isAbsolute(nameOrPath) ? nameOrPath : resolve(baseDir, nameOrPath);
}

/**
 * Reads and compiles a rules file. Throws HoldpointError: 'not-found' if the file is not there, 'bad-config' with file,
 * line and rule if it is wrong, as parsePolicy does.
 */
export function loadPolicy(nameOrPath: string, baseDir: string): Policy {
  const source = readSource(policyPath(nameOrPath, baseDir));
  return parsePolicy(source, (name, from) => readSource(policyPath(name, dirname(from.file))));
}

/** Reads a file as text. Throws HoldpointError('not-found') that says why it cannot be read. */
export function readSource(file: string): RuleSource {
  try {
    return { file, text: readFileSync(file, 'utf8') };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : String(code);
    throw new HoldpointError('not-found', `cannot read ${file}: ${why}`, { cause: error });
  }
}
