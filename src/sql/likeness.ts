// Likeness: what two writings of one statement have in common when one of them has lost its values: the text without
// comments and blanks, with every literal and parameter as one mark. For comparing a log with another log, never for a
// verdict. Pure; reads texts that no parser would take any more, such as `interval $1`.

import { hash } from 'node:crypto';
import { literalsOf } from './literals.ts';

/** base64url(SHA-256) over the text's likeness. */
export function likeness(sql: string): string {
  return hash('sha256', likenessText(sql), 'base64url');
}

/** A quoted name, a comment (with nested ones, to be cut by depth), a parameter, blanks. */
const pieces = /"(?:[^"]|"")*"|--[^\n\r]*|\/\*|\$\d+|\s+/g;

/** Marks stand in for values: a character that no statement can contain. */
const mark = '\0';

/** For tests and for people who ask why two texts are not alike. */
export function likenessText(sql: string): string {
  const bytes = Buffer.from(sql, 'utf8');
  let text = '';
  let at = 0;
  for (const { start, end } of literalsOf(bytes)) {
    text += bytes.toString('utf8', at, start) + mark;
    at = end;
  }
  text += bytes.toString('utf8', at);
  return spaced(uncommented(text));
}

function uncommented(text: string): string {
  let plain = '';
  let at = 0;
  pieces.lastIndex = 0;
  for (let match = pieces.exec(text); match !== null; match = pieces.exec(text)) {
    plain += text.slice(at, match.index);
    at = pieces.lastIndex;
    if (match[0] === '/*') {
      at = behindComment(text, at);
      pieces.lastIndex = at;
      plain += ' ';
    } else if (match[0].startsWith('"')) plain += match[0];
    else plain += match[0].startsWith('$') ? mark : ' ';
  }
  return plain + text.slice(at);
}

function behindComment(text: string, from: number): number {
  let depth = 1;
  const edge = /\/\*|\*\//g;
  edge.lastIndex = from;
  for (let match = edge.exec(text); match !== null; match = edge.exec(text)) {
    depth += match[0] === '/*' ? 1 : -1;
    if (depth === 0) return edge.lastIndex;
  }
  return text.length;
}

/** Blanks count only between what would else be one word. */
function spaced(text: string): string {
  return text
    .replace(/ +/g, ' ')
    .replace(/ ?([^\w"\u0080-\uffff ]) ?/g, '$1')
    .trim();
}
