// What does guarding cost? The same load through Holdpoint, a bare relay, HAProxy, PgBouncer, pgpool-II and straight to
// the server, in turns: throughput, latency, CPU time and memory, and whether the targets are reached.
// Run: npm run bench -- --help

import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { foldersOutside, serverAccount } from '../src/demo/account.ts';
import { tlsFixture } from '../test/support/postgres.ts';
import { findProgram } from '../test/support/programs.ts';
import { chart } from './cost/chart.ts';
import { startDatabase } from './cost/database.ts';
import { document } from './cost/document.ts';
import { machine, versionsOf } from './cost/machine.ts';
import { type Memory, memoryOf } from './cost/memory.ts';
import { type Options, readOptions, UsageError, usage } from './cost/options.ts';
import type { Results } from './cost/results.ts';
import { cellName, estimateSeconds, runRounds } from './cost/rounds.ts';
import { asText, tablesOf } from './cost/table.ts';
import { candidates } from './subjects/all.ts';
import { Absent, type Address, type Subject } from './subjects/subject.ts';

async function run(options: Options): Promise<Results> {
  const folder = temporaryFolder();
  const chosen = candidates.filter(({ name }) => options.subjects.includes(name));
  const clientsMax = Math.max(...options.cells.map(({ clients }) => clients), options.idle);
  const database = await startDatabase({
    folder: join(folder, 'load'),
    scale: options.scale,
    copyMb: options.copyMb,
    copies: options.cells.some(({ workload }) => workload.program === 'psql'),
    tls: options.tls,
    // Two of them keep their sessions at the server when the clients are gone.
    sessionsMax: clientsMax * 3 + 100,
  });
  const subjects = new Map<string, Subject>();
  const absent: Record<string, string> = {};
  const memory: Record<string, Memory | undefined> = {};
  try {
    for (const { name, start } of chosen) {
      const subject = await start(placeOf(name, folder, database.address, clientsMax, options.tls));
      if (subject instanceof Absent) {
        absent[name] = subject.reason;
        continue;
      }
      subjects.set(name, subject);
      memory[name] = await memoryOf(subject, options.idle, options.tls);
    }
    const seconds = estimateSeconds(options, subjects.size);
    console.log(
      `${options.rounds} rounds of ${options.cells.length} cells × ${subjects.size} subjects: about ${minutes(seconds)}`,
    );
    const found = await runRounds(options, subjects, database.bulk, (round, cell) =>
      progress(`${round < 0 ? 'warm-up' : `round ${round + 1} of ${options.rounds}`}: ${cell}`),
    );
    progress('');
    return {
      at: new Date().toISOString(),
      command: ['npm run bench', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(
        ' ',
      ),
      machine: machine(),
      versions: {
        node: process.version,
        'PostgreSQL server': database.version,
        ...versionsOf(['pgbench', ...subjects.keys()]),
      },
      rounds: options.rounds,
      seconds: options.seconds,
      scale: options.scale,
      copyMb: options.copyMb,
      tls: options.tls,
      units: Object.fromEntries(options.cells.map((cell) => [cellName(cell), cell.workload.unit])),
      workloads: Object.fromEntries(options.cells.map(({ workload }) => [workload.name, workload.what])),
      subjects: [...subjects.keys()],
      absent,
      memory,
      ...found,
    };
  } finally {
    for (const subject of subjects.values()) await subject.stop();
    await database.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function placeOf(name: string, folder: string, server: Address, clients: number, encrypted: boolean) {
  const account = serverAccount();
  const own = join(folder, name);
  mkdirSync(own, { mode: 0o700 });
  if (account !== undefined) chownSync(own, account.uid, account.gid);
  const tls = encrypted ? { cert: tlsFixture.cert, key: tlsFixture.key } : undefined;
  // Clients of the run before may still be on their way out when the next ones come.
  return { server, folder: own, account, sessionsMax: clients + 50, tls };
}

/** One that the account of the programs can pass through. */
function temporaryFolder(): string {
  const base = serverAccount() === undefined ? tmpdir() : foldersOutside('holdpoint-bench', false);
  const folder = mkdtempSync(join(base, 'run-'));
  chmodSync(folder, 0o711);
  return folder;
}

function minutes(seconds: number): string {
  return seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} minutes`;
}

/** On one line that is written over; silent where nobody watches. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

function missing(options: Options): string | undefined {
  const needed = new Set(options.cells.map(({ workload }) => workload.program));
  for (const name of ['pgbench', ...needed]) {
    const debian = name === 'psql' ? 'postgresql-client' : 'postgresql-contrib';
    if (findProgram({ names: [name], debian, variable: '' }) === undefined)
      return `${name} is not installed, and the load is made with it: apt-get install ${debian}`;
  }
  return undefined;
}

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) {
    console.log(usage);
    return 0;
  }
  const options = readOptions(args);
  const lacking = missing(options);
  if (lacking !== undefined) {
    console.error(lacking);
    return 1;
  }
  const results = await run(options);
  for (const table of tablesOf(results)) console.log(`\n${asText(table)}`);
  for (const failure of results.failures) console.log(`\nfailed: ${failure}`);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(results, null, 1)}\n`);
  if (options.svg !== undefined) writeFileSync(options.svg, chart(results));
  if (options.markdown !== undefined)
    writeFileSync(options.markdown, document(results, options.svg && basename(options.svg)));
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${usage}`);
  process.exitCode = 2;
}
