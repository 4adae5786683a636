import * as fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root, verify } from '../../src/cli/audit.ts';
import { proveRecord } from '../../src/cli/audit-prove.ts';
import { who } from '../../src/cli/audit-who.ts';
import { FolderSource } from '../../verify/src/source.ts';
import { logFolder, openTestLog, statement, temporaryFolder } from '../audit/fixture.ts';

function listener() {
  const heard = { out: '', err: '' };
  return {
    heard,
    out: (text: string) => {
      heard.out += text;
    },
    err: (text: string) => {
      heard.err += text;
    },
  };
}

async function folderWithLog(): Promise<{ path: string; ref: number }> {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const ref = log.append(statement(1, { dec: 'hold', rule: 'ddl', sql: 'drop table customers' }));
  const other = log.append(statement(2, { sql: 'select \u001b[31m\u202e1', agent: 'other' }));
  log.append({ kind: 'outcome', ref: other, st: 'ok', dur_us: 800 });
  log.append({ kind: 'cancel', rid: 'R1', by: 'client', reason: 'gone' });
  log.append({ kind: 'outcome', ref, st: 'canceled', sqlstate: '57014', dur_us: 1500 });
  await log.close();
  return { path, ref };
}

test('verify takes the data folder, the audit folder and the log itself', async () => {
  const { path } = await folderWithLog();
  for (const dir of [path, join(path, 'audit'), logFolder(path)]) {
    const output = listener();
    expect(await verify(dir, { gaps: true }, output)).toBe(0);
    expect(output.heard.out).toContain('holdpoint/test: verified');
    expect(output.heard.out).toContain('What these files alone cannot tell');
  }
});

test('verify names file, line and exit code of what is wrong', async () => {
  const { path } = await folderWithLog();
  const file = join(logFolder(path), 'seg-00000000.jsonl');
  const lines = fs.readFileSync(file, 'utf8').split('\n');
  const line = lines.findIndex((text) => text.includes('drop table'));
  fs.writeFileSync(file, lines.with(line, lines[line]!.replace('customers', 'orders')).join('\n'));
  const output = listener();
  expect(await verify(path, { gaps: true }, output)).toBe(10);
  expect(output.heard.out).toContain('NOT VERIFIED');
  expect(output.heard.out).toContain(`seg-00000000.jsonl line ${line + 1}: `);
  const json = listener();
  await verify(path, { gaps: true, json: true }, json);
  expect(JSON.parse(json.heard.out)).toMatchObject({
    ok: false,
    logs: [{ code: 10, findings: [{ file: 'seg-00000000.jsonl', line: line + 1 }] }],
  });
});

test('what verify prints to be remembered is what --expect takes', async () => {
  const { path } = await folderWithLog();
  const output = listener();
  await verify(path, { gaps: true }, output);
  const [, size, value] = /Keep (\d+):([\w-]{43})/.exec(output.heard.out)!;
  expect(await verify(path, { gaps: true, expect: `${size}:${value}` }, listener())).toBe(0);
  expect(await verify(path, { gaps: true, expect: `99:${value}` }, listener())).toBe(16);
});

test('a folder without a log is an error, not a success', async () => {
  const path = temporaryFolder();
  await expect(verify(path, { gaps: true }, listener())).rejects.toMatchObject({ code: 'not-found' });
  fs.writeFileSync(join(path, 'seg-00000000.jsonl'), '');
  expect(await verify(path, { gaps: true }, listener())).toBe(1);
});

test('who tells the story of a statement from any of its records', async () => {
  const { path, ref } = await folderWithLog();
  for (const seq of [ref, ref + 4]) {
    const output = listener();
    expect(await who(path, { seq, json: true }, output)).toBe(0);
    const { ok, records } = JSON.parse(output.heard.out);
    expect(ok).toBe(true);
    expect(records.map((record: { kind: string }) => record.kind)).toEqual(['stmt', 'outcome']);
  }
  await expect(who(path, { request: 'nobody' }, listener())).rejects.toMatchObject({ code: 'not-found' });
  await expect(who(path, {}, listener())).rejects.toMatchObject({ code: 'bad-request' });
});

test('a proof of a record holds with the root key alone, and no other record passes with it', async () => {
  const { path, ref } = await folderWithLog();
  const file = join(path, 'proof.json');
  expect(await proveRecord(new FolderSource(logFolder(path)), { seq: ref, output: file }, listener())).toBe(
    0,
  );
  const printed = listener();
  await root(path, { json: true }, printed);
  const { kid } = JSON.parse(printed.heard.out);
  fs.rmSync(join(path, 'audit'), { recursive: true });
  const output = listener();
  expect(await verify(file, { gaps: true, rootKey: kid, json: true }, output)).toBe(0);
  expect(JSON.parse(output.heard.out)).toMatchObject({ ok: true, pinned: true, seq: ref });
  expect(await verify(file, { gaps: true, rootKey: 'x'.repeat(43) }, listener())).toBe(11);
  fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('drop table', 'copy table'));
  expect(await verify(file, { gaps: true }, listener())).toBe(11);
});

test('a root key is pinned by its thumbprint, its JWK, or what root --json printed', async () => {
  const { path: data } = await folderWithLog();
  const printed = listener();
  expect(await root(data, { json: true }, printed)).toBe(0);
  const { kid, jwk } = JSON.parse(printed.heard.out) as { kid: string; jwk: object };
  const file = join(data, 'root.json');
  for (const text of [printed.heard.out, JSON.stringify(jwk)]) {
    fs.writeFileSync(file, text);
    expect(await verify(data, { rootKey: file, gaps: true }, listener())).toBe(0);
  }
  expect(await verify(data, { rootKey: kid, gaps: true }, listener())).toBe(0);
  fs.writeFileSync(file, 'holdpoint\n  thumbprint');
  await expect(verify(data, { rootKey: file, gaps: true }, listener())).rejects.toThrow(
    `cannot read ${file}: it is not JSON`,
  );
});
