// The order of it all: every cell of every subject once a round, so that what the machine does meanwhile falls on all
// alike. A cell that fails is a reason, and the rest goes on.

import type { Subject } from '../subjects/subject.ts';
import type { Figures } from './figures.ts';
import type { Cell, Options } from './options.ts';
import { cpuUsPerUnit, watch } from './watch.ts';
import type { Bulk, Done } from './workloads.ts';

/** By subject: a round each, undefined where it failed. */
export type CellRounds = Record<string, (Figures | undefined)[]>;

export interface Measured {
  /** By `cellName`. */
  readonly cells: Record<string, CellRounds>;
  /** One sentence for each way in which a subject failed in a cell. */
  readonly failures: string[];
}

export function cellName({ workload, clients }: Cell): string {
  return `${workload.name} ${clients}`;
}

/** Start of pgbench and its last statements; and each login. */
const overheadSeconds = 0.4;
const loginSeconds = 0.02;
/** The server and its tables; and for each subject its start and its idle sessions. */
const serverSeconds = 8;
const subjectSeconds = 5;

export function estimateSeconds(options: Options, subjects: number): number {
  const { rounds, seconds, cells, copyMb } = options;
  const roundSeconds = (each: number) =>
    cells
      .map(({ workload, clients }) =>
        workload.program === 'psql' ? copyMb / 100 : each + overheadSeconds + clients * loginSeconds,
      )
      .reduce((sum, cell) => sum + cell, 0);
  const subjectTotal = subjectSeconds + roundSeconds(warmUpCell(options)) + rounds * roundSeconds(seconds);
  return Math.round(serverSeconds + subjects * subjectTotal);
}

/** Code that is compiled while it runs takes seconds of work until it is what it will be. */
function warmUpCell({ warmUpSeconds, cells }: Options): number {
  return Math.ceil(warmUpSeconds / cells.length);
}

export async function runRounds(
  options: Options,
  subjects: ReadonlyMap<string, Subject>,
  bulk: Bulk,
  progress: (text: string) => void,
): Promise<Measured> {
  const names = [...subjects.keys()];
  const empty = () => Object.fromEntries(names.map((name) => [name, [] as (Figures | undefined)[]]));
  const cells = Object.fromEntries(options.cells.map((cell) => [cellName(cell), empty()]));
  const failures: string[] = [];
  /** A round's figures of a cell by subject. Nobody is always the first after another workload. */
  const turn = async (round: number, cell: Cell, seconds: number) => {
    const found = new Map<string, Figures | undefined>();
    for (let n = 0; n < names.length; n += 1) {
      const name = names[(n + round) % names.length]!;
      const figures = await measure(subjects.get(name)!, cell, { ...options, seconds }, bulk).catch(
        (error: Error) => {
          const sentence = `${name}, ${cellName(cell)}: ${error.message}`;
          if (!failures.includes(sentence)) failures.push(sentence);
          return undefined;
        },
      );
      found.set(name, figures);
    }
    return found;
  };
  for (const cell of options.cells) {
    progress(`warm-up: ${cellName(cell)}`);
    await turn(0, cell, warmUpCell(options));
  }
  for (let round = 0; round < options.rounds; round += 1) {
    for (const cell of options.cells) {
      progress(`round ${round + 1} of ${options.rounds}: ${cellName(cell)}`);
      const found = await turn(round, cell, options.seconds);
      for (const [name, figures] of found) cells[cellName(cell)]![name]!.push(figures);
    }
  }
  return { cells, failures };
}

async function measure(subject: Subject, cell: Cell, options: Options, bulk: Bulk): Promise<Figures> {
  const { seconds, tls } = options;
  const work = () =>
    cell.workload.run(subject.address, { clients: cell.clients, seconds, encrypted: tls, bulk });
  if (subject.pid === undefined) return visible(await work());
  const [done, { samples, memoryKiB }] = await watch(subject.pid, seconds, work);
  const whole = samples.at(-1)!.cpuUs - samples[0]!.cpuUs;
  const cpuUs = done.endedMs === undefined ? whole / (done.units ?? 1) : cpuUsPerUnit(samples, done.endedMs);
  return { ...visible(done), memoryMiB: memoryKiB / 1024, ...(cpuUs === undefined ? {} : { cpuUs }) };
}

/** What a client sees. */
function visible({ perSecond, p50Ms, p99Ms }: Done): Figures {
  return { perSecond, p50Ms, p99Ms };
}
