import { expect, test } from 'vitest';
import { attackCorpus } from './corpus/attacks.ts';
import { everydayCorpus } from './corpus/everyday.ts';
import { statementsOf } from './facts.ts';

test.each(attackCorpus)('$row is seen for what it does: $sql', ({ sql, effects }) => {
  const found = statementsOf(sql).flatMap((statement) => statement.effects);
  expect(found).toEqual(expect.arrayContaining([...effects]));
});

test.each(everydayCorpus)('nobody needs to look at: $sql', ({ sql, effects }) => {
  const statements = statementsOf(sql);
  expect(statements.length).toBeGreaterThan(0);
  const unexpected = statements.flatMap((statement) =>
    statement.effects.filter((effect) => !effects.includes(effect)).map((effect) => [effect, statement.why]),
  );
  expect(unexpected).toEqual([]);
});

test('the corpora have the size that was asked of them', () => {
  expect(everydayCorpus.length).toBeGreaterThanOrEqual(200);
  expect(attackCorpus.length).toBeGreaterThanOrEqual(200);
});
