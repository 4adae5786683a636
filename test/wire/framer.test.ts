import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HoldpointError } from '../../src/errors.ts';
import { FRAME, Framer, NONE, PASSAGE, typeTable } from '../../src/wire/framer.ts';
import {
  backendFrameBytesMax,
  backendKnown,
  errorResponse,
  noticeResponse,
  parameterStatus,
  readyForQuery,
} from '../../src/wire/messages/backend.ts';
import {
  bind,
  close,
  describe as describeMessage,
  execute,
  flush,
  frontendFrameBytesMax,
  frontendKnown,
  parse,
  query,
  sync,
  terminate,
} from '../../src/wire/messages/frontend.ts';
import * as frames from '../support/frames.ts';

const statementBytesMax = 100_000;
const frontendWanted = typeTable('QPBCDEHSFXp');
const backendWanted = typeTable('EZCIs123TtnGHWSKANRv');

const frontendTrace = [
  query('select 1'),
  parse('s1', 'delete from orders where id = $1', [23]),
  bind('', 's1', [Buffer.from('7'), null], [0, 1], [1]),
  describeMessage('P', ''),
  execute('', 10),
  flush(),
  frames.copyData('1\tone\n'),
  frames.copyData(''),
  frames.copyData('2\ttwo\n'),
  frames.copyDone(),
  frames.copyFail('no'),
  close('S', 's1'),
  sync(),
  frames.functionCall(1598),
  query(''),
  terminate(),
];

const backendTrace = [
  frames.parseComplete(),
  frames.bindComplete(),
  frames.rowDescription('id', 'name'),
  frames.dataRow('1', 'one'),
  frames.dataRow('2', null),
  frames.dataRow(),
  noticeResponse({ S: 'NOTICE', C: '01000', M: 'so' }),
  frames.dataRow('3', 'three'),
  frames.commandComplete('SELECT 4'),
  parameterStatus('TimeZone', 'UTC'),
  errorResponse({ S: 'ERROR', V: 'ERROR', C: '42601', M: 'no' }),
  frames.copyResponse('H', 1),
  frames.copyData('x\n'),
  frames.copyDone(),
  frames.closeComplete(),
  readyForQuery('I'),
];

function frontendFramer(bytesMax = statementBytesMax): Framer {
  return new Framer({
    wanted: frontendWanted,
    known: frontendKnown,
    frameBytesMax: frontendFrameBytesMax(bytesMax),
  });
}

function backendFramer(): Framer {
  return new Framer({
    wanted: backendWanted,
    known: backendKnown,
    frameBytesMax: backendFrameBytesMax(statementBytesMax),
  });
}

/** Wanted frames in hex; what passed between two of them, in however many pieces, as one `~` entry. */
function drain(framer: Framer, chunks: readonly Buffer[], pullEach = true): string[] {
  const given: string[] = [];
  const take = () => {
    for (let step = framer.next(); step !== NONE; step = framer.next()) {
      const hex = framer.buffer.toString('hex', framer.start, framer.end);
      if (step === FRAME) {
        expect(framer.buffer[framer.start]).toBe(framer.type);
        expect(framer.atBoundary).toBe(true);
        given.push(hex);
      } else if (given.at(-1)?.startsWith('~')) given.push(given.pop() + hex);
      else given.push(`~${hex}`);
    }
  };
  for (const chunk of chunks) {
    framer.push(chunk);
    if (pullEach) take();
  }
  take();
  return given;
}

/** What `drain` must give for whole frames. */
function expected(trace: readonly Buffer[], wanted: Uint8Array): string[] {
  const given: string[] = [];
  for (const frame of trace) {
    if (wanted[frame[0]!] === 1) given.push(frame.toString('hex'));
    else if (given.at(-1)?.startsWith('~')) given.push(given.pop() + frame.toString('hex'));
    else given.push(`~${frame.toString('hex')}`);
  }
  return given;
}

function header(letter: string, lengthField: number): Buffer {
  const bytes = Buffer.from(`${letter}1234`);
  bytes.writeUInt32BE(lengthField, 1);
  return bytes;
}

/** The error of pulling until nothing is left. */
function failure(framer: Framer, ...chunks: Buffer[]): HoldpointError {
  try {
    drain(framer, chunks);
  } catch (error) {
    if (error instanceof HoldpointError) return error;
    throw error;
  }
  throw new Error('the framer accepted it');
}

const directions = [
  { direction: 'frontend', make: frontendFramer, trace: frontendTrace, wanted: frontendWanted },
  { direction: 'backend', make: backendFramer, trace: backendTrace, wanted: backendWanted },
] as const;

