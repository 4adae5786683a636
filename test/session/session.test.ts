// The session as transcripts: what the client sends and what becomes of it, what the server answers and what the client
// sees, and how each statement ends. The numbers in the names are the facts they stand for (wire.md §0).

import { afterAll, describe, expect, test } from 'vitest';
import { HoldpointError } from '../../src/errors.ts';
import { loadPolicy } from '../../src/policy/packs.ts';
import {
  bind,
  close,
  describe as describeMessage,
  execute,
  flush,
  parse,
  query,
  sync,
  terminate,
} from '../../src/wire/messages/frontend.ts';
import { copyDone, copyResponse, functionCall, rawFrame } from '../support/frames.ts';
import {
  analyzer,
  C,
  E,
  ok,
  parameterStatus,
  syntaxError,
  Transcript,
  unknownStatement,
  Z,
} from './transcript.ts';

afterAll(() => analyzer.close());

const read = 'select 1';
const gated = 'delete from customers where id = 1';

describe('behind a refused frame of its segment', () => {
  test.each([
    ['a syntax error', 'selec 1', '42601'],
    ['a denied statement', "copy t to program 'x'", '42501'],
  ])('%s: nobody is asked for what the server will discard', (_, text, sqlstate) => {
    const talk = new Transcript();
    const first = talk.client(parse('', text), bind('', ''), execute(''));
    expect(first.some((word) => word.endsWith(`refuse ${sqlstate}`))).toBe(true);
    expect(talk.client(parse('d', gated), bind('', 'd'), execute(''), sync()).join()).not.toContain('hold');
    expect(talk.client(parse('d', gated), bind('', 'd'))).toEqual(['defer', 'hold']);
  });

  test('a rejected one: the next gate of its pipeline is not held', () => {
    const talk = new Transcript();
    talk.client(parse('', gated), bind('', ''));
    const { gate } = talk.step as { gate: (typeof talk.gates)[0] };
    talk.session.refused(gate, new HoldpointError('rejected', 'no'));
    expect(talk.client(execute(''), parse('', gated), bind('', ''), execute(''), sync())).not.toContain(
      'hold',
    );
    expect(talk.client(query(gated))).toEqual(['hold']);
  });

  test('a refused query is none: what follows it in the same segment is judged as ever', () => {
    const talk = new Transcript();
    expect(talk.client(query('selec 1'), parse('', gated), bind('', ''))).toEqual([
      'refuse 42601',
      'defer',
      'hold',
    ]);
  });
});

describe('one statement', () => {
  test('a read passes, a DELETE is held, COPY PROGRAM is refused', () => {
    const talk = new Transcript();
    expect(talk.client(query(read), query(gated))).toEqual(['pass!', 'hold']);
    expect(new Transcript().client(query("copy customers to program 'cat'"))).toEqual(['refuse 42501']);
  });

  test('a text is judged whole by its strictest statement and never split', () => {
    const talk = new Transcript();
    expect(talk.client(query(`${read}; ${gated}; ${read}`))).toEqual(['hold']);
    talk.release();
    expect(talk.server(C('SELECT 1'), C('DELETE 1'), C('SELECT 1'), Z())).toEqual(['C', 'C', 'C', 'Z']);
    expect(talk.outcomes).toEqual(['1 ok SELECT 1; DELETE 1; SELECT 1']);
  });

  test('an empty text passes and its EmptyQueryResponse is its outcome', () => {
    const talk = new Transcript();
    expect(talk.client(query(';'))).toEqual(['pass!']);
    talk.server(ok('I'), Z());
    expect(talk.outcomes).toEqual(['1 ok']);
  });

  test('a function call by number is refused in the shape of a query', () => {
    const talk = new Transcript();
    expect(talk.client(functionCall(964))).toEqual(['refuse 0A000']);
    expect(talk.server(syntaxError(1), Z())[0]).toMatch(/^E 0A000 function calls by number/);
  });

  test('a syntax error keeps the words and position of PostgreSQL', () => {
    const talk = new Transcript();
    expect(talk.client(query('selec 1'))).toEqual(['refuse 42601']);
    expect(talk.server(syntaxError(1), Z())).toEqual(['E 42601 syntax error at or near "selec"', 'Z']);
  });

  test.each(['p', 'z'])('message %s after login ends the session', (letter) => {
    expect(() => new Transcript().client(rawFrame(letter, 'x\0'))).toThrow('not expected after login');
  });

  test('4: a NUL inside the text is refused in the words of the server and never reaches the parser', () => {
    const talk = new Transcript();
    expect(talk.client(rawFrame('Q', 'select 1\0; drop table t\0'))).toEqual(['refuse 08P01']);
    expect(talk.client(rawFrame('P', 's\0select 1\0drop\0\0\0'))).toEqual(['refuse 08P01']);
  });
});

