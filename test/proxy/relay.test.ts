// The relay between two sockets in memory: what reaches the server when, what a hold keeps back, and who waits for whom.

import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { HoldpointError } from '../../src/errors.ts';
import { noticeResponse, readErrorFields, readyForQuery } from '../../src/wire/messages/backend.ts';
import { bind, execute, parse, query, sync, terminate } from '../../src/wire/messages/frontend.ts';
import {
  asFrame,
  bindComplete,
  commandComplete,
  copyData,
  copyDone,
  copyResponse,
  dataRow,
  functionCall,
  parseComplete,
} from '../support/frames.ts';
import { analyzer, grant, Link, logFailure, turn } from './link.ts';

afterAll(() => analyzer.close());

const read = query('select 1');
const gated = query('delete from t where a = 1');
const ready = readyForQuery('I');

/** Fields of the first frame of a stream that is an ErrorResponse. */
function errorIn(bytes: Buffer): Map<string, string> {
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1)) {
    if (bytes[at] === 0x45)
      return readErrorFields(asFrame(bytes.subarray(at, at + 1 + bytes.readInt32BE(at + 1))));
  }
  throw new Error('no ErrorResponse');
}

describe('record first, then bytes', () => {
  test('a statement reaches the server only when its record is written', async () => {
    const link = new Link({ manualLog: true }).start();
    link.client.write(read);
    await turn();
    expect(link.book).toEqual(['stmt 1 pass']);
    expect([link.toServer.length, link.unwritten]).toEqual([0, 1]);
    link.log();
    await turn();
    expect(link.toServer).toEqual(read);
  });

  test('frames without a record do not overtake one that waits for its record', async () => {
    const link = new Link({ manualLog: true }).start();
    link.client.write(read);
    await turn();
    link.client.write(parse('', 'select 1'));
    link.client.write(sync());
    await turn();
    expect(link.toServer.length).toBe(0);
    link.log();
    await turn();
    expect(link.letters('server')).toBe('QPS');
  });

  test('a frame that needs no record is not delayed', async () => {
    const link = new Link({ manualLog: true }).start();
    link.client.write(sync());
    await turn();
    expect(link.letters('server')).toBe('S');
  });

  test('a log that cannot be written ends the session with 58030, and nothing is forwarded', async () => {
    const link = new Link({ manualLog: true }).start();
    link.client.write(read);
    await turn();
    link.log(logFailure());
    await turn();
    expect(link.toServer.length).toBe(0);
    expect(errorIn(link.toClient).get('C')).toBe('58030');
    expect(errorIn(link.toClient).get('V')).toBe('FATAL');
    expect(link.ended?.error?.code).toBe('log-unwritable');
    expect(link.book).toEqual(['stmt 1 pass', 'outcome 1 unknown']);
  });

  test('a log that fails between a statement and the next forwards neither', async () => {
    const link = new Link({ manualLog: true }).start();
    link.client.write(read);
    await turn();
    link.client.write(query('select 2'));
    await turn();
    link.log(logFailure());
    await turn();
    expect(link.toServer.length).toBe(0);
    expect(link.book.filter((line) => line.startsWith('outcome'))).toHaveLength(2);
  });

  test('while the log is behind the client is not read without end', async () => {
    const link = new Link({ manualLog: true }).start();
    link.client.write(query(`select '${'x'.repeat(10_000)}'`));
    const more = query(`select '${'y'.repeat(15_000)}'`);
    for (let each = 0; each < 400; each += 1) {
      link.client.write(more);
      if (each % 8 === 0) await turn(2);
    }
    await turn();
    expect(link.clientSide.isPaused()).toBe(true);
    link.log();
    await turn(40);
    expect(link.clientSide.isPaused()).toBe(false);
  });
});

