// Enclosures as transcripts: which frames of ours stand around the client's, which answers are whose, and what is
// decided by them. The server is played by the test, so that it can fail where a real one hardly ever does.

import { afterAll, describe, expect, test } from 'vitest';
import { parsePolicy } from '../../src/policy/rules.ts';
import { FRAME, Framer } from '../../src/wire/framer.ts';
import {
  bind,
  close,
  describe as describeFrame,
  execute,
  flush,
  frontendKnown,
  parse,
  query,
  readParse,
  sync,
} from '../../src/wire/messages/frontend.ts';
import { rulesEnclosing } from '../support/enclosing.ts';
import { analyzer, C, E, ok, parameterStatus, Transcript, Z } from './transcript.ts';

afterAll(() => analyzer.close());

const policy = parsePolicy({ file: 'rules.yaml', text: rulesEnclosing(10) }, () => {
  throw new Error('no packs');
});

const started = (): Transcript => new Transcript({ policy });

/** What goes to the server: the client's frames as letters, ours as their commands in brackets. */
function sent(bytes: Buffer): string {
  const framer = new Framer({ wanted: frontendKnown, known: frontendKnown, frameBytesMax: () => 1 << 20 });
  framer.push(bytes);
  const words: string[] = [];
  let ours = 0;
  while (framer.next() === FRAME) {
    const letter = String.fromCharCode(framer.type);
    if (letter === 'P' && readParse(framer).name.startsWith('holdpoint_')) {
      words.push(
        `[${readParse(framer)
          .sql.toString()
          .replaceAll(/holdpoint_[0-9a-f]{32}/g, 'x')}]`,
      );
      ours = 4;
    } else if (ours > 0) ours -= 1;
    else words.push(letter);
  }
  return words.join(' ');
}

/** Runs what a step told to run; the words of `sent`. */
function ran({ session }: Transcript): string {
  const gate = session.enclosed;
  if (gate !== undefined) gate.ref = gate.n;
  return sent(session.runEnclosure(3));
}

/** What the relay is told once the server has answered. */
function next({ session }: Transcript): string {
  const step = session.nextOfEnclosure();
  if (step === undefined) return 'waits';
  if (step.kind === 'more') return `more ${sent(step.bytes)}`;
  if (step.kind === 'undone') return `undone ${sent(step.frames)}`;
  return step.bytes === undefined ? 'kept' : `kept ${sent(step.bytes)}`;
}

/** A command of ours that succeeded. */
const done = (tag: string): Buffer => Buffer.concat([ok('1'), ok('2'), C(tag), ok('3'), ok('3')]);
const readOnly = E('25006', 'cannot execute DELETE in a read-only transaction');
const row = ok('D');

