// Against a real witness over HTTP: a log set back, forked, written anew or lied about is noticed; one that is well is
// not in anybody's way.

import * as fs from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Remembered } from '../../src/audit/remembered.ts';
import { acknowledgeRollback, auditFolders } from '../../src/cli/anchoring.ts';
import { goodSignatures, readCheckpoint, readNote, readVkey } from '../../verify/src/note.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { begunLog, copyOf, filesOf, folderOf, runLog, vkeyOf, witnessFor } from './anchored.ts';
import { origin, statement } from './fixture.ts';

function checkpointOf(dataDir: string) {
  const note = readNote(fs.readFileSync(join(folderOf(dataDir), 'checkpoint')));
  return { note, ...readCheckpoint(note.text) };
}

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('what a witness has cosigned lies beside the log, signed by both, and is the log’s own root', async () => {
  const dataDir = await begunLog();
  const witness = await witnessFor(dataDir);
  const { log, anchoring, close, said } = await runLog(dataDir, [witness.config]);
  const seq = log.append(statement(1));
  await log.durable(seq);
  await anchoring.outside('witness')!(seq);
  await close();
  const { note, size, root, origin: named } = checkpointOf(dataDir);
  expect(named).toBe(origin);
  expect(goodSignatures(note, [readVkey(vkeyOf(dataDir))])).toHaveLength(1);
  const [cosignature] = goodSignatures(note, [witness.config.key]);
  expect(Math.abs(Date.now() / 1000 - cosignature!.seconds!)).toBeLessThan(600);
  const report = await verifyLog(filesOf(dataDir));
  expect(report).toMatchObject({ ok: true, ended: true, records: size });
  expect(report.sealed?.root).toBe(root.toString('base64url'));
  expect(fs.readdirSync(join(folderOf(dataDir), 'checkpoints'))).toContain(`${size}.note`);
  expect(said).toEqual([]);
});

test('an older copy of the whole disk is not taken up: the witness remembers more', async () => {
  const dataDir = await begunLog();
  const witness = await witnessFor(dataDir);
  const first = await runLog(dataDir, [witness.config]);
  await first.log.durable(first.log.append(statement(1)));
  await first.close();
  const image = copyOf(dataDir);
  const second = await runLog(dataDir, [witness.config]);
  for (let n = 0; n < 9; n += 1) await second.log.durable(second.log.append(statement(n)));
  await second.close();
  const before = filesOf(image).files;
  await expect(runLog(image, [witness.config])).rejects.toMatchObject({
    code: 'log-unwritable',
    message: expect.stringMatching(/witness.test\/w has cosigned \d+ records of this log; here are \d+/),
  });
  // Nothing was added to it.
  expect(filesOf(image).files).toEqual(before);
  // The newer one goes on.
  await (await runLog(dataDir, [witness.config])).close();
});

test('a log folder that was put back is noticed without any witness, by what lies with the keys', async () => {
  const dataDir = await begunLog();
  const image = copyOf(dataDir);
  const { log, close } = await runLog(dataDir);
  await log.durable(log.append(statement(1)));
  await close();
  // The key of the present epoch signs what was put back, as a thief of the keys would have it.
  fs.rmSync(folderOf(dataDir), { recursive: true });
  fs.cpSync(folderOf(image), folderOf(dataDir), { recursive: true });
  const keys = (from: string) => join(from, 'keys', 'audit', 'audit-holdpoint%2Ftest');
  for (const name of fs.readdirSync(keys(image)))
    if (name !== 'outside.json') fs.copyFileSync(join(keys(image), name), join(keys(dataDir), name));
  await expect(runLog(dataDir)).rejects.toThrow(/this machine remembers \d+ records; \d+ are here/);
});

