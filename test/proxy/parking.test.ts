// Parking by itself: the ways a hold ends, against a desk decided by the test and timers moved by hand.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Rejection, Request, Settlement } from '../../src/approval/request.ts';
import { HoldpointError } from '../../src/errors.ts';
import { type Interruption, Parking, type ParkingEnd } from '../../src/proxy/parking.ts';
import { readErrorFields } from '../../src/wire/messages/backend.ts';
import { asFrame } from '../support/frames.ts';
import { FakeDesk, grant } from './link.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const request = {
  rid: 'r1',
  match: 'm',
  agent: { id: 'claude' },
  policy: { rule: 'row-removal' },
} as unknown as Request;

const no: Rejection = {
  state: 'rejected',
  rid: 'r1',
  by: 'dba',
  reason: 'no',
  until: 1_700_000_600_000,
  expiresAt: 1_700_000_000_000,
};

function park(
  desk: FakeDesk = new FakeDesk(),
  asked: Request = request,
  measured?: (signal: AbortSignal) => Promise<Request>,
) {
  const notices: Map<string, string>[] = [];
  const parking = new Parking({
    desk,
    ...(measured === undefined ? {} : { measured }),
    request: asked,
    values: { params: [] },
    ref: 4,
    waitMs: 60_000,
    heartbeatMs: 15_000,
    notify: (notice) => notices.push(readErrorFields(asFrame(notice))),
  });
  return { desk, parking, notices, end: parking.run() };
}

/** Lets promises settle; no time passes. */
const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

function refusal(end: ParkingEnd): { code: string; detail: unknown; message: string } {
  if (end.kind !== 'refuse') throw new Error(end.kind);
  const { code, detail, message } = end.error;
  return { code, message, detail: detail === undefined ? undefined : JSON.parse(detail) };
}

test('what an approval of a similar statement covers is released at once, unless it was released before', async () => {
  const desk = new FakeDesk();
  desk.covering = { rid: 'g', by: ['dba'], decisions: [1], rowsMax: 9, reserved: 9, seq: 3 };
  expect(await park(desk).end).toEqual({ kind: 'release', grant: desk.covering });
  expect(desk.calls).toEqual(['claimApproved']);
  const again = new Parking({
    desk,
    request,
    values: { params: [] },
    again: true,
    ref: 4,
    waitMs: 60_000,
    heartbeatMs: 15_000,
    notify: () => undefined,
  });
  void again.run();
  await settle();
  expect(desk.calls).toEqual(['claimApproved', 'claimApproved', 'open']);
  again.interrupt('gone');
});

test('the client is told at once and then every heartbeat, in a shape that a program can read', async () => {
  const { notices, desk, end } = park();
  await settle();
  expect(notices).toHaveLength(1);
  expect(Object.fromEntries(notices[0]!)).toMatchObject({ S: 'NOTICE', C: '01000' });
  expect(JSON.parse(notices[0]!.get('D')!)).toMatchObject({ request: 'r1', state: 'pending' });
  await vi.advanceTimersByTimeAsync(45_000);
  expect(notices).toHaveLength(4);
  desk.approve();
  expect(await end).toEqual({ kind: 'release', grant });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(notices).toHaveLength(4);
});

test('no timer is left behind, whatever the end', async () => {
  const { desk, end } = park();
  await settle();
  desk.approve();
  await end;
  expect(vi.getTimerCount()).toBe(0);
});

