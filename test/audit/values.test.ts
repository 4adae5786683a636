// Values put aside for auditors: what is in the files, who can open what, and what is left after an erasure. By the real
// writer, on real files.

import { hash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { eraseRequested, erasureState, requestErasure } from '../../src/audit/erasure.ts';
import type { AuditLog } from '../../src/audit/log.ts';
import type { LogOptions } from '../../src/audit/opening.ts';
import { committed, type Kept, Salts } from '../../src/audit/values.ts';
import { checked, open } from '../../src/cli/audit-open.ts';
import { proveRecord } from '../../src/cli/audit-prove.ts';
import { redact } from '../../src/cli/audit-redact.ts';
import { makeAuditorKey } from '../../src/cli/auditor-key.ts';
import { logsFor } from '../../src/cli/opened-source.ts';
import { HoldpointError } from '../../src/errors.ts';
import { checkProof } from '../../verify/src/proof.ts';
import { FolderSource } from '../../verify/src/source.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { logFolder, openTestLog, statement, temporaryFolder } from './fixture.ts';

const salts = new Salts(randomBytes);

interface Logged {
  readonly path: string;
  readonly key: string;
  readonly log: AuditLog;
}

async function logged(more: Partial<LogOptions> = {}, path = temporaryFolder()): Promise<Logged> {
  const key = join(path, 'auditor.jwk');
  const auditors = [await makeAuditorKey(key)];
  const { log } = await openTestLog(path, { ...atHome(path), values: 'auditor', auditors, ...more });
  return { path, key, log };
}

/** Where the keys of a log lie that a Holdpoint wrote. */
const atHome = (path: string) => ({ keysDir: join(path, 'keys', 'audit') });

/** A statement with these values, as the book of a session records it. */
function say(log: AuditLog, values: readonly (string | Buffer | undefined)[]): number {
  const kept = values.map((value, index): Kept => {
    const bytes = value === undefined ? undefined : Buffer.from(value);
    return { index, oid: 25, salt: salts.next(), value: bytes };
  });
  const pc = kept.map(({ salt, oid, value }) => committed(salt, oid, value));
  return log.append(statement(1, { sql: 'select $1', pc }), kept);
}

function everyByte(path: string): string {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => join(path, name))
    .filter((name) => statSync(name).isFile())
    .map((name) => readFileSync(name, 'latin1'))
    .join('\n');
}

const side = (path: string, n = 0) => join(logFolder(path), `seg-${String(n).padStart(8, '0')}.prv`);

async function holds(path: string): Promise<void> {
  const { ok, findings } = await verifyLog(new FolderSource(logFolder(path)), { live: true });
  expect({ ok, findings }).toEqual({ ok: true, findings: [] });
}

const why = { basis: 'GDPR Art. 17', by: 'dpo' };

