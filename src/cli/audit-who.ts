// `holdpoint audit who`: the story of one statement or request, from the log alone: what ran, who allowed it, did they see
// exactly this, what came of it. The log is verified first. Also written as a bundle, for somebody who has no log.

import { writeFileSync } from 'node:fs';
import type { Ballot } from '../../verify/src/ballots.ts';
import { type Bundle, type Bundled, bundle, bundleText } from '../../verify/src/bundle.ts';
import type { Story } from '../../verify/src/releases.ts';
import { type FolderSource, findLogs, type ReadRecord } from '../../verify/src/source.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { HoldpointError } from '../errors.ts';
import { credentialsOf, materialOf, records } from './audit-input.ts';
import { plain, recordText, reportText, time } from './audit-text.ts';
import type { Output } from './outcome.ts';

export interface WhoFlags {
  readonly seq?: number;
  readonly request?: string;
  readonly bundle?: string;
  readonly approver?: string[];
  readonly json?: boolean;
}

/** `audit who`: verifies the log first and says so; exit code 0 only if it holds and the story is there. */
export async function who(dir: string, flags: WhoFlags, output: Output): Promise<number> {
  if ((flags.seq === undefined) === (flags.request === undefined))
    throw new HoldpointError('bad-request', 'name either --seq N or --request ID');
  const approvers = await credentialsOf(flags.approver ?? []);
  for (const source of findLogs(dir)) {
    const found = await storyOf(source, flags);
    if (found.length === 0) continue;
    const about = flags.request ?? requestOf(found);
    const report = await verifyLog(source, { live: true, approvers, about });
    const { story } = report;
    if (flags.json === true) {
      const told = found.map(({ members }) => members);
      const { ok, origin, findings: verified } = report;
      output.out(
        `${JSON.stringify({ ok, origin, verified, records: told, story: story ?? null }, null, 2)}\n`,
      );
    } else {
      for (const record of found) output.out(`${recordText(record)}\n`);
      if (report.ok && story?.asked !== undefined) output.out(`\n${storyText(story)}`);
      output.out(`\n${reportText(report).split('\n\n')[0]!.trimEnd()}\n`);
    }
    if (report.ok && flags.bundle !== undefined)
      await writeBundle(flags.bundle, source, report.origin, about, found);
    return report.code;
  }
  throw new HoldpointError('not-found', `the log in ${dir} has no such record or request`);
}

/** The answers of a request whose every part was verified. */
export function storyText({ asked, text, ballots, uses }: Story): string {
  if (asked === undefined) return '';
  const request = JSON.parse(text) as { sql?: unknown; agent?: { auth?: unknown }; db?: { name?: unknown } };
  const lines: [string, string][] = [
    ['asked', `${asked.agent} on ${asked.target} (${asked.environment}), held by rule ${asked.rule}`],
    ['statement', plain(String(request.sql)).replaceAll('\\u{a}', '\n              ')],
    ['digest', `${asked.rd}, computed again from the request as the log has it`],
    [
      'needed',
      `${asked.quorum} of level ${asked.level}${asked.of === undefined ? '' : ` of ${asked.of.join(', ')}`}`,
    ],
    ...ballots.map((ballot): [string, string] => [
      ballot.approves ? 'allowed by' : 'rejected by',
      ballotText(ballot),
    ]),
    ...uses.flatMap((use): [string, string][] => [
      [
        'sent',
        use.wire === undefined
          ? `nothing of #${use.ref} yet`
          : `#${use.ref}, bytes ${use.wire}: ${use.sameBytes ? 'those that the decision was shown and covers' : 'the same text and values, sent anew'}`,
      ],
      ['outcome', outcomeText(use.outcome)],
    ]),
    ...(uses.length === 0
      ? [['sent', 'nothing: the request released no statement'] as [string, string]]
      : []),
  ];
  return lines.map(([name, value]) => `${`${name}:`.padEnd(14)}${plainLines(value)}\n`).join('');
}

function ballotText(ballot: Ballot): string {
  const { approver, for: from, claimed, at, reason, proof, kid, credential } = ballot;
  const proofs = {
    proved: `its signature is over exactly this digest, by ${credential?.given === true ? 'the key you named' : 'a key that the log enrols as theirs'}, ${kid}`,
    unproved: kid === '' ? 'the ID token is not kept any more' : `the key ${kid} is not known here`,
    slack: 'a Slack button: the log says so, nobody outside can check it',
    link: 'whoever had the link: nobody in particular',
  };
  const why = reason === '' ? '' : ` "${reason}"`;
  return `${approver}${from === undefined ? '' : ` for ${from}`}, ${claimed}, ${time(at * 1000)}${why}: ${proofs[proof]}`;
}

