// Text: a report and a record, as a person reads them.
// Knows records and reports; refuses to know files and exit codes. Whatever an agent wrote is shown with its control
// and direction characters spelled out: a terminal obeys them.

import type { Witnessed } from './anchors.ts';
import type { Report } from './report.ts';
import type { ReadRecord } from './source.ts';

const excerptCharactersMax = 160;

/** A record, verified or not. */
type Told = Omit<ReadRecord, 'line'>;

/** The report of `audit verify` on one log. */
export function reportText(report: Report): string {
  const { sealed, root, releases } = report;
  const lines = [
    `${plain(report.origin) || '(a log without a beginning)'}: ${report.ok ? 'verified' : 'NOT VERIFIED'}`,
  ];
  for (const finding of report.findings) {
    const place = finding.line > 0 ? `${finding.file} line ${finding.line}: ` : '';
    lines.push(`  ${place}${plain(finding.message)} (exit code ${finding.code})`);
  }
  if (report.findings.length > 0 && report.records > 0)
    lines.push(
      `  up to there ${count(report.records, 'record')} fit together under ${count(report.seals, 'seal')}`,
    );
  if (report.ok && sealed !== undefined) {
    lines.push(
      `  ${count(report.records, 'record')} in ${count(report.segments, 'segment')}, each covered by one of ${count(report.seals, 'seal')}`,
      `  ${count(report.epochs, 'key')} of one chain from root ${root?.kid}${root?.pinned === true ? ', the one you named' : ''}`,
      `  last seal ${time(sealed.ts)}, size ${sealed.size}, root ${sealed.root}`,
      `  ${report.ended ? 'ended cleanly' : 'not ended: its process is running, or it was killed'}`,
    );
    if (report.witnessed !== undefined) lines.push(...witnessedText(report.witnessed));
    const released = releases.proved + releases.unproved + releases.bySlack + releases.byLink;
    if (released > 0)
      lines.push(`  ${count(released, 'release')} of held statements: ${releaseWords(releases)}`);
  }
  if (report.running > 0) lines.push(`  ${count(report.running, 'statement')} had no outcome yet`);
  for (const { seq, kind } of report.breaks)
    lines.push(
      kind === 'recover'
        ? `  record ${seq}: after a crash, records without a seal were sealed anew; see \`audit show --seq ${seq}\``
        : kind === 'revoked'
          ? `  record ${seq}: from here on sealed while a key was in doubt`
          : `  record ${seq}: the log declares a gap`,
    );
  for (const note of report.notes) lines.push(`  note: ${note}`);
  if (report.ok) lines.push('', ...limits(report).map((limit) => `  ${limit}`));
  return `${lines.join('\n')}\n`;
}

/** What no look at these files can tell. */
export function limits(report: Report): string[] {
  const said = ['What these files alone cannot tell:'];
  if (report.witnessed !== undefined)
    said.push(
      `- what became of records after ${time(report.witnessed.seconds * 1e6)}, when witnesses last cosigned: --max-age refuses a log`,
      '  that has not been seen for so long.',
    );
  else if (report.sealed !== undefined)
    said.push(
      '- whether it is all of the log: one that was cut off exactly behind a seal, put back whole from an older copy, or',
      '  written anew by whoever holds its keys looks the same from here. Name its witnesses with --witness.',
      `  Keep ${report.sealed.size}:${report.sealed.root} somewhere else and give it to --expect next time.`,
    );
  if (report.root?.pinned !== true)
    said.push(
      '- whether this log is yours: its root key was read from the log. Name the one you trust with --root-key.',
    );
  if (report.releases.unproved > 0)
    said.push("- who approved where the approver's key is not in the log. Name it with --approver.");
  if (report.releases.proved > 0)
    said.push(
      '- whose a key is. The log names its owner; compare it with one you have from them: --approver FILE.',
    );
  said.push('- what reached the database around Holdpoint.');
  return said;
}

function witnessedText({ size, witnesses, need, seconds, behind }: Witnessed): string[] {
  const names = witnesses.map(({ name }) => plain(name)).join(', ');
  return [
    `  ${count(size, 'record')} cosigned by ${names} (${need} asked for) by ${time(seconds * 1e6)}`,
    ...(behind > 0 ? [`  ${count(behind, 'record')} behind that, for which no witness speaks yet`] : []),
  ];
}

/** One record on one line. */
export function recordText(record: Told): string {
  return `#${String(record.seq).padEnd(7)} ${time(record.ts)}  ${record.kind.padEnd(9)} ${summary(record)}`.trimEnd();
}