describe('1: the mirror is committed on ParseComplete', () => {
  test('a Parse that failed because the name exists leaves the DELETE behind it', () => {
    const talk = new Transcript();
    talk.client(parse('s', gated), sync());
    talk.server(ok('1'), Z());
    expect(talk.client(parse('s', read), sync())).toEqual(['pass', 'pass']);
    talk.server(E('42P05'), Z());
    expect(talk.client(bind('', 's'))).toEqual(['hold']);
  });

  test('an unnamed Parse that was skipped leaves the old unnamed statement', () => {
    const talk = new Transcript();
    talk.client(parse('', gated), sync());
    talk.server(ok('1'), Z());
    talk.client(parse('a', read), parse('', read), sync());
    talk.server(E('42P05'), Z());
    expect(talk.client(bind('', ''))).toEqual(['hold']);
  });

  test('an unnamed Parse that failed destroys the old one: its name is unknown', () => {
    const talk = new Transcript();
    talk.client(parse('', read), sync());
    talk.server(ok('1'), Z());
    talk.client(parse('', 'select nothing'), sync());
    talk.server(E('42703'), Z());
    expect(talk.client(bind('', ''))).toEqual(['hold']);
    expect(talk.gates[0]?.statements[0]?.effects).toEqual(['unknown']);
  });

  test('across a Sync that is not answered the Bind waits for the answer, then rests on it', () => {
    const talk = new Transcript();
    talk.client(parse('s', gated), sync());
    talk.server(ok('1'), Z());
    talk.client(close('S', 's'), parse('s', read), sync());
    expect(talk.client(bind('', 's'))).toEqual(['barrier']);
    talk.server(ok('3'));
    expect(talk.client(bind('', 's'))).toEqual(['barrier']);
    talk.server(ok('1'), Z());
    expect(talk.client(bind('', 's'))).toEqual(['pass!']);
  });

  test('in the segment of its Parse a Bind rests on that Parse, because both fail together', () => {
    const talk = new Transcript();
    talk.client(parse('s', gated), sync());
    talk.server(ok('1'), Z());
    expect(talk.client(close('S', 's'), parse('s', read), bind('', 's'), execute(''))).toEqual([
      'pass',
      'pass',
      'pass!',
      'pass',
    ]);
  });

  test('two names that are equal in 63 bytes are one', () => {
    const talk = new Transcript();
    const name = 'n'.repeat(63);
    talk.client(parse(`${name}a`, gated), sync());
    talk.server(ok('1'), Z());
    expect(talk.client(bind('', `${name}b`))).toEqual(['hold']);
    expect(talk.gates[0]?.sql.toString()).toBe(gated);
  });

  test('a name that is not ASCII is refused where the encoding of the server decides which names are equal', () => {
    expect(new Transcript({ encoding: 'LATIN1' }).client(parse('é', read))).toEqual(['refuse 0A000']);
    expect(new Transcript().client(parse('é', read), bind('', 'é'))).toEqual(['pass', 'pass!']);
    expect(new Transcript().client(parse('é'.repeat(30), read))).toEqual(['refuse 0A000']);
    expect(new Transcript().client(bind('é'.repeat(30), ''))).toEqual(['refuse 0A000']);
  });
});

