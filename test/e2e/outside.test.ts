// A target that releases held statements only once a witness has cosigned the log of them: a real witness in another
// process, killed and started again while an agent waits.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Anchoring } from '../../src/cli/anchoring.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import { FolderSource, findLogs } from '../../verify/src/source.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { errorFields, type RawClient } from '../support/raw.ts';

let database: TestDatabase;
let direct: pg.Client;
let dataDir: string;
let witnessDir: string;
let guard: Guard;
let witness: ChildProcess;
let port: number;
let key: string;

beforeAll(async () => {
  database = await createDatabase({ shop: true });
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  dataDir = await mkdtemp(join(tmpdir(), 'holdpoint-outside-'));
  witnessDir = await mkdtemp(join(tmpdir(), 'holdpoint-witness-'));
  // Its first start gives the log its key; then the witness can know it.
  await (await startGuard({ url: database.url, dataDir })).close();
  await startWitness(0);
  guard = await startGuard({
    url: database.url,
    dataDir,
    outside: 'witness',
    audit: { witnesses: [{ url: `http://127.0.0.1:${port}`, key }], anchorMs: 1500, checkpointMs: 50 },
  });
}, 60_000);

afterAll(async () => {
  await direct?.end();
  await guard?.close();
  witness?.kill('SIGKILL');
  await database?.drop();
  for (const dir of [dataDir, witnessDir]) rmSync(dir, { recursive: true, force: true });
});

async function startWitness(on: number): Promise<void> {
  const main = join(import.meta.dirname, '../../src/cli/main.ts');
  const log = Anchoring.vkey(dataDir, 'holdpoint');
  const flags = [
    '--listen',
    `127.0.0.1:${on}`,
    '--dir',
    witnessDir,
    '--log',
    log,
    '--name',
    'witness.test/w',
  ];
  witness = spawn(process.execPath, [main, 'witness', ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
  const said: string[] = [];
  for await (const line of createInterface({ input: witness.stdout! })) {
    said.push(line);
    if (line.startsWith('  log ')) break;
  }
  port = Number(/:(\d+)$/.exec(said[0]!)![1]);
  key = / key (\S+)$/.exec(said[1]!)![1]!;
}

/** What the agent is answered once a person has approved it. */
async function approved(client: RawClient, text: string): Promise<string[]> {
  client.send(query(text));
  await client.take(1);
  await guard.approveNext();
  const replies = await client.until('Z');
  return replies.map((reply) => {
    const error = reply.letter === 'E' ? errorFields(reply) : undefined;
    return error === undefined ? `${reply.letter} ${reply.summary}` : `E ${error.get('C')} ${error.get('M')}`;
  });
}

test('a held statement waits for the witness, is refused without it, and runs when it is back', async () => {
  const client = await guard.connect();
  await direct.query('create table first as select 1 as a; create table second as select 1 as a');
  expect(await approved(client, 'drop table first')).toEqual(['C DROP TABLE', 'Z I']);

  const died = once(witness, 'exit');
  witness.kill('SIGKILL');
  await died;
  const [error, ...rest] = await approved(client, 'drop table second');
  expect(error).toMatch(/^E 58030 this target releases a held statement only once a witness has cosigned/);
  expect(error).toContain('within 1500 ms');
  expect(rest).toEqual(['Z I']);
  expect((await direct.query('select a from second')).rows).toHaveLength(1);
  // The session goes on, and reads need no witness.
  client.send(query('select 1'));
  expect((await client.until('Z')).map(({ letter }) => letter).join('')).toBe('TDCZ');

  await startWitness(port);
  expect(await approved(client, 'drop table second')).toEqual(['C DROP TABLE', 'Z I']);
  await expect(direct.query('select a from second')).rejects.toThrow('does not exist');
  client.destroy();

  await guard.close();
  const [source] = findLogs(dataDir);
  expect(source).toBeInstanceOf(FolderSource);
  // Every intent has its one outcome, also the one that was not let go.
  const report = await verifyLog(source!);
  expect(report).toMatchObject({ ok: true, ended: true, kinds: { intent: 3 } });
}, 60_000);
