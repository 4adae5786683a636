// The same scripts at two proxies, one of them without anything native: their clients get the same bytes, their logs the
// same records, and nothing is held or refused in one and not in the other. Each is a process of its own, since that is
// what the variable counts for.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JWK } from 'jose';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeAuditorKey } from '../../src/cli/auditor-key.ts';
import { hasHop } from '../../src/hop/descriptor.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import type { GuardOptions } from '../support/holdpoint.ts';
import { comparable, loginsOf, type Played, play, type Trail, trailOf, valuesOf } from '../support/lane.ts';
import { createDatabase, type TestDatabase, tlsFixture } from '../support/postgres.ts';
import type { RawClient } from '../support/raw.ts';
import { roundRules, roundTables, type Script, scriptOf } from '../support/rounds.ts';
import { type Line, records, verified } from '../support/trail.ts';
import { startTwin, type Twin, type TwinGuard } from '../support/twin.ts';

/** Scripts of a run, and where their seeds begin; more on request. */
const scripts = Number(process.env.HOLDPOINT_FUZZ_SCRIPTS ?? 96);
const seed = Number(process.env.HOLDPOINT_FUZZ_SEED ?? 1);
/** Scripts that a pair of guards is started for, and that run at the same time. */
const batchMax = Math.min(64, Math.ceil(scripts / 4));
const together = 8;

const natives = ['on', 'off'] as const;
let folder: string;
let auditorFile: string;
let auditorKey: JWK;
let rules: string;
/** Twins of one another: every object has the same OID in both. */
let databases: TestDatabase[];
let twins: Twin[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdpoint-lane-'));
  rules = join(folder, 'rules.yaml');
  writeFileSync(rules, roundRules);
  auditorFile = join(folder, 'auditor.jwk');
  auditorKey = (await makeAuditorKey(auditorFile)).jwk;
  const first = await createDatabase();
  const direct = new pg.Client({ connectionString: first.url });
  await direct.connect();
  await direct.query(roundTables);
  await direct.end();
  databases = [first, await createDatabase({ template: first.name })];
  twins = natives.map(startTwin);
});

