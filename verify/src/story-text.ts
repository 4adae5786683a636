// Story text: who asked, who allowed it, what was sent and what came of it, as a person reads them. Knows what was verified;
// refuses to know how. Whatever an agent wrote is shown with its control and direction characters spelled out.

import type { Ballot } from './ballots.ts';
import type { Story } from './releases.ts';
import { plain, time } from './text.ts';

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