describe('while what others have recorded waits for the disk', () => {
  test('a client is not read behind its first statement, and read again when the disk has answered', async () => {
    const link = new Link({ manualLog: true }).start();
    link.congested = true;
    link.client.write(query('select 1'));
    await turn();
    expect(link.clientSide.isPaused()).toBe(true);
    link.congested = false;
    link.log();
    await turn();
    expect(link.clientSide.isPaused()).toBe(false);
    expect(link.letters('server')).toBe('Q');
  });

  test('a client whose own statement is on disk waits for the others', async () => {
    const link = new Link({ manualLog: true }).start();
    link.congested = true;
    link.client.write(query('insert into t values (1)'));
    await turn();
    link.sync();
    await turn();
    expect([link.letters('server'), link.clientSide.isPaused()]).toEqual(['Q', true]);
    link.congested = false;
    link.log();
    await turn();
    expect(link.clientSide.isPaused()).toBe(false);
  });

  test('a log that stops lets clients be read, so that they hear of it', async () => {
    const link = new Link({ manualLog: true }).start();
    link.congested = true;
    link.client.write(query('insert into t values (1)'));
    await turn();
    link.sync();
    await turn();
    link.log(logFailure());
    await turn();
    expect(link.clientSide.isPaused()).toBe(false);
  });
});

describe('a refused frame', () => {
  test('is replaced, with what came before and behind it in order', async () => {
    const link = new Link().start();
    link.client.write(Buffer.concat([read, functionCall(964), read]));
    await turn();
    expect(link.letters('server')).toBe('QQQ');
    expect(link.toServer.includes('holdpoint_')).toBe(true);
    expect(link.toServer.includes(functionCall(964))).toBe(false);
    expect(link.book).toEqual(['stmt 1 pass', 'refused - 0A000', 'stmt 2 pass']);
  });
});

