// Quorums that nobody can ever reach refuse to start; those that can do not.

import { generateKeyPairSync } from 'node:crypto';
import type { JWK } from 'jose';
import { expect, test } from 'vitest';
import { requireApprovers } from '../../src/cli/quorums.ts';
import { parseConfig } from '../../src/config.ts';
import { parsePolicy } from '../../src/policy/rules.ts';
import type { Approver } from '../../src/registry-book.ts';
import { edwardsSecurityKey } from '../support/securitykey.ts';

const jwk = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }) as JWK;
const nothing = { keys: [], ssh: [], passkeys: [], oidc: [], slack: [] };

function person(name: string, change: Partial<Approver> = {}): Approver {
  const keys = [{ kid: name, jwk }];
  return { ...nothing, keys, name, breakGlass: false, retiredAt: undefined, source: 'file', ...change };
}

const slackOnly = { keys: [], slack: [{ team: 'T012AB3CD', user: 'U012AB3CD' }] };

function required(
  given: { environment?: string; approval?: string; agents?: string; rules?: string },
  people: readonly Approver[],
): string {
  const config = parseConfig(
    `targets:
  shop: { url: "postgres://o@127.0.0.1/shop", environment: ${given.environment ?? 'production'}, approval: ${given.approval ?? '{}'} }
agents: ${given.agents ?? '{}'}
`,
    { file: '/etc/holdpoint.yaml', env: {} },
  );
  const rules = `version: 1\nrules:\n${given.rules ?? '  []'}`;
  const policy = parsePolicy({ file: 'rules.yaml', text: rules }, () => {
    throw new Error('nothing is extended');
  });
  try {
    requireApprovers(config, people, new Map([['shop', policy]]));
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

test('production starts with as many approvers as its quorum, who are present and strong enough', () => {
  expect(required({}, [])).toBe(
    'target shop is production and needs an approver of level key, but none is registered; add one with: holdpoint approver add NAME --generate FILE',
  );
  expect(required({}, [person('ann')])).toBe('');
  expect(required({}, [person('ann', { retiredAt: 1 })])).toContain('but none is registered');
  expect(required({}, [person('ann', slackOnly)])).toContain('but none is registered');
  expect(required({ approval: '{ quorum: 2 }' }, [person('ann')])).toContain(
    'needs 2 approvers of level key, but only 1 is registered',
  );
  expect(required({ approval: '{ quorum: 2 }' }, [person('ann'), person('bob')])).toBe('');
});

test('a key in software is no passkey; a security key for SSH may be as good', () => {
  const approval = '{ level: passkey }';
  expect(required({ approval }, [person('ann')])).toContain('of level passkey, but none is registered');
  expect(required({ approval }, [person('ann')])).toContain('approver add NAME --passkey');
  const ssh = [{ fingerprint: 'SHA256:x', line: edwardsSecurityKey().line }];
  expect(required({ approval }, [person('ann', { keys: [], ssh })])).toBe('');
});

test('only those whom the target names count', () => {
  const approval = '{ quorum: 2, approvers: [Ann, bob] }';
  expect(required({ approval }, [person('ann'), person('eve')])).toContain('among Ann, bob, but only 1 is');
  expect(required({ approval }, [person('ann'), person('bob')])).toBe('');
});

test('the person behind an agent does not count for it', () => {
  const agents = '{ bot: { password: x, targets: [shop], onBehalfOf: [ANN] } }';
  expect(required({ agents }, [person('ann')])).toContain('for bot, which works for ANN, an approver');
  expect(required({ agents }, [person('ann'), person('bob')])).toBe('');
  expect(
    required({ agents: agents.replace('[shop], ', '[shop], access: read-only, ') }, [person('ann')]),
  ).toContain('for bot');
});

test('a rule that asks for more than there are people is named', () => {
  const rule = (approval: string) =>
    `  - { name: pay, action: hold, relations: [salaries], approval: ${approval} }\n`;
  const people = [person('ann'), person('bob')];
  expect(required({ rules: rule('{ quorum: 3 }') }, people)).toContain(
    'rule pay on target shop is production and needs 3 approvers of level key, but only 2 are registered',
  );
  expect(required({ rules: rule('{ approvers: [cfo] }') }, people)).toContain('among cfo, but none is');
  const approval = '{ approvers: [ann] }';
  expect(required({ approval, rules: rule('{ approvers: [bob] }') }, people)).toContain('among nobody');
  expect(required({ rules: rule('{ quorum: 2, approvers: [ann, bob] }') }, people)).toBe('');
});

test('outside of production the first approver may come later, but a group that is too small never is enough', () => {
  for (const environment of ['staging', 'development']) {
    expect(required({ environment }, [])).toBe('');
    expect(required({ environment, approval: '{ quorum: 2 }' }, [person('ann')])).toContain('only 1 is');
    expect(required({ environment, approval: '{ level: slack }' }, [person('ann', slackOnly)])).toBe('');
  }
  expect(required({ environment: 'development', approval: '{ level: link }' }, [])).toBe('');
});
