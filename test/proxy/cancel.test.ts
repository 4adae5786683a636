// Which session a CancelRequest means, and what it may do.

import { expect, test } from 'vitest';
import { type Cancelable, CancelKeys } from '../../src/proxy/cancel.ts';

class FakeSession implements Cancelable {
  readonly calls: string[] = [];
  busy = true;
  holding = false;
  deliver: () => void = () => undefined;
  cancelHold(): boolean {
    if (this.holding) this.calls.push('hold');
    return this.holding;
  }
  delayForCancel(): () => void {
    this.calls.push('delay');
    return () => this.calls.push('resume');
  }
  cancelUpstream(): Promise<void> {
    this.calls.push('upstream');
    return new Promise((resolve) => {
      this.deliver = resolve;
    });
  }
}

function opened(keys: CancelKeys, minor: 0 | 2 = 0) {
  const session = new FakeSession();
  const slot = keys.allocate(minor);
  slot.bind(session);
  return { session, ...slot };
}

test('keys have 4 bytes in protocol 3.0 and 32 in 3.2, and no two sessions share a process number', () => {
  const keys = new CancelKeys();
  const [a, b] = [opened(keys), opened(keys, 2)];
  expect([a.key.length, b.key.length]).toEqual([4, 32]);
  expect(a.pid).not.toBe(b.pid);
  expect(a.pid).toBeGreaterThan(0);
});

test('a running statement is canceled at the target while the next one waits', async () => {
  const keys = new CancelKeys();
  const { session, pid, key } = opened(keys);
  const done = keys.request(pid, key, '::1', 0);
  expect(session.calls).toEqual(['delay', 'upstream']);
  session.deliver();
  await done;
  expect(session.calls).toEqual(['delay', 'upstream', 'resume']);
});

test('a held statement is canceled here, and the target hears nothing', async () => {
  const keys = new CancelKeys();
  const { session, pid, key } = opened(keys);
  session.holding = true;
  await keys.request(pid, key, '::1', 0);
  expect(session.calls).toEqual(['hold']);
});

test('an idle session is left alone, lest its next statement be hit', async () => {
  const keys = new CancelKeys();
  const { session, pid, key } = opened(keys);
  session.busy = false;
  await keys.request(pid, key, '::1', 0);
  expect(session.calls).toEqual([]);
});

test('one request at a time is delivered', async () => {
  const keys = new CancelKeys();
  const { session, pid, key } = opened(keys);
  const first = keys.request(pid, key, '::1', 0);
  await keys.request(pid, key, '::1', 0);
  session.deliver();
  await first;
  expect(session.calls.filter((call) => call === 'upstream')).toHaveLength(1);
});

test('a wrong key, one of another length, an unknown process and an ended session do nothing', async () => {
  const keys = new CancelKeys();
  const { session, pid, key, free } = opened(keys);
  const wrong = Buffer.from(key.map((byte) => byte ^ 1));
  await keys.request(pid, wrong, '::1', 0);
  await keys.request(pid, Buffer.concat([key, key]), '::1', 0);
  await keys.request(pid + 1, key, '::1', 0);
  free();
  await keys.request(pid, key, '::1', 0);
  expect(session.calls).toEqual([]);
});

test('a session that is still logging in has nothing to cancel', async () => {
  const keys = new CancelKeys();
  const { pid, key } = keys.allocate(0);
  await expect(keys.request(pid, key, '::1', 0)).resolves.toBeUndefined();
});

test('an address that guesses is not heard for a minute; others are', async () => {
  const keys = new CancelKeys();
  const { session, pid, key } = opened(keys);
  session.holding = true;
  for (let each = 0; each < 100; each += 1) await keys.request(pid + 1, key, '10.0.0.1', 1000);
  await keys.request(pid, key, '10.0.0.1', 2000);
  expect(session.calls).toEqual([]);
  await keys.request(pid, key, '10.0.0.2', 2000);
  expect(session.calls).toEqual(['hold']);
  await keys.request(pid, key, '10.0.0.1', 70_000);
  expect(session.calls).toEqual(['hold', 'hold']);
});
