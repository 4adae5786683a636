// The root key off the machine: a log begins under it, and it revokes a key of the log and certifies another.

import * as fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { beginUnderRoot, revoke } from '../../src/audit/root.ts';
import { auditFolders } from '../../src/cli/anchoring.ts';
import { init, recover, revokeKey, vkey } from '../../src/cli/audit-root.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { begunLog, copyOf, filesOf, folderOf, runLog, vkeyOf, witnessFor } from './anchored.ts';
import { origin, statement, temporaryFolder } from './fixture.ts';

const place = (dataDir: string) => ({ ...auditFolders(dataDir), origin });

function listener() {
  const heard = { out: '', err: '' };
  return {
    heard,
    out(text: string): void {
      heard.out += text;
    },
    err(text: string): void {
      heard.err += text;
    },
  };
}

/** A data folder with a root of its own, beside it. */
async function rooted(): Promise<{ dataDir: string; root: string; kid: string }> {
  const dataDir = temporaryFolder();
  const root = join(temporaryFolder(), 'root.jwk');
  const output = listener();
  await init({ root, data: dataDir, node: origin }, output);
  return { dataDir, root, kid: /under root (\S+)/.exec(output.heard.out)![1]! };
}

test('a log begins under the root that was made for it, whose private half is in one file alone', async () => {
  const { dataDir, root, kid } = await rooted();
  expect(fs.statSync(root).mode & 0o777).toBe(0o600);
  const { d } = JSON.parse(fs.readFileSync(root, 'utf8'));
  const before = vkeyOf(dataDir);
  const { log, close } = await runLog(dataDir);
  await log.durable(log.append(statement(1)));
  await log.changeKey();
  await close();
  expect(vkeyOf(dataDir)).toBe(before);
  expect(await verifyLog(filesOf(dataDir), { rootKid: kid })).toMatchObject({ ok: true, epochs: 2 });
  for (const name of fs.readdirSync(dataDir, { recursive: true, encoding: 'utf8' })) {
    const path = join(dataDir, name);
    if (fs.statSync(path).isFile()) expect(fs.readFileSync(path, 'utf8').includes(d), name).toBe(false);
  }
  // Each key has its certificate beside it.
  const keys = fs.readdirSync(join(folderOf(dataDir), 'keys')).sort();
  expect(keys).toEqual([
    '0.cert',
    '0.jwk',
    '1.cert',
    '1.jwk',
    'checkpoint.cert',
    'checkpoint.jwk',
    'root.jwk',
  ]);
});

test('a root is made once: not over a file, not for a log that has one or has begun', async () => {
  const { dataDir, root } = await rooted();
  const other = temporaryFolder();
  await expect(init({ root, data: other, node: origin }, listener())).rejects.toMatchObject({
    code: 'conflict',
  });
  expect(fs.existsSync(join(other, 'keys'))).toBe(false);
  const fresh = join(other, 'root.jwk');
  await expect(init({ root: fresh, data: dataDir, node: origin }, listener())).rejects.toMatchObject({
    code: 'conflict',
  });
  await expect(init({ root: fresh, data: await begunLog(), node: origin }, listener())).rejects.toMatchObject(
    {
      code: 'conflict',
    },
  );
  expect(fs.existsSync(fresh)).toBe(false);
});

test('what was prepared and then damaged is not quietly replaced by another root', async () => {
  for (const lost of ['0.cert', '0.jwk', 'checkpoint.cert', 'checkpoint.jwk']) {
    const { dataDir } = await rooted();
    fs.rmSync(join(folderOf(dataDir), 'keys', lost));
    await expect(runLog(dataDir), lost).rejects.toThrow(/cannot begin with the keys that are in/);
  }
  const { dataDir } = await rooted();
  fs.rmSync(join(dataDir, 'keys'), { recursive: true });
  await expect(runLog(dataDir)).rejects.toMatchObject({ code: 'log-unwritable' });
  const { dataDir: mixed } = await rooted();
  const { dataDir: other } = await rooted();
  for (const name of ['0.cert', '0.jwk'])
    fs.copyFileSync(join(folderOf(other), 'keys', name), join(folderOf(mixed), 'keys', name));
  // With its private half, too: a key that another root certified.
  const secret = join('keys', 'audit', 'audit-holdpoint%2Ftest', 'epoch-0.jwk');
  fs.copyFileSync(join(other, secret), join(mixed, secret));
  await expect(runLog(mixed)).rejects.toMatchObject({ code: 'log-unwritable' });
});