describe.each(directions)('$direction', ({ make, trace, wanted }) => {
  const stream = Buffer.concat(trace);

  test('a stream in one chunk comes out as its frames', () => {
    expect(drain(make(), [stream])).toEqual(expected(trace, wanted));
  });

  test('every split point of every frame gives the same frames', () => {
    for (const frame of trace) {
      const around = [readyOrSync(wanted), frame, readyOrSync(wanted)];
      const whole = expected(around, wanted);
      const bytes = Buffer.concat(around);
      for (let cut = 0; cut <= bytes.length; cut++) {
        expect(drain(make(), [bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(whole);
      }
    }
  });

  test('every split point of the whole stream gives the same frames', () => {
    const whole = expected(trace, wanted);
    for (let cut = 0; cut <= stream.length; cut++) {
      const framer = make();
      expect(drain(framer, [stream.subarray(0, cut), stream.subarray(cut)])).toEqual(whole);
      expect(framer.pendingBytes).toBe(0);
    }
  });

  test('single bytes give the same frames, whether pulled at once or at the end', () => {
    const bytes = Array.from(stream, (byte) => Buffer.from([byte]));
    expect(drain(make(), bytes)).toEqual(expected(trace, wanted));
    expect(drain(make(), bytes, false)).toEqual(expected(trace, wanted));
  });

  test('random splits give the same frames', () => {
    const cuts = fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 30 });
    fc.assert(
      fc.property(cuts, fc.boolean(), (unsorted, pullEach) => {
        const sorted = [0, ...unsorted.sort((a, b) => a - b), stream.length];
        const chunks = sorted.slice(1).map((cut, i) => stream.subarray(sorted[i], cut));
        expect(drain(make(), chunks, pullEach)).toEqual(expected(trace, wanted));
      }),
      { numRuns: 200 },
    );
  });

  test('random bytes give frames or a HoldpointError, and nothing that was not pushed', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }), (arrays) => {
        const chunks = arrays.map((array) => Buffer.from(array));
        const pushedBytes = Buffer.concat(chunks).length;
        try {
          const given = drain(make(), chunks);
          expect(given.join('').replaceAll('~', '').length / 2).toBeLessThanOrEqual(pushedBytes);
        } catch (error) {
          expect(error).toBeInstanceOf(HoldpointError);
        }
      }),
      { numRuns: 300 },
    );
  });
});

function readyOrSync(wanted: Uint8Array): Buffer {
  return wanted === backendWanted ? readyForQuery('T') : sync();
}

test('a frame inside one chunk is a view of that chunk', () => {
  const chunk = Buffer.concat([sync(), query('select 1')]);
  const framer = frontendFramer();
  framer.push(chunk);
  framer.next();
  expect(framer.next()).toBe(FRAME);
  expect(framer.buffer).toBe(chunk);
  expect([framer.start, framer.end]).toEqual([5, chunk.length]);
});

test('a split frame is not a view of its chunks and survives their being overwritten', () => {
  const bytes = query('select 1');
  const [left, right] = [Buffer.from(bytes.subarray(0, 8)), Buffer.from(bytes.subarray(8))];
  const framer = frontendFramer();
  framer.push(left);
  expect(framer.next()).toBe(NONE);
  left.fill(0);
  framer.push(right);
  expect(framer.next()).toBe(FRAME);
  right.fill(0);
  expect(framer.buffer.subarray(framer.start, framer.end)).toEqual(bytes);
});

test('frames that nobody pulls are kept and counted', () => {
  const framer = frontendFramer();
  framer.push(query('select 1'));
  framer.push(sync());
  expect(framer.pendingBytes).toBe(query('select 1').length + sync().length);
  expect(framer.next()).toBe(FRAME);
  expect(framer.pendingBytes).toBe(sync().length);
  expect(framer.next()).toBe(FRAME);
  expect(framer.next()).toBe(NONE);
  expect(framer.pendingBytes).toBe(0);
});

test('single bytes that wait are joined instead of kept one by one', () => {
  const bodyBytes = 50_000;
  const framer = frontendFramer();
  framer.push(header('d', bodyBytes + 4));
  for (let i = 0; i < bodyBytes; i++) framer.push(Buffer.from([i & 0xff]));
  const passed: Buffer[] = [];
  while (framer.next() === PASSAGE)
    passed.push(Buffer.from(framer.buffer.subarray(framer.start, framer.end)));
  const body = Buffer.concat(passed).subarray(5);
  expect(body.equals(Buffer.from(Array.from({ length: bodyBytes }, (_, i) => i & 0xff)))).toBe(true);
  expect(passed.length).toBeLessThan(20);
});

