// The list of an agent's requests as SQL: whatever is in it, it is data; and what becomes of the frames that ask for it.

import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { HoldpointError } from '../../src/errors.ts';
import { listingQuery, type OwnRequest } from '../../src/session/listing.ts';
import { FRAME, Framer } from '../../src/wire/framer.ts';
import {
  bind,
  describe as describeMessage,
  execute,
  frontendKnown,
  parse,
  query,
  readBind,
  readClose,
  readParse,
  readQuery,
  sync,
} from '../../src/wire/messages/frontend.ts';
import { asFrame } from '../support/frames.ts';
import { analyzer, C, E, ok, syntaxError, Transcript, Z } from './transcript.ts';

afterAll(() => analyzer.close());

const show = 'SHOW holdpoint.requests';

const one: OwnRequest = {
  id: 'abc',
  state: 'pending',
  created: 1_800_000_000_000,
  expires: 1_800_003_600_000,
  statement: 'DROP TABLE orders',
  approvals: 1,
  reason: null,
};

/** A session whose agent has these requests now. */
function talkOf(requests: () => Promise<readonly OwnRequest[]> = async () => [one]): Transcript {
  return new Transcript({ requests });
}

/** Offers the frame, and once more when what it waits for has been read. */
async function offer(talk: Transcript, frame: Buffer): Promise<string> {
  const [word] = talk.client(frame);
  if (talk.step.kind !== 'later') return word!;
  await talk.step.ready;
  return talk.client(frame)[0]!;
}

function frames(bytes: Buffer): { type: string; bytes: Buffer }[] {
  const framer = new Framer({ wanted: frontendKnown, known: frontendKnown, frameBytesMax: () => 1 << 20 });
  framer.push(bytes);
  const all = [];
  while (framer.next() === FRAME) all.push({ type: String.fromCharCode(framer.type), bytes: framer.copy() });
  return all;
}

function instead(talk: Transcript): Buffer {
  if (!('instead' in talk.step) || talk.step.instead === undefined) throw new Error('nothing stands in');
  return talk.step.instead;
}