describe('a Query by itself', () => {
  test('goes with BEGIN READ ONLY and COMMIT in one piece, and its answers are withheld to the end', () => {
    const t = started();
    expect(t.client(query('select 1'))).toEqual(['enclose run']);
    expect(ran(t)).toBe('[BEGIN READ ONLY] Q [COMMIT] S');
    expect(t.server(done('BEGIN'), ok('T'), row, C('SELECT 1'), Z('T'))).toEqual(['(T)', '(D)', '(C tail)']);
    expect(next(t)).toBe('waits');
    expect(t.server(done('COMMIT'), Z())).toEqual(['(Z)']);
    expect(next(t)).toBe('kept');
    expect(t.outcomes).toEqual(['1 ok SELECT 1']);
    expect(t.session.transactionStatus).toBe('I');
  });

  test('that writes is undone by the COMMIT behind it, which a failed block turns into a ROLLBACK', () => {
    const t = started();
    t.client(query('select 1'));
    ran(t);
    expect(t.server(done('BEGIN'), ok('T'), readOnly, Z('E'), done('ROLLBACK'), Z())).toEqual(['(T)']);
    expect(next(t)).toBe('undone Q');
    expect(t.outcomes).toEqual(['1 error 25006']);
    expect(t.client(query('select 1'))).toEqual(['hold']);
    expect(t.step.kind === 'hold' && t.step.gate.verdict.reason).toBe(
      'tried to write: cannot execute DELETE in a read-only transaction',
    );
    t.release();
    expect(t.server(ok('T'), row, C('SELECT 1'), Z())).toEqual(['T', 'D', 'C', 'Z']);
    expect(t.client(query('select 1'))).toEqual(['enclose run']);
  });

  test('does not run where our BEGIN fails: the client gets that error as its own', () => {
    const t = started();
    t.client(query('select 1'));
    ran(t);
    expect(t.server(ok('1'), ok('2'), E('57014'), Z())).toEqual(['(E instead-of-tail)', '(Z)']);
    expect(next(t)).toBe('kept');
    expect(t.outcomes).toEqual(['1 skipped']);
    expect(t.session.busy).toBe(false);
  });

  test('whose count is judged: COMMIT only after it', () => {
    const t = started();
    t.client(query('update t set b = 1 where a > 1'));
    expect(ran(t)).toBe('[BEGIN] Q');
    expect(t.server(done('BEGIN'), C('UPDATE 10'), Z('T'))).toEqual(['(C tail)']);
    expect(next(t)).toBe('more [COMMIT] S');
    expect(t.server(done('COMMIT'), Z())).toEqual(['(Z)']);
    expect(next(t)).toBe('kept');
    expect(t.outcomes).toEqual(['1 ok UPDATE 10']);
  });

  test('that changes one row too many is rolled back and held', () => {
    const t = started();
    t.client(query('update t set b = 1 where a > 1'));
    ran(t);
    t.server(done('BEGIN'), C('UPDATE 1532'), Z('T'));
    expect(next(t)).toBe('more S [ROLLBACK] S');
    expect(t.server(Z('T'), done('ROLLBACK'), Z())).toEqual([]);
    expect(next(t)).toBe('undone Q');
    expect(t.outcomes).toEqual(['1 canceled UPDATE 1532; ROLLBACK']);
    t.client(query('update t set b = 1 where a > 1'));
    expect(t.step.kind === 'hold' && t.step.gate.verdict.reason).toBe(
      'would change 1,532 rows, more than the 10 that rule changes lets through',
    );
  });

  test('whose COMMIT fails: its tag gives way to that error', () => {
    const t = started();
    t.client(query('update t set b = 1 where a > 1'));
    ran(t);
    t.server(done('BEGIN'), C('UPDATE 1'), Z('T'));
    next(t);
    expect(t.server(ok('1'), ok('2'), E('23503'), Z())).toEqual(['(E instead-of-tail)', '(Z)']);
    expect(next(t)).toBe('kept');
    expect(t.outcomes).toEqual(['1 error 23503 UPDATE 1']);
  });

  test('in a block of the client: a savepoint, and the status stays', () => {
    const t = started();
    t.client(query('begin'));
    t.server(C('BEGIN'), Z('T'));
    t.client(query('select 1'));
    expect(ran(t)).toBe('[SAVEPOINT x] [SET LOCAL transaction_read_only = on] Q [RELEASE x] S');
    expect(
      t.server(done('SAVEPOINT'), done('SET'), ok('T'), row, C('SELECT 1'), Z('T'), done('RELEASE'), Z('T')),
    ).toEqual(['(T)', '(D)', '(C tail)', '(Z)']);
    expect(next(t)).toBe('kept');
    expect(t.session.transactionStatus).toBe('T');
  });

  test('in a block, undone to the savepoint', () => {
    const t = started();
    t.client(query('begin'));
    t.server(C('BEGIN'), Z('T'));
    t.client(query('select 1'));
    ran(t);
    expect(t.server(done('SAVEPOINT'), done('SET'), readOnly, Z('E'), E('25P02'), Z('E'))).toEqual([]);
    expect(next(t)).toBe('more S [ROLLBACK TO x] [RELEASE x] S');
    expect(t.server(Z('E'), done('ROLLBACK'), done('RELEASE'), Z('T'))).toEqual([]);
    expect(next(t)).toBe('undone Q');
    expect(t.session.transactionStatus).toBe('T');
  });

  test('that could not be undone ends the session', () => {
    const t = started();
    t.client(query('update t set b = 1 where a > 1'));
    ran(t);
    t.server(done('BEGIN'), C('UPDATE 11'), Z('T'));
    next(t);
    t.server(Z('T'), E('57014'), Z('E'));
    expect(() => next(t)).toThrow('could not be undone');
  });

  test('waits for what decides whether a block is open', () => {
    const t = started();
    expect(t.client(query('begin'), query('select 1'))).toEqual(['pass!', 'barrier']);
    t.server(C('BEGIN'), Z('T'));
    expect(t.client(query('select 1'))).toEqual(['enclose run']);
    expect(ran(t)).toContain('SAVEPOINT');
  });

  test('in a failed block goes as it is: the server refuses it', () => {
    const t = started();
    t.client(query('begin'));
    t.server(C('BEGIN'), Z('T'));
    t.client(query('selec'));
    t.server(E('42601', 'syntax error at or near "holdpoint_00000000000000000000000000000001"'), Z('E'));
    expect(t.client(query('select 1'))).toEqual(['pass!']);
  });

  test('between frames without a Sync is held: servers differ in what becomes of the transaction', () => {
    const t = started();
    t.client(parse('', 'show all'), bind('', ''), execute(''), flush());
    t.server(ok('1'), ok('2'), C('SHOW'));
    expect(t.client(query('select 1'))).toEqual(['hold']);
  });
});