describe('2: how text is read may not change', () => {
  test.each([
    'set standard_conforming_strings = off',
    "select set_config('client_encoding', 'SJIS', false)",
    "set names 'latin1'",
    "update pg_settings set setting = 'off' where name = 'standard_conforming_strings'",
  ])('%s does not pass', (sql) => {
    const [query_] = new Transcript().client(query(sql));
    expect(query_).toMatch(/refuse 42501|hold/);
    const extended = new Transcript().client(parse('', sql), bind('', ''));
    expect(extended[1]).toMatch(/refuse 42501|hold/);
  });

  test('a report of another value ends the session', () => {
    const talk = new Transcript();
    expect(talk.server(parameterStatus('standard_conforming_strings', 'off'))).toEqual(['close 08P01']);
    expect(talk.server(parameterStatus('client_encoding', 'SJIS'))).toEqual(['close 08P01']);
    expect(talk.server(parameterStatus('client_encoding', 'UTF8'))).toEqual(['S']);
  });

  test('a report that the session of a read-only agent is writable ends it', () => {
    const report = parameterStatus('default_transaction_read_only', 'off');
    expect(new Transcript({ actor: { access: 'read-only' } }).server(report)).toEqual(['close 08P01']);
    expect(new Transcript().server(report)).toEqual(['S']);
  });

  test('behind code in the same batch a text with a backslash or beyond ASCII waits for ReadyForQuery', () => {
    const talk = new Transcript({ policy: loadPolicy('observe', '/') });
    talk.client(query('select opaque()'));
    expect(talk.client(query("select '\\'"), query("select 'é'"), query(read))).toEqual([
      'barrier',
      'barrier',
      'pass!',
    ]);
    talk.server(C('SELECT 1'), Z(), C('SELECT 1'), Z());
    expect(talk.client(query("select '\\'"))).toEqual(['pass!']);
  });

  test('where no ReadyForQuery can come such a text is not understood', () => {
    const talk = new Transcript({ policy: loadPolicy('observe', '/') });
    talk.client(parse('', 'select opaque()'), bind('', ''), execute(''), flush());
    talk.server(ok('1'), ok('2'), C('SELECT 1'));
    talk.client(parse('', "select '\\'"), bind('', ''));
    expect(talk.gates.at(-1)?.verdict).toMatchObject({ action: 'pass', shadow: 'hold' });
    expect(talk.gates.at(-1)?.statements[0]?.effects).toContain('unknown');
  });
});

describe('11: nothing of a gated statement goes ahead of its Bind', () => {
  test('a gated Parse waits with what is behind it, and is held with its Bind', () => {
    const talk = new Transcript();
    expect(
      talk.client(parse('s', gated), parse('r', read), bind('', 'r'), execute(''), bind('', 's')),
    ).toEqual(['defer', 'defer', 'defer!', 'defer', 'hold']);
    talk.release();
    expect(talk.client(execute(''), sync())).toEqual(['pass', 'pass']);
    talk.server(ok('1'), ok('1'), ok('2'), C('SELECT 1'), ok('2'), C('DELETE 1'), Z());
    expect(talk.outcomes).toEqual(['1 ok SELECT 1', '2 ok DELETE 1']);
  });

  test.each([
    ['Sync', sync(), '>pass'],
    ['Flush', flush(), '>pass'],
    ['Describe of a statement', describeMessage('S', 's'), '>pass'],
    ['Terminate', terminate(), '>pass'],
    ['a Query', query(read), '>pass!'],
    ['a refused frame', functionCall(964), '>refuse 0A000'],
  ])('%s asks for its answer, and the Parse goes first', (_, frame, word) => {
    const talk = new Transcript();
    expect(talk.client(parse('s', gated), frame)).toEqual(['defer', word]);
  });

  test('a deferred statement is not over when an earlier segment is answered', () => {
    const talk = new Transcript();
    talk.client(query(read), parse('s', gated), parse('r', read), bind('', 'r'), execute(''));
    talk.server(C('SELECT 1'), Z());
    expect(talk.outcomes).toEqual(['1 ok SELECT 1']);
    talk.client(sync());
    talk.server(ok('1'), ok('1'), ok('2'), C('SELECT 1'), Z());
    expect(talk.outcomes).toEqual(['1 ok SELECT 1', '2 ok SELECT 1']);
  });

  test('what was deferred when the connection ended was never sent', () => {
    const talk = new Transcript();
    talk.client(parse('s', gated), parse('r', read), bind('', 'r'), execute(''));
    talk.session.lost();
    expect(talk.outcomes).toEqual(['1 skipped']);
  });
});