describe('a hold', () => {
  test('sends what came before it, nothing of it and nothing behind it', async () => {
    const link = new Link().start();
    link.client.write(Buffer.concat([read, gated, query('select 2')]));
    await turn();
    expect(link.toServer).toEqual(read);
    expect(link.letters('client')).toBe('N');
    expect(link.relay.parked).toBe(true);
  });

  test('of a pipeline asks for the answers to what came before it', async () => {
    const link = new Link().start();
    const before = Buffer.concat([parse('r', 'select 1'), bind('', 'r'), execute('')]);
    link.client.write(
      Buffer.concat([before, parse('d', 'delete from t'), bind('', 'd'), execute(''), sync()]),
    );
    await turn();
    expect(link.letters('server')).toBe('PBEH');
  });

  test('that is approved sends exactly the bytes that were shown, then the rest', async () => {
    const link = new Link().start();
    const shown = Buffer.concat([
      parse('d', 'delete from t where a = $1'),
      bind('', 'd', [Buffer.from('7')]),
    ]);
    link.client.write(Buffer.concat([shown, execute(''), sync()]));
    await turn();
    expect(link.toServer.length).toBe(0);
    link.desk.approve();
    await turn();
    expect(link.toServer).toEqual(Buffer.concat([shown, execute(''), sync()]));
    expect(link.book).toEqual(['stmt 1 hold', 'intent 1']);
    link.server.write(Buffer.concat([parseComplete(), bindComplete(), commandComplete('DELETE 1'), ready]));
    await turn();
    expect(link.book.at(-1)).toBe('outcome 1 ok');
  });

  test('sends nothing before its intent is on disk', async () => {
    const link = new Link().start();
    let durable = (): void => undefined;
    link.intent = () =>
      new Promise((resolve) => {
        durable = resolve;
      });
    link.client.write(gated);
    await turn();
    link.desk.approve();
    await turn();
    expect(link.toServer.length).toBe(0);
    durable();
    await turn();
    expect(link.toServer).toEqual(gated);
  });

  test('whose intent cannot be written ends the session, and nothing is sent', async () => {
    const link = new Link().start();
    link.intent = () => Promise.reject(logFailure());
    link.client.write(gated);
    await turn();
    link.desk.approve();
    await turn();
    expect(link.toServer.length).toBe(0);
    expect(errorIn(link.toClient).get('C')).toBe('58030');
  });

  test('is not released to a client that left while the intent was written', async () => {
    const link = new Link().start();
    let durable = (): void => undefined;
    link.intent = () =>
      new Promise((resolve) => {
        durable = resolve;
      });
    link.client.write(Buffer.concat([query('insert into t values (1)'), gated]));
    await turn();
    link.desk.approve();
    await turn();
    link.client.destroy();
    await turn();
    durable();
    await turn();
    expect(link.letters('server')).toBe('Q');
    expect(link.book).toContain('unreleased 2 gone');
  });

  test('that is not what was shown any more is held again, and runs once that is approved', async () => {
    const link = new Link().start();
    link.client.write(gated);
    await turn();
    link.change = 'public.t was replaced';
    link.desk.approve();
    await turn();
    expect(link.toServer).toHaveLength(0);
    expect(link.book).toEqual([
      'stmt 1 hold',
      'superseded 1 not released: public.t was replaced',
      'stmt 2 hold',
    ]);
    link.change = undefined;
    link.desk.approve();
    await turn();
    expect(link.toServer).toEqual(gated);
  });

  test('that is held again keeps the frames that were deferred with it', async () => {
    const link = new Link().start();
    const frames = [parse('d', 'delete from t'), bind('', 'd'), execute(''), sync()];
    link.client.write(Buffer.concat(frames));
    await turn();
    link.change = 'the role of the session is not what it was';
    link.desk.approve();
    await turn();
    expect(link.toServer).toHaveLength(0);
    link.change = undefined;
    link.desk.approve();
    await turn();
    expect(link.toServer).toEqual(Buffer.concat(frames));
  });

  test('that is rejected puts a stand-in behind the frames that were deferred with it', async () => {
    const link = new Link().start();
    link.client.write(Buffer.concat([parse('d', 'delete from t'), bind('', 'd'), execute(''), sync()]));
    await turn();
    link.desk.settle({ state: 'rejected', rid: 'r', by: 'dba', reason: 'no', until: 0, expiresAt: 0 });
    await turn();
    expect(link.letters('server')).toBe('PBES');
    expect(link.toServer.includes('holdpoint_')).toBe(true);
  });

  test.each([
    ['closes', (link: Link) => link.client.destroy(), 'cancel disconnect'],
    ['half-closes', (link: Link) => link.client.end(), 'cancel disconnect'],
    ['loses its server', (link: Link) => link.server.destroy(), 'cancel disconnect'],
    [
      'is shut down',
      (link: Link) => link.relay.drain(new HoldpointError('shutdown', 'bye')),
      'cancel shutdown',
    ],
  ])('whose session %s is over, and an approval after it sends nothing', async (_, happen, call) => {
    const link = new Link().start();
    link.client.write(gated);
    await turn();
    happen(link);
    await turn();
    expect(link.desk.calls).toContain(call);
    link.desk.approve();
    await turn();
    expect(link.toServer.length).toBe(0);
    expect(link.book.filter((line) => line.startsWith('unreleased 1'))).toHaveLength(1);
    expect(link.ended).toBeDefined();
  });

  test('is recorded before the session is said to have ended', async () => {
    const link = new Link().start();
    link.client.write(gated);
    await turn();
    link.relay.drain(new HoldpointError('shutdown', 'bye'));
    expect(link.ended).toBeUndefined();
    await turn();
    expect(link.book.at(-1)).toBe('unreleased 1 shutdown');
    expect(link.ended?.error?.code).toBe('shutdown');
  });

  test('that a CancelRequest ends answers 57014 by a stand-in, and the session goes on', async () => {
    const link = new Link().start();
    link.client.write(Buffer.concat([gated, read]));
    await turn();
    expect(link.relay.cancelHold()).toBe(true);
    await turn();
    expect(link.letters('server')).toBe('QQ');
    expect(link.book).toEqual(['stmt 1 hold', 'unreleased 1 canceled', 'stmt 2 pass']);
    expect(link.relay.cancelHold()).toBe(false);
  });

  test('with an approval from before goes at once, and asks nobody', async () => {
    const link = new Link().start();
    link.desk.earlier = grant;
    link.client.write(gated);
    await turn();
    expect(link.toServer).toEqual(gated);
    expect(link.desk.calls).toEqual(['claimApproved']);
  });
});