test('preparing is all or nothing: cut short anywhere, it is done again or taken', async () => {
  const { dataDir } = await rooted();
  const keys = join(folderOf(dataDir), 'keys');
  fs.rmSync(join(keys, 'root.jwk'));
  await (await runLog(dataDir)).close();
  expect(await verifyLog(filesOf(dataDir))).toMatchObject({ ok: true });
  await expect(beginUnderRoot(place(dataDir), () => undefined)).rejects.toMatchObject({ code: 'conflict' });
});

/** The thumbprint of the key that signs last in a log. */
async function presentKey(dataDir: string): Promise<string> {
  const lines = filesOf(dataDir).lines('seg-00000000.jsonl');
  return JSON.parse(Buffer.from(lines.at(-1)!.split('.')[0]!, 'base64url').toString()).kid;
}

test('what a revoked key sealed is unproved, unless a witness had seen it, until the root certifies another', async () => {
  const { dataDir, root } = await rooted();
  await (await runLog(dataDir)).close();
  const witness = await witnessFor(dataDir);
  const anchors = { witnesses: [witness.config.key] };
  const { log, close } = await runLog(dataDir, [witness.config]);
  await log.durable(log.append(statement(1)));
  await close();
  const kid = await presentKey(dataDir);
  const stolen = copyOf(dataDir);
  const secret = JSON.parse(fs.readFileSync(root, 'utf8'));
  const size = (await verifyLog(filesOf(dataDir))).records;
  const { token, epoch } = await revoke(place(dataDir), secret, kid, size - 2, Date.now() + 2_000);
  expect(epoch).toBe(2);

  // The thief's copy, with what the root says brought along: two records are in doubt; a witness had seen them.
  const revocations = [token];
  const doubted = await verifyLog(filesOf(stolen), { anchors: { revocations } });
  expect(doubted.findings[0]).toMatchObject({
    code: 17,
    message: expect.stringContaining(`records ${size - 2} to ${size - 1}`),
  });
  expect(await verifyLog(filesOf(stolen), { anchors: { revocations, ...anchors } })).toMatchObject({
    ok: true,
  });
  // Seen only after the root spoke is not seen before.
  const late = await revoke(place(copyOf(dataDir)), secret, kid, size - 2, Date.now() - 3_600_000);
  const seenLate = await verifyLog(filesOf(stolen), { anchors: { revocations: [late.token], ...anchors } });
  expect(seenLate.code).toBe(17);
  // What the thief writes further is certified by the revoked key, and in doubt.
  const forked = await runLog(stolen);
  await forked.log.durable(forked.log.append(statement(2)));
  await forked.log.changeKey();
  await forked.log.durable(forked.log.append(statement(3)));
  await forked.close();
  expect((await verifyLog(filesOf(stolen))).ok).toBe(true);
  expect((await verifyLog(filesOf(stolen), { anchors: { revocations } })).code).toBe(17);

  // The honest log goes on with the key that the root certified, and says what was in doubt.
  await (await runLog(dataDir)).close();
  const report = await verifyLog(filesOf(dataDir));
  expect(report).toMatchObject({ ok: true, breaks: [{ kind: 'revoked' }] });
  expect(report.notes.join()).toContain('as they were found');
  expect((await verifyLog(filesOf(dataDir), { noGaps: true })).code).toBe(19);
  // A key that was long gone before can be revoked without any doubt.
  const old = JSON.parse(fs.readFileSync(join(folderOf(dataDir), 'keys', '0.jwk'), 'utf8'));
  const { calculateJwkThumbprint } = await import('jose');
  await revoke(place(dataDir), secret, await calculateJwkThumbprint(old), 1_000_000, Date.now());
  expect((await verifyLog(filesOf(dataDir))).breaks).toHaveLength(1);
});

