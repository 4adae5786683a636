import { SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { freshKey } from '../../src/audit/keyring.ts';
import { signToken } from '../../src/audit/seal.ts';
import { canonical } from '../../verify/src/jcs.ts';
import { lineBytesMax } from '../../verify/src/leaf.ts';
import { checkProof } from '../../verify/src/proof.ts';
import { readToken, verifyToken } from '../../verify/src/token.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { type MemorySource, smallLog } from '../audit/fixture.ts';

const first = 'seg-00000000.jsonl';

/** What is found when line `i` is exchanged; negative from the end. */
async function exchanged(source: MemorySource, i: number, line: string | Buffer) {
  const lines = source.lines(first).map((text) => Buffer.from(`${text}\n`));
  const content = Buffer.concat(lines.with(i, Buffer.concat([Buffer.from(line), Buffer.from('\n')])));
  return (await verifyLog(source.with(first, content))).findings[0];
}

test('a record with a repeated member is refused, whichever of the two a parser takes', async () => {
  const source = await smallLog();
  const i = source.lines(first).findLastIndex((line) => line.includes('"kind":"outcome"'));
  const line = source.lines(first)[i]!;
  for (const twice of [line.replace('"rows":1', '"rows":1,"rows":1'), line.replace('{', '{"st":"error",')])
    expect(await exchanged(source, i, twice)).toMatchObject({ code: 18, line: i + 1 });
});

test('other spellings of the same record are refused', async () => {
  const source = await smallLog();
  const line = source.lines(first)[2]!;
  for (const other of [
    line.replace(':', ': '),
    line.replace('boot', '\\u0062oot'),
    line.replace('"v":1', '"v":1.0'),
    line.replace('"v":1', '"v":1e0'),
    line.replace('"v":1', '"v":-0'),
    `${line} `,
  ])
    expect(await exchanged(source, 2, other)).toMatchObject({ code: 18, line: 3 });
});

test('lines made to hurt the reader are refused in their place', async () => {
  const source = await smallLog();
  const hurtful = [
    `{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}`,
    '{"__proto__":{"v":1},"seq":2}',
    '{"v":1,"seq":1e999}',
    '{"v":9007199254740993}',
    `{"a":"${'x'.repeat(lineBytesMax)}"}`,
    '{"a":"\\ud800"}',
    '{}',
    '{"boot":null,"kind":{},"mono":[],"node":1,"prev":2,"seq":"2","ts":"x","v":1}',
    Buffer.from([0x7b, 0xc0, 0xaf, 0x7d]),
    Buffer.from([0x7b, 0xed, 0xa0, 0x80, 0x7d]),
    'null',
    '[]',
    'eyJ',
    `e${'.'.repeat(60_000)}`,
  ];
  for (const line of hurtful) {
    const finding = await exchanged(source, 2, line);
    expect(finding, String(line).slice(0, 40)).toMatchObject({ line: 3 });
    expect([10, 11, 17, 18]).toContain(finding!.code);
  }
});

test('a seal by another key, of another type, or with a header that names its own key is refused', async () => {
  const source = await smallLog();
  const lines = source.lines(first);
  const last = lines.at(-1)!;
  const claims = readToken(last).claims;
  const other = await freshKey();
  const header = JSON.parse(Buffer.from(last.split('.')[0]!, 'base64url').toString());
  const b64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const [, payload, signature] = last.split('.');
  const forgeries = [
    await signToken(other, 'holdpoint-seal+jws', canonical(claims)),
    await signToken({ ...other, kid: header.kid }, 'holdpoint-seal+jws', canonical(claims)),
    await signToken({ ...other, kid: header.kid }, 'holdpoint-epoch+jws', canonical(claims)),
    await new SignJWT({ ...claims })
      .setProtectedHeader({ alg: 'HS256', kid: header.kid, typ: header.typ })
      .sign(Buffer.from(String(other.jwk.x))),
    `${b64({ ...header, alg: 'none' })}.${payload}.`,
    `${b64({ ...header, jwk: other.jwk })}.${payload}.${signature}`,
    `${b64({ ...header, crit: ['b64'], b64: false })}.${payload}.${signature}`,
    `${last}=`,
    `${last}.${signature}`,
  ];
  for (const forged of forgeries)
    expect(await exchanged(source, lines.length - 1, forged), forged.slice(0, 60)).toMatchObject({
      code: 11,
      line: lines.length,
    });
});

test('a token of one type is not accepted as another, even by the right key', async () => {
  const key = await freshKey();
  const token = await signToken(key, 'holdpoint-epoch+jws', '{"a":1}');
  await expect(verifyToken(token, 'holdpoint-epoch+jws', key)).resolves.toEqual({ a: 1 });
  await expect(verifyToken(token, 'holdpoint-seal+jws', key)).rejects.toThrow(/its type is/);
});

test('a proof that is no proof is refused with a reason, whatever it is', async () => {
  for (const value of [
    null,
    1,
    [],
    {},
    { typ: 'holdpoint.proof.v1' },
    { typ: 'holdpoint.proof.v1', root: {}, keys: 1 },
  ])
    await expect(checkProof(JSON.stringify(value))).rejects.toThrow();
});

test('canonical JSON refuses what it would have to change', () => {
  expect(canonical({ b: [1, 'ä', null, true], a: { '\u20ac': 1, A: 2 }, c: undefined })).toBe(
    '{"a":{"A":2,"€":1},"b":[1,"ä",null,true]}',
  );
  for (const value of [1.5, Number.NaN, 2 ** 53, 1n, undefined, () => 1, Symbol('x')])
    expect(() => canonical(value)).toThrow(TypeError);
  const deep = JSON.parse(`${'['.repeat(40)}${']'.repeat(40)}`);
  expect(() => canonical(deep)).toThrow(/nested deeper/);
});
