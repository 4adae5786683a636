// Anchor input: what a caller names of the outside: witnesses' keys, how many have to agree, how old a checkpoint may be,
// checkpoints that they remember, and the notes that lie beside a log. Nothing of it is verified here.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AnchorOptions } from './anchors.ts';
import { readText, UsageError } from './input.ts';
import { type NoteKey, noteCharactersMax, readVkey } from './note.ts';

/** As they stand on the command line. */
export interface AnchorFlags {
  /** Keys (NAME+HEX+BASE64), or files of them, one a line. */
  readonly witness?: readonly string[] | undefined;
  /** `2of3`. */
  readonly policy?: string | undefined;
  /** `5m`. */
  readonly maxAge?: string | undefined;
  /** Files with words of the root on keys. */
  readonly revoked?: readonly string[] | undefined;
}

/** Notes beside a log that are read. */
const keptMax = 10_000;
const unitsMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** What the flags ask of the outside. `now`: ms since 1970. Throws UsageError. */
export function anchorsOf(flags: AnchorFlags, remembered: readonly string[], now: number): AnchorOptions {
  const witnesses = (flags.witness ?? []).flatMap((given) => noteKeysIn(given, '--witness'));
  if (witnesses.length === 0 && (flags.policy !== undefined || flags.maxAge !== undefined))
    throw new UsageError('--policy and --max-age ask witnesses: name them with --witness');
  if (new Set(witnesses.map(({ raw }) => raw.toString('hex'))).size < witnesses.length)
    throw new UsageError('--witness names one witness twice');
  return {
    ...(witnesses.length > 0 && { witnesses, need: needOf(flags.policy, witnesses.length) }),
    maxAgeMs: flags.maxAge === undefined ? undefined : ageOf(flags.maxAge),
    now,
    remembered,
    revocations: (flags.revoked ?? []).map(readText),
  };
}

/** `--expect`: `SIZE:ROOT` as a verification prints it, or a file with a checkpoint note. Throws UsageError. */
export function rememberedOf(given: string | undefined): {
  size: { size: number; root: string } | undefined;
  notes: readonly string[];
} {
  if (given === undefined) return { size: undefined, notes: [] };
  const match = /^(\d{1,15}):([\w-]{43})$/.exec(given);
  if (match !== null) return { size: { size: Number(match[1]), root: match[2]! }, notes: [] };
  if (!existsSync(given))
    throw new UsageError('--expect takes SIZE:ROOT as a verification prints it, or a file with a checkpoint');
  return { size: undefined, notes: [readText(given)] };
}

/** The notes in `checkpoints/` of a log's folder; none if there are none, or they cannot be read. */
export function keptNotes(path: string): string[] {
  const folder = join(path, 'checkpoints');
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.note'))
      .slice(-keptMax)
      .map((name) => readFileSync(join(folder, name), 'utf8').slice(0, noteCharactersMax));
  } catch {
    return [];
  }
}

/**
 * A key, or the keys in a file: one a line; blank lines and lines that begin with # are passed over. Throws UsageError,
 * which names the option.
 */
export function noteKeysIn(given: string, option: string): NoteKey[] {
  const text = existsSync(given) ? readText(given) : given;
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      try {
        return readVkey(line);
      } catch (cause) {
        throw new UsageError(`${option} ${line}: ${(cause as Error).message}`, { cause });
      }
    });
}

function needOf(policy: string | undefined, count: number): number {
  if (policy === undefined) return count;
  const match = /^([1-9]\d?)of([1-9]\d?)$/.exec(policy);
  const need = Number(match?.[1]);
  if (match === null || Number(match[2]) !== count || need > count)
    throw new UsageError(
      `--policy ${policy}: it is so many of the ${count} that --witness names, such as 1of${count}`,
    );
  return need;
}

function ageOf(text: string): number {
  const match = /^([1-9]\d{0,8})([smhd])$/.exec(text);
  if (match === null) throw new UsageError(`--max-age ${text}: it is a time such as 90s, 5m, 2h or 1d`);
  return Number(match[1]) * unitsMs[match[2]!]!;
}
