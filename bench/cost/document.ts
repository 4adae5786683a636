// docs/bench.md: the results of one run for people, with what they need to repeat it.

import type { Results } from './results.ts';
import { asMarkdown, tablesOf } from './table.ts';
import { accountsUsed } from './workloads.ts';

export function document(results: Results, chartFile: string | undefined): string {
  const { machine, versions, workloads, absent } = results;
  const lines = (of: Readonly<Record<string, string>>) =>
    Object.entries(of).map(([name, what]) => `- ${name}: ${what}`);
  return `${[
    '# What guarding costs',
    '',
    `Measured ${results.at} on ${machine.processors}, ${machine.memoryGiB} GiB, ${machine.system}, all of it on that one`,
    'machine: the server, what stands in front of it, and the load. Written by the command itself:',
    '',
    '```',
    results.command,
    '```',
    '',
    `Medians of ${results.rounds} rounds of ${results.seconds} s a cell after a warm-up, ranges in parentheses. Every round runs every cell through every`,
    'subject, one after the other, so that what the machine does meanwhile falls on all alike. The server waits for its disk',
    `(fsync on); pgbench's tables have scale ${results.scale}, of which ${accountsUsed} accounts are used; a COPY carries ${results.copyMb} MB.`,
    `The client's leg is ${results.tls ? 'encrypted' : 'in plaintext'}.`,
    'Holdpoint has the rules `default` and nothing besides, the catalog watched, the log in its default class, and its',
    'metrics scraped every 5 s. CPU is user and system time of the process tree between two moments within the load;',
    '`+ p50` and `+ p99` are the difference to `direct` in the same round. Memory is the proportional set size. Why a target',
    'that is missed is missed stands in [cost.md](cost.md).',
    '',
    ...lines(versions),
    '',
    'Workloads:',
    '',
    ...lines(workloads),
    ...(Object.keys(absent).length === 0 ? [] : ['', 'Not measured:', '', ...lines(absent)]),
    ...(results.failures.length === 0
      ? []
      : ['', 'Failed:', '', ...results.failures.map((each) => `- ${each}`)]),
    ...(chartFile === undefined ? [] : ['', `![CPU time and throughput](${chartFile})`]),
    ...tablesOf(results).flatMap((table) => ['', asMarkdown(table)]),
  ].join('\n')}\n`;
}
