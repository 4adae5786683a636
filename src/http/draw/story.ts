// Story: one statement from its agent's connection to what came of it, with the proof that all of it is in the log. Pure;
// refuses to know how it was found and proved. Values stand here as the log has them: where it keeps commitments, their
// number.

import { html } from 'hono/html';
import { visibleLine } from '../../approval/visible.ts';
import type { Token } from '../../sql/tokens.ts';
import type { Entry } from '../../trail/entry.ts';
import type { StoryProof, Told } from '../../trail/question.ts';
import type { Story } from '../../trail/story.ts';
import { duration, kindWords, outcomeBadge, verdictBadge } from './log.ts';
import { type Child, flowing, grouped, type Html, marked, moment, name, notice, plural } from './marks.ts';
import { partsOf, rowsOf } from './rows.ts';
import { rowList } from './statement.ts';

export interface StoryPage extends Told {
  readonly tokens: readonly Token[] | undefined;
}

/** `DELETE, #4711`. */
export function storyTitle({ asked, statement }: Story): string {
  const { seq } = statement ?? asked;
  const commands = statement?.members.cmd;
  const words =
    Array.isArray(commands) && commands.length > 0 ? [...new Set(commands)].slice(0, 4).join('; ') : '';
  const title = statement === undefined ? kindWords(asked) : visibleLine(words) || 'Statement';
  return `${title}, #${seq}`;
}

export function storyMain({ story, proof, tokens }: StoryPage): Html {
  const { statement, records } = story;
  const mine = records.filter((record) => isAbout(record, statement));
  const others = records.length - mine.length;
  const outcome = mine.find(({ kind, members }) => kind === 'outcome' && members.ref === statement?.seq);
  return html`
    ${head(story, outcome)}
    ${
      story.complete
        ? ''
        : notice(
            'warn',
            html`More of the log than was looked at may tell of it: <code>holdpoint audit who --seq ${story.asked.seq}</code> looks at all.`,
          )
    }
    ${proof.ok || proof.pending ? '' : notice('bad', html`<b>NOT PROVED.</b> ${visibleLine(proof.error)}`)}
    <div class="columns">
      <div class="what">
        ${statement === undefined ? '' : textSection(statement, tokens)}
        <section class="told"><h2>What happened</h2>
          <ol class="story">${mine.map((record) => step(record, proof))}</ol>
          ${others > 0 ? html`<p class="quiet">${plural(others, 'further record')} of the same request, about other statements and about who may decide: in the saved proof.</p>` : ''}
        </section>
        ${linesSection(mine)}
      </div>
      <aside class="side" aria-label="Proof and facts">
        ${proofSection(story, proof)}
        ${statement === undefined ? '' : factsSection(statement)}
      </aside>
    </div>`;
}

/** Whether a record tells of this statement rather than of another one under the same approval. */
function isAbout({ seq, kind, members }: Entry, statement: Entry | undefined): boolean {
  if (statement === undefined) return true;
  if (kind === 'stmt') return seq === statement.seq;
  if (kind === 'approver' || kind === 'delegation') return false;
  // The request may have been opened for an earlier statement that this one repeats.
  return kind === 'hold' || members.ref === undefined || members.ref === statement.seq;
}

function head({ asked, statement, rid }: Story, outcome: Entry | undefined): Html {
  const entry = statement ?? asked;
  const { agent, target } = entry.members;
  const title = storyTitle({ asked, statement, rid, records: [], complete: true });
  return html`<div class="head">
    <div>
      <p class="quiet"><a href="/log">Log</a></p>
      <h1>${marked(title)}</h1>
      <p class="lead">${agent === undefined ? '' : html`<b>${visibleLine(String(agent))}</b>`}${
        target === undefined ? '' : html` on <b>${visibleLine(String(target))}</b>,`
      } ${moment(entry.ts / 1000)}</p>
    </div>
    <div class="badges">${statement === undefined ? '' : verdictBadge(String(statement.members.dec))}${
      statement === undefined ? '' : outcomeBadge({ entry: statement, outcome })
    }</div>
  </div>`;
}

