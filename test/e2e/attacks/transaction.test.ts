// Transaction tricks (threats D) against a real server with nobody to approve.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { query } from '../../../src/wire/messages/frontend.ts';
import { besiege, type Siege, withstands } from '../../support/siege.ts';
import { fixture } from './fixture.ts';
import { transactionScripts } from './transaction.ts';

let siege: Siege;

beforeAll(async () => {
  siege = await besiege({ fixture, hold: { waitMs: 400 } });
});

afterAll(() => siege?.close());

test.each(transactionScripts)('%s', async (...script) => {
  await withstands(siege, script);
});

test('D5, D6 an approved DELETE is undone by its savepoint, and its approval is used up', async () => {
  const guard = await siege.patient();
  const client = await guard.connect();
  client.send(query('BEGIN; SAVEPOINT a'));
  await client.until('Z');
  client.send(query('DELETE FROM orders WHERE id = 7'));
  const approved = await guard.approveNext();
  expect((await client.until('Z')).map(({ summary }) => summary)).toContain('DELETE 1');
  client.send(query('ROLLBACK TO a'));
  await client.until('Z');
  client.send(query('DELETE FROM orders WHERE id = 7'));
  const [again] = await guard.pending(1);
  expect(again!.id).not.toBe(approved);
  await guard.decide(again!.id, 'reject');
  expect((await client.until('Z')).find(({ letter }) => letter === 'E')?.summary).toContain('42501');
  client.send(query('ROLLBACK TO a; COMMIT'));
  await client.until('Z');
  client.destroy();
  const { rows } = await siege.direct.query('select count(*)::int as n from orders where id = 7');
  expect(rows[0].n).toBe(1);
});