afterAll(async () => {
  for (const twin of twins ?? []) await twin.kill();
  for (const database of databases ?? []) await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

type Audit = NonNullable<GuardOptions['audit']>;

/** What may make a difference to how records are made, and to when answers go on. */
const modes: Readonly<Record<string, () => Audit>> = {
  commitments: () => ({ values: 'none' }),
  'values for auditors': () => ({ values: 'auditor', auditorKeys: [auditorKey] }),
  'clear values': () => ({ values: 'clear' }),
  'answers behind the disk': () => ({ values: 'none', reads: 'output-commit' }),
};
const modeNames = Object.keys(modes);

/** How the clients come: as descriptors, or as streams of JavaScript's that are fed to the lane. */
const legs = ['plaintext', 'TLS'] as const;
type Leg = (typeof legs)[number];

/** What one guard made of the scripts. */
interface Told {
  readonly played: readonly Played[];
  readonly log: readonly Line[];
  readonly values: ReadonlyMap<number, readonly string[]>;
  /** Statements that went without being judged again. */
  readonly repeated: number;
}

/** Plays the scripts, several at a time, at a guard of the twin's that is started and ended for them. */
async function told(at: number, batch: readonly Script[], audit: Audit, leg: Leg): Promise<Told> {
  const dataDir = mkdtempSync(join(folder, 'guard-'));
  const setting = {
    url: databases[at]!.url,
    rules,
    dataDir,
    audit,
    ...(leg === 'TLS' && { tls: { cert: tlsFixture.cert, key: tlsFixture.key } }),
  };
  const guard = await twins[at]!.start(setting);
  const loginOf = loginsOf();
  const keeping = await keeper(guard);
  loginOf(keeping);
  const played: Played[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < batch.length) {
      const index = next;
      next += 1;
      const script = batch[index]!;
      try {
        const client = await guard.connect();
        played[index] = await play(script, client, loginOf(client));
      } catch (cause) {
        throw new Error(`${natives[at]}: ${nameOf(script)}: ${(cause as Error).message}`, { cause });
      }
    }
  };
  await Promise.all(Array.from({ length: together }, worker));
  keeping.destroy();
  const repeated = await guard.repeated();
  await guard.close();
  expect(await verified(guard.auditDir), natives[at]).toMatchObject({ code: 0 });
  const log = records(guard.auditDir);
  const values = audit.values === 'auditor' ? await valuesOf(guard.auditDir, auditorFile, log) : new Map();
  return { played, log, values, repeated };
}

/**
 * A client of a guard that has read the catalog, which it keeps while the client is there. Until then what a statement names
 * is unknown: whoever names something waits for it.
 */
async function keeper(guard: TwinGuard): Promise<RawClient> {
  const client = await guard.connect();
  client.patienceMs = 60_000;
  client.send(query('select count(*) from r'));
  await client.until('Z');
  return client;
}

function nameOf({ seed, writes }: Script): string {
  return `script ${seed} (HOLDPOINT_FUZZ_SCRIPTS=1 HOLDPOINT_FUZZ_SEED=${seed}), ${writes.length} writes`;
}

/** The script around a write, for a message. */
function around({ writes }: Script, at: number): string {
  const from = Math.max(0, at - 6);
  return writes
    .slice(from, at + 3)
    .map(
      ({ label, until, cuts }, index) =>
        `${from + index === at ? '>' : ' '} ${from + index} ${until} [${cuts}] ${label.slice(0, 150)}`,
    )
    .join('\n');
}

/** Fails with the first byte that differs and the write that it answers. */
function compareBytes(script: Script, [one, other]: readonly [Played, Played]): void {
  const [mine, theirs] = [comparable(one.bytes), comparable(other.bytes)];
  if (mine.equals(theirs)) return;
  // Whatever was under way when the connection ended may have come or not.
  const common = Math.min(mine.length, theirs.length);
  let at = 0;
  while (at < common && mine[at] === theirs[at]) at += 1;
  const write = one.begins.findLastIndex((begin) => begin <= at);
  if (script.torn && at === common && write === script.writes.length - 1) return;
  const shown = (bytes: Buffer) => JSON.stringify(bytes.toString('latin1', Math.max(0, at - 60), at + 200));
  expect.fail(
    `other bytes from ${at} of ${mine.length} and ${theirs.length} on: ${nameOf(script)}\n${around(script, write)}\non:  ${shown(mine)}\noff: ${shown(theirs)}`,
  );
}

/** What of the records can be compared, where something of them depends on who was faster. */
function settled({ racing, torn }: Script, { statements, outcomes }: Trail): unknown[] {
  return statements.map((statement, at) => {
    const { tx, ...rest } = statement;
    const last = torn && at === statements.length - 1;
    return [racing ? rest : statement, last ? 'something' : outcomes[at]];
  });
}

/** Without the last statement of the one that has one more. */
function commonOf(trails: readonly Trail[]): readonly Trail[] {
  const least = Math.min(...trails.map(({ seqs }) => seqs.length));
  return trails.map((trail) => {
    const { statements, outcomes, seqs } = trail;
    if (seqs.length !== least + 1) return trail;
    return { statements: statements.slice(0, -1), outcomes: outcomes.slice(0, -1), seqs: seqs.slice(0, -1) };
  });
}

function compareRecords(script: Script, [one, other]: readonly [Told, Told], index: number): void {
  const trails = [one, other].map(({ log, played }) => trailOf(log, played[index]!.login));
  for (const { outcomes, statements } of trails)
    outcomes.forEach((list, at) => {
      if (list.length !== 1)
        expect.fail(`${list.length} outcomes of ${JSON.stringify(statements[at])}: ${nameOf(script)}`);
    });
  // What nobody waited for may have come too late to be read.
  const common = script.writes.at(-1)!.until === 'gone' ? commonOf(trails) : trails;
  const [mine, theirs] = common.map((trail) => settled(script, trail)) as [unknown[], unknown[]];
  for (let at = 0; at < Math.max(mine.length, theirs.length); at += 1)
    expect(mine[at], `record ${at} of ${mine.length} and ${theirs.length}: ${nameOf(script)}`).toEqual(
      theirs[at],
    );
  const values = [one, other].map(({ values }, at) => common[at]!.seqs.map((seq) => values.get(seq)));
  expect(values[0], `values: ${nameOf(script)}`).toEqual(values[1]);
}

describe('random scripts', () => {
  const all = Array.from({ length: scripts }, (_, at) => scriptOf(seed + at));
  const batches = Array.from({ length: Math.ceil(scripts / batchMax) }, (_, at) =>
    all.slice(at * batchMax, (at + 1) * batchMax),
  );

  test.runIf(scripts >= 50)('most of their rounds are such as the lane takes', () => {
    const sum = (of: (script: Script) => number) => all.reduce((total, script) => total + of(script), 0);
    expect(sum(({ fit }) => fit) / sum(({ rounds }) => rounds)).toBeGreaterThan(0.6);
  });

  // One script, of a message of before, in every mode: it does not say in which it failed.
  const each =
    batches.length < modeNames.length
      ? modeNames.flatMap((mode) => batches.map((batch, at) => ({ batch, at, mode })))
      : batches.map((batch, at) => ({ batch, at, mode: modeNames[at % modeNames.length]! }));
  test.each(legs.flatMap((leg) => each.map((one) => ({ ...one, leg }))))(
    'batch $at, $mode, $leg',
    async ({ batch, mode, leg }) => {
      const audit = modes[mode]!();
      const both = (await Promise.all(twins.map((_, at) => told(at, batch, audit, leg)))) as [Told, Told];
      batch.forEach((script, index) => {
        compareBytes(script, [both[0].played[index]!, both[1].played[index]!]);
        compareRecords(script, both, index);
      });
      // Else nothing was compared.
      const isTaken = hasHop() && audit.values !== 'clear' && audit.reads === undefined;
      expect(both.map(({ repeated }) => repeated > batch.length)).toEqual(
        natives.map((native) => native === 'on' && isTaken),
      );
    },
    600_000,
  );
});
