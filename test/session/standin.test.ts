// Stand-ins: what goes in the place of a refused frame, and which ErrorResponse comes back changed.

import { describe, expect, test } from 'vitest';
import { HoldpointError } from '../../src/errors.ts';
import { StandIns, standInFrame } from '../../src/session/standin.ts';
import { errorResponse, readErrorFields } from '../../src/wire/messages/backend.ts';
import {
  frontendType,
  readBind,
  readExecute,
  readParse,
  readQuery,
} from '../../src/wire/messages/frontend.ts';
import { asFrame } from '../support/frames.ts';

const id = '0123456789abcdef0123456789abcdef';
const name = `holdpoint_${id}`;

function swapped(standIns: StandIns, message: string): Map<string, string> | undefined {
  const frame = asFrame(
    errorResponse({ S: 'FEHLER', V: 'ERROR', C: '42601', M: message, P: '1', F: 'scan.l', R: 'yyerror' }),
  );
  const result = standIns.swap(frame, readErrorFields(frame));
  return result === undefined ? undefined : readErrorFields(asFrame(result.bytes));
}

describe('the frame', () => {
  test('of a Query or a FunctionCall is a Query, because ReadyForQuery must follow', () => {
    for (const type of [frontendType.query, frontendType.functionCall])
      expect(readQuery(asFrame(standInFrame(type, id, ''))).sql.toString()).toBe(name);
  });

  test('of a Parse is a Parse of the same name, of a Bind a Bind, of an Execute an Execute', () => {
    expect(readParse(asFrame(standInFrame(frontendType.parse, id, 's')))).toMatchObject({ name: 's' });
    expect(readBind(asFrame(standInFrame(frontendType.bind, id, '')))).toMatchObject({
      portal: '',
      statement: name,
    });
    expect(readExecute(asFrame(standInFrame(frontendType.execute, id, ''))).portal).toBe(name);
  });
});

describe('the answer', () => {
  test('that names the id becomes the refusal, once, in any language', () => {
    const standIns = new StandIns();
    standIns.add(id, new HoldpointError('denied', 'no', { detail: 'd', hint: 'h' }));
    const fields = swapped(standIns, `Syntaxfehler bei »${name}«`);
    expect(Object.fromEntries(fields ?? [])).toEqual({
      S: 'ERROR',
      V: 'ERROR',
      C: '42501',
      M: 'no',
      D: 'd',
      H: 'h',
    });
    expect(swapped(standIns, `syntax error at or near "${name}"`)).toBeUndefined();
  });

  test('of a syntax error keeps the fields of the server', () => {
    const standIns = new StandIns();
    standIns.add(id, new HoldpointError('syntax', 'syntax error at or near "selec"', { position: 7 }));
    expect(swapped(standIns, `syntax error at or near "${name}"`)?.get('P')).toBe('7');
    standIns.add(id, new HoldpointError('syntax', 'syntax error at end of input'));
    const fields = swapped(standIns, `syntax error at or near "${name}"`);
    expect([fields?.get('R'), fields?.has('P')]).toEqual(['yyerror', false]);
  });

  test('of a syntax error has the SQLSTATE, DETAIL and HINT that PostgreSQL gives this one', () => {
    const standIns = new StandIns();
    const more = { sqlstate: '0A000', detail: 'd', hint: 'h', position: 1 };
    standIns.add(id, new HoldpointError('syntax', 'RECHECK is no longer required', more));
    const fields = swapped(standIns, `syntax error at or near "${name}"`);
    expect([fields?.get('C'), fields?.get('D'), fields?.get('H')]).toEqual(['0A000', 'd', 'h']);
  });

  test('that names no id, or another, is left alone', () => {
    const standIns = new StandIns();
    expect(swapped(standIns, `syntax error at or near "${name}"`)).toBeUndefined();
    standIns.add(id, new HoldpointError('denied', 'no'));
    expect(swapped(standIns, `relation "holdpoint_${'f'.repeat(32)}" does not exist`)).toBeUndefined();
    expect(swapped(standIns, 'division by zero')).toBeUndefined();
    standIns.clear();
    expect(swapped(standIns, `syntax error at or near "${name}"`)).toBeUndefined();
  });
});