describe('the SELECT', () => {
  test('of no requests has the columns and no rows', async () => {
    expect(listingQuery([], true)).toMatch(
      /^SELECT "id", .* FROM \(VALUES \(NULL::pg_catalog\.text, .*\)\) .* WHERE false$/,
    );
  });

  test('is ASCII, one statement, and reads whatever it is given as data', async () => {
    const anything = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.stringMatching(/^['"\\\-/*;$\n\r\t\u00e9\u202e\u{1f600}a ]*$/u),
    );
    await fc.assert(
      fc.property(anything, anything, fc.option(anything), fc.boolean(), (id, statement, reason, unicode) => {
        const sql = listingQuery([{ ...one, id, statement, reason }], unicode);
        expect(sql).toMatch(/^[\x20-\x7e]*$/);
        const analysis = analyzer.analyze(Buffer.from(sql));
        if (analysis instanceof Promise || analysis.kind !== 'statements') throw new Error(sql);
        expect(analysis.statements).toMatchObject([
          { command: 'SELECT', effects: ['read'], relations: [], functions: [], operators: [], types: [] },
        ]);
      }),
    );
  });

  test('on a server that has not every character shows a question mark in place of one', () => {
    expect(listingQuery([{ ...one, statement: "é\\'" }], true)).toContain(`E'\\U000000e9\\\\'''`);
    expect(listingQuery([{ ...one, statement: "é\\'" }], false)).toContain(`E'?\\\\'''`);
  });
});

describe('a text that asks for it', () => {
  test.each([
    show,
    'show holdpoint.requests;',
    'SHOW HoldPoint.REQUESTS',
    'show "holdpoint"."Requests"',
    'SHOW "HOLDPOINT.requests"',
    '/* reason: x */ show/**/holdpoint . requests -- list',
  ])('passes as a query of ours: %s', async (text) => {
    const talk = talkOf();
    expect(talk.client(query(text))).toEqual(['later']);
    expect(await offer(talk, query(text))).toBe('pass!');
    expect(readQuery(asFrame(instead(talk))).sql.toString()).toBe(listingQuery([one], true));
    expect(talk.gates.map(({ sql, n }) => [sql.toString(), n])).toEqual([['', 1]]);
  });

  test.each(['SHOW holdpoint.request', 'SHOW search_path', 'SHOW ALL', 'SHOW holdpoint.reason'])(
    'is not one that asks for another setting: %s',
    async (text) => {
      const talk = talkOf();
      expect(talk.client(query(text))).toEqual(['pass!']);
      expect(talk.step).not.toHaveProperty('instead');
    },
  );

  test.each([`select 1; ${show}`, `${show}; select 1`, `${show}; ${show}`, `begin; ${show}; commit`])(
    'among other statements is refused: %s',
    async (text) => {
      const talk = talkOf();
      expect(talk.client(query(text))).toEqual(['refuse 0A000']);
      expect(talk.client(parse('', text))).toEqual(['refuse 0A000']);
      expect(talk.server(syntaxError(1), Z())[0]).toMatch(/cannot be one of several statements/);
    },
  );

  test('is refused while the requests cannot be read, and answered as soon as they can', async () => {
    let away = true;
    const talk = talkOf(async () => {
      if (away) throw new HoldpointError('store-unreachable', 'the store cannot be reached');
      return [one];
    });
    expect(await offer(talk, query(show))).toBe('refuse 58000');
    expect(await offer(talk, parse('s', show))).toBe('refuse 58000');
    away = false;
    expect(await offer(talk, query(show))).toBe('pass!');
  });

  test('a defect in reading them is a refusal too', async () => {
    const talk = talkOf(() => Promise.reject(new TypeError('defect')));
    expect(await offer(talk, query(show))).toBe('refuse 58000');
  });

  test('what the rules hold is held as it came', async () => {
    const { parsePolicy } = await import('../../src/policy/rules.ts');
    const text = 'version: 1\nrules:\n  - { name: all, action: hold, reason: no }\n';
    const policy = parsePolicy({ file: 'rules.yaml', text }, () => {
      throw new Error('no packs here');
    });
    const talk = new Transcript({ requests: async () => [one], policy });
    expect(await offer(talk, query(show))).toBe('hold');
    expect(await offer(talk, parse('', show))).toBe('defer');
    expect(talk.step).not.toHaveProperty('instead');
  });
});

describe('prepared', () => {
  test('it is described by its Parse, and each Bind gives the list of its own time', async () => {
    let list: OwnRequest[] = [];
    const talk = talkOf(async () => list);
    expect(await offer(talk, parse('s', show, [23]))).toBe('pass');
    expect(frames(instead(talk)).map(({ bytes }) => readParse(asFrame(bytes)))).toEqual([
      { name: 's', sql: Buffer.from(listingQuery([], true)), parameterOids: [23] },
    ]);
    talk.client(describeMessage('S', 's'), sync());
    expect(talk.server(ok('1'), ok('t'), ok('T'), Z())).toEqual(['1', 't', 'T', 'Z']);
    for (const id of ['first', 'second']) {
      list = [{ ...one, id }];
      const asked = bind('p', 's', [Buffer.from('7')], [1], [1, 0]);
      expect(await offer(talk, asked)).toBe('pass!');
      const step = talk.step as { before: Buffer };
      const [closed, parsed] = frames(step.before).map(({ bytes }) => asFrame(bytes));
      const { name, sql } = readParse(parsed!);
      expect(readClose(closed!)).toEqual({ kind: 'S', name });
      expect(sql.toString()).toBe(listingQuery(list, true));
      expect(readBind(asFrame(instead(talk)))).toEqual({ ...readBind(asFrame(asked)), statement: name });
      talk.client(execute('p'), sync());
      expect(talk.server(ok('3'), ok('1'), ok('2'), C('SELECT 1'), Z())).toEqual(['2', 'C', 'Z']);
    }
  });

  test('an error of the server at our Parse is the client own, and its Bind is skipped', async () => {
    const talk = talkOf();
    await offer(talk, parse('s', show));
    talk.client(sync());
    talk.server(ok('1'), Z('E'));
    expect(await offer(talk, bind('', 's'))).toBe('pass!');
    talk.client(execute(''), sync());
    expect(talk.server(ok('3'), E('25P02'), Z('E'))).toEqual(['(E)', 'Z']);
    expect(talk.outcomes).toEqual(['1 skipped']);
  });

  test('behind a Parse that waits for its Bind it does not wait', async () => {
    const talk = talkOf();
    expect(talk.client(parse('d', 'delete from t'))).toEqual(['defer']);
    expect(await offer(talk, parse('s', show))).toBe('defer');
    expect(instead(talk).toString('latin1')).toContain('SELECT');
    expect(await offer(talk, bind('', 's'))).toBe('>pass!');
  });
});
