// Log filter: the options by which `audit show` and `audit tail` are told which records, and what they mean. Refuses to
// know the log.

import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Filter } from '../trail/filter.ts';

/** As commander gives them. */
export interface FilterFlags {
  readonly seq?: number;
  readonly from?: number;
  readonly to?: number;
  readonly since?: number;
  readonly until?: number;
  readonly agent?: string;
  readonly target?: string;
  readonly class?: string[];
  readonly verdict?: string[];
  readonly outcome?: string[];
  readonly kind?: string[];
  readonly request?: string;
  readonly text?: string;
}

const classes = 'read write define destroy system code session transaction unknown'.split(' ');
const verdicts = 'pass hold deny refuse'.split(' ');
const outcomes = 'ok error canceled skipped unknown refused'.split(' ');

/** Adds the options that `filterOf` reads. `now`: milliseconds since 1970. */
export function filterOptions(command: Command, now: () => number = Date.now): Command {
  const moment = (text: string) => momentOf(text, now());
  return command
    .option('--agent <name>', "one agent's statements and logins")
    .option('--target <name>', 'what was meant for one target')
    .addOption(choice('--class <class...>', 'statements of these classes', classes))
    .addOption(choice('--verdict <verdict...>', 'statements that were judged so', verdicts))
    .addOption(choice('--outcome <outcome...>', 'statements that ended so', outcomes))
    .option('--request <id>', 'everything about one request')
    .option('--text <words>', 'statements whose text contains this')
    .option('--kind <kind...>', 'records of these kinds')
    .option('--since <time>', 'from this time on: 2026-11-30T17:05Z, or 15m, 2h, 3d ago', moment)
    .option('--until <time>', 'up to this time', moment)
    .option('--from <seq>', 'from this record on', whole)
    .option('--to <seq>', 'up to this record', whole);
}

function choice(flags: string, words: string, choices: readonly string[]): Option {
  return new Option(flags, words).choices(choices);
}

export function filterOf(flags: FilterFlags): Filter {
  return {
    agent: flags.agent,
    target: flags.target,
    classes: flags.class,
    verdicts: flags.verdict,
    outcomes: flags.outcome,
    kinds: flags.kind,
    request: flags.request,
    text: flags.text,
    from: flags.seq ?? flags.from,
    to: flags.seq ?? flags.to,
    since: flags.since,
    until: flags.until,
  };
}

const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** µs since 1970 of a time as people write it: ISO 8601, in UTC where it names no zone, or so long ago. */
export function momentOf(text: string, nowMs: number): number {
  const ago = /^(\d{1,9})([smhd])$/.exec(text);
  if (ago !== null) return Math.round((nowMs - Number(ago[1]) * units[ago[2]!]! * 1000) * 1000);
  const iso =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?))?\s*(Z|UTC|[+-]\d\d:?\d\d)?$/i.exec(text);
  const [, day, clock = '00:00', zone = 'Z'] = iso ?? [];
  const ms = iso === null ? Number.NaN : Date.parse(`${day}T${clock}${/^utc$/i.test(zone) ? 'Z' : zone}`);
  if (Number.isNaN(ms))
    throw new InvalidArgumentError(
      'It is a time as in 2026-11-30T17:05Z, or as in 15m, 2h, 3d for so long ago.',
    );
  return Math.round(ms * 1000);
}

/** A count or a sequence number. */
export function whole(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It is a whole number.');
  return Number(text);
}
