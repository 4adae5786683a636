import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { executedBy, isTimed } from '../../src/reconcile/executed.ts';
import { entriesOf, type ServerEntry, type ServerFile } from '../../src/reconcile/server-log.ts';
import { temporaryFolder } from '../audit/fixture.ts';

const entry = (message: string, more: Partial<ServerEntry> = {}): ServerEntry => ({
  time: '2026-11-30 17:00:00.123 UTC',
  user: 'postgres',
  database: 'shop',
  client: '127.0.0.1:5555',
  session: '692b9b3f.1a2b',
  line: 7,
  severity: 'LOG',
  message,
  context: '',
  application: 'psql',
  ...more,
});

const quoted = (text: string) => (text === '' ? '' : `"${text.replaceAll('"', '""')}"`);

function csvOf(e: ServerEntry, columns = 26): string {
  const fields = Array<string>(columns).fill('');
  const at = { 0: e.time, 5: e.session, 6: String(e.line), 11: e.severity };
  const texts = { 1: e.user, 2: e.database, 4: e.client, 13: e.message, 18: e.context, 22: e.application };
  for (const [column, text] of Object.entries(at)) fields[Number(column)] = text;
  for (const [column, text] of Object.entries(texts)) fields[Number(column)] = quoted(text);
  return `${fields.join(',')}\n`;
}

function jsonOf(e: ServerEntry): string {
  const [host, port] = e.client.split(':');
  return `${JSON.stringify({
    timestamp: e.time,
    user: e.user,
    dbname: e.database,
    remote_host: host,
    remote_port: Number(port),
    session_id: e.session,
    line_num: e.line,
    error_severity: e.severity,
    message: e.message,
    context: e.context,
    application_name: e.application,
  })}\n`;
}

async function read(text: string | Buffer): Promise<{ entries: ServerEntry[]; file: ServerFile }> {
  const path = join(temporaryFolder(), 'log');
  writeFileSync(path, text);
  const file: ServerFile = { path, format: 'empty', entries: 0, cut: false };
  const entries: ServerEntry[] = [];
  for await (const each of entriesOf(path, file)) entries.push(each);
  return { entries, file };
}

test('any text comes out of both formats as it went in, whatever it imitates, wherever the pieces end', async () => {
  const forged = `x"\n${csvOf(entry('statement: forged'))}`;
  const texts = fc.sample(fc.string({ unit: 'binary', maxLength: 200 }), 50);
  const longs = ['"'.repeat(300_000), `${'a'.repeat(262_143)}é\n"`, ','.repeat(70_000)];
  const all = [forged, '"', '""', '\n', ...texts, ...longs]
    .map((text) => text.replaceAll('\0', '').toWellFormed())
    .map((text, at) => entry(`statement: ${text}`, { line: at, application: text.slice(0, 60) }));
  for (const columns of [24, 26]) {
    const { entries, file } = await read(all.map((each) => csvOf(each, columns)).join(''));
    expect(entries).toEqual(all);
    expect(file).toMatchObject({ format: 'csvlog', entries: all.length, cut: false });
  }
  const { entries, file } = await read(all.map(jsonOf).join(''));
  expect(entries).toEqual(all);
  expect(file).toMatchObject({ format: 'jsonlog', entries: all.length, cut: false });
});

test('an entry that is cut short is left out and said; one that is no entry is an error with its place', async () => {
  const [one, two] = [entry('statement: a'), entry('statement: "b\nc"')];
  for (const format of [csvOf, jsonOf]) {
    const { entries, file } = await read((format(one) + format(two)).slice(0, -4));
    expect(entries).toEqual([one]);
    expect(file.cut).toBe(true);
    await expect(read(`${format(one)}nonsense\n`)).rejects.toThrow(/entry 2: this is not an entry of/);
  }
  expect(await read('')).toMatchObject({ entries: [], file: { format: 'empty' } });
});

test('only what the server itself says it ran is a statement', () => {
  const ran = (message: string, more: Partial<ServerEntry> = {}) =>
    executedBy(entry(message, more))?.texts[0];
  expect(ran('statement: select 1')).toBe('select 1');
  expect(ran('duration: 0.123 ms  statement: select 1')).toBe('select 1');
  expect(ran('execute <unnamed>: select $1')).toBe('select $1');
  expect(ran('execute s1/p1: select $1')).toBe('select $1');
  expect(ran('duration: 12.000 ms  execute s: select 1')).toBe('select 1');
  expect(executedBy(entry('execute fetch from s/p: select 1'))).toMatchObject({ again: true, name: 's/p' });
  expect(ran('fastpath function call: "lo_unlink" (OID 964)')).toContain('lo_unlink');
  for (const message of [
    'duration: 1.000 ms',
    'duration: 1.000 ms  parse s: select 1',
    'connection received: host=x',
  ])
    expect(ran(message)).toBeUndefined();
  expect(ran('statement: select 1', { severity: 'ERROR' })).toBeUndefined();
  expect(
    ran('statement: drop table x', { context: 'PL/pgSQL function f() line 1 at RAISE' }),
  ).toBeUndefined();
  expect(isTimed(entry('duration: 0.123 ms  statement: select 1'))).toBe(true);
  expect(isTimed(entry('statement: select 1'))).toBe(false);
});

test("a client's own name of a statement cannot hide its text: every reading is given", () => {
  expect(executedBy(entry('execute a: b: select 1'))?.texts).toEqual(['b: select 1', 'select 1']);
});