test('neighbouring rows of one chunk are one passage', () => {
  const rows = [frames.dataRow('1'), frames.dataRow('2'), frames.dataRow('3')];
  const framer = backendFramer();
  framer.push(Buffer.concat([...rows, readyForQuery('I')]));
  expect(framer.next()).toBe(PASSAGE);
  expect(framer.end - framer.start).toBe(Buffer.concat(rows).length);
  expect(framer.type).toBe('D'.charCodeAt(0));
  expect(framer.next()).toBe(FRAME);
});

test('an unwanted frame is streamed on while it arrives, and nothing may be put inside it', () => {
  const framer = backendFramer();
  framer.push(header('D', 0x7fffffff));
  expect(framer.next()).toBe(PASSAGE);
  expect(framer.atBoundary).toBe(false);
  framer.push(Buffer.alloc(1_000_000));
  expect(framer.next()).toBe(PASSAGE);
  expect(framer.end - framer.start).toBe(1_000_000);
  expect(framer.next()).toBe(NONE);
  expect(framer.pendingBytes).toBe(0);
  expect(framer.atBoundary).toBe(false);
});

test('nothing of an unwanted frame passes before its length is whole and believed', () => {
  const framer = backendFramer();
  framer.push(Buffer.from([0x44, 0, 0]));
  expect(framer.next()).toBe(NONE);
  expect(framer.pendingBytes).toBe(3);
  framer.push(Buffer.from([0, 3]));
  expect(() => framer.next()).toThrow('invalid message length 3');
});

test.each([
  ['0', 0],
  ['3', 3],
  ['-1', 0xffffffff],
  ['2 GiB', 0x80000000],
])('a length of %s ends the stream for wanted and unwanted frames alike', (_name, lengthField) => {
  for (const letter of 'QPdS') {
    const error = failure(frontendFramer(), header(letter, lengthField), Buffer.alloc(100));
    expect(error.code).toBe('protocol-violation');
    expect(error.sqlstate).toBe('08P01');
  }
  expect(failure(backendFramer(), header('D', lengthField)).code).toBe('protocol-violation');
});

test('a bad length behind good rows of the same type is still refused, after the rows were given', () => {
  const framer = backendFramer();
  framer.push(Buffer.concat([frames.dataRow('1'), header('D', 2)]));
  expect(framer.next()).toBe(PASSAGE);
  expect(framer.end - framer.start).toBe(frames.dataRow('1').length);
  expect(() => framer.next()).toThrow(HoldpointError);
});

test('a wanted frame over its limit is too large, at its limit it is not', () => {
  const frameBytes = query('x'.repeat(1000)).length;
  expect(drain(frontendFramer(frameBytes - 1), [query('x'.repeat(1000))])).toHaveLength(1);
  const error = failure(frontendFramer(frameBytes - 2), query('x'.repeat(1000)));
  expect([error.code, error.sqlstate]).toEqual(['too-large', '54000']);
});

test('a Sync over the limit of short messages is refused however large statements may be', () => {
  expect(failure(frontendFramer(1_000_000_000), header('S', 10_001)).code).toBe('too-large');
  expect(failure(frontendFramer(1_000_000_000), header('c', 10_001)).code).toBe('protocol-violation');
});

test('an unknown type is refused by its first byte, before a length could be believed', () => {
  for (const byte of [0, 0x16, 0x21, 0x7a, 0xff]) {
    const error = failure(frontendFramer(), Buffer.from([byte]));
    expect(error.message).toBe(`invalid message type ${byte}`);
  }
  expect(failure(backendFramer(), Buffer.from('Q')).code).toBe('protocol-violation');
});

test('a stream that failed stays failed', () => {
  const framer = frontendFramer();
  const first = failure(framer, Buffer.from('!'));
  framer.push(sync());
  expect(failure(framer)).toBe(first);
});

test('memory follows what arrived, not what a length announces', () => {
  const framer = frontendFramer(0x3ffffffe);
  const before = process.memoryUsage().arrayBuffers;
  framer.push(header('Q', 0x3ffffff0));
  for (let i = 0; i < 10; i++) {
    framer.push(Buffer.alloc(1000));
    expect(framer.next()).toBe(NONE);
  }
  expect(framer.pendingBytes).toBe(10_005);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4_000_000);
});

test('a statement of many chunks is assembled whole', () => {
  const bytes = query('x'.repeat(90_000));
  const framer = frontendFramer();
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 777) chunks.push(bytes.subarray(at, at + 777));
  expect(drain(framer, chunks)).toEqual([bytes.toString('hex')]);
});