/** What a record says, without its number and time. */
export function summary({ kind, members: m }: Told): string {
  switch (kind) {
    case 'stmt':
      return `${show(m.agent)} on ${show(m.target)}: ${verdict(m)}  ${excerpt(m.sql ?? m.reason)}`;
    case 'outcome':
      return `of #${show(m.ref)}: ${show(m.st)}${list(m.tags)}${m.sqlstate === undefined ? '' : ` ${show(m.sqlstate)}`}${m.dur_us === 0 ? '' : `, ${duration(m.dur_us)}`}`;
    case 'auth':
      return `${show(m.agent)} from ${show(m.client)} to ${show(m.target)}: ${m.ok === true ? 'admitted' : 'refused'} (${show(m.method)})`;
    case 'own':
      return `a connection of Holdpoint's own to ${show(m.target)}, session ${show(m.server)}`;
    case 'hold':
      return `${m.ref === undefined ? 'a plan' : `of #${show(m.ref)}`}: request ${show(m.rid)}, digest ${show(m.rd)}`;
    case 'decision':
      return decisionText(m);
    case 'grant_use':
      return `request ${show(m.rid)} used for #${show(m.ref)}${m.steps === undefined ? '' : ` (statement${list(m.steps)} of the plan)`}, approved by${list(m.by)}`;
    case 'intent':
      return `#${show(m.ref)} goes to the server, bytes ${show(m.wire)}`;
    case 'approver':
      return `${show(m.id)} ${m.act === 'enrol' ? 'may decide with' : 'decides no more with'} ${m.form === undefined ? 'key' : show(m.form)} ${show(m.kid)}`;
    case 'delegation':
      return `${show(m.to)} may decide for ${show(m.from)} (${show(m.id)})`;
    case 'view':
      return `request ${show(m.rid)} shown to ${show(m.by)}`;
    case 'breakglass':
      return `request ${show(m.rid)} released by ${show(m.by)} alone, in an emergency: ${excerpt(m.reason)}; to be reviewed by ${time(Number(m.due) * 1000)}`;
    case 'review':
      return `request ${show(m.rid)} reviewed by ${show(m.by)}`;
    case 'reject':
    case 'expire':
    case 'revoke':
    case 'cancel':
      return `request ${show(m.rid)} by ${show(m.by)}: ${excerpt(m.reason)}`;
    case 'recover':
      return `records ${show(m.from)} to ${show(m.to)} sealed anew, ${show(m.torn_len)} bytes of a cut line set aside`;
    default:
      return Object.entries(m)
        .filter(([name]) => !common.has(name))
        .map(
          ([name, value]) =>
            `${name}=${excerpt(typeof value === 'string' ? value : JSON.stringify(value), 60)}`,
        )
        .join(' ');
  }
}

const common = new Set(['v', 'seq', 'prev', 'ts', 'mono', 'node', 'boot', 'kind', 'jwk', 'line', 'cert']);

/** Text with everything spelled out that a terminal would obey or hide. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) => {
    const code = character.codePointAt(0)!.toString(16);
    return `\\u{${code}}`;
  });
}

/** A time of the log, µs since 1970, in UTC. */
export function time(micros: number): string {
  const date = new Date(micros / 1000);
  return Number.isNaN(date.getTime())
    ? '(no time)'
    : date.toISOString().replace('T', ' ').replace('Z', ' UTC');
}

function verdict(m: ReadRecord['members']): string {
  const shadow = m.shadow === undefined ? '' : `, would ${show(m.shadow)}`;
  return `${show(m.dec)} by ${show(m.rule)}${shadow}`;
}

function decisionText(m: ReadRecord['members']): string {
  try {
    const decision = JSON.parse(String(m.D)) as Record<string, unknown>;
    const evidence = (m.ev as Record<string, unknown> | undefined)?.kind;
    const reason = decision.reason === '' ? '' : `: ${excerpt(decision.reason)}`;
    return `request ${show(m.rid)}: ${show(decision.approver)} says ${show(decision.verdict)}${reason} (evidence: ${show(evidence)})`;
  } catch {
    return `request ${show(m.rid)}: a decision too long for a line, or not readable`;
  }
}

function releaseWords({ proved, unproved, bySlack, byLink }: Report['releases']): string {
  const words = [];
  if (proved > 0) words.push(`${proved} proved by approvers' signatures`);
  if (bySlack > 0) words.push(`${bySlack} by a Slack button, which proves nobody to an outsider`);
  if (byLink > 0) words.push(`${byLink} by whoever had the link`);
  if (unproved > 0)
    words.push(
      `${unproved} by signatures whose key is not known here, or ID tokens that are not kept any more`,
    );
  return words.join(', ');
}

function show(value: unknown): string {
  return plain(String(value ?? '-'));
}

function list(value: unknown): string {
  return Array.isArray(value) ? ` ${value.map(show).join(', ')}` : '';
}

function excerpt(value: unknown, charactersMax = excerptCharactersMax): string {
  const text = String(value ?? '').replace(/\s+/g, ' ');
  return plain(
    text.length > charactersMax
      ? `${text.slice(0, charactersMax).toWellFormed()} … (${text.length} characters)`
      : text,
  );
}

function duration(micros: unknown): string {
  const value = Number(micros);
  return value < 1000 ? `${value} µs` : `${(value / 1000).toFixed(1)} ms`;
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