describe('notices and settings', () => {
  test('what our commands cause is nobody s; what a deferred trigger says stands before the tag', () => {
    const t = started();
    t.client(query('select 1'));
    ran(t);
    const notice = (severity: string, code = '00000'): Buffer => {
      const frame = Buffer.from(E(code));
      frame[0] = 'N'.charCodeAt(0);
      return Buffer.from(frame.toString('latin1').replaceAll('ERROR', severity.padEnd(5, ' ')), 'latin1');
    };
    expect(t.server(notice('DEBUG'), done('BEGIN'), notice('INFO '), C('SELECT 1'), Z('T'))).toEqual([
      '(N)',
      '(C tail)',
    ]);
    expect(t.server(ok('1'), ok('2'), notice('DEBUG'))).toEqual([]);
  });

  test('a setting that is reported is the client s, whatever becomes of the statement', () => {
    const t = started();
    t.client(query('select 1'));
    ran(t);
    expect(
      t.server(done('BEGIN'), readOnly, parameterStatus('TimeZone', 'UTC'), Z('E'), done('ROLLBACK'), Z()),
    ).toEqual(['S']);
    expect(next(t)).toBe('undone Q');
  });

  test('a setting that is pinned ends the session also from within', () => {
    const t = started();
    t.client(query('select 1'));
    ran(t);
    expect(t.server(done('BEGIN'), parameterStatus('standard_conforming_strings', 'off'))).toEqual([
      'close 08P01',
    ]);
  });
});

