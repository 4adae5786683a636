// One PostgreSQL server as a child process: make its cluster, start it, stop it, and never leave it behind, even when
// this process is killed. Works as root, under an unprivileged account. Refuses to know what is stored in it.
// Source: PostgreSQL manual, "initdb", "postgres", "Shutting Down the Server".

import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HoldpointError } from '../errors.ts';
import { type Account, ownerAccount, serverAccount } from './account.ts';
import { type Binaries, programIn, readableBinaries } from './binaries.ts';

export interface ServerOptions {
  readonly binaries: Binaries;
  /** The cluster's folder; made and filled if it is not there. Must be reachable for the server's account. */
  readonly clusterDir: string;
  /** Default: any free port of 127.0.0.1. */
  readonly port?: number;
  /** Of the superuser `postgres`; counts when the cluster is made. */
  readonly password: string;
  /** `postgresql.conf` settings for this start. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Lines of pg_hba.conf to use instead of SCRAM for everyone on loopback. */
  readonly hba?: readonly string[];
  /** PEM texts; with them the server offers TLS. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Nothing in it need survive: no syncing to disk, and it is stopped without a checkpoint. */
  readonly ephemeral?: boolean;
}

export interface Server {
  readonly host: '127.0.0.1';
  readonly port: number;
  /** The postmaster. */
  readonly pid: number;
  readonly version: string;
  /** Settles once the server is gone, with a sentence if nobody asked for it. */
  readonly exited: Promise<string | undefined>;
  stop(): Promise<void>;
}

const startWaitMs = 30_000;
const stopWaitMs = 10_000;
const pollMs = 20;