describe('12: after an error the server discards up to Sync', () => {
  test('a Query in between is discarded and its outcome says so', () => {
    const talk = new Transcript();
    talk.client(
      parse('', 'select nothing'),
      bind('', ''),
      execute(''),
      query(read),
      sync(),
      query('select 2'),
    );
    talk.server(E('42703'));
    talk.server(Z());
    expect(talk.outcomes.toSorted()).toEqual(['1 skipped', '2 skipped']);
    talk.server(C('SELECT 1'), Z());
    expect(talk.outcomes.at(-1)).toBe('3 ok SELECT 1');
  });

  test('the same when the error came before the Query was sent', () => {
    const talk = new Transcript();
    talk.client(parse('', 'select nothing'), flush());
    talk.server(E('42703'));
    expect(talk.client(query(read))).toEqual(['pass!']);
    expect(talk.outcomes).toEqual(['1 skipped']);
    talk.client(sync());
    talk.server(Z());
    expect(talk.client(query(read))).toEqual(['pass!']);
    talk.server(C('SELECT 1'), Z());
    expect(talk.outcomes.at(-1)).toBe('2 ok SELECT 1');
  });

  test('nobody is asked about what will be discarded', () => {
    const talk = new Transcript();
    talk.client(parse('', 'select nothing'), flush());
    talk.server(E('42703'));
    expect(talk.client(query(gated))).toEqual(['refuse 57014']);
  });

  test('a client that never sends Sync piles up no open outcomes', () => {
    const talk = new Transcript();
    talk.client(parse('r', read), parse('', 'select nothing'), flush());
    talk.server(ok('1'), E('42703'));
    for (let each = 0; each < 100; each += 1) talk.client(bind('', 'r'), execute(''));
    expect(talk.outcomes).toHaveLength(100);
  });

  test('an error of a Query discards nothing', () => {
    const talk = new Transcript();
    talk.client(query('select 1/0'), query(read));
    talk.server(E('22012'), Z(), C('SELECT 1'), Z());
    expect(talk.outcomes).toEqual(['1 error 22012', '2 ok SELECT 1']);
  });
});

describe('a refusal', () => {
  test('of a Bind rolls back the earlier statements of its batch and is the answer in its place', () => {
    const talk = new Transcript();
    talk.client(
      parse('i', 'insert into customers values (1)'),
      bind('', 'i'),
      execute(''),
      parse('d', gated),
    );
    expect(talk.client(bind('', 'd'))).toEqual(['hold']);
    const { step } = talk;
    if (step.kind !== 'hold') throw new Error('not held');
    talk.session.refused(step.gate, new HoldpointError('rejected', 'statement rejected by dba'));
    talk.client(execute(''), sync());
    expect(
      talk.server(ok('1'), ok('2'), C('INSERT 0 1'), ok('1'), unknownStatement(1), Z()).slice(-2),
    ).toEqual(['E 42501 statement rejected by dba', 'Z']);
    expect(talk.outcomes).toEqual(['1 error 42501 INSERT 0 1']);
  });

  test('of a Parse takes the same name, so that the unnamed statement is destroyed as it would have been', () => {
    const talk = new Transcript();
    expect(talk.client(parse('', 'selec 1'))).toEqual(['refuse 42601']);
    const bytes = talk.step.kind === 'replace' ? talk.step.bytes : Buffer.alloc(0);
    expect(bytes.toString('latin1')).toContain('P\0\0\0');
    expect(bytes.subarray(5, 6)).toEqual(Buffer.from('\0'));
  });

  test('that the server skips is not answered, and the earlier error is what the client sees', () => {
    const talk = new Transcript();
    talk.client(
      parse('', 'select nothing'),
      parse('e', 'copy customers to program $$x$$'),
      bind('', 'e'),
      sync(),
    );
    expect(talk.server(E('42703', 'column'), Z())).toEqual(['E', 'Z']);
  });

  test('of 10,000 frames that wait for their answers ends the session', () => {
    const talk = new Transcript();
    expect(() => {
      for (let each = 0; each <= 10_000; each += 1) talk.client(rawFrame('Q', 'no end'));
    }).toThrow('too many refused statements');
  });

  test('in a failed transaction nobody is asked, but a ROLLBACK passes', () => {
    const talk = new Transcript();
    talk.client(query('begin'), query('select 1/0'));
    talk.server(C('BEGIN'), Z('T'), E('22012'), Z('E'));
    expect(talk.client(query(gated), query('rollback'))).toEqual(['refuse 25P02', 'pass!']);
  });
});

