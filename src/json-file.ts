// JSON files of the data folder: read whole against a shape, written whole or not at all. Knows files; refuses to know
// what is in them.

import { chmod, open, readFile, rename } from 'node:fs/promises';
import type { z } from 'zod';
import { HoldpointError } from './errors.ts';

/**
 * The file's content as `shape` has it; undefined if there is no file. Throws HoldpointError('bad-config') for one that
 * cannot be read or is broken.
 */
export async function readJson<T extends z.ZodType>(
  path: string,
  shape: T,
): Promise<z.output<T> | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // No file is the normal beginning; a file that cannot be read must not look like one without entries.
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new HoldpointError('bad-config', `cannot read ${path}: ${code}`, { cause: error });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new HoldpointError('bad-config', `${path} is not JSON; restore it or move it away`, {
      cause: error,
    });
  }
  const checked = shape.safeParse(value);
  if (checked.success) return checked.data;
  const issue = checked.error.issues[0]!;
  throw new HoldpointError('bad-config', `${path}: ${issue.path.map(String).join('.')}: ${issue.message}`);
}

/** By a new file and a rename, both synced: a reader sees the old or the new, whenever the power fails. */
export async function writeWhole(path: string, value: object): Promise<void> {
  const draft = `${path}.new`;
  const file = await open(draft, 'w', 0o600);
  try {
    await chmod(draft, 0o600);
    await file.writeFile(`${JSON.stringify(value, null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
}