test('a fork by whoever holds the keys is refused by the witness, which keeps both, and by the next start', async () => {
  const dataDir = await begunLog();
  const witness = await witnessFor(dataDir);
  await (await runLog(dataDir, [witness.config])).close();
  const thief = copyOf(dataDir);
  const honest = await runLog(dataDir, [witness.config]);
  const seq = honest.log.append(statement(1));
  await honest.log.durable(seq);
  await honest.anchoring.outside('witness')!(seq);
  await honest.close();
  // The thief's goes on longer, unseen by the witness at first.
  const forked = await runLog(thief);
  for (let n = 0; n < 9; n += 1) await forked.log.durable(forked.log.append(statement(n)));
  await forked.close();
  await expect(runLog(thief, [witness.config])).rejects.toThrow(
    /has cosigned other records than the first \d+ that are here/,
  );
  expect(witness.said.join('')).toContain('signed two histories');
  const { cosigned, refused } = JSON.parse(
    fs.readFileSync(join(witness.dir, 'logs', 'holdpoint%2Ftest.evidence'), 'utf8').split('\n')[0]!,
  );
  for (const note of [cosigned, refused])
    expect(goodSignatures(readNote(note), [readVkey(vkeyOf(dataDir))])).toHaveLength(1);
});

test('a fork that begins while its log runs is told, and what must be outside does not go on', async () => {
  const dataDir = await begunLog();
  const witness = await witnessFor(dataDir);
  const running = await runLog(dataDir, [witness.config], { anchorMs: 1_000 });
  const thief = copyOf(dataDir);
  const seq = running.log.append(statement(1));
  await running.log.durable(seq);
  await running.anchoring.outside('witness')!(seq);
  await expect(runLog(thief, [witness.config])).rejects.toThrow(/remember/);
  // Without asking at start, as somebody would who has taken the question out.
  const memory = join(thief, 'keys', 'audit', 'audit-holdpoint%2Ftest', 'outside.json');
  fs.rmSync(memory);
  await witness.close();
  const forked = await runLog(thief, [witness.config], { anchorMs: 1_000 });
  await witnessFor(dataDir, { dir: witness.dir, port: witness.port });
  const other = forked.log.append(statement(2));
  await forked.log.durable(other);
  await expect(forked.anchoring.outside('witness')!(other)).rejects.toMatchObject({
    sqlstate: '58030',
    message: expect.stringContaining('has cosigned'),
  });
  expect(forked.said.some((line) => line.startsWith('error: the log is not vouched for outside'))).toBe(true);
}, 30_000);

test('a set-back that an operator acknowledges goes on with a gap; the witness only once its operator agrees', async () => {
  const dataDir = await begunLog();
  const witness = await witnessFor(dataDir);
  await (await runLog(dataDir, [witness.config])).close();
  const image = copyOf(dataDir);
  const lost = await runLog(dataDir, [witness.config]);
  await lost.log.durable(lost.log.append(statement(1)));
  await lost.close();
  const { size } = checkpointOf(dataDir);
  await expect(runLog(image, [witness.config])).rejects.toThrow(/audit recover --acknowledge-rollback/);
  const acknowledged = await acknowledgeRollback(image, origin);
  expect(acknowledged.size).toBe(checkpointOf(image).size);
  const again = await runLog(image, [witness.config], { anchorMs: 500 });
  const seq = again.log.append(statement(2));
  await again.log.durable(seq);
  await expect(again.anchoring.outside('witness')!(seq)).rejects.toThrow(/its operator has to forget/);
  for (let n = 0; n < 9; n += 1) await again.log.durable(again.log.append(statement(n)));
  await again.close();
  const report = await verifyLog(filesOf(image));
  expect(report).toMatchObject({ ok: true, kinds: { gap: 1 }, breaks: [{ kind: 'gap' }] });
  const gap = JSON.parse(
    filesOf(image)
      .lines('seg-00000000.jsonl')
      .find((line) => line.includes('"kind":"gap"'))!,
  );
  expect(gap).toMatchObject({ from: acknowledged.size, to: size, count: size - acknowledged.size });
  expect((await verifyLog(filesOf(image), { noGaps: true })).code).toBe(19);
  // The acknowledgement was good once, and the next starts need none.
  const { keysDir } = auditFolders(image);
  expect((await Remembered.open(keysDir, origin)).acknowledged).toBeUndefined();
  await (await runLog(image, [witness.config])).close();
  await witness.close();
  const { forget } = await import('../../src/witness/book.ts');
  forget(witness.dir, origin, Date.now());
  const anew = await witnessFor(dataDir, { dir: witness.dir, port: witness.port });
  const healed = await runLog(image, [anew.config]);
  const last = healed.log.append(statement(3));
  await healed.log.durable(last);
  await healed.anchoring.outside('witness')!(last);
}, 60_000);

