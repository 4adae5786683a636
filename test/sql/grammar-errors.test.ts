// What the parser says beside its message: the words are PostgreSQL's, as psql shows them on a direct connection.

import { expect, test } from 'vitest';
import { Analyzer } from '../../src/sql/parse.ts';

const cases: [sql: string, more: object][] = [
  ['selec', {}],
  ['drop operator === (int4)', { hint: 'Use NONE to denote the missing argument of a unary operator.' }],
  ['select * from t limit 1,2', { hint: 'Use separate LIMIT and OFFSET clauses.' }],
  [
    'create policy p on t as ugly using (true)',
    { hint: 'Only PERMISSIVE or RESTRICTIVE policies are supported currently.' },
  ],
  ["select 'é', E'\\u12'", { sqlstate: '22025', hint: 'Unicode escapes must be \\uXXXX or \\UXXXXXXXX.' }],
  ["select 'é', U&'\\061'", { hint: 'Unicode escapes must be \\XXXX or \\+XXXXXX.' }],
  ["alter role r unencrypted password 'x'", { sqlstate: '0A000', hint: expect.stringContaining('Remove') }],
  ['create publication p for a', { detail: expect.stringContaining('One of TABLE') }],
  ['create role public', { sqlstate: '42939' }],
  ['select sum(1) over (rows between unbounded following and unbounded following)', { sqlstate: '42P20' }],
  ['create table t (a float(99))', { sqlstate: '22023' }],
  ['create table p partition of q for values with (modulus 1, modulus 2)', { sqlstate: '42710' }],
  ['create assertion a check (true)', { sqlstate: '0A000' }],
  ['alter table t alter constraint c not valid', { sqlstate: '0A000' }],
];

test('an error of the grammar comes with the SQLSTATE, DETAIL and HINT of the server', async () => {
  const analyzer = await Analyzer.load();
  for (const [sql, more] of cases) {
    const { kind, message, position, ...rest } = (await analyzer.analyze(
      Buffer.from(sql),
    )) as never as Record<string, unknown>;
    expect({ sql, kind, rest }).toEqual({ sql, kind: 'syntax', rest: more });
  }
  await analyzer.close();
});
