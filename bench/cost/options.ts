// The options of `npm run bench`, and which cells they ask for.

import { parseArgs } from 'node:util';
import { candidates, usualCandidates } from '../subjects/all.ts';
import { type Workload, workloads } from './workloads.ts';

export interface Cell {
  readonly workload: Workload;
  readonly clients: number;
}

export interface Options {
  readonly rounds: number;
  readonly seconds: number;
  /** A subject, in all cells together, before the first round. */
  readonly warmUpSeconds: number;
  readonly cells: readonly Cell[];
  readonly subjects: readonly string[];
  readonly scale: number;
  readonly copyMb: number;
  readonly idle: number;
  readonly tls: boolean;
  readonly json: string | undefined;
  readonly svg: string | undefined;
  readonly markdown: string | undefined;
}

export const usage = `npm run bench -- [options]
  --rounds N        rounds, each with every cell of every subject (7)
  --seconds N       seconds a cell (2; hundreds of clients need more until all are warm)
  --warm-up N       seconds a subject that come first and do not count (10)
  --workloads A,B   ${workloads.map(({ name }) => name).join(', ')}
  --clients N,N     each of the workloads at so many clients, such as 1,8,16,64,256
  --subjects A,B    ${candidates.map(({ name }) => name).join(', ')}
  --scale N         of pgbench's tables (16)
  --copy-mb N       what a COPY carries (64; the full measure is 1000)
  --idle N          idle sessions that memory is asked for (200)
  --tls             the client's leg encrypted
  --json FILE, --svg FILE, --markdown FILE   where the results go besides the terminal`;

/** What is measured where nothing else is asked for: a bounded time, and every target that needs no TLS. */
const usualCells: readonly [string, number][] = [
  ['prepared', 1],
  ['prepared', 16],
  ['simple', 16],
  ['tpcb', 16],
  ['select', 1],
  ['copy-out', 1],
  ['copy-in', 1],
  ['connect', 1],
];

export class UsageError extends Error {}

export function readOptions(args: readonly string[]): Options {
  const { values } = parse(args);
  const named = list(values.workloads)?.map((name) => workload(name));
  const clients = list(values.clients)?.map((text) => whole('clients', text));
  const usual = usualCells.map(([name, count]) => ({ workload: workload(name), clients: count }));
  const chosen = named ?? (clients && [...new Set(usual.map((cell) => cell.workload))]);
  const subjects = list(values.subjects) ?? usualCandidates.map(({ name }) => name);
  for (const name of subjects) {
    if (!candidates.some((candidate) => candidate.name === name))
      throw new UsageError(`no subject is called ${name}`);
  }
  return {
    rounds: whole('rounds', values.rounds ?? '7'),
    seconds: whole('seconds', values.seconds ?? '2'),
    warmUpSeconds: whole('warm-up', values['warm-up'] ?? '10'),
    cells: chosen?.flatMap((each) => cellsOf(each, clients)) ?? usual,
    subjects,
    // The documentation of pgbench asks for a scale of at least the clients, else they wait for one another's rows.
    scale: whole('scale', values.scale ?? '16'),
    copyMb: whole('copy-mb', values['copy-mb'] ?? '64'),
    idle: whole('idle', values.idle ?? '200'),
    tls: values.tls ?? false,
    json: values.json,
    svg: values.svg,
    markdown: values.markdown,
  };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        rounds: text,
        seconds: text,
        'warm-up': text,
        workloads: text,
        clients: text,
        subjects: text,
        scale: text,
        'copy-mb': text,
        idle: text,
        tls: { type: 'boolean' },
        json: text,
        svg: text,
        markdown: text,
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** A COPY is one session's. */
function cellsOf(each: Workload, clients: readonly number[] | undefined): Cell[] {
  if (clients === undefined || each.program === 'psql') return [{ workload: each, clients: each.clients }];
  return clients.map((count) => ({ workload: each, clients: count }));
}

function workload(name: string): Workload {
  const found = workloads.find((each) => each.name === name);
  if (found === undefined) throw new UsageError(`no workload is called ${name}`);
  return found;
}

function list(text: string | undefined): string[] | undefined {
  return text?.split(',').filter(Boolean);
}

function whole(option: string, text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new UsageError(`--${option} is a whole number from 1, not ${text}`);
  return Number(text);
}