describe('13: COPY IN', () => {
  const copy = 'copy customers from stdin';

  test('a Sync during the copy is not answered', () => {
    const talk = new Transcript();
    talk.client(parse('', copy), bind('', ''), execute(''), sync());
    talk.server(ok('1'), ok('2'), copyResponse('G', 1));
    talk.client(copyDone(), sync(), query(read));
    talk.server(C('COPY 3'), Z(), C('SELECT 1'), Z());
    expect(talk.outcomes).toEqual(['1 ok COPY 3', '2 ok SELECT 1']);
    expect(talk.session.busy).toBe(false);
  });

  test('sent ahead, with its data and its end, the same', () => {
    const talk = new Transcript();
    talk.client(parse('', copy), bind('', ''), execute(''), sync(), copyDone(), sync(), query(read));
    talk.server(ok('1'), ok('2'), copyResponse('G', 1), C('COPY 0'), Z(), C('SELECT 1'), Z());
    expect(talk.outcomes).toEqual(['1 ok COPY 0', '2 ok SELECT 1']);
    expect(talk.session.busy).toBe(false);
  });

  test('by a Query leaves nothing owed', () => {
    const talk = new Transcript();
    talk.client(query(copy));
    talk.server(copyResponse('G', 1));
    expect(talk.session.copying).toBe(true);
    talk.client(copyDone());
    talk.server(C('COPY 0'), Z());
    expect([talk.session.busy, talk.session.copying]).toEqual([false, false]);
  });

  test('two in one text, both ends sent ahead', () => {
    const talk = new Transcript();
    talk.client(query(`${copy}; ${copy}`), copyDone(), copyDone(), query(read));
    talk.server(
      copyResponse('G', 1),
      C('COPY 0'),
      copyResponse('G', 1),
      C('COPY 0'),
      Z(),
      C('SELECT 1'),
      Z(),
    );
    expect(talk.outcomes).toEqual(['1 ok COPY 0; COPY 0', '2 ok SELECT 1']);
    expect(talk.session.busy).toBe(false);
  });

  test('that fails before it reads does not hide a Parse behind its Sync', () => {
    const talk = new Transcript();
    talk.client(parse('s', read), sync());
    talk.server(ok('1'), Z());
    talk.client(
      parse('', copy),
      bind('', ''),
      execute(''),
      sync(),
      close('S', 's'),
      parse('s', gated),
      sync(),
    );
    // The server answers the first Sync after all, and goes on; until its answers come nobody can tell.
    talk.server(ok('1'), ok('2'), copyResponse('G', 1), E('55000'));
    expect(talk.client(bind('', 's'))).toEqual(['hold']);
  });

  test('that fails before it reads leaves the order of answers right', () => {
    const talk = new Transcript();
    talk.client(parse('', copy), bind('', ''), execute(''), sync());
    talk.server(ok('1'), ok('2'), copyResponse('G', 1), E('55000'), Z());
    talk.client(copyDone(), sync(), parse('s', read), bind('', 's'), execute(''), sync());
    talk.server(Z(), ok('1'), ok('2'), C('SELECT 1'), Z());
    expect(talk.outcomes).toEqual(['1 error 55000', '2 ok SELECT 1']);
    expect(talk.client(bind('', 's'))).toEqual(['pass!']);
  });
});