describe('a value that was put aside', () => {
  test('is opened by the auditor, one at a time, and is the one that the record commits to', async () => {
    const { path, key, log } = await logged();
    const seq = say(log, ['alice@example.org', undefined, '']);
    await log.durable(seq);
    const { text, json } = await open(path, { seq, value: 0, auditorKey: key });
    expect(text).toContain('alice@example.org');
    expect(text).toContain('it is the one that the record commits to');
    expect(String(json)).not.toContain('bob');
    expect((await open(path, { seq, value: 1, auditorKey: key })).text).toContain('NULL');
    expect((await open(path, { seq, value: 2, auditorKey: key })).text).toContain('0 bytes');
    await expect(open(path, { seq, auditorKey: key })).rejects.toThrow(/has 3 values; name one/);
    await expect(open(path, { seq, value: 3, auditorKey: key })).rejects.toThrow(/is not kept/);
    await expect(open(path, { seq: 1, auditorKey: key })).rejects.toThrow(/commits to no value/);
    await expect(open(path, { seq: 999, auditorKey: key })).rejects.toThrow(/no record 999/);
  });

  test('stands in clear nowhere, and its file is for its owner alone', async () => {
    const { path, log } = await logged();
    await log.durable(say(log, ['canary-7f3a', Buffer.from('canary-7f3a again')]));
    expect(everyByte(path)).not.toContain('canary-7f3a');
    expect(everyByte(path)).not.toContain(Buffer.from('canary-7f3a').toString('base64url').slice(0, -1));
    expect(statSync(side(path)).mode & 0o777).toBe(0o600);
  });

  test('is closed to the key of somebody else', async () => {
    const { path, log } = await logged();
    const seq = say(log, ['x']);
    await log.durable(seq);
    const other = join(path, 'other.jwk');
    await makeAuditorKey(other);
    await expect(open(path, { seq, auditorKey: other })).rejects.toThrow(/were not encrypted to the key/);
  });

  test('is open to each of several auditors', async () => {
    const path = temporaryFolder();
    const keys = ['a.jwk', 'b.jwk'].map((name) => join(path, name));
    const auditors = [await makeAuditorKey(keys[0]!), await makeAuditorKey(keys[1]!)];
    const { log } = await openTestLog(path, { ...atHome(path), values: 'auditor', auditors });
    const seq = say(log, ['shared']);
    await log.durable(seq);
    for (const auditorKey of keys) expect((await open(path, { seq, auditorKey })).text).toContain('shared');
  });

  test('does not fit once its bytes were changed, and those beside it still do', async () => {
    const { path, key, log } = await logged();
    const seq = say(log, ['first value', 'second value']);
    await log.durable(seq);
    const lines = readFileSync(side(path), 'utf8').split('\n');
    const block = JSON.parse(lines[1]!) as { entries: [number, number, number, string][] };
    const entry = block.entries[0]!;
    const bytes = Buffer.from(entry[3], 'base64url');
    bytes[25]! ^= 1;
    entry[3] = bytes.toString('base64url');
    lines[1] = JSON.stringify(block);
    writeFileSync(side(path), lines.join('\n'));
    await expect(open(path, { seq, value: 0, auditorKey: key })).rejects.toThrow(
      /is not what the record commits to/,
    );
    expect((await open(path, { seq, value: 1, auditorKey: key })).text).toContain('second value');
  });

  test('does not fit as the value of another record', async () => {
    const { path, key, log } = await logged();
    const seqs = [say(log, ['one']), say(log, ['two'])];
    await log.durable(seqs[1]!);
    const text = readFileSync(side(path), 'utf8');
    writeFileSync(
      side(path),
      text.replace(`[${seqs[0]},0,`, '[0,0,').replace(`[${seqs[1]},0,`, `[${seqs[0]},0,`),
    );
    await expect(open(path, { seq: seqs[0]!, auditorKey: key })).rejects.toThrow(
      /is not what the record commits to/,
    );
  });

  test('is handed over with its salt, and whoever gets it needs no key; a wrong salt fails', async () => {
    const { path, key, log } = await logged();
    const seq = say(log, ['alice@example.org']);
    await log.durable(seq);
    const { json } = await open(path, { seq, auditorKey: key });
    const file = join(path, 'disclosure.json');
    writeFileSync(file, String(json));
    expect(checked(file).text).toContain('alice@example.org');
    for (const change of [
      { salt: randomBytes(16).toString('base64url') },
      { salt: '' },
      { value: Buffer.from('bob@example.org').toString('base64url') },
      { value: null },
      { oid: 23 },
      { index: 1 },
      { index: -1 },
    ]) {
      writeFileSync(file, JSON.stringify({ ...JSON.parse(String(json)), ...change }));
      expect(() => checked(file)).toThrow(/commits to another value/);
    }
  });

  test('of a megabyte, or of a thousand in one record, is opened like any other', async () => {
    const { path, key, log } = await logged();
    const long = randomBytes(3 << 20);
    const first = say(log, [long]);
    const many = say(
      log,
      Array.from({ length: 2000 }, (_, i) => `value ${i}`),
    );
    await log.durable(many);
    const { json } = await open(path, { seq: first, auditorKey: key });
    expect(JSON.parse(String(json)).value).toBe(long.toString('base64url'));
    expect((await open(path, { seq: many, value: 1999, auditorKey: key })).text).toContain('value 1999');
    await holds(path);
  });

  test('is in the file of its segment, under a key of its own, also after a restart', async () => {
    const { path, key, log } = await logged({ segmentBytesMax: 4000 });
    const seqs: number[] = [];
    for (let i = 0; i < 40; i += 1) {
      seqs.push(say(log, [`value ${i}`]));
      await log.durable(seqs.at(-1)!);
    }
    await log.close();
    const again = join(path, 'again.jwk');
    const { log: second } = await openTestLog(path, {
      ...atHome(path),
      values: 'auditor',
      auditors: [await makeAuditorKey(again)],
      segmentBytesMax: 1 << 20,
    });
    const late = say(second, ['after the restart']);
    await second.durable(late);
    expect(readdirSync(logFolder(path)).filter((name) => name.endsWith('.prv')).length).toBeGreaterThan(3);
    const headers = everyByte(logFolder(path)).match(/"typ":"holdpoint.values.v1"/g) ?? [];
    expect(headers.length).toBeGreaterThan(4);
    for (const [i, seq] of seqs.entries())
      expect((await open(path, { seq, auditorKey: key })).text).toContain(`value ${i}`);
    expect((await open(path, { seq: late, auditorKey: again })).text).toContain('after the restart');
    await expect(open(path, { seq: late, auditorKey: key })).rejects.toThrow(/not encrypted/);
  });

  test('is not harmed by a line that a crash has cut', async () => {
    const { path, key, log } = await logged();
    const seq = say(log, ['before']);
    await log.durable(seq);
    await log.close();
    writeFileSync(side(path), `${readFileSync(side(path), 'utf8')}{"block":1,"entr`);
    const again = join(path, 'again.jwk');
    const { log: second } = await openTestLog(path, {
      ...atHome(path),
      values: 'auditor',
      auditors: [await makeAuditorKey(again)],
    });
    const late = say(second, ['behind']);
    await second.durable(late);
    expect((await open(path, { seq, auditorKey: key })).text).toContain('before');
    expect((await open(path, { seq: late, auditorKey: again })).text).toContain('behind');
    // An erasure takes what nobody can read along: it may hold what has to go.
    const stop = watch(second);
    await redact(path, { seq: [late], ...why });
    await stop();
    expect(readFileSync(side(path), 'utf8')).not.toContain('"entr\n');
    expect((await open(path, { seq, auditorKey: key })).text).toContain('before');
  });
});

