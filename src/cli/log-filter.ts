// Log filter: the options by which `audit show` and `audit tail` are told which records, and what they mean. Refuses to
// know the log.

import { type Command, InvalidArgumentError, Option } from 'commander';
import { classes, type Filter, outcomes, verdicts } from '../trail/filter.ts';
import { momentOf, momentWords } from '../trail/moment.ts';

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

/** Adds the options that `filterOf` reads. `now`: milliseconds since 1970. */
export function filterOptions(command: Command, now: () => number = Date.now): Command {
  const moment = (text: string) => readMoment(text, now());
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

/** µs since 1970 of an option's text. */
export function readMoment(text: string, nowMs: number): number {
  const moment = momentOf(text, nowMs);
  if (moment === undefined) throw new InvalidArgumentError(`It ${momentWords}.`);
  return moment;
}

/** A count or a sequence number. */
export function whole(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It is a whole number.');
  return Number(text);
}