describe('a person', () => {
  test('who rejected the same a moment ago has spoken for this one too: nobody is asked, nothing is announced', async () => {
    const desk = new FakeDesk();
    desk.known = { ...no, reason: 'not now' };
    const { end, notices } = park(desk);
    const ended = await end;
    expect(refusal(ended)).toEqual({
      code: 'rejected',
      message: 'statement rejected by dba: not now',
      detail: { request: 'r1', state: 'rejected', expires: '2023-11-14T22:13:20.000Z', rule: 'row-removal' },
    });
    expect(ended).toMatchObject({
      rid: 'r1',
      error: { hint: expect.stringContaining('2023-11-14T22:23:20.000Z') },
    });
    expect(desk.calls).toEqual(['claimApproved']);
    expect(notices).toEqual([]);
  });

  test('is quoted on one line, without what controls text, up to 500 characters', async () => {
    const { desk, end } = park();
    await settle();
    desk.settle({ ...no, by: 'd\u0000ba', reason: `a\r\nb\u200b\x1b[31m${'\u{1f600}'.repeat(600)}` });
    const { message } = refusal(await end);
    expect(message).toBe(`statement rejected by d ba: a b [31m${'\u{1f600}'.repeat(492)}`);
  });

  test.each<[Settlement, string, string]>([
    [{ ...no, reason: 'not\u202e\nnow' }, 'rejected', 'statement rejected by dba: not now'],
    [{ ...no, reason: '' }, 'rejected', 'statement rejected by dba'],
    [{ state: 'expired', rid: 'r1' }, 'expired', 'request r1 expired'],
    [{ state: 'canceled', rid: 'r1' }, 'canceled', 'request r1 was canceled'],
    [
      { state: 'elsewhere', rid: 'r1' },
      'canceled',
      'request r1 was approved and released in another session',
    ],
  ])('who settles it as %o refuses it', async (settlement, code, message) => {
    const { desk, end } = park();
    await settle();
    desk.settle(settlement);
    const { code: got, message: said, detail } = refusal(await end);
    expect(got).toBe(code);
    expect(said.startsWith(message)).toBe(true);
    expect(detail).toEqual({
      request: 'r1',
      state: settlement.state === 'elsewhere' ? 'canceled' : settlement.state,
      expires: '2023-11-14T22:13:20.000Z',
      rule: 'row-removal',
    });
  });

  test('whose approval has been used or is past its time releases nothing', async () => {
    const { desk, end } = park();
    desk.grant = undefined;
    await settle();
    desk.approve();
    expect(refusal(await end).code).toBe('expired');
  });
});

test('when nobody decides, the client gets its answer and the request stays open for a retry', async () => {
  const { desk, end } = park();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(refusal(await end)).toMatchObject({
    code: 'pending',
    detail: { request: 'r1', state: 'pending', rule: 'row-removal' },
  });
  expect(desk.calls).toEqual(['claimApproved', 'open', 'detach']);
});

describe('an interruption', () => {
  test.each<[Interruption, string, string]>([
    ['client', 'cancel client', 'canceled'],
    ['shutdown', 'cancel shutdown', 'shutdown'],
    ['gone', 'cancel disconnect', 'abandon'],
    ['skipped', 'cancel client', 'canceled'],
  ])('%s cancels the request and runs nothing', async (cause, call, code) => {
    const { desk, parking, end } = park();
    await settle();
    parking.interrupt(cause);
    const ended = await end;
    expect(ended.kind === 'abandon' ? 'abandon' : refusal(ended).code).toBe(code);
    expect(desk.calls.at(-1)).toBe(call);
  });

  test('in the same moment as an approval wins', async () => {
    const { desk, parking, end } = park();
    await settle();
    desk.approve();
    parking.interrupt('client');
    expect(refusal(await end).code).toBe('canceled');
  });

  test.each<[Interruption, string]>([
    ['client', 'refuse'],
    ['shutdown', 'refuse'],
    ['gone', 'abandon'],
  ])(
    '%s while an earlier approval is taken up ends as %s, so that no session waits for ever',
    async (cause, kind) => {
      const desk = new FakeDesk();
      desk.earlier = grant;
      let open = (): void => undefined;
      desk.opening = new Promise((resolve) => {
        open = resolve;
      });
      const { parking, end } = park(desk);
      parking.interrupt(cause);
      open();
      expect((await end).kind).toBe(kind);
    },
  );

  test('while the request is opened cancels it as soon as it is', async () => {
    const desk = new FakeDesk();
    const open = (): void => undefined;
    const { parking, end } = park(desk);
    await settle();
    parking.interrupt('gone');
    open();
    expect((await end).kind).toBe('abandon');
    expect(desk.calls.at(-1)).toBe('cancel disconnect');
  });

  test('a second one changes nothing', async () => {
    const { parking, end } = park();
    await settle();
    parking.interrupt('client');
    parking.interrupt('shutdown');
    expect(refusal(await end).code).toBe('canceled');
  });
});

