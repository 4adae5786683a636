// The parser's footing under attack (threats C): every route to another reading of text, with the text that would profit
// from it right behind, in one segment. The route must be refused by Holdpoint itself, the setting must be what it was,
// and the rows must be there.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bind, execute, parse, query, sync } from '../../../src/wire/messages/frontend.ts';
import { besiege, changes, type Siege, together } from '../../support/siege.ts';
import { fixture } from './fixture.ts';
import { badBytes, byPipeline, byQuery, type Fate, footings } from './lexer.ts';

let siege: Siege;

beforeAll(async () => {
  siege = await besiege({ fixture });
});

afterAll(() => siege?.close());

describe.each(footings)('$setting', (footing) => {
  const { pinned, routes, harmless, setting, trick, single } = footing;
  // In the extended protocol a text of several statements, or one that calls what is not there, fails at its Parse, which
  // is forwarded with its refused Bind and executes nothing.
  const ways: readonly (readonly [string, (route: string) => Promise<Fate>])[] = [
    ['as Queries', async (route) => byQuery(await siege.guard.connect(), footing, route)],
    ['pipelined', async (route) => byPipeline(await siege.guard.connect(), footing, route, false)],
    ['with a Sync between', async (route) => byPipeline(await siege.guard.connect(), footing, route, true)],
  ];

  test.each(ways)('every route is refused by Holdpoint, %s', async (_, way) => {
    const before = await siege.digest();
    const fates = await together(routes, async (route) => ({ text: route, ...(await way(route)) }));
    const by = /^E ERROR (42501 statement|42601 cannot insert multiple|42883 function set_config\(.*=>)/;
    expect(fates.filter(({ route, now }) => !by.test(route) || now !== pinned)).toEqual([]);
    expect(changes(before, await siege.digest())).toEqual([]);
  });

  test.each(ways)('what goes back to our value passes and changes nothing, %s', async (_, way) => {
    const before = await siege.digest();
    for (const route of harmless) expect(await way(route), route).toEqual({ route: 'passed', now: pinned });
    expect(changes(before, await siege.digest())).toEqual([]);
  });

  test('a name that comes as a parameter is refused', async () => {
    const client = await siege.guard.connect();
    client.send(
      parse('', 'SELECT set_config($1, $2, false)'),
      bind('', '', [Buffer.from(setting), Buffer.from(setting.startsWith('s') ? 'off' : 'SJIS')]),
      execute(''),
      ...[parse('', single), bind('', ''), execute(''), sync()],
      query(trick),
      query(`SHOW ${setting}`),
    );
    const replies = await client.until('Z', 3);
    expect(replies.find(({ letter }) => letter === 'E')?.summary).toContain('42501');
    expect(replies.findLast(({ letter }) => letter === 'D')?.summary).toBe(pinned);
    client.destroy();
  });

  test('unguarded, the trick does its harm once the setting is another', async () => {
    const client = await siege.unguarded();
    const before = await siege.digest();
    const other = setting.startsWith('s') ? 'off' : "'SJIS'";
    client.send(
      query(`BEGIN; SET LOCAL ${setting} = ${other}`),
      query(`${trick}\n; SELECT count(*) FROM customers`),
    );
    expect((await client.until('Z', 2)).map(({ summary }) => summary)).toContain('DELETE 10');
    client.send(query('ROLLBACK'));
    await client.until('Z');
    client.destroy();
    expect(changes(before, await siege.digest())).toEqual([]);
  });
});

describe('bytes that are not UTF-8', () => {
  test.each(badBytes)('%s is refused in a Query, a Parse and a name', async (_, bytes) => {
    const before = await siege.digest();
    const text = Buffer.concat([
      Buffer.from("SELECT '"),
      bytes,
      Buffer.from("'; DELETE FROM customers; --'"),
    ]);
    const client = await siege.guard.connect();
    client.send(query(text), parse('', text), bind('', ''), execute(''), sync());
    const replies = await client.until('Z', 2);
    const codes = replies.filter(({ letter }) => letter === 'E').map(({ summary }) => summary.split(' ')[1]);
    expect(codes).toEqual(['22021', '22021']);
    // As a name of a statement: Parse and Bind name the same bytes, which must not be two names here and one there.
    const name = Buffer.concat([bytes, Buffer.from([0])]);
    client.send(framed('P', name, Buffer.from('DELETE FROM customers\0\0\0')), sync());
    client.send(framed('B', Buffer.from([0]), name, Buffer.from([0, 0, 0, 0, 0, 0])), execute(''), sync());
    expect((await client.until('Z', 2)).filter(({ letter }) => letter === 'C')).toEqual([]);
    client.destroy();
    expect(changes(before, await siege.digest())).toEqual([]);
  });

  test.each(badBytes)("%s in a text parameter is the server's to refuse, and is", async (_, bytes) => {
    const client = await siege.guard.connect();
    client.send(parse('', 'SELECT $1::text'), bind('', '', [bytes]), execute(''), sync());
    const replies = await client.until('Z');
    expect(replies.find(({ letter }) => letter === 'E')?.summary).toContain('22021');
    client.destroy();
  });

  test('a byte order mark is a letter, here as there', async () => {
    const client = await siege.guard.connect();
    client.send(query('\ufeffDELETE FROM customers'), query('SELECT 1 AS \ufeff'));
    const replies = await client.until('Z', 2);
    expect(replies.map(({ letter }) => letter).join('')).toBe('EZTDCZ');
    client.destroy();
  });
});

function framed(letter: string, ...body: Buffer[]): Buffer {
  const content = Buffer.concat(body);
  const head = Buffer.alloc(5);
  head.write(letter, 0, 'latin1');
  head.writeInt32BE(content.length + 4, 1);
  return Buffer.concat([head, content]);
}
