import { expect, test } from 'vitest';
import { MemoryStore } from '../../src/store/memory.ts';
import { row, storeContract, vote } from './contract.ts';

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

test('what has ended is forgotten first as it has ended, but for what still decides something', async () => {
  const store = new MemoryStore(100, 2);
  const ending = { by: 'x', reason: '', at: 0 };
  const made = async () => {
    const one = row();
    await store.create(one, 100, 0);
    return one;
  };
  const ended = async (to: 'canceled' | 'rejected') => {
    const one = await made();
    await store.end(one.rid, ['pending'], to, ending);
    return one;
  };
  const used = async () => {
    const one = await made();
    await store.vote(one.rid, one.rd, vote('dba'));
    expect(await store.consume(one.rid, one.rd, one.holder)).toBe(true);
    return one;
  };
  const [open, rejected, running, granted] = [
    await made(),
    await ended('rejected'),
    await used(),
    await used(),
  ];
  expect(await store.grant(granted.rid, granted.rd, 1000)).toBe(true);
  await store.end(granted.rid, ['consumed'], 'executed', ending);
  const past: string[] = [];
  for (let n = 0; n < 5; n += 1) past.push((await ended('canceled')).rid);
  const kept = (await store.list({ rowsMax: 100 })).map(({ rid }) => rid);
  expect(kept.toSorted()).toEqual(
    [open.rid, rejected.rid, running.rid, granted.rid, ...past.slice(-2)].toSorted(),
  );
  // One that ends is one of them, however early it was made.
  await store.end(running.rid, ['consumed'], 'executed', ending);
  expect(await store.get(past.at(-2)!)).toBeUndefined();
  expect(await store.get(running.rid)).toMatchObject({ state: 'executed' });
  await store.revoke(granted.rid);
  expect(await store.get(past.at(-1)!)).toBeUndefined();
});