describe('15: SQL names and protocol names are one namespace', () => {
  test('EXECUTE of a protocol name takes its facts', () => {
    const talk = new Transcript();
    talk.client(parse('r', read), parse('d', gated), sync());
    talk.server(ok('1'), ok('1'), Z());
    expect(talk.client(query('execute r'), query('execute d'))).toEqual(['pass!', 'hold']);
    expect(talk.gates[1]?.statements[0]?.why.at(-1)).toBe(`EXECUTE d runs: ${gated}`);
  });

  test('Bind of a name that PREPARE made takes its facts', () => {
    const talk = new Transcript();
    talk.client(query(`prepare d as ${gated}; prepare r as ${read}`));
    talk.server(C('PREPARE'), C('PREPARE'), Z());
    expect(talk.client(bind('', 'r'), bind('', 'd'))).toEqual(['pass!', 'hold']);
    expect(talk.gates.at(-1)?.sql.toString()).toContain(`prepare d as ${gated}`);
  });

  test('an EXECUTE looks its name up at Execute: what has changed since its Bind is refused', () => {
    const talk = new Transcript();
    talk.client(
      parse('s', read),
      parse('x', 'execute s'),
      bind('p', 'x'),
      close('S', 's'),
      parse('s', gated),
    );
    expect(talk.client(describeMessage('S', 's'), execute('p'))).toEqual(['>pass', 'refuse 55000']);
    const same = new Transcript();
    same.client(parse('s', read), parse('x', 'execute s'), bind('p', 'x'));
    expect(same.client(execute('p'))).toEqual(['pass']);
  });

  test.each(['execute s', 'explain analyze execute s'])(
    'a FETCH from a portal of %s is held: it would run what the name stands for by then',
    (sql) => {
      const talk = new Transcript();
      talk.client(query('begin'));
      talk.server(C('BEGIN'), Z('T'));
      talk.client(parse('s', read), parse('x', sql), bind('p', 'x'), sync());
      talk.server(ok('1'), ok('1'), ok('2'), Z('T'));
      expect(talk.client(query('fetch all from p'))).toEqual(['hold']);
    },
  );

  test('the portal of an EXECUTE that was given up is not executed unseen', () => {
    const talk = new Transcript();
    talk.client(parse('s', read), parse('x', 'execute s'), bind('p', 'x'), sync());
    talk.server(ok('1'), ok('1'), ok('2'), Z());
    expect(talk.client(execute('p'))).toEqual(['refuse 55000']);
  });

  test('a name that nobody here defined is held', () => {
    expect(new Transcript().client(query('execute dyn'))).toEqual(['hold']);
    expect(new Transcript().client(bind('', 'dyn'))).toEqual(['hold']);
    expect(new Transcript().client(query('fetch all from refcursor'))).toEqual(['hold']);
  });

  test.each(['deallocate r', 'deallocate all', 'discard all'])('after %s the name is unknown', (sql) => {
    const talk = new Transcript();
    talk.client(parse('r', read), sync());
    talk.server(ok('1'), Z());
    talk.client(query(sql));
    talk.server(C('X'), Z());
    expect(talk.client(bind('', 'r'))).toEqual(['hold']);
  });

  test('an EXPLAIN ANALYZE, or a table made of, an EXECUTE does what the name stands for', () => {
    const talk = new Transcript();
    talk.client(query(`prepare d as ${gated}`));
    talk.server(C('PREPARE'), Z());
    expect(talk.client(query('explain analyze execute d'))).toEqual(['hold']);
    expect(talk.gates.at(-1)?.statements[0]?.effects).toContain('delete');
  });

  test('a password in a prepared text is not quoted behind its EXECUTE', () => {
    const talk = new Transcript();
    talk.client(parse('a', "alter role x password 'hush'"), sync());
    talk.server(ok('1'), Z());
    talk.client(query('execute a'));
    expect(JSON.stringify(talk.gates.at(-1)?.statements)).not.toContain('hush');
  });

  test('a parameter of an EXECUTE that calls unknown code is still unknown', () => {
    const talk = new Transcript();
    talk.client(query(`prepare r as ${read}`));
    talk.server(C('PREPARE'), Z());
    expect(talk.client(query('execute r(opaque())'))).toEqual(['hold']);
  });
});