/**
 * Starts a server and waits until it takes connections. Throws HoldpointError('bad-config') with one sentence and its
 * mend: the cluster in use, a folder that cannot be written, a server that does not run on this machine.
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const account = ownerAccount(options.clusterDir) ?? serverAccount();
  const binaries = readableBinaries(options.binaries, account);
  if (!existsSync(join(options.clusterDir, 'PG_VERSION'))) await makeCluster(binaries, options, account);
  refuseOtherVersion(options.clusterDir, binaries);
  await writeSettings(options, account);
  // Between finding a free port and taking it another process may take it.
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await freePort());
    try {
      return await launch(binaries, options, account, port);
    } catch (error) {
      const taken = error instanceof HoldpointError && error.code === 'conflict';
      if (!taken || options.port !== undefined || attempt === 3) throw error;
    }
  }
}

async function makeCluster(
  binaries: Binaries,
  options: ServerOptions,
  account: Account | undefined,
): Promise<void> {
  const { clusterDir } = options;
  await mkdir(clusterDir, { recursive: true, mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    throw unwritable(clusterDir, error.code ?? 'unknown', error);
  });
  const passwordFile = `${clusterDir}.password-${randomBytes(6).toString('hex')}`;
  try {
    await writeFile(passwordFile, `${options.password}\n`, { mode: 0o600 });
    for (const path of [clusterDir, passwordFile]) giveTo(account, path);
    const parameters = [
      '-D',
      clusterDir,
      '-U',
      'postgres',
      '-A',
      'scram-sha-256',
      `--pwfile=${passwordFile}`,
    ];
    const how = ['-E', 'UTF8', '--no-locale', ...(options.ephemeral ? ['--no-sync'] : [])];
    const child = spawn(programIn(binaries, 'initdb'), [...parameters, ...how], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: serverEnv(),
      cwd: '/',
      ...identity(account),
    });
    const { code, stderr } = await ended(child);
    if (code !== 0) throw cannotRun(`initdb ended with ${code}`, stderr);
  } catch (error) {
    // A half-made cluster would be taken for a whole one at the next start.
    rmSync(clusterDir, { recursive: true, force: true });
    if (error instanceof HoldpointError) throw error;
    throw unwritable(clusterDir, (error as NodeJS.ErrnoException).code ?? String(error), error);
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

function refuseOtherVersion(clusterDir: string, binaries: Binaries): void {
  const made = readFileSync(join(clusterDir, 'PG_VERSION'), 'utf8').trim();
  if (binaries.version.split('.')[0] === made) return;
  throw new HoldpointError(
    'bad-config',
    `the data in ${clusterDir} is of PostgreSQL ${made}, the server is ${binaries.version}; move the folder away and start again`,
  );
}

/** What holds for every start goes to files: a command line is readable to everyone on the machine. */
async function writeSettings(options: ServerOptions, account: Account | undefined): Promise<void> {
  const { clusterDir, ephemeral, tls } = options;
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    // No socket file: nothing of ours lies outside the folder.
    unix_socket_directories: '',
    ...(ephemeral ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } : {}),
    ...(tls ? { ssl: 'on', ssl_cert_file: 'server.crt', ssl_key_file: 'server.key' } : {}),
    ...options.settings,
  };
  const lines = Object.entries(settings).map(
    ([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`,
  );
  const hba = options.hba ?? ['host all all 127.0.0.1/32 scram-sha-256'];
  const files: Record<string, string> = {
    'postgresql.auto.conf': lines.join(''),
    'pg_hba.conf': `${hba.join('\n')}\n`,
    ...(tls ? { 'server.crt': tls.cert, 'server.key': tls.key } : {}),
  };
  for (const [name, text] of Object.entries(files)) {
    const path = join(clusterDir, name);
    await writeFile(path, text, { mode: 0o600 });
    chmodSync(path, 0o600);
    giveTo(account, path);
  }
}

// The shell between this process and the server is the one that stays when this process is killed: its standard input
// ends then, and it stops the server. $1 is the signal, the rest the command.
const keeper = `
exec 3<&0 </dev/null
signal=$1; shift
"$@" 3<&- & server=$!
{ read -r _ <&3; kill -s "$signal" $server; } 2>/dev/null & watch=$!
exec 3<&-
wait $server; status=$?
kill $watch 2>/dev/null
exit $status
`;

async function launch(
  binaries: Binaries,
  options: ServerOptions,
  account: Account | undefined,
  port: number,
): Promise<Server> {
  const { clusterDir, ephemeral } = options;
  const logFile = join(clusterDir, 'server.log');
  rmSync(logFile, { force: true });
  const log = openSync(logFile, 'a', 0o600);
  // Fast shutdown ends sessions and writes a checkpoint; immediate only ends.
  const signal = ephemeral ? 'QUIT' : 'INT';
  const command = [programIn(binaries, 'postgres'), '-D', clusterDir, '-p', String(port)];
  const child = spawn('/bin/sh', ['-c', keeper, 'keeper', signal, ...command], {
    stdio: ['pipe', log, log],
    // A session of its own: Ctrl-C in the terminal must reach only us, who stop the server in order.
    detached: true,
    env: serverEnv(),
    cwd: '/',
    ...identity(account),
  });
  closeSync(log);
  // The pipe breaks if the keeper dies first; that is seen as its exit.
  child.stdin?.on('error', () => {});
  let asked = false;
  const gone = ended(child);
  const exited = gone.then(({ code }) =>
    asked ? undefined : `the embedded PostgreSQL ended with ${code}: ${lastLine(logFile)}`,
  );
  const pid = await ready(clusterDir, gone, logFile, port);
  return {
    host: '127.0.0.1',
    port,
    pid,
    version: binaries.version,
    exited,
    async stop() {
      asked = true;
      child.stdin?.end();
      const late = await Promise.race([gone, sleep(stopWaitMs, 'late' as const, { ref: false })]);
      if (late !== 'late') return;
      // SIGQUIT: the postmaster ends all its children at once, then itself.
      if (child.exitCode === null) process.kill(pid, 'SIGQUIT');
      await gone;
    },
  };
}

/** The postmaster's pid, once its pid file says `ready`. Cheaper than connecting, and needs no password. */
async function ready(
  clusterDir: string,
  gone: Promise<unknown>,
  logFile: string,
  port: number,
): Promise<number> {
  const pidFile = join(clusterDir, 'postmaster.pid');
  let dead = false;
  void gone.then(() => {
    dead = true;
  });
  for (let waitedMs = 0; waitedMs < startWaitMs; waitedMs += pollMs) {
    if (dead) throw whyNot(clusterDir, logFile, port);
    const lines = existsSync(pidFile) ? readFileSync(pidFile, 'utf8').split('\n') : [];
    // The file of a server that was killed names another port or is replaced within moments.
    if (lines[7]?.trim() === 'ready' && lines[3]?.trim() === String(port)) return Number(lines[0]);
    await sleep(pollMs);
  }
  throw cannotRun(`PostgreSQL was not ready within ${startWaitMs} ms`, lastLine(logFile));
}

function whyNot(clusterDir: string, logFile: string, port: number): HoldpointError {
  const log = existsSync(logFile) ? readFileSync(logFile, 'utf8') : '';
  const other = /Is another postmaster \(PID (\d+)\) running/.exec(log);
  if (other !== null) {
    return new HoldpointError(
      'bad-config',
      `another PostgreSQL (process ${other[1]}) runs on ${clusterDir}; stop it, or choose another data folder`,
    );
  }
  if (/Address already in use/.test(log)) {
    return new HoldpointError(
      'conflict',
      `port ${port} of 127.0.0.1 is in use; stop what listens there, or choose another port`,
    );
  }
  return cannotRun('the embedded PostgreSQL did not start', lastLine(logFile));
}

function cannotRun(what: string, output: string): HoldpointError {
  const library = /loading shared libraries: ([^:]+)/.exec(output)?.[1];
  if (library !== undefined) {
    return new HoldpointError(
      'bad-config',
      `the embedded PostgreSQL needs the library ${library}, which this machine lacks; install it, or set DATABASE_URL to a server of yours`,
    );
  }
  const line = output.trim().split('\n').at(-1) ?? '';
  return new HoldpointError(
    'bad-config',
    `${what}: ${line || 'it said nothing'}; set DATABASE_URL to use a server of yours`,
  );
}

function unwritable(folder: string, code: string, cause: unknown): HoldpointError {
  return new HoldpointError(
    'bad-config',
    `cannot write in ${folder}: ${code}; make it writable or choose another dataDir`,
    { cause },
  );
}

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function lastLine(logFile: string): string {
  const lines = existsSync(logFile) ? readFileSync(logFile, 'utf8').trim().split('\n') : [];
  return lines.findLast((line) => /FATAL|PANIC|ERROR|error/.test(line)) ?? lines.at(-1) ?? '';
}

function ended(child: ChildProcess): Promise<{ code: number | string | null; stderr: string }> {
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    // Enough for the sentence that matters, whatever the program says.
    stderr = (stderr + text).slice(-8192);
  });
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: error.message, stderr }));
    child.once('close', (code, signal) => resolve({ code: code ?? signal, stderr }));
  });
}

/** PG* variables of the user's would reach the server and its messages; the locale must be the same everywhere. */
function serverEnv(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}

function identity(account: Account | undefined): { uid?: number; gid?: number } {
  return account === undefined ? {} : { uid: account.uid, gid: account.gid };
}

function giveTo(account: Account | undefined, path: string): void {
  if (account !== undefined) chownSync(path, account.uid, account.gid);
}
