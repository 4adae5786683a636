// What waits for the disk and what does not, between two sockets in memory, with a log that writes and syncs when the
// test says so: writes wait, reads do not, the order of bytes is kept, and with output-commit it is answers that wait.

import { afterAll, describe, expect, test } from 'vitest';
import { parsePolicy } from '../../src/policy/rules.ts';
import { readErrorFields, readyForQuery } from '../../src/wire/messages/backend.ts';
import { bind, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { asFrame, commandComplete, dataRow } from '../support/frames.ts';
import { analyzer, Link, logFailure, turn } from './link.ts';

afterAll(() => analyzer.close());

const read = query('select 1');
const write = query('insert into t values (1)');
const ready = readyForQuery('I');

async function begun(link: Link): Promise<void> {
  link.client.write(query('begin'));
  await turn();
  link.log();
  await turn();
  link.server.write(Buffer.concat([commandComplete('BEGIN'), readyForQuery('T')]));
  await turn();
}

describe('a write', () => {
  test('goes to the server only when its record is on disk, not when it is in the file', async () => {
    const link = new Link({ manualLog: true }).start();
    link.client.write(write);
    await turn();
    link.log();
    await turn();
    expect(link.toServer.length).toBe(0);
    link.sync();
    await turn();
    expect(link.toServer).toEqual(write);
  });

  test('keeps back what comes behind it, and not what came before', async () => {
    const link = new Link({ manualLog: true }).start();
    link.client.write(read);
    await turn();
    link.client.write(write);
    await turn();
    link.client.write(query('select 2'));
    link.client.write(sync());
    await turn();
    link.log();
    await turn();
    expect(link.letters('server')).toBe('Q');
    link.sync();
    await turn();
    expect(link.letters('server')).toBe('QQQS');
    expect(link.toServer.subarray(0, read.length)).toEqual(read);
  });

  test('waits behind an earlier run that is not written yet, though the disk is faster', async () => {
    const link = new Link({ manualLog: true }).start();
    link.client.write(read);
    await turn();
    link.client.write(write);
    await turn();
    link.sync();
    await turn();
    expect(link.toServer.length).toBe(0);
    link.log();
    await turn();
    expect(link.toServer).toEqual(Buffer.concat([read, write]));
  });

  test('a pipeline of writes waits once', async () => {
    const link = new Link({ manualLog: true }).start();
    const one = [parse('', 'insert into t values (1)'), bind('', ''), execute('')];
    link.client.write(Buffer.concat([...one, ...one, ...one, sync()]));
    await turn();
    expect([link.toServer.length, link.unsynced]).toEqual([0, 1]);
    link.sync();
    await turn();
    expect(link.letters('server')).toBe('PBEPBEPBES');
  });

  test('while the disk is behind the client is not read without end', async () => {
    const link = new Link({ manualLog: true }).start();
    const more = query(`insert into t values ('${'y'.repeat(15_000)}')`);
    for (let each = 0; each < 400; each += 1) {
      link.client.write(more);
      if (each % 8 === 0) await turn(2);
    }
    await turn();
    expect(link.clientSide.isPaused()).toBe(true);
    for (let each = 0; each < 100 && link.unsynced > 0; each += 1) {
      link.sync();
      await turn();
    }
    expect(link.clientSide.isPaused()).toBe(false);
    expect(link.toServer.length).toBe(400 * more.length);
  });

  test('a disk that fails ends the session with 58030, and the write never goes', async () => {
    const link = new Link({ manualLog: true }).start();
    link.client.write(write);
    await turn();
    link.sync(logFailure());
    await turn();
    expect(link.toServer.length).toBe(0);
    const fields = readErrorFields(asFrame(link.toClient));
    expect([fields.get('C'), fields.get('V')]).toEqual(['58030', 'FATAL']);
    expect(link.book).toEqual(['stmt 1 pass', 'outcome 1 unknown']);
  });
});

describe('what destroys', () => {
  const destroys = query('delete from t where a = 1');
  const text =
    'version: 1\nrules:\n  - { name: all, action: pass, effects: [read, insert, delete, transaction] }\n';
  const policy = parsePolicy({ file: 'rules.yaml', text }, () => {
    throw new Error('no packs');
  });

  test('goes only when its record is sealed, and that is on disk', async () => {
    const link = new Link({ manualLog: true, policy }).start();
    link.client.write(destroys);
    await turn();
    link.log();
    link.sync();
    await turn();
    expect([link.toServer.length, link.unsynced]).toEqual([0, 1]);
    link.sync(undefined, { seal: true });
    await turn();
    expect(link.toServer).toEqual(destroys);
  });

  test('within a transaction block it is the COMMIT that waits for the seal', async () => {
    const link = new Link({ manualLog: true, policy }).start();
    await begun(link);
    link.client.write(destroys);
    await turn();
    link.log();
    await turn();
    link.server.write(Buffer.concat([commandComplete('DELETE 1'), readyForQuery('T')]));
    await turn();
    link.client.write(query('commit'));
    await turn();
    link.log();
    link.sync();
    await turn();
    expect(link.letters('server')).toBe('QQ');
    link.sync(undefined, { seal: true });
    await turn();
    expect(link.letters('server')).toBe('QQQ');
  });

  test('a COMMIT that was bound before it waits for the seal when it is executed', async () => {
    const link = new Link({ manualLog: true, policy }).start();
    await begun(link);
    const bound = [parse('', 'delete from t where a = 1'), bind('', ''), execute('')];
    link.client.write(Buffer.concat([parse('c', 'commit'), bind('c', 'c'), ...bound, execute('c'), sync()]));
    await turn();
    link.log();
    link.sync();
    await turn();
    expect(link.letters('server')).not.toContain('S');
    link.sync(undefined, { seal: true });
    await turn();
    expect(link.letters('server')).toBe('QPBPBEES');
  });
});

describe('in a transaction block', () => {
  test('a write goes when its record is in the file; the COMMIT waits until it is on disk', async () => {
    const link = new Link({ manualLog: true }).start();
    await begun(link);
    link.client.write(write);
    await turn();
    link.log();
    await turn();
    expect(link.letters('server')).toBe('QQ');
    link.server.write(Buffer.concat([commandComplete('INSERT 0 1'), readyForQuery('T')]));
    await turn();
    link.client.write(query('commit'));
    await turn();
    link.log();
    await turn();
    expect(link.letters('server')).toBe('QQ');
    link.sync();
    await turn();
    expect(link.letters('server')).toBe('QQQ');
  });

  test('a COMMIT that was bound before the write waits when it is executed', async () => {
    const link = new Link({ manualLog: true }).start();
    await begun(link);
    link.client.write(Buffer.concat([parse('c', 'commit'), bind('c', 'c')]));
    await turn();
    link.log();
    await turn();
    link.client.write(Buffer.concat([parse('', 'insert into t values (1)'), bind('', ''), execute('')]));
    await turn();
    link.log();
    await turn();
    expect(link.letters('server')).toBe('QPBPBE');
    link.client.write(Buffer.concat([execute('c'), sync()]));
    await turn();
    link.log();
    await turn();
    expect(link.letters('server')).toBe('QPBPBE');
    link.sync();
    await turn();
    expect(link.letters('server')).toBe('QPBPBEES');
  });
});

describe('behind a gated Parse', () => {
  test('a COMMIT that waits there does not go before the disk has the write', async () => {
    const link = new Link({ manualLog: true }).start();
    await begun(link);
    link.client.write(Buffer.concat([parse('', 'insert into t values (1)'), bind('', ''), execute('')]));
    link.client.write(Buffer.concat([parse('c', 'commit'), bind('c', 'c')]));
    link.client.write(Buffer.concat([parse('d', 'delete from t where a = 1'), execute('c'), sync()]));
    await turn();
    link.log();
    await turn();
    expect(link.letters('server')).not.toContain('S');
    link.sync();
    await turn();
    expect(link.letters('server')).toBe('QPBEPBPES');
  });
});

describe('output-commit', () => {
  const answer = Buffer.concat([dataRow('1'), commandComplete('SELECT 1'), ready]);

  test('a read goes at once, and its answer is seen when its record is on disk', async () => {
    const link = new Link({ manualLog: true, reads: 'output-commit' }).start();
    link.client.write(read);
    await turn();
    link.log();
    await turn();
    expect(link.toServer).toEqual(read);
    link.server.write(answer);
    await turn();
    expect(link.toClient.length).toBe(0);
    link.sync();
    await turn();
    expect(link.toClient).toEqual(answer);
  });

  test('answers keep their order, and none is seen before its own record is on disk', async () => {
    const link = new Link({ manualLog: true, reads: 'output-commit' }).start();
    link.client.write(read);
    await turn();
    link.log();
    link.server.write(answer);
    await turn();
    link.sync();
    await turn();
    link.client.write(query('select 2'));
    await turn();
    link.log();
    await turn();
    link.server.write(dataRow('2'));
    await turn();
    link.server.write(Buffer.concat([commandComplete('SELECT 1'), ready]));
    await turn();
    expect(link.toClient).toEqual(answer);
    link.sync();
    await turn();
    expect(link.toClient).toEqual(Buffer.concat([answer, dataRow('2'), commandComplete('SELECT 1'), ready]));
  });

  test('what was on disk before is not kept back', async () => {
    const link = new Link({ manualLog: true, reads: 'output-commit' }).start();
    link.client.write(read);
    await turn();
    link.log();
    link.sync();
    await turn();
    link.server.write(answer);
    await turn();
    expect(link.toClient).toEqual(answer);
  });

  test('while the disk is behind the server is not read without end, and nothing is lost', async () => {
    const link = new Link({ manualLog: true, reads: 'output-commit' }).start();
    link.client.write(read);
    await turn();
    link.log();
    await turn();
    const row = dataRow('z'.repeat(50_000));
    for (let each = 0; each < 60; each += 1) {
      link.server.write(row);
      if (each % 4 === 0) await turn(2);
    }
    link.server.write(Buffer.concat([commandComplete('SELECT 60'), ready]));
    await turn();
    expect(link.serverSide.isPaused()).toBe(true);
    expect(link.toClient.length).toBe(0);
    link.sync();
    await turn(80);
    expect(link.serverSide.isPaused()).toBe(false);
    expect(link.letters('client')).toBe(`${'D'.repeat(60)}CZ`);
  });

  test('a disk that fails: the answer is never seen, the client is told 58030', async () => {
    const link = new Link({ manualLog: true, reads: 'output-commit' }).start();
    link.client.write(read);
    await turn();
    link.log();
    await turn();
    link.server.write(answer);
    await turn();
    link.client.write(query('select 2'));
    await turn();
    link.log(logFailure());
    link.sync(logFailure());
    await turn();
    expect(link.letters('client')).toBe('E');
    expect(readErrorFields(asFrame(link.toClient)).get('C')).toBe('58030');
  });

  test('a disk that fails while only an answer waits ends the session too', async () => {
    const link = new Link({ manualLog: true, reads: 'output-commit' }).start();
    link.client.write(read);
    await turn();
    link.log();
    await turn();
    link.server.write(answer);
    await turn();
    link.sync(logFailure());
    await turn();
    expect(link.letters('client')).toBe('E');
    expect(readErrorFields(asFrame(link.toClient)).get('C')).toBe('58030');
  });

  test('a server that goes away: what it said is still seen once it may be', async () => {
    const link = new Link({ manualLog: true, reads: 'output-commit' }).start();
    let over = false;
    link.client.on('end', () => {
      over = true;
    });
    link.client.write(read);
    await turn();
    link.log();
    await turn();
    link.server.write(answer);
    link.server.end();
    await turn();
    expect([link.toClient.length, over]).toEqual([0, false]);
    link.sync();
    await turn();
    expect(link.toClient).toEqual(answer);
    expect(over).toBe(true);
  });

  test('an error of ours stands behind the answers that wait', async () => {
    const link = new Link({ manualLog: true, reads: 'output-commit' }).start();
    link.client.write(read);
    await turn();
    link.log();
    await turn();
    link.server.write(answer);
    await turn();
    link.client.write(Buffer.from([0x21, 0, 0, 0, 4]));
    await turn();
    expect(link.toClient.length).toBe(0);
    link.sync();
    await turn();
    expect(link.letters('client')).toBe('DCZE');
  });
});

describe('write-ahead', () => {
  test('a read waits for the disk as a write does', async () => {
    const link = new Link({ manualLog: true, reads: 'write-ahead' }).start();
    link.client.write(read);
    await turn();
    link.log();
    await turn();
    expect(link.toServer.length).toBe(0);
    link.sync();
    await turn();
    expect(link.toServer).toEqual(read);
  });
});

test('a read is not kept back by a disk that does not answer', async () => {
  const link = new Link({ manualLog: true }).start();
  link.client.write(read);
  await turn();
  link.log();
  await turn();
  link.server.write(Buffer.concat([dataRow('1'), commandComplete('SELECT 1'), ready]));
  await turn();
  expect(link.letters('server')).toBe('Q');
  expect(link.letters('client')).toBe('DCZ');
});