test('only the log’s own root revokes, and only its keys; a forged revocation is refused', async () => {
  const { dataDir, root } = await rooted();
  await (await runLog(dataDir)).close();
  const kid = await presentKey(dataDir);
  const { root: otherRoot, dataDir: other } = await rooted();
  const flags = { data: dataDir, node: origin, fromSize: 1 };
  await expect(revokeKey({ ...flags, root: otherRoot, kid }, listener())).rejects.toThrow(
    /root of another log/,
  );
  await expect(revokeKey({ ...flags, root, kid: 'x'.repeat(43) }, listener())).rejects.toMatchObject({
    code: 'not-found',
  });
  expect(fs.existsSync(join(folderOf(dataDir), 'keys', 'revoked.jsonl'))).toBe(false);
  await (await runLog(other)).close();
  const foreign = await revoke(
    place(other),
    JSON.parse(fs.readFileSync(otherRoot, 'utf8')),
    await presentKey(other),
    1,
    Date.now(),
  );
  for (const forged of [foreign.token, `${foreign.token.slice(0, -4)}AAAA`, 'x', '{}']) {
    const report = await verifyLog(filesOf(dataDir), { anchors: { revocations: [forged] } });
    expect(report.findings[0], forged).toMatchObject({ code: 17, file: 'keys/revoked.jsonl' });
  }
});

test('a key record that claims the root’s word without it breaks the chain', async () => {
  const { dataDir, root } = await rooted();
  await (await runLog(dataDir)).close();
  const kid = await presentKey(dataDir);
  await revoke(place(dataDir), JSON.parse(fs.readFileSync(root, 'utf8')), kid, 1, Date.now());
  const cert = join(folderOf(dataDir), 'keys', '1.cert');
  fs.writeFileSync(cert, fs.readFileSync(cert, 'utf8').replace(/.{5}\n$/, 'AAAAA\n'));
  await (await runLog(dataDir)).close().catch(() => undefined);
  expect((await verifyLog(filesOf(dataDir), { live: true })).code).toBe(17);
});

test('a revoked key of the checkpoints is replaced at the next start', async () => {
  const { dataDir, root } = await rooted();
  await (await runLog(dataDir)).close();
  const before = vkeyOf(dataDir);
  const jwk = JSON.parse(fs.readFileSync(join(folderOf(dataDir), 'keys', 'checkpoint.jwk'), 'utf8'));
  const { calculateJwkThumbprint } = await import('jose');
  const output = listener();
  await revokeKey(
    { data: dataDir, node: origin, fromSize: 1, root, kid: await calculateJwkThumbprint(jwk) },
    output,
  );
  expect(output.heard.out).toContain('another key');
  await (await runLog(dataDir)).close();
  const after = listener();
  await vkey({ data: dataDir, node: origin }, after);
  expect(after.heard.out.trim()).not.toBe(before);
  expect(await verifyLog(filesOf(dataDir))).toMatchObject({ ok: true, kinds: { checkpoint_key: 1 } });
});

test('what is not there to be recovered is said', async () => {
  const dataDir = temporaryFolder();
  fs.mkdirSync(folderOf(dataDir), { recursive: true });
  await expect(recover({ data: dataDir, node: origin }, listener())).rejects.toMatchObject({
    code: 'not-found',
  });
  await expect(vkey({ data: dataDir, node: origin }, listener())).rejects.toMatchObject({
    code: 'not-found',
  });
});