describe('an ID token, by which somebody has decided', () => {
  const token = 'eyJhbGciOiJFZERTQSJ9.alice-at-the-provider.signature';
  const sha256 = hash('sha256', token, 'hex');
  const decide = (log: AuditLog) =>
    log.append({ kind: 'decision', rid: 'r', D: '{}', ev: { kind: 'oidc', sha256 } }, [
      { index: -1, oid: 0, salt: Buffer.alloc(16), value: Buffer.from(token) },
    ]);
  const evidence = (path: string) => readdirSync(join(logFolder(path), 'evidence'));

  test('is put aside, found again by the auditor alone, and erased like any value', async () => {
    const { path, key, log } = await logged();
    const seq = decide(log);
    await log.durable(seq);
    expect(everyByte(logFolder(path))).not.toContain('alice-at-the-provider');
    expect(evidence(path)).toEqual([]);
    const name = `evidence/${sha256}.jwt`;
    expect(String(await logsFor(path, key)[0]!.read(name))).toBe(token);
    expect(await logsFor(path, undefined)[0]!.read(name)).toBeUndefined();
    const other = join(path, 'other.jwk');
    await makeAuditorKey(other);
    expect(await logsFor(path, other)[0]!.read(name)).toBeUndefined();
    expect((await open(path, { seq, auditorKey: key })).text).toContain('alice-at-the-provider');
    const stop = watch(log);
    await redact(path, { seq: [seq], ...why });
    await stop();
    expect(await logsFor(path, key)[0]!.read(name)).toBeUndefined();
  });

  test('lies in clear beside a log that has no auditors, and is erased from there', async () => {
    const path = temporaryFolder();
    const { log } = await openTestLog(path, { ...atHome(path), values: 'none' });
    const seq = decide(log);
    await log.durable(seq);
    expect(evidence(path)).toEqual([`${sha256}.jwt`]);
    expect(String(await logsFor(path, undefined)[0]!.read(`evidence/${sha256}.jwt`))).toBe(token);
    const stop = watch(log);
    await redact(path, { seq: [seq], ...why });
    await stop();
    expect(evidence(path)).toEqual([]);
  });
});

