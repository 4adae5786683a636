// The order of it all: every cell of every subject once a round, so that what the machine does meanwhile falls on all
// alike. A cell that fails is a reason, and the rest goes on.

import type { Subject } from '../subjects/subject.ts';
import type { Figures } from './figures.ts';
import type { Cell, Options } from './options.ts';
import { cpuUsPerUnit, watch } from './watch.ts';
import type { Bulk, Done } from './workloads.ts';

/** By subject: a round each, undefined where it failed. */
export type CellRounds = Record<string, (Figures | undefined)[]>;

export interface Results {
  /** By `cellName`. */
  readonly cells: Record<string, CellRounds>;
  /** One sentence for each way in which a subject failed in a cell. */
  readonly failures: string[];
}

export function cellName({ workload, clients }: Cell): string {
  return `${workload.name} ${clients}`;
}

/** Start of pgbench, logins, and its last statements. */
const overheadSeconds = 0.4;
/** The server and its tables; and for each subject its start and its idle sessions. */
const serverSeconds = 8;
const subjectSeconds = 5;

export function estimateSeconds({ rounds, seconds, cells, copyMb }: Options, subjects: number): number {
  const round = cells
    .map(({ workload }) => (workload.program === 'psql' ? copyMb / 100 : seconds + overheadSeconds))
    .reduce((sum, each) => sum + each, 0);
  return Math.round(serverSeconds + subjects * (subjectSeconds + (rounds + 1) * round));
}

export async function runRounds(
  options: Options,
  subjects: ReadonlyMap<string, Subject>,
  bulk: Bulk,
  progress: (round: number, cell: string) => void,
): Promise<Results> {
  const names = [...subjects.keys()];
  const empty = () => Object.fromEntries(names.map((name) => [name, [] as (Figures | undefined)[]]));
  const cells = Object.fromEntries(options.cells.map((cell) => [cellName(cell), empty()]));
  const failures: string[] = [];
  // The round before the first warms everything up, code and the pages of tables, and does not count.
  for (let round = -1; round < options.rounds; round += 1) {
    for (const cell of options.cells) {
      const name = cellName(cell);
      progress(round, name);
      // Nobody is always the first after another workload.
      for (let n = 0; n < names.length; n += 1) {
        const subject = names[(n + round + 1) % names.length]!;
        const figures = await measure(subjects.get(subject)!, cell, options, bulk).catch((error: Error) => {
          const sentence = `${subject}, ${name}: ${error.message}`;
          if (!failures.includes(sentence)) failures.push(sentence);
          return undefined;
        });
        if (round >= 0) cells[name]![subject]!.push(figures);
      }
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