describe('back-pressure', () => {
  test('a parked client is read ahead by about a megabyte and no more', async () => {
    const link = new Link().start();
    link.client.write(gated);
    await turn();
    const chunk = Buffer.concat(Array.from({ length: 100 }, () => query(`select '${'x'.repeat(600)}'`)));
    let sent = 0;
    for (let each = 0; each < 60; each += 1) {
      link.client.write(chunk);
      sent += chunk.length;
      await turn(2);
    }
    expect(link.clientSide.isPaused()).toBe(true);
    expect(link.clientSide.readableLength + link.client.writableLength).toBeGreaterThan(
      sent - (1 << 20) - 2 * chunk.length,
    );
    link.desk.approve();
    await turn(200);
    expect(link.toServer.length).toBe(gated.length + sent);
  });

  test('a server that does not read stops the client from being read, until it drains', async () => {
    const link = new Link({ highWaterMark: 1024 }).start({ server: false });
    const data = copyData(Buffer.alloc(5000));
    for (let each = 0; each < 20; each += 1) link.client.write(data);
    await turn();
    expect(link.clientSide.isPaused()).toBe(true);
    expect(link.serverSide.writableLength).toBeLessThan(3 * data.length);
    let received = 0;
    link.server.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    await turn(200);
    expect(received).toBe(20 * data.length);
  });

  test('a client that does not read stops the server from being read, until it drains', async () => {
    const link = new Link({ highWaterMark: 1024 }).start({ client: false });
    const row = dataRow('x'.repeat(5000));
    for (let each = 0; each < 20; each += 1) link.server.write(row);
    await turn();
    expect(link.serverSide.isPaused()).toBe(true);
    expect(link.clientSide.writableLength).toBeLessThan(3 * row.length);
    let received = 0;
    link.client.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    await turn(200);
    expect(received).toBe(20 * row.length);
  });

  test('the data of a COPY flows through in pieces, never assembled', async () => {
    const link = new Link().start();
    link.client.write(query('copy t from stdin'));
    await turn();
    link.server.write(copyResponse('G', 1));
    const data = copyData(Buffer.alloc(100_000, 'x'));
    link.client.write(data.subarray(0, 40_000));
    await turn();
    expect(link.toServer.length).toBe(query('copy t from stdin').length + 40_000);
    link.client.write(Buffer.concat([data.subarray(40_000), copyDone()]));
    await turn();
    expect(link.letters('server')).toBe('Qdc');
  });
});

describe('the stream to the client', () => {
  test('carries a notice only between two frames', async () => {
    const link = new Link().start();
    link.client.write(Buffer.concat([read, gated]));
    const row = dataRow('x'.repeat(1000));
    link.server.write(row.subarray(0, 500));
    await turn();
    expect(link.relay.parked).toBe(true);
    expect(link.toClient).toEqual(row.subarray(0, 500));
    link.server.write(Buffer.concat([row.subarray(500), commandComplete('SELECT 1'), ready]));
    await turn();
    expect(link.letters('client')).toBe('DCZN');
  });

  test('what the server says unasked passes while a statement is held', async () => {
    const link = new Link().start();
    link.client.write(gated);
    await turn();
    link.server.write(noticeResponse({ S: 'NOTICE', V: 'NOTICE', C: '00000', M: 'hello' }));
    await turn();
    expect(link.letters('client')).toBe('NN');
  });

  test('is whole up to the frame that ended the session', async () => {
    const link = new Link().start();
    const row = dataRow('x'.repeat(1000));
    link.server.write(row.subarray(0, 500));
    await turn();
    link.server.write(Buffer.concat([row.subarray(500), Buffer.from('!')]));
    await turn();
    expect(link.letters('client')).toBe('DE');
    expect(errorIn(link.toClient).get('C')).toBe('08P01');
  });
});

