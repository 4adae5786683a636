// The answers of C2SP tlog-witness, over HTTP; and what a witness remembers when it is killed.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { start } from '../../src/cli/witness.ts';
import {
  goodSignatures,
  type NoteKey,
  noteOf,
  noteType,
  readCheckpoint,
  readNote,
  readVkey,
  vkeyText,
} from '../../verify/src/note.ts';
import { temporaryFolder } from '../audit/fixture.ts';
import { add, ToyLog } from './client.ts';

async function witnessOf(
  logs: readonly ToyLog[],
  dir = temporaryFolder(),
): Promise<{ port: number; key: NoteKey; dir: string; said: string[]; close: () => Promise<void> }> {
  const said: string[] = [];
  const output = { out: (text: string) => said.push(text), err: (text: string) => said.push(text) };
  const log = logs.map(({ signer }) => vkeyText(signer.key));
  const { port, close } = await start({ listen: '127.0.0.1:0', dir, log, name: 'witness.test/w' }, output);
  onTestFinished(close);
  return { port, key: readVkey(/ key (\S+)\n/.exec(said[0]!)![1]!), dir, said, close };
}

/** The cosignature in an answer, verified over the note. */
function cosigned(answer: string, note: string, key: NoteKey): number {
  const { text } = readNote(note);
  const [good] = goodSignatures(readNote(noteOf(text, [answer.trimEnd()])), [key]);
  return good!.seconds!;
}

test('a log that grows is cosigned each time, with the time, by the key that was printed', async () => {
  const log = new ToyLog('log.test/a').grow(3);
  const { port, key } = await witnessOf([log]);
  let old = 0;
  for (const more of [0, 1, 4, 0, 250]) {
    log.grow(more);
    const before = Math.floor(Date.now() / 1000);
    const answer = await add(port, log.body(old));
    expect(answer.status).toBe(200);
    expect(cosigned(answer.text, log.note(), key)).toBeGreaterThanOrEqual(before);
    old = log.leaves.length;
  }
});

test('another size than was cosigned last is answered with that', async () => {
  const log = new ToyLog('log.test/a').grow(5);
  const { port } = await witnessOf([log]);
  expect(await add(port, log.body(3))).toMatchObject({ status: 409, text: '0\n', type: 'text/x.tlog.size' });
  await add(port, log.body(0));
  log.grow(5);
  expect(await add(port, log.body(0))).toMatchObject({ status: 409, text: '5\n', type: 'text/x.tlog.size' });
  expect(await add(port, log.body(4))).toMatchObject({ status: 409, text: '5\n' });
  expect(await add(port, log.body(3, 3))).toMatchObject({ status: 409, text: '5\n' });
  expect(await add(port, log.body(5))).toMatchObject({ status: 200 });
});

test('a fork, a set-back, a broken proof, a foreign key and an unknown log are refused', async () => {
  const log = new ToyLog('log.test/a').grow(5);
  const { port, dir, said } = await witnessOf([log]);
  await add(port, log.body(0));
  const fork = new ToyLog('log.test/a');
  Object.assign(fork, { signer: log.signer, leaves: log.leaves.slice(0, 4) });
  expect(await add(port, fork.grow(1).body(5))).toMatchObject({ status: 409, text: '5\n' });
  expect(await add(port, fork.grow(4).body(5))).toMatchObject({ status: 422 });
  // Proof for another size, and none at all.
  log.grow(3);
  expect(await add(port, log.body(4).replace('old 4', 'old 5'))).toMatchObject({ status: 422 });
  expect(await add(port, `old 5\n\n${log.note()}`)).toMatchObject({ status: 422 });
  // Both notes of the fork are kept, signed by the log's own key.
  const evidence = fs
    .readFileSync(join(dir, 'logs', 'log.test%2Fa.evidence'), 'utf8')
    .split('\n')
    .slice(0, -1);
  expect(evidence).toHaveLength(4);
  const { cosigned: kept, refused } = JSON.parse(evidence[0]!);
  const [one, other] = [kept, refused].map((note: string) => {
    expect(goodSignatures(readNote(note), [log.signer.key])).toHaveLength(1);
    return readCheckpoint(readNote(note).text);
  });
  expect(one!.size).toBe(other!.size);
  expect(one!.root.equals(other!.root)).toBe(false);
  expect(said.join('')).toContain('log.test/a signed two histories');
  const stranger = new ToyLog('log.test/a').grow(9);
  expect(await add(port, stranger.body(5))).toMatchObject({ status: 403 });
  expect(await add(port, new ToyLog('log.test/b').grow(1).body(0))).toMatchObject({ status: 404 });
  expect(await add(port, log.body(5))).toMatchObject({ status: 200 });
});

