import { expect, test } from 'vitest';
import { requestDigest } from '../../src/approval/request.ts';
import { gate, newBench } from '../support/approvals.ts';

test('each recipient has a link of their own, the same whenever it is asked for, and the log says whose it is', async () => {
  const bench = await newBench();
  const { request } = gate();
  const rd = requestDigest(request);
  const [ann, bob, again] = await Promise.all(
    ['ann', 'bob', 'ann'].map((name) => bench.desk.link(request, rd, name)),
  );
  expect(again).toBe(ann);
  expect(bob).not.toBe(ann);
  const jtis = [ann, bob].map(
    (link) => JSON.parse(Buffer.from(link!.split('#')[1]!.split('.')[1]!, 'base64url').toString()).jti,
  );
  expect(bench.log.told).toEqual(
    ['ann', 'bob'].map((name, at) => ({
      kind: 'notify',
      rid: request.rid,
      channel: 'link',
      message: jtis[at],
      to: [name],
    })),
  );
});

test('without its record there is no link; once the log can be written there is', async () => {
  const bench = await newBench();
  const { request } = gate();
  const rd = requestDigest(request);
  bench.log.broken = true;
  await expect(bench.desk.link(request, rd, 'ann')).rejects.toMatchObject({ code: 'log-unwritable' });
  bench.log.broken = false;
  expect(await bench.desk.link(request, rd, 'ann')).toContain(`/r/${request.rid}#`);
});

test('of very many links the first are forgotten first', async () => {
  const bench = await newBench();
  const { request } = gate();
  const rd = requestDigest(request);
  const first = await bench.desk.link(request, rd, 'first');
  const second = await bench.desk.link(request, rd, 'second');
  for (let n = 0; n < 3_999; n += 1) void bench.desk.link(request, rd, `${n}`);
  expect(await bench.desk.link(request, rd, 'second')).toBe(second);
  expect(await bench.desk.link(request, rd, 'first')).not.toBe(first);
});