describe('an end', () => {
  test('of the client while the server writes waits for the outcome', async () => {
    const link = new Link().start();
    link.client.write(query('insert into t values (1)'));
    await turn();
    link.client.destroy();
    await turn();
    expect(link.ended).toBeUndefined();
    link.server.write(Buffer.concat([commandComplete('INSERT 0 1'), ready]));
    await turn();
    expect(link.book.at(-1)).toBe('outcome 1 ok');
    expect(link.ended).toEqual({ error: undefined });
  });

  test('of the client while it only reads, or in the middle of a COPY, ends the server at once', async () => {
    for (const sql of ['select 1', 'copy t from stdin']) {
      const link = new Link().start();
      link.client.write(query(sql));
      await turn();
      if (sql.startsWith('copy')) link.server.write(copyResponse('G', 1));
      await turn();
      link.client.destroy();
      await turn();
      expect(link.book.at(-1)).toBe('outcome 1 unknown');
      expect(link.serverSide.destroyed).toBe(true);
    }
  });

  test('of the server is the end of the client, and each statement has one outcome', async () => {
    const link = new Link().start();
    link.client.write(Buffer.concat([read, read]));
    await turn();
    link.server.write(Buffer.concat([commandComplete('SELECT 1'), ready]));
    await turn();
    link.server.destroy();
    await turn();
    expect(link.book).toEqual(['stmt 1 pass', 'stmt 2 pass', 'outcome 1 ok', 'outcome 2 unknown']);
    expect(link.ended).toEqual({ error: undefined });
  });

  test('by Terminate passes it on', async () => {
    const link = new Link().start();
    link.client.write(terminate());
    await turn();
    expect(link.letters('server')).toBe('X');
  });

  test('for an unknown type closes both, and what came with it is not answered twice', async () => {
    const link = new Link().start();
    link.client.write(Buffer.from('!garbage'));
    await turn();
    expect(errorIn(link.toClient).get('C')).toBe('08P01');
    expect(link.serverSide.destroyed).toBe(true);
  });

  test('for shutdown lets a running statement finish', async () => {
    const link = new Link().start();
    link.client.write(read);
    await turn();
    link.relay.drain(new HoldpointError('shutdown', 'bye'));
    expect(link.ended).toBeUndefined();
    link.server.write(Buffer.concat([commandComplete('SELECT 1'), ready]));
    await turn();
    expect(link.letters('client')).toBe('CZE');
    expect(errorIn(link.toClient).get('C')).toBe('57P01');
  });
});

test('a barrier asks for the answers it waits for, and goes on with them', async () => {
  const link = new Link().start();
  link.client.write(Buffer.concat([parse('s', 'delete from t'), sync()]));
  await turn();
  link.server.write(Buffer.concat([parseComplete(), ready]));
  await turn();
  const gone = query('deallocate s');
  link.client.write(
    Buffer.concat([gone, parse('s', 'select 1'), sync(), bind('', 's'), execute(''), sync()]),
  );
  await turn();
  expect(link.letters('server')).toBe('PSQPS');
  link.server.write(Buffer.concat([commandComplete('DEALLOCATE'), ready, parseComplete(), ready]));
  await turn();
  expect(link.letters('server')).toBe('PSQPSBES');
});

test('a statement waits until a cancel request has been delivered', async () => {
  const link = new Link().start();
  const delivered = link.relay.delayForCancel();
  link.client.write(read);
  await turn();
  expect(link.toServer.length).toBe(0);
  delivered();
  await turn();
  expect(link.toServer).toEqual(read);
});

test('however a stream is cut into chunks, the same bytes reach the server', async () => {
  const stream = Buffer.concat([
    parse('s', 'select $1::int'),
    bind('p', 's', [Buffer.from('1'), null]),
    execute('p'),
    sync(),
    query('copy t from stdin'),
    copyData('a\tb\n'.repeat(50)),
    copyDone(),
    functionCall(964),
    query(`select '${'é'.repeat(40)}'`),
    query("copy t to program 'x'"),
    query('insert into t values (1)'),
    terminate(),
  ]);
  const whole = await through([stream]);
  expect(whole.length).toBeGreaterThan(400);
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.nat(stream.length - 1), { maxLength: 12 }), async (cuts) => {
      const at = [0, ...cuts.toSorted((a, b) => a - b), stream.length];
      const chunks = at.slice(1).map((end, each) => stream.subarray(at[each], end));
      expect(await through(chunks)).toEqual(whole);
    }),
    { numRuns: 60 },
  );
});

async function through(chunks: readonly Buffer[]): Promise<Buffer> {
  const link = new Link().start();
  for (const chunk of chunks) {
    link.client.write(chunk);
    await turn(2);
  }
  await turn();
  return link.toServer;
}