describe('an erasure', () => {
  test('of one value of a running log leaves the others, every proof and the chain as they are', async () => {
    const { path, key, log } = await logged();
    const seqs = [say(log, ['alice', 'gone-forever', 'carol']), say(log, ['dave'])];
    await log.durable(seqs[1]!);
    const stop = watch(log);
    await redact(path, { seq: [seqs[0]!], value: [1], ...why });
    await stop();
    await expect(open(path, { seq: seqs[0]!, value: 1, auditorKey: key })).rejects.toThrow(/is not kept/);
    expect((await open(path, { seq: seqs[0]!, value: 0, auditorKey: key })).text).toContain('alice');
    expect((await open(path, { seq: seqs[0]!, value: 2, auditorKey: key })).text).toContain('carol');
    expect((await open(path, { seq: seqs[1]!, auditorKey: key })).text).toContain('dave');
    // What comes after it goes to the new file.
    const later = say(log, ['erin']);
    await log.durable(later);
    expect((await open(path, { seq: later, auditorKey: key })).text).toContain('erin');
    await holds(path);
    const proof = join(path, 'proof.json');
    expect(
      await proveRecord(new FolderSource(logFolder(path)), { seq: seqs[0]!, output: proof }, silent),
    ).toBe(0);
    await checkProof(readFileSync(proof, 'utf8'));
    const told = readFileSync(join(logFolder(path), 'seg-00000000.jsonl'), 'utf8');
    expect(told).toContain(`"kind":"redact"`);
    expect(told).toContain(`"seqs":[${seqs[0]}]`);
  });

  test('takes the bytes out of closed segments, where no Holdpoint runs', async () => {
    const { path, key, log } = await logged({ segmentBytesMax: 4000 });
    const seqs: number[] = [];
    for (let i = 0; i < 30; i += 1) {
      seqs.push(say(log, [`value ${i}`]));
      await log.durable(seqs.at(-1)!);
    }
    await log.close();
    const sealed = (seq: number) =>
      new RegExp(`\\[${seq},0,\\d+,"([\\w-]+)"\\]`).exec(everyByte(logFolder(path)))?.[1];
    const before = sealed(seqs[3]!)!;
    const kept = sealed(seqs[4]!)!;
    const { json } = await redact(path, { seq: [seqs[3]!, seqs[29]!], ...why });
    expect(json).toEqual({ erased: 2, records: [seqs[3], seqs[29]] });
    expect(everyByte(logFolder(path))).not.toContain(before);
    expect(everyByte(logFolder(path))).toContain(kept);
    await expect(open(path, { seq: seqs[29]!, auditorKey: key })).rejects.toThrow(/none of the 1 values/);
    for (const i of [0, 2, 4, 28]) {
      const seq = seqs[i]!;
      expect((await open(path, { seq, auditorKey: key })).text).toContain(`value ${i}`);
    }
    await holds(path);
    expect(statSync(side(path)).mode & 0o777).toBe(0o600);
  });

  test('of what is not there is refused, and the log says nothing', async () => {
    const { path, log } = await logged();
    const seq = say(log, ['x']);
    await log.durable(seq);
    const stop = watch(log);
    await redact(path, { seq: [seq], ...why });
    await expect(redact(path, { seq: [seq], ...why })).rejects.toThrow(/nothing of that is kept/);
    await expect(redact(path, { seq: [999], ...why })).rejects.toThrow(/no record 999/);
    await expect(redact(path, { request: 'none', ...why })).rejects.toThrow(/no request none/);
    await stop();
    const told = readFileSync(join(logFolder(path), 'seg-00000000.jsonl'), 'utf8');
    expect(told.match(/"kind":"redact"/g)).toHaveLength(1);
  });

  test('that a crash interrupts is done at the next start, and recorded once', async () => {
    const { path, key, log } = await logged();
    const seq = say(log, ['x']);
    await log.durable(seq);
    await log.close();
    requestErasure(logFolder(path), 'r1', { seqs: [seq], ...why });
    const again = async () => (await openTestLog(path, { ...atHome(path), values: 'none' })).log;
    const crashing = await again();
    await expect(
      eraseRequested({
        path: crashing.path,
        append: (body) => crashing.append(body),
        durable: (at) => crashing.durable(at),
        replaceSide: () => {
          throw new HoldpointError('log-unwritable', 'the process is gone');
        },
      }),
    ).rejects.toThrow('the process is gone');
    await crashing.close();
    expect(erasureState(logFolder(path), 'r1')).toBe('waiting');
    expect((await open(path, { seq, auditorKey: key })).text).toContain('x');
    expect(await eraseRequested(await again())).toBe(1);
    expect(erasureState(logFolder(path), 'r1')).toBeUndefined();
    await expect(open(path, { seq, auditorKey: key })).rejects.toThrow(/none of the 1 values/);
    const told = readFileSync(join(logFolder(path), 'seg-00000000.jsonl'), 'utf8');
    expect(told.match(/"kind":"redact"/g)).toHaveLength(1);
    await holds(path);
  });

  test('with a malformed request is answered with a sentence', async () => {
    const { log } = await logged();
    for (const bad of [
      { seqs: [], ...why },
      { seqs: ['0'], ...why },
      { seqs: [1], basis: '', by: 'x' },
      { seqs: [1], basis: 'x' },
      { seqs: [1], ...why, evidence: ['../../x'] },
    ]) {
      requestErasure(log.path, 'bad', bad as never);
      expect(await eraseRequested(log)).toBe(0);
      expect(erasureState(log.path, 'bad')).toEqual({ failed: expect.stringContaining('malformed') });
    }
  });
});

/** Looks for requests as a running Holdpoint does. */
function watch(log: AuditLog): () => Promise<void> {
  let on = true;
  const looking = (async () => {
    while (on) {
      await eraseRequested(log);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  const stop = async () => {
    on = false;
    await looking;
  };
  onTestFinished(stop);
  return stop;
}

const silent = { out: () => undefined, err: () => undefined };
