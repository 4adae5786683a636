import { expect, test } from 'vitest';
import { freshKey } from '../../src/audit/keyring.ts';
import { type Sign, signToken } from '../../src/audit/seal.ts';
import { canonical } from '../../verify/src/jcs.ts';
import type { Report } from '../../verify/src/report.ts';
import type { TokenType } from '../../verify/src/token.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { openTestLog, snapshot, statement, temporaryFolder } from '../audit/fixture.ts';

/** A log of two epochs whose writer signs what `lie` makes of each payload. */
async function lyingLog(
  lie: (type: TokenType, claims: Record<string, unknown>) => Record<string, unknown>,
  key?: Awaited<ReturnType<typeof freshKey>>,
): Promise<Report> {
  const path = temporaryFolder();
  const sign: Sign = (by, type, payload) => {
    const told = JSON.parse(payload) as Record<string, unknown>;
    const said = lie(type, told);
    return signToken(said !== told && key !== undefined ? key : by, type, canonical(said));
  };
  const { log } = await openTestLog(path, { sign });
  await log.durable(log.append(statement(1)));
  await log.changeKey();
  await log.durable(log.append(statement(2)));
  await log.close();
  return verifyLog(snapshot(path));
}

test('two epochs, honestly signed, verify', async () => {
  expect(await lyingLog((_, claims) => claims)).toMatchObject({ ok: true, epochs: 2 });
});

test.each([
  ['root', 'x', 12],
  ['head', 'x', 10],
  ['psh', 'x', 10],
  ['origin', 'other', 11],
  ['epoch', 7, 11],
  ['v', 2, 11],
] as const)('a seal that its own key signs with a wrong %s is found', async (member, value, code) => {
  const report = await lyingLog((type, claims) =>
    type === 'holdpoint-seal+jws' && claims.size === 4 ? { ...claims, [member]: value } : claims,
  );
  expect(report).toMatchObject({ ok: false, code });
});

test.each([-1, 0, 1.5, 3, 99, '4', null])(
  'a seal over %j records where four are due is found',
  async (size) => {
    const report = await lyingLog((type, claims) => {
      if (type !== 'holdpoint-seal+jws' || claims.size !== 4) return claims;
      // 1.5 has no canonical form of ours; as a string it is as wrong.
      return { ...claims, size: size === 1.5 ? '1.5' : size };
    });
    expect(report).toMatchObject({ ok: false, code: 12 });
  },
);

test.each([
  ['epoch', 5],
  ['kid', 'x'],
  ['origin', 'other'],
] as const)('a certificate for another %s breaks the key chain', async (member, value) => {
  const report = await lyingLog((type, claims) =>
    type === 'holdpoint-epoch+jws' && claims.epoch === 1 ? { ...claims, [member]: value } : claims,
  );
  expect(report).toMatchObject({ ok: false, code: 17 });
});

test('a key that another than the key before it certified breaks the key chain', async () => {
  const mallory = await freshKey();
  const report = await lyingLog(
    (type, claims) => (type === 'holdpoint-epoch+jws' && claims.epoch === 1 ? { ...claims } : claims),
    mallory,
  );
  expect(report).toMatchObject({ ok: false, code: 17 });
});

test('monotonic time that goes back within a boot is found', async () => {
  const path = temporaryFolder();
  let nowMs = 1000;
  const clock = { now: () => 1_700_000_000_000, mono: () => nowMs };
  const { log } = await openTestLog(path, { clock });
  nowMs = 2000;
  log.append(statement(1));
  nowMs = 1500;
  log.append(statement(2));
  nowMs = 3000;
  await log.close();
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: false, code: 10, findings: [{ line: 6 }] });
});

test('wall time that steps back is no fault', async () => {
  const path = temporaryFolder();
  let nowMs = 1_700_000_000_000;
  const { log } = await openTestLog(path, { clock: { now: () => nowMs, mono: () => performance.now() } });
  log.append(statement(1));
  nowMs -= 3_600_000;
  log.append(statement(2));
  await log.close();
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true });
});
