// The startup parameter `options`: a command line for the server, from which only settings are taken.
// Splits it as the server does (pg_split_opts in utils/init/postinit.c) and reads the two switches that set a setting
// (process_postgres_switches and ParseLongOption). Refuses every other switch, and to know what any setting means.

import { HoldpointError } from '../errors.ts';

/** Settings in the order given, names as the server reads them: dashes are underscores. Throws `bad-parameter`. */
export function readOptions(options: string): (readonly [name: string, value: string])[] {
  const settings: (readonly [string, string])[] = [];
  const words = splitOptions(options);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    let setting: string | undefined;
    if (word === '-c') setting = words[++i];
    else if (word.startsWith('-c') || word.startsWith('--')) setting = word.slice(2);
    else throw notUnderstood(`the switch "${word}" is not allowed`);
    if (setting === undefined || setting === '') throw notUnderstood(`"${word}" names no setting`);
    settings.push(readSetting(setting));
  }
  return settings;
}

function readSetting(setting: string): readonly [name: string, value: string] {
  const equals = setting.indexOf('=');
  if (equals < 1) throw notUnderstood(`"${setting}" requires a name and a value`);
  return [setting.slice(0, equals).replaceAll('-', '_'), setting.slice(equals + 1)];
}

/** Words between white space; a backslash takes the next character as it is, white space and backslash included. */
function splitOptions(options: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let escaped = false;
  for (const character of options) {
    if (!escaped && isSpace(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (!escaped && character === '\\') {
      word ??= '';
      escaped = true;
    } else {
      word = (word ?? '') + character;
      escaped = false;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** `isspace` of the C locale. */
function isSpace(character: string): boolean {
  return ' \t\n\v\f\r'.includes(character);
}

function notUnderstood(reason: string): HoldpointError {
  return new HoldpointError('bad-parameter', `invalid startup parameter "options": ${reason}`, {
    hint: 'Use only -c name=value or --name=value.',
  });
}
