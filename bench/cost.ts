// What does guarding cost? The same load through Holdpoint, a bare relay, HAProxy, PgBouncer, pgpool-II and straight to
// the server, in turns: throughput, latency, CPU time and memory, and whether the targets are reached.
// Run: npm run bench -- --help

import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { foldersOutside, serverAccount } from '../src/demo/account.ts';
import { tlsFixture } from '../test/support/postgres.ts';
import { chart } from './cost/chart.ts';
import { startDatabase } from './cost/database.ts';
import { document } from './cost/document.ts';
import { holdpointVersion, installed, machine, versionsOf } from './cost/machine.ts';
import { type Options, readOptions, UsageError, usage } from './cost/options.ts';
import type { Results } from './cost/results.ts';
import { cellName, estimateSeconds, runRounds } from './cost/rounds.ts';
import { Stage } from './cost/stage.ts';
import { asText, tablesOf } from './cost/table.ts';
import type { Address } from './subjects/subject.ts';

async function run(options: Options): Promise<Results> {
  const folder = temporaryFolder();
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
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
  const stage = new Stage();
  try {
    await stage.fill(options, (name) => placeOf(name, folder, database.address, clientsMax, options.tls));
    const found = await runRounds(options, stage.subjects, database.bulk, progress);
    progress('');
    const { rounds, seconds, cells, scale, copyMb, tls } = options;
    return {
      at: new Date().toISOString(),
      command: ['npm run bench', ...(process.argv.length > 2 ? ['--'] : []), ...process.argv.slice(2)].join(
        ' ',
      ),
      machine: machine(),
      versions: {
        holdpoint: holdpointVersion(),
        node: process.version,
        'PostgreSQL server': database.version,
        ...versionsOf(['pgbench', ...stage.subjects.keys()]),
      },
      ...{ rounds, seconds, scale, copyMb, tls },
      units: Object.fromEntries(cells.map((cell) => [cellName(cell), cell.workload.unit])),
      workloads: Object.fromEntries(cells.map(({ workload }) => [workload.name, workload.what])),
      subjects: [...stage.subjects.keys()],
      absent: stage.absent,
      memory: stage.memory,
      cells: found.cells,
      failures: [...stage.failures, ...found.failures],
    };
  } finally {
    await stage.clear();
    await database.stop();
    remove();
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

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) {
    console.log(usage);
    return 0;
  }
  const asked = readOptions(args);
  if (!installed('pgbench')) {
    console.error(
      'pgbench is not installed, and the load is made with it: apt-get install postgresql-contrib',
    );
    return 1;
  }
  const cells = asked.cells.filter(({ workload }) => installed(workload.program));
  if (cells.length < asked.cells.length)
    console.log('psql is not installed, so no COPY is measured: apt-get install postgresql-client');
  const options = { ...asked, cells };
  const { rounds, subjects } = options;
  const time = minutes(estimateSeconds(options, subjects.length));
  console.log(`${rounds} rounds of ${cells.length} cells × ${subjects.length} subjects: about ${time}`);
  const results = await run(options);
  for (const table of tablesOf(results)) console.log(`\n${asText(table)}`);
  for (const failure of results.failures) console.log(`\nfailed: ${failure}`);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(results, null, 1)}\n`);
  if (options.svg !== undefined) writeFileSync(options.svg, chart(results));
  if (options.markdown !== undefined)
    writeFileSync(options.markdown, document(results, options.svg && basename(options.svg)));
  return 0;
}

// So that `exit` is heard of, by which programs are ended.
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${usage}`);
  process.exitCode = 2;
}
