// Slack text: strings of an agent, of a person and of the server as Slack shows them: never as markup, mention or link,
// with nothing hidden in them, and cut where Slack's limits are. Pure. threats G7; docs.slack.dev "Formatting message
// text" (the three characters to escape), "Text object" (3000 characters).

import { visibleText } from '../approval/visible.ts';

/** Characters of one text object, as Slack counts: after escaping. */
export const textCharactersMax = 3_000;
/** Lines of a statement that are shown: Slack folds longer messages, and what is folded away is not read. */
const codeLinesMax = 30;

/** A text object of a block. */
export type TextObject =
  | { readonly type: 'plain_text'; readonly text: string; readonly emoji: false }
  | { readonly type: 'mrkdwn'; readonly text: string; readonly verbatim: true };

/** The three characters that Slack reads as control characters, as entities. */
export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Somebody else's words: no markup, no emoji, no mention, no link; escaped all the same. Cut at `charactersMax`. */
export function plain(text: string, charactersMax: number = textCharactersMax): TextObject {
  const shown = fitting(text, charactersMax - 1, (part) => escaped(visibleText(part)));
  return { type: 'plain_text', text: shown.cut ? `${shown.text}…` : shown.text || ' ', emoji: false };
}

/** Our own words, and nothing else in them. */
export function marked(text: string): TextObject {
  return { type: 'mrkdwn', text, verbatim: true };
}

/** A code block, and how many bytes of the text it leaves out. */
export function codeBlock(text: string): { object: TextObject; bytesLeftOut: number } {
  const lines = text.split('\n', codeLinesMax + 1);
  const within = lines.length > codeLinesMax ? lines.slice(0, codeLinesMax).join('\n') : text;
  const shown = fitting(within, textCharactersMax - 20, coded);
  const kept = within.slice(0, shown.length);
  return {
    object: marked(`\`\`\`\n${shown.text}\n\`\`\``),
    bytesLeftOut: Buffer.byteLength(text) - Buffer.byteLength(kept),
  };
}

/** Three backticks in a row would end the block. */
function coded(text: string): string {
  return escaped(visibleText(text).replace(/`{3,}/g, (run) => [...run].map(code).join('')));
}

function code(character: string): string {
  return `⟨U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}⟩`;
}

/** The longest beginning of `text` whose form has at most `charactersMax` characters; `length` of it in UTF-16 units. */
function fitting(
  text: string,
  charactersMax: number,
  form: (part: string) => string,
): { text: string; length: number; cut: boolean } {
  const whole = text.length <= charactersMax ? form(text) : undefined;
  if (whole !== undefined && whole.length <= charactersMax)
    return { text: whole, length: text.length, cut: false };
  let least = 0;
  let most = Math.min(text.length, charactersMax);
  while (least < most) {
    const middle = Math.ceil((least + most) / 2);
    if (form(beginning(text, middle)).length <= charactersMax) least = middle;
    else most = middle - 1;
  }
  const kept = beginning(text, least);
  return { text: form(kept), length: kept.length, cut: true };
}

/** Never half of a surrogate pair. */
function beginning(text: string, length: number): string {
  const last = text.charCodeAt(length - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? length - 1 : length);
}
