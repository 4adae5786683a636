// Log choice: what an address asks of the log, as texts that stay in the form, and as a filter. Refuses to know the log
// and how it is drawn.

import { HoldpointError } from '../errors.ts';
import { classes, type Filter, outcomes, verdicts } from '../trail/filter.ts';
import { momentOf, momentWords } from '../trail/moment.ts';

/** The parameters of the address, each with the values that it takes; undefined: any text. Several by commas. */
export const choices = {
  agent: undefined,
  target: undefined,
  class: classes,
  verdict: verdicts,
  outcome: outcomes,
  kind: undefined,
  request: undefined,
  text: undefined,
  since: undefined,
  until: undefined,
} as const satisfies Readonly<Record<string, readonly string[] | undefined>>;

export type ChoiceName = keyof typeof choices;

export interface LogChoice extends Readonly<Partial<Record<ChoiceName, string>>> {
  /** Rows before this record only. */
  readonly before?: number;
}

const textCharactersMax = 200;

/** What a query asks for. Throws `bad-request` for what is too long, or no number. */
export function choiceBy(query: (name: string) => string | undefined): LogChoice {
  const choice: Partial<Record<ChoiceName, string>> = {};
  for (const name of Object.keys(choices) as ChoiceName[]) {
    const value = query(name)?.trim();
    if (value === undefined || value === '') continue;
    if (value.length > textCharactersMax)
      throw new HoldpointError('bad-request', `${name} is at most ${textCharactersMax} characters`);
    choice[name] = value;
  }
  const before = query('before');
  if (before === undefined || before === '') return choice;
  if (!/^\d{1,15}$/.test(before)) throw new HoldpointError('bad-request', 'before is the number of a record');
  return { ...choice, before: Number(before) };
}

/** The filter that it means. Throws `bad-request` that names the parameter. */
export function filterBy(choice: LogChoice, nowMs: number): Filter {
  return {
    agent: choice.agent,
    target: choice.target,
    request: choice.request,
    text: choice.text,
    classes: several(choice, 'class'),
    verdicts: several(choice, 'verdict'),
    outcomes: several(choice, 'outcome'),
    kinds: choice.kind?.split(','),
    since: moment(choice, 'since', nowMs),
    until: moment(choice, 'until', nowMs),
  };
}

/** The address of a choice on the page. */
export function addressOf(choice: LogChoice): string {
  const query = new URLSearchParams();
  for (const name of Object.keys(choices) as ChoiceName[]) {
    const value = choice[name];
    if (value !== undefined) query.set(name, value);
  }
  if (choice.before !== undefined) query.set('before', String(choice.before));
  return query.size === 0 ? '/log' : `/log?${query}`;
}

function several(choice: LogChoice, name: 'class' | 'verdict' | 'outcome'): string[] | undefined {
  const values = choice[name]?.split(',');
  const known: readonly string[] = choices[name];
  const wrong = values?.find((value) => !known.includes(value));
  if (wrong !== undefined)
    throw new HoldpointError('bad-request', `${name} is one of ${known.join(', ')}, or several with commas`);
  return values;
}

function moment(choice: LogChoice, name: 'since' | 'until', nowMs: number): number | undefined {
  const text = choice[name];
  if (text === undefined) return undefined;
  const micros = momentOf(text, nowMs);
  if (micros === undefined) throw new HoldpointError('bad-request', `${name} ${momentWords}`);
  return micros;
}