describe('the effect', () => {
  /** A measurement that the test ends. */
  function measuring(desk = new FakeDesk()) {
    const opened: Request[] = [];
    const open = desk.open.bind(desk);
    desk.open = (asked) => {
      opened.push(asked);
      return open(asked);
    };
    let finish: (measured: Request) => void = () => undefined;
    let signal: AbortSignal | undefined;
    const measured = (given: AbortSignal): Promise<Request> => {
      desk.calls.push('measure');
      signal = given;
      return new Promise((resolve) => {
        finish = resolve;
      });
    };
    const parked = park(desk, request, measured);
    return {
      ...parked,
      opened,
      wanted: () => signal?.aborted === false,
      finish: (it: Request) => finish(it),
    };
  }

  test('is measured after a retry was looked for, and before anybody is asked', async () => {
    const { desk, opened, finish, notices } = measuring();
    await settle();
    expect(desk.calls).toEqual(['claimApproved', 'measure']);
    expect(notices).toEqual([]);
    const known = { ...request, created: 7 };
    finish(known);
    await settle();
    expect(desk.calls).toEqual(['claimApproved', 'measure', 'open']);
    expect(opened).toEqual([known]);
    expect(notices).toHaveLength(1);
  });

  test('is not measured again where the request was approved, or waits already, or was rejected', async () => {
    const approved = new FakeDesk();
    approved.earlier = grant;
    const waiting = new FakeDesk();
    waiting.known = await new FakeDesk().open(request);
    const rejected = new FakeDesk();
    rejected.known = no;
    for (const desk of [approved, waiting, rejected]) {
      measuring(desk);
      await settle();
      expect(desk.calls).not.toContain('measure');
    }
  });

  test.each<[Interruption, string]>([
    ['client', 'canceled'],
    ['shutdown', 'shutdown'],
    ['skipped', 'canceled'],
    ['gone', 'abandon'],
  ])('is not waited for by a %s, and nobody is asked then', async (cause, code) => {
    const { desk, parking, end, wanted, finish } = measuring();
    await settle();
    expect(wanted()).toBe(true);
    parking.interrupt(cause);
    const ended = await end;
    expect(ended.kind === 'abandon' ? 'abandon' : refusal(ended)).toEqual(
      code === 'abandon' ? 'abandon' : expect.objectContaining({ code, detail: undefined }),
    );
    expect(wanted()).toBe(false);
    finish(request);
    await settle();
    expect(desk.calls).toEqual(['claimApproved', 'measure']);
  });

  test('that is known in the same moment as an interruption asks nobody either', async () => {
    const { desk, parking, end, finish } = measuring();
    await settle();
    finish(request);
    parking.interrupt('client');
    expect(refusal(await end).code).toBe('canceled');
    expect(desk.calls).toEqual(['claimApproved', 'measure']);
  });
});

describe('a desk that fails', () => {
  test('with an error of ours is that refusal', async () => {
    const desk = new FakeDesk();
    desk.failure = new HoldpointError('too-many-pending', 'too many');
    expect(refusal(await park(desk).end).code).toBe('too-many-pending');
  });

  test('in any other way is a refusal too: the statement never runs', async () => {
    const desk = new FakeDesk();
    desk.failure = new TypeError('defect');
    expect(refusal(await park(desk).end).code).toBe('store-unreachable');
  });
});

test('a request that rests on its session is canceled when the wait ends: nobody else could use it', async () => {
  const { desk, end } = park(new FakeDesk(), { ...request, once: true });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(refusal(await end)).toMatchObject({
    code: 'canceled',
    detail: { request: 'r1', state: 'canceled' },
  });
  expect(desk.calls).toEqual(['claimApproved', 'open', 'cancel client']);
});