describe('the extended protocol', () => {
  test('frames are kept up to the Sync and go in one piece, without waiting for the Parse', () => {
    const t = started();
    expect(
      t.client(parse('', 'select 1'), bind('', ''), describeFrame('P', ''), execute(''), sync()),
    ).toEqual(['pass', 'enclose', 'enclose', 'enclose', 'enclose run']);
    expect(ran(t)).toBe('[BEGIN READ ONLY] B D E S [COMMIT] S');
    expect(
      t.server(ok('1'), done('BEGIN'), ok('2'), ok('T'), row, C('SELECT 1'), Z('T'), done('COMMIT'), Z()),
    ).toEqual(['1', '(2)', '(T)', '(D)', '(C)', '(Z)']);
    expect(next(t)).toBe('kept');
    expect(t.outcomes).toEqual(['1 ok SELECT 1']);
  });

  test('a Parse that fails in front of it fails as ever', () => {
    const t = started();
    t.client(parse('s', 'select 1'), bind('', 's'), execute(''), sync());
    ran(t);
    expect(t.server(E('42P05'), Z(), done('COMMIT'), Z())).toEqual(['E', '(Z)']);
    expect(next(t)).toBe('kept');
    expect(t.outcomes).toEqual(['1 skipped']);
  });

  test('undone, all frames from its Bind on come again', () => {
    const t = started();
    t.client(parse('', 'select 1'), bind('', ''), describeFrame('P', ''), execute(''), sync());
    ran(t);
    expect(
      t.server(ok('1'), done('BEGIN'), ok('2'), ok('T'), readOnly, Z('E'), done('ROLLBACK'), Z()),
    ).toEqual(['1', '(2)', '(T)']);
    expect(next(t)).toBe('undone B D E S');
    expect(t.client(bind('', ''))).toEqual(['hold']);
    t.release();
    expect(t.client(describeFrame('P', ''), execute(''), sync())).toEqual(['pass', 'pass', 'pass']);
  });

  test('another gate of the segment begins when the one before has ended; the Sync commits', () => {
    const t = started();
    t.client(parse('', 'update t set b = 1 where a > 1'));
    expect(t.client(bind('', ''), execute(''), bind('', ''))).toEqual(['enclose', 'enclose', 'run']);
    expect(ran(t)).toBe('[BEGIN] [SAVEPOINT x] B E H');
    expect(t.server(ok('1'), done('BEGIN'), done('SAVEPOINT'), ok('2'), C('UPDATE 3'))).toEqual([
      '1',
      '(2)',
      '(C)',
    ]);
    expect(next(t)).toBe('kept [RELEASE x] H');
    expect(t.client(bind('', ''), execute(''), sync())).toEqual(['enclose', 'enclose', 'enclose run']);
    expect(ran(t)).toBe('[SAVEPOINT x] B E H');
    t.server(done('RELEASE'), done('SAVEPOINT'), ok('2'), C('UPDATE 4'));
    expect(next(t)).toBe('more [RELEASE x] S [COMMIT] S');
    expect(t.server(done('RELEASE'), Z('T'), done('COMMIT'), Z())).toEqual(['(Z)']);
    expect(next(t)).toBe('kept');
    expect(t.outcomes).toEqual(['1 ok UPDATE 3', '2 ok UPDATE 4']);
  });

  test('a statement that needs no enclosure runs in our block; the client s Sync is followed by COMMIT', () => {
    const t = started();
    t.client(parse('', 'update t set b = 1 where a > 1'), bind('', ''), execute(''));
    expect(t.client(parse('', 'show all'))).toEqual(['run']);
    ran(t);
    t.server(ok('1'), done('BEGIN'), done('SAVEPOINT'), ok('2'), C('UPDATE 3'));
    next(t);
    t.server(done('RELEASE'));
    expect(t.client(parse('', 'show all'), bind('', ''), execute(''), sync())).toEqual([
      'pass',
      'pass!',
      'pass',
      'pass',
    ]);
    expect(t.step.kind === 'pass' && sent(t.step.after!)).toBe('[COMMIT] S');
    expect(t.server(ok('1'), ok('2'), C('SHOW'), Z('T'), done('COMMIT'), Z())).toEqual([
      '1',
      '2',
      'C',
      '(Z)',
    ]);
    expect(t.outcomes).toEqual(['1 ok UPDATE 3', '2 ok SHOW']);
  });

  test('an EXECUTE of a portal that was suspended is enclosed again, and refused where it writes', () => {
    const t = started();
    t.client(query('begin'));
    t.server(C('BEGIN'), Z('T'));
    t.client(parse('', 'select 1'), bind('p', ''), execute('p', 1), sync());
    ran(t);
    t.server(ok('1'), done('SAVEPOINT'), done('SET'), ok('2'), row, ok('s'), done('RELEASE'), Z('T'));
    expect(next(t)).toBe('kept');
    expect(t.client(execute('p', 1), sync())).toEqual(['enclose', 'enclose run']);
    expect(ran(t)).toBe('[SAVEPOINT x] [SET LOCAL transaction_read_only = on] E [RELEASE x] S');
    t.server(done('SAVEPOINT'), done('SET'), readOnly, Z('E'));
    expect(next(t)).toBe('more S [ROLLBACK TO x] [RELEASE x] S');
    t.server(Z('E'), done('ROLLBACK'), done('RELEASE'), Z('T'));
    expect(next(t)).toBe('undone E S');
    expect(t.client(execute('p', 1))).toEqual(['refuse 42501']);
  });

  test('a Close of a statement, a Parse and a Query wait for the enclosure in front of them', () => {
    for (const frame of [close('S', ''), parse('', 'select 2'), query('select 2')]) {
      const t = started();
      expect(t.client(parse('', 'select 1'), bind('', ''), execute(''), frame).at(-1)).toBe('run');
      expect(ran(t)).toBe('[BEGIN] [SAVEPOINT x] [SET LOCAL transaction_read_only = on] B E H');
    }
  });

  test('more frames than are kept run as they would with a Flush', () => {
    const t = started();
    t.client(parse('', 'select 1'), bind('', ''));
    const words = t.client(...Array.from({ length: 63 }, () => execute('', 1)));
    expect(words.at(-2)).toBe('enclose');
    expect(words.at(-1)).toBe('enclose run');
  });

  test('behind transaction commands whose outcome is open in the same segment it is held', () => {
    const t = started();
    t.client(parse('', 'rollback'), bind('', ''), execute(''));
    expect(t.client(parse('', 'select 1'), bind('', ''))).toEqual(['pass', 'hold']);
  });

  test('behind BEGIN in the same segment it gets a savepoint', () => {
    const t = started();
    t.client(parse('', 'begin'), bind('', ''), execute(''));
    t.client(parse('', 'select 1'), bind('', ''), execute(''), sync());
    expect(ran(t)).toBe('[SAVEPOINT x] [SET LOCAL transaction_read_only = on] B E H');
  });

  test('where a Query went between frames without a Sync it is held: T may be an implicit transaction', () => {
    const t = started();
    t.client(parse('', 'show all'), bind('', ''), execute(''), query('show all'));
    t.server(ok('1'), ok('2'), C('SHOW'), C('SHOW'), Z('T'));
    expect(t.client(parse('', 'select 1'), bind('', ''))).toEqual(['pass', 'hold']);
  });

  test('what cannot be repeated or confined is held', () => {
    const copies = `version: 1
rules:
  - { name: copies, action: pass, rowsMax: 5, effects: [insert] }`;
    const copying = new Transcript({
      policy: parsePolicy({ file: 'c.yaml', text: copies }, () => undefined as never),
    });
    expect(copying.client(query('copy t from stdin'))).toEqual(['hold']);
    const t = started();
    expect(t.client(query('declare c cursor for select 1'))).toEqual(['hold']);
    expect(t.client(query('declare c cursor with hold for select 1'))).toEqual(['enclose run']);
  });
});

