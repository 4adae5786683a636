// Visible: text as a person must see it before signing for it. Everything that a screen would hide, reorder or draw as
// something else becomes a mark with its code point. Pure; refuses to know SQL: what is a comment or a literal, and
// what it means, is the reader's to see in the exact text. threats G7, audit-approval §15 P12.

/** Plain text; or a run of one invisible character; or a run of characters beyond ASCII, which may look like ASCII. */
export type Segment =
  | string
  | { readonly hidden: string; readonly name: string; readonly times: number }
  | { readonly foreign: string };

export interface VisibleText {
  /** One entry a line (LF), at least one. */
  readonly lines: readonly (readonly Segment[])[];
  /** Invisible or reordering characters in all, line ends apart. */
  readonly hidden: number;
  /** Characters beyond ASCII that are drawn. */
  readonly foreign: number;
}

/** Marks that a page can draw without becoming slow; beyond them the code points stand in the text itself. */
const marksMax = 5_000;

// Controls, formats (bidi, zero-width), separators, unassigned and private characters, everything that renderers may
// leave out, and blanks that are not U+0020. LF ends a line; a tab is drawn as a tab.
const pattern =
  /(?<hidden>(?![ \n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Zs}\p{DI}\u2800])\k<hidden>*|(?<foreign>(?:(?![\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Zs}\p{DI}\u2800])[^\x00-\x7f])+)/gu;

/** One character of those that `pattern` calls hidden. */
const hiddenPattern = /^(?![ \n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Zs}\p{DI}\u2800]$/u;

const names: Readonly<Record<number, string>> = {
  0: 'null',
  7: 'bell',
  8: 'backspace',
  13: 'carriage return',
  27: 'escape',
  127: 'delete',
  160: 'no-break space',
  173: 'soft hyphen',
  8203: 'zero width space',
  8204: 'zero width non-joiner',
  8205: 'zero width joiner',
  8206: 'left-to-right mark',
  8207: 'right-to-left mark',
  8232: 'line separator',
  8233: 'paragraph separator',
  8234: 'left-to-right embedding',
  8235: 'right-to-left embedding',
  8236: 'pop directional formatting',
  8237: 'left-to-right override',
  8238: 'right-to-left override',
  8288: 'word joiner',
  8294: 'left-to-right isolate',
  8295: 'right-to-left isolate',
  8296: 'first strong isolate',
  8297: 'pop directional isolate',
  65279: 'byte order mark',
};

/** The text by lines and segments. Joined again, with the marks' characters in their places, it is the text. */
export function visible(text: string): VisibleText {
  let hidden = 0;
  let foreign = 0;
  let marks = 0;
  const lines = text.split('\n').map((line) => {
    const segments: Segment[] = [];
    const plain = (part: string): void => {
      const last = segments.at(-1);
      if (part === '') return;
      if (typeof last === 'string') segments[segments.length - 1] = last + part;
      else segments.push(part);
    };
    let at = 0;
    for (const match of line.matchAll(pattern)) {
      plain(line.slice(at, match.index));
      at = match.index + match[0].length;
      marks += 1;
      const mark = segmentOf(match);
      if (typeof mark === 'object' && 'hidden' in mark) hidden += mark.times;
      else foreign += [...match[0]].length;
      if (marks <= marksMax) segments.push(mark);
      else plain(inline(mark));
    }
    plain(line.slice(at));
    return segments;
  });
  return { lines, hidden, foreign };
}

/** How many invisible or reordering characters a text has, line ends apart; for megabytes, where `visible` takes seconds. */
export function countHidden(text: string): number {
  const known = new Map<number, boolean>();
  let count = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit >= 0x20 && unit < 0x7f) continue;
    const code = text.codePointAt(at) ?? unit;
    if (code > 0xffff) at += 1;
    let hidden = known.get(code);
    if (hidden === undefined) {
      hidden = hiddenPattern.test(String.fromCodePoint(code));
      known.set(code, hidden);
    }
    if (hidden) count += 1;
  }
  return count;
}

/** The text on a terminal: marks as `⟨U+202E⟩`, so that nothing in it can steer the terminal. Lines stay lines. */
export function visibleText(text: string): string {
  return visible(text)
    .lines.map((line) => line.map(inline).join(''))
    .join('\n');
}

/** `visibleText` on one line: for names and reasons in lists. */
export function visibleLine(text: string): string {
  return visibleText(text).replaceAll('\n', '⟨U+000A⟩');
}

/** Text on its way to a client, on one line: what controls or hides text removed, and cut to so many code points. */
export function plainLine(text: string, charactersMax: number): string {
  const plain = text.replaceAll(/\p{Cf}/gu, '').replaceAll(/[\p{Cc}\p{Z}]+/gu, ' ');
  return [...plain.trim()].slice(0, charactersMax).join('').toWellFormed();
}

function segmentOf(match: RegExpMatchArray): Segment {
  const character = match.groups?.hidden;
  if (character === undefined) return { foreign: match[0] };
  const code = character.codePointAt(0) ?? 0;
  const hidden = `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
  return { hidden, name: names[code] ?? 'invisible character', times: match[0].length / character.length };
}

function inline(segment: Segment): string {
  if (typeof segment === 'string') return segment;
  if ('foreign' in segment) return segment.foreign;
  return segment.times === 1 ? `⟨${segment.hidden}⟩` : `⟨${segment.hidden} ×${segment.times}⟩`;
}
