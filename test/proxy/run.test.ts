// Runs: consecutive frames become one piece, nothing is copied without need, and nothing changes order.

import { expect, test } from 'vitest';
import { Run } from '../../src/proxy/run.ts';
import { FRAME, Framer, NONE } from '../../src/wire/framer.ts';
import { frontendKnown, query, sync } from '../../src/wire/messages/frontend.ts';

function framerOf(): Framer {
  return new Framer({ wanted: frontendKnown, known: frontendKnown, frameBytesMax: () => 1 << 20 });
}

test('frames that follow one another in a chunk are one view of that chunk', () => {
  const framer = framerOf();
  const run = new Run();
  const chunk = Buffer.concat([query('a'), query('b'), sync()]);
  framer.push(chunk);
  while (framer.next() === FRAME) run.append(framer);
  const batch = run.take();
  expect(batch).toEqual([chunk]);
  expect(batch[0]?.buffer).toBe(chunk.buffer);
  expect(run.take()).toEqual([]);
});

test('a frame left out parts the run, and what is put in its place stands there', () => {
  const framer = framerOf();
  const run = new Run();
  framer.push(Buffer.concat([query('a'), query('b'), query('c')]));
  framer.next();
  run.append(framer);
  framer.next();
  run.add(Buffer.from('instead'));
  framer.next();
  run.append(framer);
  expect(run.take()).toEqual([query('a'), Buffer.from('instead'), query('c')]);
});

test('a frame that came in two chunks is copied before the framer writes over it', () => {
  const framer = framerOf();
  const run = new Run();
  for (const text of ['first text', 'other text']) {
    const frame = query(text);
    framer.push(frame.subarray(0, 7));
    expect(framer.next()).toBe(NONE);
    framer.push(frame.subarray(7));
    expect(framer.next()).toBe(FRAME);
    run.append(framer);
  }
  expect(Buffer.concat(run.take())).toEqual(Buffer.concat([query('first text'), query('other text')]));
});
