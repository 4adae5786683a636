// The wire protocol's tricks (threats E; wire.md §0.1, §0.11–§0.13, §2): frames that make a gate and the server disagree on
// which text a Bind runs, where a statement begins, or whether the server is listening at all.

import { expect } from 'vitest';
import { bind, close, execute, flush, parse, query, sync } from '../../../src/wire/messages/frontend.ts';
import { copyData, copyDone, copyFail, functionCall, rawFrame } from '../../support/frames.ts';
import { type Reply, transcript } from '../../support/raw.ts';
import { refused, type Script, type Siege } from '../../support/siege.ts';

/** Sends the frames and returns what came until `readies` ReadyForQuery. */
async function exchange(siege: Siege, readies: number, ...frames: Buffer[]): Promise<Reply[]> {
  const client = await siege.guard.connect();
  client.send(...frames);
  const replies = await client.until('Z', readies);
  client.destroy();
  return replies;
}

const run = (statement = '', portal = ''): Buffer[] => [bind(portal, statement), execute(portal)];
const wipe = 'DELETE FROM t';
const lo_unlink = 964;
const lo_creat = 957;

/** Each must come back with an error, and with as many ReadyForQuery as a server would send. */
const flights: readonly (readonly [string, number, readonly Buffer[]])[] = [
  ['E1 lo_unlink by FunctionCall', 1, [functionCallWith(lo_unlink, 1)]],
  ['E1 lo_creat by FunctionCall', 1, [functionCallWith(lo_creat, -1)]],
  [
    'E1 FunctionCall in a pipeline',
    2,
    [parse('', 'SELECT 1'), ...run(), functionCallWith(lo_unlink, 1), sync()],
  ],
  ['E1 FunctionCall of anything', 1, [functionCall(2096)]],
  ['E2 a named DELETE, bound later', 2, [parse('d', wipe), sync(), ...run('d'), sync()]],
  [
    'E3 a failing unnamed Parse, then the DELETE it was to replace',
    2,
    [parse('', wipe), sync(), parse('', 'SELEC'), ...run(), sync()],
  ],
  [
    'E3 a skipped unnamed Parse, then the DELETE it was to replace',
    3,
    [parse('', wipe), sync(), parse('x', 'SELEC'), parse('', 'SELECT 1'), sync(), ...run(), sync()],
  ],
  [
    'E3 a refused Bind, then the statement before it',
    2,
    [parse('', wipe), sync(), ...run('nowhere'), ...run(''), sync()],
  ],
  [
    'E4 a Parse over a name that is taken',
    3,
    [parse('d', wipe), sync(), parse('d', 'SELECT 1'), sync(), ...run('d'), sync()],
  ],
  [
    'E4 a Parse over a name that is taken, in the same flight',
    2,
    [parse('d', wipe), sync(), parse('d', 'SELECT 1'), ...run('d'), sync()],
  ],
  ['E4 a name twice in one flight', 1, [parse('d', wipe), parse('d', 'SELECT 1'), ...run('d'), sync()]],
  [
    'E4 a name twice, the read first',
    2,
    [parse('d', 'SELECT 1'), close('S', 'd'), parse('d', wipe), sync(), ...run('d'), sync()],
  ],
  [
    'E4 closed and defined again behind a Flush',
    1,
    [parse('d', 'SELECT 1'), flush(), close('S', 'd'), parse('d', wipe), flush(), ...run('d'), sync()],
  ],
  [
    'E4 a Close that is skipped',
    3,
    [
      parse('d', wipe),
      sync(),
      parse('', 'SELEC'),
      close('S', 'd'),
      parse('d', 'SELECT 1'),
      sync(),
      ...run('d'),
      sync(),
    ],
  ],
  [
    'E4 a portal keeps the statement it was bound to',
    2,
    [parse('d', wipe), sync(), bind('p', 'd'), close('S', 'd'), parse('d', 'SELECT 1'), execute('p'), sync()],
  ],
  [
    'E4 a portal by the name of another',
    2,
    [
      query('BEGIN'),
      parse('d', wipe),
      parse('s', 'SELECT 1'),
      bind('p', 's'),
      execute('p'),
      close('P', 'p'),
      bind('p', 'd'),
      execute('p'),
      sync(),
    ],
  ],
  ['a Query in a pipeline that was not synced', 2, [parse('', 'SELECT 1'), ...run(), query(wipe), sync()]],
  [
    '§0.12 a Query behind an error is discarded, and the one behind the Sync is held',
    2,
    [parse('', 'SELEC'), query(wipe), ...run(), sync(), query(wipe)],
  ],
  [
    'a Query between Parse and Bind destroys the unnamed statement',
    2,
    [parse('', wipe), query('SELECT 1'), ...run(), sync()],
  ],
  ['an empty name against no name', 2, [parse('', wipe), sync(), ...run('', 'p'), sync()]],
  [
    'E6 a COPY that fails at once, with frames that look like data behind it',
    2,
    [query('COPY nowhere FROM STDIN'), copyData(query(wipe)), copyDone(), query(wipe)],
  ],
  [
    'E6 CopyFail, CopyDone and CopyData outside of COPY',
    1,
    [copyFail('x'), copyDone(), copyData('1\n'), query(wipe)],
  ],
  [
    'E6 a COPY that is ended by the client, with a DELETE behind',
    2,
    [query('COPY b FROM STDIN'), copyData(query(wipe)), copyFail('no'), query(wipe)],
  ],
  [
    '§0.13 a COPY in the extended protocol with a Sync too many',
    2,
    [
      parse('', 'COPY b FROM STDIN'),
      ...run(),
      sync(),
      copyData(query(wipe)),
      copyFail('no'),
      sync(),
      query(wipe),
    ],
  ],
  ['E6 a COPY of rows and a DELETE in one text', 1, [query('COPY b FROM STDIN; DELETE FROM t')]],
];