describe('portals', () => {
  test('a suspended portal of a transaction goes on after Sync, and is one statement', () => {
    const talk = new Transcript();
    talk.client(query('begin'));
    talk.server(C('BEGIN'), Z('T'));
    talk.client(parse('', read), bind('c', ''), execute('c', 1), sync());
    talk.server(ok('1'), ok('2'), ok('s'), Z('T'));
    talk.client(execute('c', 1), sync());
    talk.server(C('SELECT 1'), Z('T'));
    expect(talk.outcomes).toEqual(['1 ok BEGIN', '2 ok SELECT 1']);
  });

  test('a portal that was never executed ends as skipped', () => {
    const talk = new Transcript();
    talk.client(parse('', read), bind('', ''), sync());
    talk.server(ok('1'), ok('2'), Z());
    expect(talk.outcomes).toEqual(['1 skipped']);
  });

  test('is found by its first 63 bytes', () => {
    const talk = new Transcript();
    const name = 'p'.repeat(63);
    talk.client(parse('', read), bind(`${name}x`, ''), execute(`${name}y`), sync());
    talk.server(ok('1'), ok('2'), C('SELECT 1'), Z());
    expect(talk.outcomes).toEqual(['1 ok SELECT 1']);
  });

  test('of a held statement is still known when an earlier answer comes meanwhile', () => {
    const talk = new Transcript();
    talk.client(query(read), parse('', gated), bind('', ''));
    talk.server(C('SELECT 1'), Z());
    talk.release();
    talk.client(execute(''), sync());
    talk.server(ok('1'), ok('2'), C('DELETE 1'), Z());
    expect(talk.outcomes.at(-1)).toBe('2 ok DELETE 1');
  });
});

describe('outcomes', () => {
  test('an error undoes what the implicit transaction did before it', () => {
    const talk = new Transcript();
    talk.client(
      parse('i', 'insert into t values (1)'),
      bind('', 'i'),
      execute(''),
      bind('', 'i'),
      execute(''),
      sync(),
    );
    talk.server(ok('1'), ok('2'), C('INSERT 0 1'), ok('2'), E('23505'), Z());
    expect(talk.outcomes).toEqual(['1 error 23505 INSERT 0 1', '2 error 23505']);
  });

  test('a deferred constraint that fails at Sync undoes what had succeeded', () => {
    const talk = new Transcript();
    talk.client(parse('', 'insert into t values (1)'), bind('', ''), execute(''), sync());
    talk.server(ok('1'), ok('2'), C('INSERT 0 1'), E('23503'), Z());
    expect(talk.outcomes).toEqual(['1 error 23503 INSERT 0 1']);
  });

  test('what a COMMIT in the pipeline made final stays', () => {
    const talk = new Transcript();
    talk.client(parse('i', 'insert into t values (1)'), bind('', 'i'), execute(''));
    talk.client(parse('', 'commit'), bind('', ''), execute(''), bind('', 'i'), execute(''), sync());
    talk.server(ok('1'), ok('2'), C('INSERT 0 1'), ok('1'), ok('2'), C('COMMIT'), ok('2'), E('23505'), Z());
    expect(talk.outcomes.map((line) => line.split(' ')[1])).toEqual(['ok', 'ok', 'error']);
  });

  test('a result without ReadyForQuery is unknown when the server is lost', () => {
    const talk = new Transcript();
    talk.client(query('insert into t values (1); insert into t values (2)'), query(read));
    talk.server(C('INSERT 0 1'));
    talk.session.lost();
    expect(talk.outcomes).toEqual(['1 unknown INSERT 0 1', '2 unknown']);
  });

  test('57014 is a cancellation', () => {
    const talk = new Transcript();
    talk.client(query('select pg_sleep(9)'));
    talk.server(E('57014'), Z());
    expect(talk.outcomes).toEqual(['1 canceled 57014']);
  });

  test('every recorded statement ends once, whatever the order of answers', () => {
    const talk = new Transcript();
    talk.client(
      parse('r', read),
      bind('', 'r'),
      execute(''),
      query(read),
      bind('x', 'r'),
      sync(),
      query(read),
    );
    talk.server(ok('1'), ok('2'), C('SELECT 1'), C('SELECT 1'), Z('T'), ok('2'), Z(), C('SELECT 1'), Z());
    talk.session.lost();
    expect(talk.outcomes.map((line) => line.split(' ')[0]).sort()).toEqual(['1', '2', '3', '4']);
  });
});

test('100,000 frames without reading an answer end the session', () => {
  const talk = new Transcript();
  const frame = flush();
  talk.client(frame);
  expect(() => {
    for (let each = 0; each < 100_002; each += 1)
      talk.session.onFrontend({ type: 0x53, buffer: sync(), start: 0, end: 5 });
  }).toThrow('too many frames');
});
