// A program of the machine as a subject: found, started as an account that it accepts, waited for until a client can
// log in, ended. Refuses to know any program's configuration.

import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findProgram } from '../../test/support/programs.ts';
import { RawClient } from '../../test/support/raw.ts';
import { Absent, type Address, type Place, type Subject } from './subject.ts';

const startMs = 15_000;
const pollMs = 50;
const stopMs = 5000;

/** The path of a program, or why it is not here. Debian keeps daemons where a plain user's PATH may not lead. */
export function found(name: string, debian: string): string | Absent {
  const variable = `HOLDPOINT_BENCH_${name.toUpperCase()}`;
  const inPath = findProgram({ names: [name], debian, variable });
  const inSbin = join('/usr/sbin', name);
  return inPath ?? (existsSync(inSbin) ? inSbin : new Absent(`not installed: apt-get install ${debian}`));
}

/** Writes a file that the program may read, and nobody else. */
export function writeFor({ folder, account }: Place, name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text, { mode: 0o600 });
  if (account !== undefined) chownSync(file, account.uid, account.gid);
  return file;
}

export async function startProgram(
  command: readonly string[],
  place: Place,
  address: Address,
): Promise<Subject | Absent> {
  const { uid, gid } = place.account ?? {};
  const child = spawn(command[0]!, command.slice(1), {
    cwd: place.folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid === undefined || gid === undefined ? {} : { uid, gid }),
  });
  const said = lastWords(child);
  // Where the bench ends before its end, nobody else would end the program.
  const kill = () => void child.kill('SIGINT');
  process.once('exit', kill);
  child.once('exit', () => process.off('exit', kill));
  const why = await untilLogin(child, address, place.tls !== undefined);
  if (why === undefined) return { address, pid: child.pid, stop: () => end(child) };
  await end(child);
  return new Absent(`did not start: ${said() || why}`);
}

/** Undefined once a client could log in; else why none could. */
async function untilLogin(
  child: ChildProcess,
  address: Address,
  encrypted: boolean,
): Promise<string | undefined> {
  let why = 'it ended at once';
  for (let waitedMs = 0; waitedMs < startMs; waitedMs += pollMs) {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return why;
    try {
      const client = await logIn(address, encrypted);
      client.destroy();
      return undefined;
    } catch (error) {
      why = (error as Error).message;
    }
    await sleep(pollMs);
  }
  return why;
}

/** A session of its own, logged in. */
export async function logIn(address: Address, encrypted: boolean): Promise<RawClient> {
  const { host, port } = address;
  const client = await RawClient.connect(host, port, encrypted ? { rejectUnauthorized: false } : undefined);
  try {
    await client.login(address);
    return client;
  } catch (error) {
    client.destroy();
    throw error;
  }
}

function lastWords(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (more: string) => {
      text = (text + more).slice(-4096);
    });
  }
  child.once('error', (error) => {
    text += error.message;
  });
  return () => text.trim().split('\n').at(-1) ?? '';
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  // SIGINT is the quick end of each of these programs, which does not wait for sessions.
  child.kill('SIGINT');
  const late = await Promise.race([gone, sleep(stopMs, 'late', { ref: false })]);
  if (late !== 'late') return;
  child.kill('SIGKILL');
  await gone;
}
