import { expect, test } from 'vitest';
import { Crowds, messageEveryMs, messagesAtOnce } from '../../src/notify/crowd.ts';
import { startMs } from '../support/approvals.ts';

const asked = (rid: string, agent = 'claude') => ({ rid, agent, target: 'shop' });

test('of a thousand requests a minute a handful is told one by one, and the rest in one message', () => {
  const crowds = new Crowds();
  let each = 0;
  const names = new Set<string>();
  for (let count = 0; count < 1000; count += 1) {
    const admission = crowds.admit(asked(`r${count}`), startMs + count * 60);
    if (admission === 'each') each += 1;
    else names.add(admission.crowd);
  }
  expect(each).toBe(messagesAtOnce + Math.floor((999 * 60) / messageEveryMs));
  expect(names.size).toBe(1);
  expect(crowds.get([...names][0]!, '/')).toMatchObject({
    agent: 'claude',
    waiting: 1000 - each,
    asked: 1000 - each,
  });
});

test('one agent in haste takes nothing from another', () => {
  const crowds = new Crowds();
  for (let count = 0; count < 50; count += 1) crowds.admit(asked(`r${count}`), startMs);
  expect(crowds.admit(asked('other', 'gpt'), startMs)).toBe('each');
});

test('an agent regains a message in a while, and never more than it may have at once', () => {
  const crowds = new Crowds();
  const told = (now: number): number => {
    let each = 0;
    for (let count = 0; count < 20; count += 1)
      if (crowds.admit(asked(`r${now} ${count}`), now) === 'each') each += 1;
    return each;
  };
  expect(told(startMs)).toBe(messagesAtOnce);
  expect(told(startMs + messageEveryMs - 1)).toBe(0);
  expect(told(startMs + messageEveryMs)).toBe(1);
  expect(told(startMs + 100 * messageEveryMs)).toBe(messagesAtOnce);
});

test('what is decided leaves the crowd; a quiet one is over, and the next is another message', () => {
  const crowds = new Crowds();
  for (let count = 0; count < messagesAtOnce; count += 1) crowds.admit(asked(`each${count}`), startMs);
  const first = crowds.admit(asked('a'), startMs);
  expect(first).toEqual(crowds.admit(asked('b'), startMs));
  expect(crowds.isMember('a')).toBe(true);
  const name = crowds.leave('a')!;
  expect(crowds.leave('a')).toBeUndefined();
  expect(crowds.get(name, '/')).toMatchObject({ waiting: 1, asked: 2 });
  crowds.leave('b');
  const later = startMs + 3_600_000;
  for (let count = 0; count < messagesAtOnce; count += 1) crowds.admit(asked(`more${count}`), later);
  expect(crowds.admit(asked('c'), later)).not.toEqual(first);
  expect(crowds.get(name, '/')).toBeUndefined();
});
