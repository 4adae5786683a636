// Statement: the exact text that will run, for a person to read: numbered, coloured as PostgreSQL's own scanner cuts it,
// with everything in it made visible that a screen would hide or a reader overlook. Pure. audit-approval §15 P12, P13.

import { html } from 'hono/html';
import { type Lookalike, lookalikes } from '../../approval/lookalike.ts';
import type { Request } from '../../approval/request.ts';
import { countHidden } from '../../approval/visible.ts';
import type { Token } from '../../sql/tokens.ts';
import { bytes, type Child, grouped, type Html, name, notice, plural, segments } from './marks.ts';
import { blanksInRuns, type Content, type Part, type Piece, partsOf, type Row, rowsOf } from './rows.ts';

/** Rows of the text's end that are shown under a part that is not the last. */
const tailRows = 12;

/** The section with the text. `part` counts from 1; `tokens` are absent where the text could not be scanned. */
export function statementSection(
  request: Request,
  tokens: readonly Token[] | undefined,
  part: number,
  secret: boolean,
): Html {
  const { sql } = request;
  const parts = partsOf(sql);
  const index = Math.min(Math.max(1, part), parts.length) - 1;
  const here = parts[index] as Part;
  const last = parts.at(-1) as Part;
  const lines = last.line + (sql.slice(last.start).match(/\n/g)?.length ?? 0);
  const comments = tokens?.filter(({ kind }) => kind === 'comment').length ?? 0;
  return html`<section class="statement" id="statement">
    <h2>Statement <span class="quiet">${plural(lines, 'line')}, ${bytes(Buffer.byteLength(sql))}${
      parts.length > 1 ? `, part ${index + 1} of ${parts.length}` : ', all shown'
    }</span></h2>
    ${parts.length > 1 ? pager(request.rid, index, parts.length) : ''}
    ${rowList(rowsOf(sql, here, tokens), 'the exact statement')}
    ${
      here === last
        ? ''
        : html`<h3>How it ends</h3>${rowList(rowsOf(sql, last, tokens).slice(-tailRows), 'the end of the statement')}`
    }
    <div class="under">${[
      comments > 0 &&
        html`<p class="quiet">${plural(comments, 'comment')}, in italics: PostgreSQL ignores ${comments === 1 ? 'it' : 'them'}, and the agent wrote ${comments === 1 ? 'it' : 'them'}.</p>`,
      tokens === undefined &&
        html`<p class="quiet">Not coloured: it has too many words to scan while others wait.</p>`,
      secret && notice('warn', 'The statement carries a secret, which is not shown. All else is exact.'),
      request.open !== undefined && notice('warn', 'The values in the statement are no longer kept.'),
    ]}</div>
  </section>`;
}

/** What stands above everything else: what of the request's texts would mislead. */
export function warnings(request: Request, others: readonly string[]): Html[] {
  const hidden = [request.sql, ...others].reduce((sum, text) => sum + countHidden(text), 0);
  const words = [request.sql, ...others].flatMap((text) => lookalikes(text, 10));
  const blanks = blanksInRuns(request.sql);
  return [
    ...(hidden > 0
      ? [
          notice(
            'bad',
            html`<b>${plural(hidden, 'invisible or reordering character')}</b>, marked where ${hidden === 1 ? 'it stands' : 'they stand'}.`,
          ),
        ]
      : []),
    ...(words.length > 0 ? [lookalikeNotice(words)] : []),
    ...(blanks > 0
      ? [
          notice(
            'warn',
            html`<b>${plural(blanks, 'blank')}</b> in long runs, shown as their number: look at what stands behind them.`,
          ),
        ]
      : []),
  ];
}

function lookalikeNotice(words: readonly Lookalike[]): Html {
  const each = words.slice(0, 10).map(
    ({ word, like, scripts, codes }) =>
      html`<li>${name(word)} ${like === null ? `mixes ${scripts.join(' and ')}` : html`reads as <code>${like}</code>`}, and has
      ${codes.slice(0, 6).join(', ')} (${scripts.filter((script) => script !== 'Latin').join(', ') || 'styled letters'})</li>`,
  );
  return html`<div class="notice bad" role="alert"><b>Words that are not what they look like:</b><ul>${each}</ul></div>`;
}

function pager(rid: string, index: number, count: number): Html {
  const link = (to: number, words: string) =>
    to < 0 || to >= count || to === index
      ? html`<span class="button small" aria-disabled="true">${words}</span>`
      : html`<a class="button small" href="/r/${rid}?part=${to + 1}#statement">${words}</a>`;
  return html`<nav class="pager" aria-label="Parts of the statement">
    ${[link(0, 'First'), link(index - 1, 'Previous'), link(index + 1, 'Next'), link(count - 1, 'Last')]}
    <a class="button small" href="/api/requests/${rid}/statement" download>Save all of it</a>
  </nav>`;
}

/** The rows of a text, numbered. */
export function rowList(rows: readonly Row[], label: string): Html {
  return html`<ol class="sql" tabindex="0" aria-label="${label}">${rows.map(row)}</ol>`;
}

function row({ line, pieces, skipped }: Row): Html {
  if (skipped !== undefined) {
    const words = `${plural(skipped, 'blank line')}`;
    return html`<li data-line="${line ?? ''}"><mark class="blank">${words}</mark></li>`;
  }
  const code = html`<code>${pieces.map(piece)}</code>`;
  return html`<li data-line="${line ?? '↳'}">${code}</li>`;
}

function piece({ kind, content }: Piece): Child {
  const inside = content.map(drawn);
  return kind === 'plain' ? inside : html`<span class="t-${kind}">${inside}</span>`;
}

function drawn(content: Content): Child {
  if ('blanks' in content) return html`<mark class="blank">${grouped(content.blanks)} blanks</mark>`;
  if ('lookalike' in content) {
    return html`<span class="lookalike" title="not what it looks like">${segments(content.segments)}</span>`;
  }
  return segments(content.segments);
}
