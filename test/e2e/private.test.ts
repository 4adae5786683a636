// A held statement where the log is private: the approver sees and signs every value, the log has none, the auditor opens
// what was shown and what ran, and what is erased is gone while every proof stays.

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { open } from '../../src/cli/audit-open.ts';
import { redact } from '../../src/cli/audit-redact.ts';
import { who } from '../../src/cli/audit-who.ts';
import { makeAuditorKey } from '../../src/cli/auditor-key.ts';
import { checkBundle } from '../../verify/src/bundle.ts';
import { findLogs } from '../../verify/src/source.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';

let folder: string;
let key: string;
let database: TestDatabase;
let guard: Guard;
let client: pg.Client;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdpoint-private-'));
  key = join(folder, 'auditor.jwk');
  const { jwk } = await makeAuditorKey(key);
  database = await createDatabase({ shop: true });
  guard = await startGuard({
    url: database.url,
    audit: { values: 'auditor', auditorKeys: [jwk], sealMs: 1 },
  });
  client = new pg.Client({ connectionString: guard.url });
  await client.connect();
});

afterAll(async () => {
  await client?.end();
  await guard?.close();
  await database?.drop();
  rmSync(folder, { recursive: true, force: true });
});

type Line = Record<string, unknown> & { kind: string; seq: number };

function records(): Line[] {
  return readFileSync(join(guard.auditDir, readdirSync(guard.auditDir)[0]!, 'seg-00000000.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
}

function everyByte(path: string): string {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => join(path, name))
    .filter((name) => statSync(name).isFile())
    .map((name) => readFileSync(name, 'latin1'))
    .join('\n');
}

async function holds(): Promise<void> {
  for (const source of findLogs(guard.auditDir)) {
    const { ok, findings } = await verifyLog(source, { live: true });
    expect({ ok, findings }).toEqual({ ok: true, findings: [] });
  }
}

const silent = { out: () => undefined, err: () => undefined };

test('the approver sees all of it, the log none of it, and the auditor opens what was shown and what ran', async () => {
  const sql =
    "/* reason: for mallory@example.org */ delete from customers where email = 'alice-7781@example.org' and id <> $1";
  const running = client.query(sql, [445566]);
  const id = (await guard.pending(1))[0]!.id;
  const view = await guard.show(id);
  expect(view.sql.lines.flat().join('')).toContain("'alice-7781@example.org'");
  expect(view.parameters?.[0]?.value.lines.flat().join('')).toBe('445566');
  expect(view.secret).toBe(false);
  expect(view.request).not.toContain('alice-7781');
  await guard.decide(id, 'approve');
  await running;
  await expect.poll(() => records().filter(({ kind }) => kind === 'outcome').length).toBeGreaterThan(0);

  const logged = everyByte(guard.auditDir);
  for (const value of ['alice-7781', '445566', 'mallory@example.org']) expect(logged).not.toContain(value);
  const hold = records().find((record) => record.kind === 'hold' && record.rid === id)!;
  const stmt = records().find(({ seq }) => seq === hold.ref)!;
  expect(stmt.sql).toContain('where email = $2 and id <> $1');

  expect((await open(guard.auditDir, { seq: hold.seq, value: 0, auditorKey: key })).text).toContain(
    "email = 'alice-7781@example.org'",
  );
  expect((await open(guard.auditDir, { seq: hold.seq, value: 1, auditorKey: key })).text).toContain('445566');
  expect((await open(guard.auditDir, { seq: stmt.seq, value: 0, auditorKey: key })).text).toContain(
    'alice-7781',
  );
  expect((await open(guard.auditDir, { seq: stmt.seq, value: 1, auditorKey: key })).text).toContain('445566');
  await holds();

  const bundle = join(folder, 'bundle.json');
  expect(await who(guard.auditDir, { request: id, bundle }, silent)).toBe(0);
  await redact(guard.auditDir, { seq: [stmt.seq], basis: 'GDPR Art. 17', by: 'dpo' });
  for (const seq of [stmt.seq, hold.seq])
    await expect(open(guard.auditDir, { seq, value: 0, auditorKey: key })).rejects.toThrow(
      /is kept: they were erased/,
    );
  expect(records().find(({ kind }) => kind === 'redact')).toMatchObject({
    seqs: [stmt.seq, hold.seq].sort((a, b) => a - b),
    basis: 'GDPR Art. 17',
    by: 'dpo',
  });
  await holds();
  // What was handed out before, and what is made now, both hold.
  await checkBundle(readFileSync(bundle, 'utf8'));
  expect(await who(guard.auditDir, { request: id, bundle, whole: true }, silent)).toBe(0);
  const bundled = await checkBundle(readFileSync(bundle, 'utf8'));
  expect(bundled.story?.uses).toHaveLength(1);
});

test('an EXECUTE of a prepared statement quotes its text to the approver, not to the log', async () => {
  await client.query(
    "prepare gone (text) as delete from customers where email = $1 or email = 'carol-9911@example.org'",
  );
  const running = client.query("execute gone ('dave-3322@example.org')");
  const id = (await guard.pending(1))[0]!.id;
  const view = await guard.show(id);
  expect(JSON.stringify(view.statements)).toContain('carol-9911');
  await guard.decide(id, 'reject', 'no');
  await expect(running).rejects.toThrow(/no/);
  const logged = everyByte(guard.auditDir);
  for (const value of ['carol-9911', 'dave-3322']) expect(logged).not.toContain(value);
});

test('a plan is shown with its values, committed to without them, and runs', async () => {
  const texts = [
    'create table notes_4411 (body text)',
    "insert into notes_4411 values ('erin-5599@example.org')",
  ];
  const answer = await fetch(`${guard.http}/api/plans`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Authorization: `Basic ${Buffer.from(`${guard.agent}:${guard.password}`).toString('base64')}`,
    },
    body: JSON.stringify({ target: 'shop', statements: texts, reason: 'asked by frank-8833@example.org' }),
  });
  expect(answer.status).toBe(201);
  const { id } = (await answer.json()) as { id: string };
  const view = await guard.show(id);
  expect(JSON.stringify(view.plan)).toContain('erin-5599');
  expect(JSON.stringify(view.reason)).toContain('frank-8833');
  expect(view.request).not.toContain('erin-5599');
  await guard.decide(id, 'approve');
  await expect
    .poll(async () => {
      const other = new pg.Client({ connectionString: guard.url });
      await other.connect();
      try {
        for (const text of texts) await other.query({ text });
        return 'ran';
      } finally {
        await other.end();
      }
    })
    .toBe('ran');
  const logged = everyByte(guard.auditDir);
  for (const value of ['erin-5599', 'frank-8833']) expect(logged).not.toContain(value);
  const hold = records().find((record) => record.kind === 'hold' && record.rid === id)!;
  expect((await open(guard.auditDir, { seq: hold.seq, value: 0, auditorKey: key })).text).toContain(
    'erin-5599',
  );
  await holds();
});