test('an acknowledgement is good for the log that it was given for only', async () => {
  const dataDir = await begunLog();
  const witness = await witnessFor(dataDir);
  await (await runLog(dataDir, [witness.config])).close();
  const [image, other] = [copyOf(dataDir), copyOf(dataDir)];
  await (await runLog(dataDir, [witness.config])).close();
  const forked = await runLog(other);
  await forked.log.durable(forked.log.append(statement(7)));
  await forked.close();
  await acknowledgeRollback(other, origin);
  // Longer than what was acknowledged, and another.
  const grown = await runLog(image);
  for (let n = 0; n < 20; n += 1) await grown.log.durable(grown.log.append(statement(n)));
  await grown.close();
  const memory = (from: string) => join(from, 'keys', 'audit', 'audit-holdpoint%2Ftest', 'outside.json');
  const { acknowledged } = JSON.parse(fs.readFileSync(memory(other), 'utf8'));
  const mine = JSON.parse(fs.readFileSync(memory(image), 'utf8'));
  expect(acknowledged.size).toBeLessThan(mine.standing.size);
  fs.writeFileSync(memory(image), JSON.stringify({ ...mine, acknowledged }));
  await expect(runLog(image, [witness.config])).rejects.toThrow(/not the one that others remember/);
});

/** Something that answers as a witness would. */
async function pretender(answer: (body: string) => { status: number; text: string }): Promise<string> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString('utf8');
    });
    request.on('end', () => {
      const { status, text } = answer(body);
      response.writeHead(status).end(text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('a cosignature is believed only if it is the configured key’s, over this checkpoint', async () => {
  const dataDir = await begunLog();
  const [real, other] = [
    await witnessFor(dataDir),
    await witnessFor(dataDir, { name: 'witness.test/other' }),
  ];
  const { key } = real.config;
  let mode = '';
  let replay = '';
  const proxy = async (body: string, port: number) =>
    (await fetch(`http://127.0.0.1:${port}/add-checkpoint`, { method: 'POST', body })).text();
  const answers: Record<string, () => { status: number; text: string }> = {
    nothing: () => ({ status: 200, text: '' }),
    garbage: () => ({ status: 200, text: '— not a signature\n' }),
    stranger: () => ({ status: 200, text: replay.replace('witness.test/w ', 'witness.test/x ') }),
    replayed: () => ({ status: 200, text: replay }),
    flipped: () => ({ status: 200, text: replay.replace(/.{12}\n$/, (end) => `AAAA${end.slice(4)}`) }),
    long: () => ({ status: 200, text: 'x'.repeat(100_000) }),
    circling: () => ({ status: 409, text: `${Math.floor(Math.random() * 2)}\n` }),
    sizeless: () => ({ status: 409, text: 'no\n' }),
    unknown: () => ({ status: 404, text: '' }),
    foreign: () => ({ status: 403, text: '' }),
    broken: () => ({ status: 500, text: 'oh\u001b[2J\n' }),
  };
  const url = await pretender(() => answers[mode]!());
  replay = await proxy(
    `old 0\n\n${fs.readFileSync(join(folderOf(dataDir), 'checkpoint'), 'utf8')}`,
    real.port,
  );
  expect(replay).toContain('witness.test/w');
  mode = 'nothing';
  const { log, anchoring } = await runLog(dataDir, [{ url, key }], { anchorMs: 150 });
  for (mode of Object.keys(answers)) {
    const seq = log.append(statement(1));
    await log.durable(seq);
    const waited = anchoring.outside('witness')!(seq);
    await expect(waited, mode).rejects.toMatchObject({ code: 'log-unwritable' });
    await expect(waited, mode).rejects.not.toThrow(/\u001b/);
  }
  // The first cosigned nothing but the beginning, and the other was never asked.
  expect(
    readCheckpoint(readNote(fs.readFileSync(join(real.dir, 'logs', 'holdpoint%2Ftest.checkpoint'))).text)
      .size,
  ).toBeLessThan(6);
  expect(fs.existsSync(join(other.dir, 'logs', 'holdpoint%2Ftest.checkpoint'))).toBe(false);
}, 30_000);

test('while a witness is away the log goes on, what must be outside is refused with a sentence, and then it catches up', async () => {
  const dataDir = await begunLog();
  const witness = await witnessFor(dataDir);
  await witness.close();
  const { log, anchoring, said } = await runLog(dataDir, [witness.config], { anchorMs: 100 });
  expect(said[0]).toContain('could not be asked at start');
  const seq = log.append(statement(1));
  await log.durable(seq);
  await expect(anchoring.outside('witness')!(seq)).rejects.toMatchObject({
    sqlstate: '58030',
    message: expect.stringMatching(/within 100 ms that did not happen \(witness.test\/w cannot be reached/),
  });
  for (let n = 0; n < 50; n += 1) await log.durable(log.append(statement(n)));
  await witnessFor(dataDir, { dir: witness.dir, port: witness.port });
  const { size: before } = checkpointOf(dataDir);
  await until(
    () => checkpointOf(dataDir).note.signatures.length === 2 && checkpointOf(dataDir).size > before - 1,
  );
  expect(checkpointOf(dataDir).size).toBeGreaterThan(50);
}, 30_000);

test('of three witnesses as many have to cosign as are asked for', async () => {
  const dataDir = await begunLog();
  const witnesses = [];
  for (const name of ['a', 'b', 'c'])
    witnesses.push(await witnessFor(dataDir, { name: `witness.test/${name}` }));
  const configs = witnesses.map(({ config }) => config);
  await witnesses[0]!.close();
  const { log, anchoring } = await runLog(dataDir, configs, { anchorMs: 400, witnessQuorum: 2 });
  const seq = log.append(statement(1));
  await log.durable(seq);
  await anchoring.outside('witness')!(seq);
  await witnesses[1]!.close();
  const next = log.append(statement(2));
  await log.durable(next);
  await expect(anchoring.outside('witness')!(next)).rejects.toThrow(/did not happen/);
  // What lies beside the log is the newest that two have cosigned.
  const { note } = checkpointOf(dataDir);
  expect(
    goodSignatures(
      note,
      configs.map(({ key }) => key),
    ).length,
  ).toBeGreaterThanOrEqual(2);
});

test('a log that says nothing but its heartbeat is cosigned at its pace', async () => {
  const dataDir = await begunLog();
  const witness = await witnessFor(dataDir);
  const { close } = await runLog(dataDir, [witness.config], { heartbeatMs: 40 });
  const { size } = checkpointOf(dataDir);
  await until(
    () => checkpointOf(dataDir).size > size + 2 && checkpointOf(dataDir).note.signatures.length === 2,
  );
  await close();
});

test('a log that was made before its notes had a key gets one that its epoch certifies', async () => {
  const dataDir = await begunLog();
  const { root } = await verifyLog(filesOf(dataDir));
  const { keysDir } = auditFolders(dataDir);
  fs.rmSync(join(keysDir, 'audit-holdpoint%2Ftest', 'checkpoint.jwk'));
  const lost = vkeyOf(dataDir);
  await (await runLog(dataDir)).close();
  expect(vkeyOf(dataDir)).not.toBe(lost);
  const report = await verifyLog(filesOf(dataDir), { rootKid: root!.kid });
  expect(report).toMatchObject({ ok: true, kinds: { checkpoint_key: 1 } });
  expect(goodSignatures(checkpointOf(dataDir).note, [readVkey(vkeyOf(dataDir))])).toHaveLength(1);
});