function textSection({ members: m }: Entry, tokens: readonly Token[] | undefined): Html {
  const sql = typeof m.sql === 'string' ? m.sql : undefined;
  const lists = (['lits', 'params'] as const).flatMap((list) =>
    Array.isArray(m[list]) ? (m[list] as unknown[]).map((value) => [list, value] as const) : [],
  );
  const commitments = Array.isArray(m.pc) ? m.pc.length : 0;
  const [part] = partsOf(sql ?? '');
  return html`<section class="statement" id="statement">
    <h2>Statement <span class="quiet">as the log has it</span></h2>
    ${
      sql === undefined
        ? html`<p class="quiet">The log has no text of it: ${visibleLine(String(m.reason ?? 'it was not understood'))}.</p>`
        : rowList(rowsOf(sql, part!, tokens), 'the statement as the log has it')
    }
    ${lists.length === 0 ? '' : html`<h3>Values</h3><ol class="values">${lists.map(([list, value]) => html`<li><span class="quiet">${list === 'lits' ? 'literal' : 'parameter'}</span> ${value === null ? html`<em>NULL</em>` : html`<code>${flowing(String(value))}</code>`}</li>`)}</ol>`}
    ${commitments === 0 ? '' : html`<p class="quiet">${plural(commitments, 'value')} ${commitments === 1 ? 'is' : 'are'} in the log as ${commitments === 1 ? 'a commitment' : 'commitments'}, which ${commitments === 1 ? 'tells' : 'tell'} nothing of ${commitments === 1 ? 'it' : 'them'}.</p>`}
  </section>`;
}

function step(record: Entry, proof: StoryProof): Html {
  const { seq, ts, kind } = record;
  const [title, ...details] = stepWords(record, proof);
  return html`<li class="step step-${kind}"><p><b>${title}</b> <span class="quiet">#${seq} · ${moment(ts / 1000)}</span></p>${details
    .filter(Boolean)
    .map((detail) => html`<p class="detail">${detail}</p>`)}</li>`;
}

const proofWords: Readonly<Record<string, string>> = {
  proved: 'verified: the signature is over exactly this request',
  unproved: 'not verified here: the key, or the ID token, is not kept',
  slack: 'a Slack button: proves nobody to an outsider',
  link: 'whoever had the link: nobody in particular',
};

function stepWords({ seq, kind, members: m }: Entry, proof: StoryProof): Child[] {
  const text = (value: unknown) => visibleLine(String(value ?? ''));
  const listed = (value: unknown) => (Array.isArray(value) ? value.map(text).join(', ') : '');
  switch (kind) {
    case 'auth':
      return [
        m.ok === true ? 'Connected' : 'Login refused',
        html`${text(m.agent)} from ${text(m.client)} to ${text(m.target)}, ${text(m.method)}; session ${text(m.sid)}${m.server === undefined ? '' : html`, at the server ${text(m.server)}`}`,
        m.reason === undefined ? null : text(m.reason),
      ];
    case 'stmt':
      return [
        { pass: 'Passed', hold: 'Held', deny: 'Denied', refuse: 'Refused' }[String(m.dec)] ?? text(m.dec),
        html`by rule ${name(String(m.rule))}${m.reason === undefined ? '' : html`: ${text(m.reason)}`}`,
        m.shadow === undefined ? null : `in force, the rules would ${text(m.shadow)} it`,
      ];
    case 'hold':
      return [
        'Held for approval',
        html`request <a href="/r/${text(m.rid)}">${text(m.rid)}</a>, digest ${name(String(m.rd))}`,
      ];
    case 'notify':
      return ['People were told', html`by ${text(m.channel)}: ${listed(m.to) || 'nobody in particular'}`];
    case 'view':
      return [`Looked at by ${text(m.by)}`];
    case 'decision':
      return decisionWords(seq, m, proof);
    case 'grant_use':
      return [
        'Released',
        html`by the approval of ${listed(m.by)}${m.rowsMax === undefined ? '' : `, for at most ${plural(Number(m.rowsMax), 'row')}`}${m.use === undefined ? '' : `, use ${text(m.use)} of it`}`,
      ];
    case 'intent':
      return [
        'Sent to the server',
        html`bytes ${name(String(m.wire))}${m.rowsMax === undefined ? '' : `, to be undone if they change more than ${plural(Number(m.rowsMax), 'row')}`}`,
      ];
    case 'outcome':
      return [
        {
          ok: 'Executed',
          error: 'Failed',
          refused: 'Did not run',
          canceled: 'Canceled',
          skipped: 'Skipped',
          unknown: 'Outcome unknown',
        }[String(m.st)] ?? text(m.st),
        html`${[listed(m.tags), typeof m.rows === 'number' && plural(m.rows, 'row'), m.sqlstate !== undefined && `SQLSTATE ${text(m.sqlstate)}`, Number(m.dur_us) > 0 && duration(Number(m.dur_us))].filter(Boolean).join(', ')}`,
      ];
    case 'redact':
      return ['Values were erased', html`by ${text(m.by)}: ${text(m.basis)}`];
    default:
      return [
        kindWords({ seq, kind, members: m, ts: 0, line: '' }),
        m.reason === undefined || m.rid === undefined ? null : html`${text(m.by)}: ${text(m.reason)}`,
      ];
  }
}

