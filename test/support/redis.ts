// A real Redis for the tests: the machine's redis-server, else one in a Docker container. It keeps nothing, and ends
// when the process that started it does.

import { spawn } from 'node:child_process';
import { freePort } from '../../src/demo/postgres.ts';
import { dockerAnswers, findProgram, programs } from './programs.ts';

export interface TestRedis {
  /** `redis://127.0.0.1:PORT` */
  readonly url: string;
  readonly port: number;
  stop(): Promise<void>;
}

// Ends the server when its standard input ends, which it does when the test process is gone, however it went.
const keeper = `exec 3<&0 </dev/null
"$@" 3<&- & server=$!
{ read -r _ <&3; kill $server; } 2>/dev/null & watch=$!
exec 3<&-
wait $server; kill $watch 2>/dev/null`;

export async function startRedis(): Promise<TestRedis> {
  const port = await freePort();
  const program = findProgram(programs['redis-server']);
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  if (program === undefined && !dockerAnswers()) {
    throw new Error('There is no redis-server on PATH; install it (Debian: redis-server), or start Docker.');
  }
  const command =
    program === undefined
      ? ['docker', 'run', '--rm', '--init', '--network', 'host', 'redis:8', 'redis-server', ...settings]
      : [program, ...settings];
  const child = spawn('/bin/sh', ['-c', keeper, 'keeper', ...command], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output = (output + chunk).slice(-4096);
      if (output.includes('Ready to accept connections')) resolve();
    });
    child.once('error', reject);
    void gone.then(() => reject(new Error(`redis-server ended: ${output}`)));
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    async stop() {
      child.stdin.end();
      await gone;
    },
  };
}