describe('the connection ends', () => {
  test('before COMMIT: the statement did not happen', () => {
    const t = started();
    t.client(query('update t set b = 1 where a > 1'));
    ran(t);
    t.server(done('BEGIN'), C('UPDATE 3'), Z('T'));
    expect(t.session.enclosing).toBe('revocable');
    t.session.lost();
    expect(t.outcomes).toEqual(['1 canceled UPDATE 3']);
  });

  test('while COMMIT is under way: nobody knows', () => {
    const t = started();
    t.client(query('update t set b = 1 where a > 1'));
    ran(t);
    t.server(done('BEGIN'), C('UPDATE 3'), Z('T'));
    next(t);
    expect(t.session.enclosing).toBe('ending');
    t.session.lost();
    expect(t.outcomes).toEqual(['1 unknown UPDATE 3']);
  });

  test('while frames are being kept: nothing was sent, and nothing is recorded', () => {
    const t = started();
    t.client(parse('', 'update t set b = 1 where a > 1'), bind('', ''), execute(''));
    expect(t.session.enclosing).toBe('no');
    t.session.lost();
    expect(t.outcomes).toEqual([]);
  });
});

test('a COPY IN that nobody asked for in an enclosure ends the session', () => {
  const t = started();
  t.client(query('select 1'));
  ran(t);
  expect(t.server(done('BEGIN'), ok('G'))).toEqual(['close 08004']);
});
