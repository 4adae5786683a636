import { expect, test } from 'vitest';
import { MemoryStore } from '../../src/store/memory.ts';
import { row, storeContract } from './contract.ts';

storeContract('memory', async () => new MemoryStore());

test('a full memory forgets the oldest ended row, and refuses rather than forget an open one', async () => {
  const store = new MemoryStore(2);
  const ended = row();
  const open = row();
  await store.create(ended, 100, 0);
  await store.create(open, 100, 0);
  expect(await store.create(row(), 100, 0)).toBe('too-many');
  await store.end(ended.rid, ['pending'], 'canceled', { by: 'x', reason: '', at: 0 });
  expect(await store.create(row(), 100, 0)).toBe('created');
  expect(await store.get(ended.rid)).toBeUndefined();
  expect(await store.get(open.rid)).toBeDefined();
});