function decisionWords(seq: number, m: Entry['members'], proof: StoryProof): Child[] {
  let said: Readonly<Record<string, unknown>> = {};
  try {
    said = JSON.parse(String(m.D)) as typeof said;
  } catch {
    // Too long for its line; the proof has it whole.
  }
  const text = (value: unknown) => visibleLine(String(value ?? ''));
  const { kind } = (m.ev ?? {}) as { kind?: unknown };
  const verified = proof.ok ? proof.decisions[seq] : undefined;
  const reason = said.reason === undefined || said.reason === '' ? null : html`“${text(said.reason)}”`;
  const place = said.for === undefined ? '' : ` for ${text(said.for)}`;
  return [
    `${said.verdict === 'approve' ? 'Approved' : said.verdict === 'reject' ? 'Rejected' : 'Decided'} by ${text(said.approver ?? 'somebody')}${place}`,
    reason,
    html`evidence: ${text(kind)}, level ${text(said.level)}${verified === undefined ? '' : html` · <span class="proof-${verified}">${proofWords[verified]}</span>`}`,
  ];
}

function linesSection(records: readonly Entry[]): Html {
  return html`<details class="lines"><summary>The records, exactly as they stand in the log</summary>
    <ol>${records.map(({ line }) => html`<li><code>${flowing(line)}</code></li>`)}</ol></details>`;
}

function proofSection({ asked }: Story, proof: StoryProof): Html {
  if (!proof.ok)
    return html`<section class="proof"><h2>Proof</h2>${
      proof.pending
        ? html`<p>Not yet: ${visibleLine(proof.error)}. <a href="/log/${asked.seq}">Look again</a></p>`
        : notice('bad', visibleLine(proof.error))
    }</section>`;
  return html`<section class="proof"><h2>Proof <span class="badge state-executed">verified</span></h2>
    <p>${proof.records === 1 ? 'The record is' : html`Each of ${plural(proof.records, 'record')} is`} in the tree of ${plural(proof.size, 'record')} that the log’s seal of ${moment(proof.sealedAt / 1000)} signs. This was checked just now from the files, as anybody can with the proof and a public key.</p>
    ${proof.unsealed > 0 ? html`<p>${plural(proof.unsealed, 'newer record')} ${proof.unsealed === 1 ? 'is' : 'are'} under no seal yet.</p>` : ''}
    ${proof.seen.map(({ name: witness, seconds }) => html`<p>Witness <b>${visibleLine(witness)}</b> had seen a log with all of it by ${moment(seconds * 1000)}.</p>`)}
    <dl><dt>Root key</dt><dd>${name(proof.rootKid)}</dd></dl>
    <p><a class="button" href="/api/log/${asked.seq}/proof" download>Save the proof</a></p>
    <pre class="shell" tabindex="0">holdpoint audit verify holdpoint-${asked.seq}.json --root-key KEY</pre>
  </section>`;
}

function factsSection({ seq, members: m }: Entry): Html {
  const pair = (term: string, value: unknown): Child =>
    value === undefined || value === null || value === ''
      ? null
      : html`<dt>${term}</dt><dd>${name(String(value))}</dd>`;
  const effects = Array.isArray(m.effects) ? m.effects.join(', ') : '';
  const proto = { Q: 'simple query', X: 'extended query', F: 'function call' }[String(m.proto)];
  const tx = { I: 'none open', T: 'open', E: 'failed' }[String(m.tx)];
  return html`<section class="context"><h2>Facts</h2><dl>
    ${pair('Record', `#${seq}`)}
    ${pair('Class', m.cls)}
    ${pair('Effects', effects)}
    ${pair('Rule', m.rule)}
    ${pair('Database', m.db)}
    ${pair('Role', m.role)}
    ${pair('Transaction', tx)}
    ${pair('Protocol', proto)}
    ${pair('Session', `${m.sid}, statement ${m.n}`)}
    ${pair('Length', `${grouped(Number(m.len))} bytes`)}
    ${pair('SHA-256', m.sha)}
  </dl></section>`;
}