function outcomeText(outcome: Readonly<Record<string, unknown>> | undefined): string {
  if (outcome === undefined) return 'not known yet';
  const tags = Array.isArray(outcome.tags) ? ` ${outcome.tags.join('; ')}` : '';
  return `${outcome.st}${tags}${outcome.sqlstate === undefined ? '' : ` ${outcome.sqlstate}`}`;
}

function plainLines(text: string): string {
  return text.split('\n').map(plain).join('\n');
}

/** What `audit verify` says of a good bundle. */
export function bundledText(path: string, bundled: Bundled, rootKid: string | undefined): string {
  const root =
    rootKid === undefined
      ? 'read from the bundle: name the one you trust with --root-key'
      : 'the one you named';
  return (
    `${path}: verified\n  ${bundled.records.length} records of ${plain(bundled.origin)}, sealed ${time(bundled.sealedAt)}\n` +
    `  root ${bundled.rootKid}, ${root}\n\n${storyText(bundled.story)}`
  );
}

export function bundledJson({ records: all, ...rest }: Bundled, rootKid: string | undefined): string {
  const pinned = rootKid !== undefined;
  return `${JSON.stringify({ ok: true, pinned, ...rest, records: all.map(({ members }) => members) }, null, 2)}\n`;
}

async function writeBundle(
  file: string,
  source: FolderSource,
  origin: string,
  rid: string | undefined,
  found: readonly ReadRecord[],
): Promise<void> {
  const last = found.at(-1)!.seq;
  const material = rid === undefined ? undefined : await materialOf(source, origin, last);
  if (rid === undefined || material === undefined)
    throw new HoldpointError('not-found', 'there is no sealed request to bundle; name one with --request ID');
  const all = [...found, ...(await vouchersOf(source, found))].sort((a, b) => a.seq - b.seq);
  const blobs: Record<string, string> = {};
  const evidence: Record<string, string> = {};
  for (const { members } of all) {
    for (const { sha } of Object.values((members.blobs ?? {}) as Record<string, { sha: string }>))
      blobs[sha] = String(await source.read(`blobs/${sha}`));
    const { sha256 } = (members.ev ?? {}) as { sha256?: unknown };
    const token = typeof sha256 === 'string' ? await source.read(`evidence/${sha256}.jwt`) : undefined;
    if (token !== undefined) evidence[String(sha256)] = String(token);
  }
  const kept: Pick<Bundle, 'blobs' | 'evidence'> = { blobs, evidence };
  const indexes = all.map(({ seq }) => seq);
  writeFileSync(file, bundleText(bundle(material, rid, indexes, kept)));
}

/** The enrolments and delegations that the decisions among `found` rest on. */
async function vouchersOf(source: FolderSource, found: readonly ReadRecord[]): Promise<ReadRecord[]> {
  const boots = new Set(found.map(({ members }) => members.boot));
  const people = new Set<unknown>();
  for (const { kind, members } of found) {
    if (kind !== 'decision') continue;
    const { approver, for: from } = JSON.parse(String(members.D)) as { approver: string; for?: string };
    people.add(approver);
    if (from !== undefined) people.add(from);
  }
  const vouchers: ReadRecord[] = [];
  for await (const record of records(source)) {
    const { kind, members, seq } = record;
    if (seq > found.at(-1)!.seq) break;
    const enrols = kind === 'approver' && people.has(members.id) && boots.has(members.boot);
    const lends = kind === 'delegation' && people.has(members.from) && people.has(members.to);
    if (enrols || lends) vouchers.push(record);
  }
  return vouchers;
}

function requestOf(found: readonly ReadRecord[]): string | undefined {
  const rid = found.find(({ kind }) => kind === 'hold')?.members.rid;
  return typeof rid === 'string' ? rid : undefined;
}

/** All records of the statement or request, in log order. Reads the log several times rather than keep it. */
async function storyOf(
  source: FolderSource,
  about: { readonly seq?: number; readonly request?: string },
): Promise<ReadRecord[]> {
  const refs = new Set<unknown>();
  const requests = new Set<unknown>();
  if (about.request !== undefined) requests.add(about.request);
  for await (const { seq, kind, members } of records(source)) {
    if (seq !== about.seq) continue;
    if (kind === 'stmt' || members.ref === undefined) refs.add(seq);
    else refs.add(members.ref);
    if (typeof members.rid === 'string') requests.add(members.rid);
  }
  // A request names statements and a statement its requests: twice is enough to know both.
  for (let pass = 0; pass < 2; pass += 1) {
    for await (const { members } of records(source)) {
      if (refs.has(members.ref) && typeof members.rid === 'string') requests.add(members.rid);
      if (requests.has(members.rid) && typeof members.ref === 'number') refs.add(members.ref);
    }
  }
  const story: ReadRecord[] = [];
  for await (const record of records(source)) {
    const { seq, members } = record;
    if (refs.has(seq) || refs.has(members.ref) || requests.has(members.rid)) story.push(record);
  }
  return story;
}