function functionCallWith(oid: number, argument: number): Buffer {
  const body = Buffer.alloc(4 + 2 + 2 + 2 + 4 + 4 + 2);
  body.writeUInt32BE(oid, 0);
  body.writeUInt16BE(1, 4); // one format code: binary
  body.writeUInt16BE(1, 6);
  body.writeUInt16BE(1, 8); // one argument
  body.writeInt32BE(4, 10);
  body.writeInt32BE(argument, 14);
  body.writeUInt16BE(1, 18);
  return rawFrame('F', body);
}

export const wireScripts: readonly Script[] = [
  ...flights.map(
    ([name, readies, frames]): Script => [
      name,
      async (siege) => {
        expect(refused(transcript(await exchange(siege, readies, ...frames)))).toBe(true);
      },
    ],
  ),
  ...[1, 2, 3, 5, 7, 11].map(
    (bytes): Script => [
      `E7 a DELETE in pieces of ${bytes} bytes behind a read`,
      async (siege) => {
        const client = await siege.guard.connect();
        const flight = Buffer.concat([query('SELECT 1'), query(wipe), parse('', wipe), ...run(), sync()]);
        for (let at = 0; at < flight.length; at += bytes) {
          client.socket.write(flight.subarray(at, at + bytes));
          await new Promise((done) => setImmediate(done));
        }
        const replies = await client.until('Z', 3);
        expect(replies.filter(({ letter }) => letter === 'E')).toHaveLength(2);
        client.destroy();
      },
    ],
  ),
  [
    'E7 a DELETE behind 8 KiB, 64 KiB and 1 MiB of spaces',
    async (siege) => {
      const client = await siege.guard.connect();
      for (const length of [8192, 65_536, 1 << 20]) {
        client.send(query(`SELECT 1${' '.repeat(length)};${wipe}`));
        expect(refused(transcript(await client.until('Z'))), String(length)).toBe(true);
      }
      client.destroy();
    },
  ],
  [
    'E10 a portal outlives its Sync in a transaction, and stays what it was bound to',
    async (siege) => {
      const client = await siege.guard.connect();
      client.send(query('BEGIN'), parse('s', 'SELECT id FROM t ORDER BY id'), bind('p', 's'), sync());
      await client.until('Z', 2);
      client.send(parse('d', wipe), sync(), bind('p', 'd'), execute('p'), sync());
      await client.until('Z', 2);
      client.send(execute('p'), sync());
      expect(transcript(await client.until('Z'), 'N').some((line) => line.startsWith('C DELETE'))).toBe(
        false,
      );
      client.destroy();
    },
  ],
  [
    'E6 an Execute of COPY with its data in one flight, and a DELETE in the data',
    async (siege) => {
      const client = await siege.guard.connect();
      client.send(
        query('BEGIN'),
        parse('', 'COPY b FROM STDIN'),
        ...run(),
        copyData('7\n'),
        copyData(query(wipe)),
        copyDone(),
        sync(),
      );
      const replies = await client.until('Z', 2);
      expect(refused(transcript(replies))).toBe(true);
      client.send(query('ROLLBACK'), query('SELECT 1'));
      expect(transcript(await client.until('Z', 2)).at(-1)).toBe('Z I');
      client.destroy();
    },
  ],
];