test('what is no submission is 400, what is too long 413, and another page 404', async () => {
  const log = new ToyLog('log.test/a').grow(5);
  const { port } = await witnessOf([log]);
  const note = log.note();
  const hash = `${'A'.repeat(43)}=\n`;
  for (const body of [
    '',
    note,
    `old 0\n${note}`,
    `old -1\n\n${note}`,
    `old 00\n\n${note}`,
    `old 1.0\n\n${note}`,
    `new 0\n\n${note}`,
    `old 0\r\n\r\n${note}`,
    `old 0\n${hash.repeat(64)}\n${note}`,
    `old 0\nAAAA\n\n${note}`,
    `old 0\n${'A'.repeat(42)}B=\n\n${note}`,
    `old 0\n\n${note.slice(0, -1)}`,
    `old 0\n\n${note.replace('\n5\n', '\n05\n')}`,
    log.body(6, 5),
  ])
    expect(await add(port, body), JSON.stringify(body.slice(0, 60))).toMatchObject({ status: 400 });
  const unlike = log.signer.sign('hello\n');
  expect(await add(port, `old 0\n\n${noteOf('hello\n', [unlike])}`)).toMatchObject({ status: 400 });
  expect(await add(port, `old 0\n\n${'x'.repeat(100_000)}`)).toMatchObject({ status: 413 });
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(404);
  expect((await fetch(`http://127.0.0.1:${port}/add-checkpoint`)).status).toBe(405);
  expect(await add(port, log.body(0))).toMatchObject({ status: 200 });
});

test('of many at once for one size, each that is cosigned continues the one before', async () => {
  const log = new ToyLog('log.test/a').grow(10);
  const { port } = await witnessOf([log]);
  await add(port, log.body(0));
  log.grow(20);
  const sizes = Array.from({ length: 20 }, (_, i) => 11 + i);
  const answers = await Promise.all(sizes.map((size) => add(port, log.body(10, size))));
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  expect(answers.filter(({ status }) => status === 409)).toHaveLength(19);
});

test('a cosignature is never earlier than the one before, whatever the clock does', async () => {
  const log = new ToyLog('log.test/a').grow(1);
  const dir = temporaryFolder();
  const { signer } = new ToyLog('w');
  const { WitnessBook, readSubmission } = await import('../../src/witness/book.ts');
  const { noteSigner } = await import('../../src/audit/note-signer.ts');
  const { generateKeyPairSync } = await import('node:crypto');
  const secret = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  let now = 2_000_000_000_000;
  const open = () =>
    new WitnessBook({
      dir,
      signer: noteSigner('w', 4, secret as never),
      logs: [log.signer.key],
      now: () => now,
    });
  const submit = (book: InstanceType<typeof WitnessBook>, old: number) =>
    book.add(readSubmission(Buffer.from(log.body(old))));
  expect(signer.key.type).toBe(noteType);
  const seconds = (verdict: ReturnType<typeof submit>) =>
    verdict.status === 200
      ? cosigned(`${verdict.line}\n`, log.note(), noteSigner('w', 4, secret as never).key)
      : -1;
  const book = open();
  expect(seconds(submit(book, 0))).toBe(2_000_000_000);
  now -= 3_600_000;
  log.grow(1);
  expect(seconds(submit(book, 1))).toBe(2_000_000_000);
  // Also one that was started anew.
  log.grow(1);
  expect(seconds(submit(open(), 2))).toBe(2_000_000_000);
});

test('two witnesses do not share a folder', async () => {
  const log = new ToyLog('log.test/a');
  const { dir } = await witnessOf([log]);
  await expect(witnessOf([log], dir)).rejects.toMatchObject({ code: 'conflict' });
});

test('its operator can have a log begin anew, and what was cosigned is kept', async () => {
  const log = new ToyLog('log.test/a').grow(9);
  const { port, dir, close } = await witnessOf([log]);
  await add(port, log.body(0));
  await close();
  const { forget } = await import('../../src/witness/book.ts');
  expect(forget(dir, 'log.test/none', 1)).toBeUndefined();
  const kept = forget(dir, 'log.test/a', 1)!;
  expect(JSON.parse(fs.readFileSync(kept, 'utf8')).forgotten).toContain('log.test/a\n9\n');
  const again = await witnessOf([log], dir);
  log.leaves.length = 4;
  expect(await add(again.port, log.body(0))).toMatchObject({ status: 200 });
});

/** A witness in a process of its own. */
async function processOf(dir: string, log: ToyLog): Promise<{ child: ChildProcess; port: number }> {
  const main = join(import.meta.dirname, '../../src/cli/main.ts');
  const child = spawn(
    process.execPath,
    [main, 'witness', '--listen', '127.0.0.1:0', '--dir', dir, '--log', vkeyText(log.signer.key)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string];
  return { child, port: Number(/:(\d+)$/.exec(line)![1]) };
}

const rounds = Number(process.env.HOLDPOINT_WITNESS_KILLS ?? 2);

test(
  'a witness that is killed has forgotten no cosignature that it gave',
  async () => {
    const dir = temporaryFolder();
    const log = new ToyLog('log.test/a').grow(1);
    let given = 0;
    for (let round = 0; round < rounds; round += 1) {
      const { child, port } = await processOf(dir, log);
      const died = once(child, 'exit');
      let sent = 0;
      for (;;) {
        // What was sent when it died may have been cosigned; what was answered has been.
        const answer = await add(port, log.body(given)).catch(() => undefined);
        if (answer?.status === 409) given = Number(answer.text);
        if (answer === undefined) break;
        if (answer.status === 200) given = log.leaves.length;
        expect([200, 409]).toContain(answer.status);
        log.grow(1);
        sent += 1;
        if (sent === 4 + round) void child.kill('SIGKILL');
      }
      await died;
      const kept = readCheckpoint(
        readNote(fs.readFileSync(join(dir, 'logs', 'log.test%2Fa.checkpoint'))).text,
      );
      expect(kept.size).toBeGreaterThanOrEqual(given);
    }
  },
  60_000 * rounds,
);
