import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Pace } from '../../src/audit/pace.ts';

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate', 'performance'],
  });
});
afterEach(() => {
  vi.useRealTimers();
});

function pace(): { pace: Pace; due: ReturnType<typeof vi.fn<() => void>> } {
  const due = vi.fn<() => void>();
  return { pace: new Pace(() => performance.now(), due), due };
}

test('the first is due at once', () => {
  const { pace: one, due } = pace();
  one.within(50);
  vi.advanceTimersByTime(0);
  expect(due).toHaveBeenCalledTimes(1);
});

test('the next is counted from when the last began', () => {
  const { pace: one, due } = pace();
  one.begin();
  vi.advanceTimersByTime(3);
  one.within(5);
  vi.advanceTimersByTime(1);
  expect(due).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(due).toHaveBeenCalledTimes(1);
});

test('who is in a hurry moves it forward; who is not does not move it back', () => {
  const { pace: one, due } = pace();
  one.begin();
  one.within(50);
  one.within(5);
  one.within(50);
  vi.advanceTimersByTime(5);
  expect(due).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(100);
  expect(due).toHaveBeenCalledTimes(1);
});

test('a stopped pace is not due until it is asked again', () => {
  const { pace: one, due } = pace();
  one.begin();
  one.within(5);
  one.stop();
  vi.advanceTimersByTime(100);
  expect(due).not.toHaveBeenCalled();
  one.within(5);
  vi.advanceTimersByTime(0);
  expect(due).toHaveBeenCalledTimes(1);
});
