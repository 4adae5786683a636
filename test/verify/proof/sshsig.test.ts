// SSH signatures: what stock ssh-keygen signs is accepted for every key type, what was changed in any way is not, and
// what is accepted here stock ssh-keygen accepts.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readSshLine } from '../../../verify/src/proof/sshkey.ts';
import { signerOf, verifySshSignature } from '../../../verify/src/proof/sshsig.ts';
import { ecdsaSecurityKey, edwardsSecurityKey } from '../../support/securitykey.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdpoint-ssh-'));
afterAll(() => rmSync(folder, { recursive: true }));

const namespace = 'holdpoint-decision@v1';
const text = '{"aud":"http://holdpoint.test","reason":"näher ⚠"}';

function sshKey(type: string, bits?: number): { file: string; line: string } {
  const file = join(folder, `${type}-${bits ?? ''}`);
  const size = bits === undefined ? [] : ['-b', String(bits)];
  execFileSync('ssh-keygen', ['-q', '-t', type, ...size, '-N', '', '-C', 'ann@desk', '-f', file]);
  return { file, line: readFileSync(`${file}.pub`, 'utf8') };
}

function sign(file: string, what = text, ...options: string[]): string {
  const name = join(folder, 'text');
  writeFileSync(name, what);
  rmSync(`${name}.sig`, { force: true });
  execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-n', namespace, '-f', file, ...options, name], {
    stdio: 'pipe',
  });
  return readFileSync(`${name}.sig`, 'utf8');
}

/** `ssh-keygen -Y verify`, as an auditor without any of our software runs it. */
function stockVerifies(line: string, armored: string, what: string): boolean {
  const signers = join(folder, 'allowed_signers');
  writeFileSync(signers, `ann namespaces="${namespace}" ${line.trim()}\n`);
  writeFileSync(join(folder, 'check.sig'), armored);
  try {
    execFileSync(
      'ssh-keygen',
      ['-Y', 'verify', '-f', signers, '-I', 'ann', '-n', namespace, '-s', join(folder, 'check.sig')],
      { input: what, stdio: 'pipe' },
    );
    return true;
  } catch {
    return false;
  }
}

test.each([
  ['ed25519', undefined],
  ['ecdsa', 256],
  ['ecdsa', 384],
  ['rsa', 2048],
])(
  'what ssh-keygen signs with %s %s is accepted, and only for that text, key and namespace',
  (type, bits) => {
    const { file, line } = sshKey(type, bits);
    for (const hash of ['sha512', 'sha256']) {
      const armored = sign(file, text, '-O', `hashalg=${hash}`);
      const { key, presence } = verifySshSignature(armored, text, namespace);
      expect(key.fingerprint).toBe(execFileSync('ssh-keygen', ['-lf', file]).toString().split(' ')[1]);
      expect(key.fingerprint).toBe(readSshLine(line).fingerprint);
      expect(signerOf(armored).line).toBe(line.split(' ').slice(0, 2).join(' '));
      expect(presence).toBeUndefined();
      expect(() => verifySshSignature(armored, `${text} `, namespace)).toThrow(
        'not a signature over this text',
      );
      expect(() => verifySshSignature(armored, text, 'file')).toThrow('was made for');
    }
  },
);

test('no bit of a signature can be changed', () => {
  const { file } = sshKey('ed25519', 256);
  const armored = sign(file);
  const bytes = Buffer.from(armored.split('\n').slice(1, -2).join(''), 'base64');
  for (let at = 0; at < bytes.length; at += 1) {
    const changed = Buffer.from(bytes);
    changed[at]! ^= 1 << (at % 8);
    const own = changed.toString('base64').replaceAll(/.{70}/g, '$&\n');
    const spelled = `-----BEGIN SSH SIGNATURE-----\n${own}\n-----END SSH SIGNATURE-----\n`;
    const accepted = (): boolean => {
      try {
        return verifySshSignature(spelled, text, namespace).key.fingerprint === signerOf(armored).fingerprint;
      } catch {
        return false;
      }
    };
    expect(accepted()).toBe(false);
  }
});

test.each([
  ['a security key with Ed25519', edwardsSecurityKey],
  ['a security key with P-256', ecdsaSecurityKey],
])('%s: stock ssh-keygen verifies it too; touch is required, verification told', (_, make) => {
  const key = make();
  const both = key.sign(text, namespace, { flags: 0x05, counter: 7 });
  expect(verifySshSignature(both, text, namespace).presence).toEqual({
    touched: true,
    verified: true,
    counter: 7,
  });
  expect(stockVerifies(key.line, both, text)).toBe(true);
  const touch = key.sign(text, namespace, { flags: 0x01, counter: 8 });
  expect(verifySshSignature(touch, text, namespace).presence).toMatchObject({ verified: false });
  expect(stockVerifies(key.line, touch, text)).toBe(true);
  const untouched = key.sign(text, namespace, { flags: 0x04, counter: 9 });
  expect(() => verifySshSignature(untouched, text, namespace)).toThrow('not touched');
});

test('what is no signature, or of a kind that is too weak, is refused with the reason', () => {
  const weak = sshKey('rsa', 1024);
  expect(() => readSshLine(weak.line)).toThrow('an RSA key of 1024 bits is not accepted');
  const { line } = sshKey('ed25519', 1);
  const blob = line.split(' ')[1]!;
  for (const [given, why] of [
    ['', 'not a line of an OpenSSH public key file'],
    [`ssh-rsa ${blob}`, 'is called ssh-rsa and is ssh-ed25519'],
    [`ssh-ed25519 ${blob}AAAA`, 'bytes follow its end'],
    ['ssh-dss AAAAB3NzaC1kc3M=', 'keys of type ssh-dss are not accepted'],
    [`restrict ssh-ed25519 ${blob}`, 'not a line'],
    [`ssh-ed25519 ${blob}\nssh-ed25519 ${blob}`, 'not a line'],
  ] as const)
    expect(() => readSshLine(given)).toThrow(why);
  for (const given of ['', 'x', '-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n'])
    expect(() => verifySshSignature(given, text, namespace)).toThrow();
});
