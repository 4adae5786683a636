// An outsider with the log's folder and an approver's public key, and nothing else: what ran, who allowed it, did they see
// exactly this, what came of it. And with a bundle in the place of the log. No byte of either can be changed unnoticed.
// B18 of the invariants.

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { verify } from '../../src/cli/audit.ts';
import { type WhoFlags, who } from '../../src/cli/audit-who.ts';
import type { Output } from '../../src/cli/outcome.ts';
import { decideRequest } from '../../src/cli/requests.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import { checkBundle } from '../../verify/src/bundle.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { MemorySource } from '../audit/fixture.ts';
import { startGuard } from '../support/holdpoint.ts';
import { createDatabase } from '../support/postgres.ts';
import { verified } from '../support/trail.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdpoint-outsider-'));
const key = join(folder, 'carla');
/** Where only copies of the log are. */
const outside = join(folder, 'outside');
const log = join(outside, 'log');
let rid: string;

class Captured implements Output {
  text = '';
  out(text: string): void {
    this.text += text;
  }
  err(text: string): void {
    this.text += text;
  }
}

/** A DROP that carla approved with her SSH key; then everything but a copy of the log is gone. */
beforeAll(async () => {
  const database = await createDatabase({ shop: true });
  const guard = await startGuard({ url: database.url });
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'carla', '-f', key]);
  await guard.registry.addSsh('carla', readFileSync(`${key}.pub`, 'utf8'), Date.now());
  const client = await guard.connect();
  client.send(query('create table doomed (a int)'));
  await guard.approveNext();
  await client.until('Z');
  client.send(query('drop table doomed -- quarterly cleanup'));
  const [waiting] = await guard.pending(1);
  rid = waiting!.id;
  const carla = { url: guard.http, as: 'carla', sshKey: key, reason: 'ticket 4711' };
  expect(await decideRequest('approve', rid, carla, new Captured())).toBe(0);
  await client.until('Z');
  client.destroy();
  mkdirSync(outside);
  // A copy between two seals is no whole log yet.
  const copied = async () => {
    rmSync(log, { recursive: true, force: true });
    cpSync(guard.auditDir, log, { recursive: true });
    return (await verified(log)).code;
  };
  await vi.waitUntil(async () => (await copied()) === 0, { timeout: 20_000 });
  await guard.close();
  await database.drop();
});

afterAll(() => rmSync(folder, { recursive: true }));

async function asked(flags: WhoFlags): Promise<{ code: number; text: string }> {
  const output = new Captured();
  return { code: await who(log, { request: rid, ...flags }, output), text: output.text };
}

test('the log and the approver’s public key answer what ran, who allowed it and whether they saw exactly this', async () => {
  const { code, text } = await asked({ approver: [`${key}.pub`] });
  expect(code).toBe(0);
  for (const said of [
    'asked:        claude on shop',
    'statement:    drop table doomed -- quarterly cleanup',
    'computed again from the request',
    'allowed by:   carla, key',
    '"ticket 4711": its signature is over exactly this digest, by the key you named, SHA256:',
    'those that the decision was shown and covers',
    'outcome:      ok DROP TABLE',
    ': verified',
  ])
    expect(text).toContain(said);
  expect((await asked({})).text).toContain('by a key that the log enrols as theirs');
});

test('the same from a bundle, without the log', async () => {
  const bundle = join(outside, 'request.json');
  expect((await asked({ bundle })).code).toBe(0);
  const output = new Captured();
  const flags = { gaps: true, approver: [`${key}.pub`] };
  expect(await verify(bundle, flags, output)).toBe(0);
  expect(output.text).toContain('its signature is over exactly this digest, by the key you named');
  expect(output.text).toContain('outcome:      ok DROP TABLE');

  // By the command as an auditor runs it, with nothing in its environment and no data folder near.
  const command = join(import.meta.dirname, '..', '..', 'bin', 'holdpoint');
  const run = ['audit', 'verify', bundle, '--approver', `${key}.pub`, '--json'];
  const said = execFileSync(command, run, { cwd: outside, env: { PATH: process.env.PATH } }).toString();
  expect(JSON.parse(said)).toMatchObject({ ok: true, releases: { proved: 1 }, story: { rid } });

  // Another person's key proves nothing of carla's, and changes nothing of what the log proves.
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'dora')]);
  const dora = new Captured();
  expect(await verify(bundle, { ...flags, approver: [join(folder, 'dora.pub')] }, dora)).toBe(0);
  expect(dora.text).toContain('by a key that the log enrols as theirs');
});

test('no byte of a bundle can be changed, and no record left out', { timeout: 120_000 }, async () => {
  const bundle = join(outside, 'changed.json');
  await asked({ bundle });
  const bytes = readFileSync(bundle);
  const holds = (text: string) =>
    checkBundle(text).then(
      () => true,
      () => false,
    );
  expect(await holds(bytes.toString('utf8'))).toBe(true);
  // Each third byte, so that every member and every line has many: a bundle is 20 kB, and each look is a signature.
  for (let at = 0; at < bytes.length; at += 3) {
    const changed = Buffer.from(bytes);
    changed[at]! ^= 1 << (at % 7);
    if (await holds(changed.toString('utf8')))
      throw new Error(`byte ${at} can be changed: ${bytes.subarray(at - 40, at + 40)}`);
  }
  const whole = JSON.parse(bytes.toString('utf8')) as { records: { line: string }[] };
  for (const kind of ['hold', 'decision', 'grant_use']) {
    const records = whole.records.filter(({ line }) => !line.includes(`"kind":"${kind}"`));
    expect(await holds(`${JSON.stringify({ ...whole, records })}\n`), kind).toBe(false);
  }
});

test('no byte of the log can be changed', { timeout: 120_000 }, async () => {
  const [origin] = readdirSync(log);
  const files = new Map<string, Buffer>();
  for (const name of readdirSync(join(log, origin!))) {
    if (name.endsWith('.jsonl')) files.set(name, readFileSync(join(log, origin!, name)));
  }
  const source = new MemorySource(files);
  expect(await verifyLog(source)).toMatchObject({ ok: true, releases: { proved: 2 } });
  const name = 'seg-00000000.jsonl';
  const bytes = files.get(name)!;
  // Every line several times, and every kind of byte in it; test/audit/tamper.test.ts takes a small log bit by bit.
  for (let at = 0; at < bytes.length; at += 97) {
    const changed = Buffer.from(bytes);
    changed[at]! ^= 1 << (at % 7);
    const { ok } = await verifyLog(source.with(name, changed));
    if (ok) throw new Error(`byte ${at} can be changed`);
  }
});
