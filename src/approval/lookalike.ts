// Lookalike: words that a person reads as other words: letters of one script that are drawn as those of another. Pure;
// refuses to know SQL: a name, a string and a comment can all mislead. Unicode TR39 (mixed scripts, confusables); the
// table has the letters that are drawn like ASCII in usual fonts, not every likeness.

export interface Lookalike {
  /** The word as it stands. */
  readonly word: string;
  /** What it is read as, where all of it looks like ASCII; else null. */
  readonly like: string | null;
  /** Scripts of its letters, `Latin` first. */
  readonly scripts: readonly string[];
  /** Its letters that are not ASCII, as `U+043E`, each once. */
  readonly codes: readonly string[];
}

const scripts = [
  'Latin',
  'Cyrillic',
  'Greek',
  'Armenian',
  'Cherokee',
  'Coptic',
  'Georgian',
  'Hebrew',
  'Arabic',
  'Han',
  'Hiragana',
  'Katakana',
  'Hangul',
  'Lisu',
  'Deseret',
] as const;

const patterns = scripts.map((name) => [name, new RegExp(`\\p{Script=${name}}`, 'u')] as const);

/** Scripts that are written together in ordinary words of one language. */
const together = new Set(['Han', 'Hiragana', 'Katakana']);

// From | to, letter by letter.
const drawn: readonly (readonly [string, string])[] = [
  ['аеорсхуіјѕһԁԛԝѵкмтвнгзь', 'aeopcxyijshdqwvkmtbhr3b'],
  ['АВЕЅІЈКМНОРСТУХҮԌԚԜ', 'ABESIJKMHOPCTYXYGQW'],
  ['αγενορτυικχωѡ', 'ayevoptuikxww'],
  ['ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ', 'ABEZHIKMNOPTYX'],
  ['աոսօցհյզնւ', 'wnuoghjqul'],
  ['ᎪᏴᏟᎠᎬᎮᎻᏆᎫᏦᏞᎷᏢᏒᏚᎢᏙᎳᎩᏃ', 'ABCDEPHIJKLMPRSTVWYZ'],
  ['ıɑɡ', 'iag'],
];

const asciiOf = new Map(
  drawn.flatMap(([from, to]) => [...from].map((letter, index) => [letter, to[index] ?? ''] as const)),
);

const word = /[\p{L}\p{N}\p{M}_]+/uy;

/** Distinct words looked at in one text: what comes behind so many is no text that somebody reads. */
const distinctMax = 20_000;

/** Every misleading word of a text once, at most `wordsMax` of them. */
export function lookalikes(text: string, wordsMax = 50): Lookalike[] {
  const seen = new Set<string>();
  const found: Lookalike[] = [];
  for (let at = 0; at < text.length && found.length < wordsMax && seen.size < distinctMax; at += 1) {
    // Most texts are ASCII, and some are megabytes: only words with something else in them are looked at.
    if (text.charCodeAt(at) < 0x80) continue;
    let start = at;
    while (start > 0 && /\w/.test(text[start - 1] ?? '')) start -= 1;
    word.lastIndex = start;
    const each = word.exec(text)?.[0];
    if (each === undefined || start + each.length <= at) continue;
    at = start + each.length - 1;
    if (seen.has(each)) continue;
    seen.add(each);
    const one = lookalike(each);
    if (one !== undefined) found.push(one);
  }
  return found;
}

function lookalike(each: string): Lookalike | undefined {
  const letters = [...each];
  const like = letters.map(plain).join('');
  const used = patterns.filter(([, pattern]) => pattern.test(each)).map(([name]) => name);
  const readsAsAscii = /^[\x00-\x7f]+$/.test(like);
  const mixed =
    used.filter((name) => !together.has(name)).length > 1 || (used.length > 1 && used[0] === 'Latin');
  if (!readsAsAscii && !mixed) return undefined;
  const codes = new Set(letters.filter((letter) => letter > '\x7f').map(codeOf));
  return { word: each, like: readsAsAscii ? like : null, scripts: used, codes: [...codes] };
}

/** The letter as ASCII, if it is drawn like one: by the table, or as a styled or full-width form of it. */
function plain(letter: string): string {
  return asciiOf.get(letter) ?? letter.normalize('NFKC');
}

function codeOf(letter: string): string {
  return `U+${(letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}
