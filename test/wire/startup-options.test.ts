import { expect, test } from 'vitest';
import { HoldpointError } from '../../src/errors.ts';
import { readOptions } from '../../src/wire/startup-options.ts';

test.each([
  ['-c a=b', [['a', 'b']]],
  ['-ca=b', [['a', 'b']]],
  ['--a=b', [['a', 'b']]],
  ['  \t-c \n a=b\r\f\v ', [['a', 'b']]],
  [
    '-c a=b --c-d=e -cf=',
    [
      ['a', 'b'],
      ['c_d', 'e'],
      ['f', ''],
    ],
  ],
  ['-c Search-Path=x', [['Search_Path', 'x']]],
  ['--a=b=c', [['a', 'b=c']]],
  ['-c a=b\\ c', [['a', 'b c']]],
  ['-c a=b\\\\c', [['a', 'b\\c']]],
  ['-c a=b\\nc', [['a', 'bnc']]],
  ['-c a=b\\', [['a', 'b']]],
  ['-\\c a=b', [['a', 'b']]],
  ['-c --a=b', [['__a', 'b']]],
  ['-c a=-b-c', [['a', '-b-c']]],
  [
    '-c a=x -c a=y',
    [
      ['a', 'x'],
      ['a', 'y'],
    ],
  ],
  ['', []],
  ['   ', []],
])('%j sets what the server would set', (options, settings) => {
  expect(readOptions(options)).toEqual(settings);
});

test.each([
  '-e',
  '-O',
  '-P',
  '-d 5',
  '-d5',
  '-fs',
  '-W 5',
  '-ec a=b',
  '-C data_directory',
  '-D /tmp',
  '-r x',
  '-v 3',
  '-p shop',
  'a=b',
  '--',
  '-',
  '-c',
  '--a',
  '-c a',
  '-c =b',
  '--=b',
  'x -c a=b',
  '-c a=b c',
  '\\',
  '-- a=b',
])('%j is refused', (options) => {
  expect(() => readOptions(options)).toThrow(HoldpointError);
  expect(() => readOptions(options)).toThrow(/^invalid startup parameter "options": /);
});
