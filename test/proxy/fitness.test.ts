// Fitness: which servers are community PostgreSQL by their own words, and what is said of the others.

import { describe, expect, test } from 'vitest';
import { HoldpointError } from '../../src/errors.ts';
import { fitnessWarnings, refuseForeign } from '../../src/proxy/fitness.ts';

const community = [
  'PostgreSQL 18.4 on x86_64-pc-linux-gnu, compiled by gcc (Ubuntu 7.5.0-3ubuntu1~18.04) 7.5.0, 64-bit',
  'PostgreSQL 15.18 (Debian 15.18-1.pgdg120+1) on x86_64-pc-linux-gnu, compiled by gcc (Debian 12.2.0-14) 12.2.0, 64-bit',
  'PostgreSQL 14.9 (Homebrew) on aarch64-apple-darwin22.4.0, compiled by Apple clang version 14.0.3, 64-bit',
  'PostgreSQL 16.1, compiled by Visual C++ build 1937, 64-bit',
  'PostgreSQL 16.3 - Percona Distribution on x86_64-pc-linux-gnu, compiled by gcc (GCC) 11.4.1, 64-bit',
  'PostgreSQL 17beta1 on x86_64-pc-linux-gnu, compiled by gcc, 64-bit',
];

const strangers = [
  [
    'Redshift',
    'PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat 3.4.2-6.fc3), Redshift 1.0.12103',
  ],
  ['CockroachDB', 'CockroachDB CCL v23.1.10 (x86_64-pc-linux-gnu, built 2023/09/15, go1.19.10)'],
  ['QuestDB', 'PostgreSQL 12.3, compiled by Visual C++ build 1914, 64-bit, QuestDB'],
] as const;

const forks = [
  [
    'YugabyteDB',
    'PostgreSQL 11.2-YB-2.18.0.1-b0 on x86_64-pc-linux-gnu, compiled by clang version 15.0.3, 64-bit',
  ],
  [
    'Greenplum',
    'PostgreSQL 12.12 (Greenplum Database 7.0.0 build commit:0a7a3566) on x86_64-pc-linux-gnu, compiled by gcc, 64-bit',
  ],
  [
    'EDB Postgres Advanced Server',
    'PostgreSQL 15.2 (EnterpriseDB Advanced Server 15.2.0) on x86_64-pc-linux-gnu, compiled by gcc, 64-bit',
  ],
  ['a build it does not know', 'PostgreSQL 15.2-frobnicated on x86_64-pc-linux-gnu, compiled by gcc, 64-bit'],
  ['a build it does not know', 'SomethingSQL 1.0'],
] as const;

function refusal(version: string, accepted: 'community' | 'patched'): HoldpointError | undefined {
  try {
    refuseForeign('shop', version, accepted);
  } catch (error) {
    return error as HoldpointError;
  }
  return undefined;
}

describe('community PostgreSQL', () => {
  test.each(community)('%s', (version) => {
    expect(refusal(version, 'community')).toBeUndefined();
    expect(fitnessWarnings(version, new Map([['server_encoding', 'UTF8']]))).toEqual([]);
  });
});

test.each(strangers)('%s is refused whatever the configuration says', (product, version) => {
  for (const accepted of ['community', 'patched'] as const) {
    const error = refusal(version, accepted);
    expect(error).toBeInstanceOf(HoldpointError);
    expect(error?.message).toContain(product);
    expect(error?.code).toBe('wrong-server');
  }
});

test.each(forks)(
  '%s is refused unless the configuration accepts it, and then warned of',
  (product, version) => {
    const error = refusal(version, 'community');
    expect(error?.message).toContain(`the server of target shop says it is ${product}`);
    expect(String(error?.cause)).toContain('targets.shop.server: patched');
    expect(error?.message).not.toContain('patched');
    expect(refusal(version, 'patched')).toBeUndefined();
    expect(fitnessWarnings(version, new Map()).join()).toContain('may not be the server');
  },
);

test.each([
  ['PostgreSQL 12.19 on x86_64', 'UTF8', 'PostgreSQL 12 is not tested'],
  ['PostgreSQL 19devel on x86_64', 'UTF8', 'PostgreSQL 19 is not tested'],
  ['PostgreSQL 15.4 on x86_64', 'SQL_ASCII', 'server_encoding is SQL_ASCII'],
  ['PostgreSQL 15.4 on x86_64', 'LATIN1', 'fold letters beyond ASCII'],
])('%s in %s: %s', (version, encoding, warning) => {
  const warnings = fitnessWarnings(version, new Map([['server_encoding', encoding]]));
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toContain(warning);
});
