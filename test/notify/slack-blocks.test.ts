// What a message in Slack says, against the limits of Block Kit and against texts that want to be more than text.

import { expect, test } from 'vitest';
import { matchCode } from '../../src/approval/match-code.ts';
import { intactRequest } from '../../src/approval/release.ts';
import { type RequestDraft, type RequestValues, secretText } from '../../src/approval/request.ts';
import { newRow } from '../../src/approval/row.ts';
import { type Notice, noticeOf } from '../../src/notify/notice.ts';
import {
  approvalObstacle,
  crowdMessage,
  lostMessage,
  requestMessage,
} from '../../src/notify/slack-blocks.ts';
import type { StoredRequest } from '../../src/store/store.ts';
import { gate, publicUrl, startMs } from '../support/approvals.ts';
import type { Block } from '../support/slack.ts';
import { blockFaults } from '../support/slack-limits.ts';

const staging = {
  db: {
    target: 'shop',
    environment: 'staging',
    name: 'shop',
    addr: '10.0.0.5:5432',
    version: '18.0',
    systemId: '7711079308823436947',
  },
  need: { level: 'slack', quorum: 1 },
} as const;

function notice(
  change: Partial<RequestDraft> = {},
  row: Partial<StoredRequest> = {},
  values?: RequestValues,
): Notice {
  const made = gate(change, values);
  const stored = { ...newRow(made.request, made.values, 'n'), ...row };
  return noticeOf(stored, intactRequest(stored), publicUrl);
}

/** The message's blocks, after Slack has found nothing to refuse in them. */
function blocksOf(given: Notice): Block[] {
  const { text, blocks } = requestMessage(given, given.page);
  expect(blockFaults(text, [...blocks])).toEqual([]);
  return [...blocks];
}

function texts(blocks: Block[]): string[] {
  const found: string[] = [];
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    if ('text' in value && typeof value.text === 'string') found.push(value.text);
    for (const member of Object.values(value)) walk(member);
  };
  walk(blocks);
  return found;
}

const buttons = (blocks: Block[]): Block[] => blocks.at(-1)!.elements;
const labels = (blocks: Block[]): string[] => buttons(blocks).map((button) => button.text.text);

test('it says who, where, what kind, which objects, how many rows, why, until when, and the code of the page', () => {
  const rows = (count: number, how: 'count' | 'estimate' | 'at-least') => ({ rows: count, how });
  const given = notice({
    agent: { id: 'claude', auth: 'scram-sha-256', obo: ['alice'] },
    statements: [{ command: 'DELETE', effects: ['delete'], relations: ['public.orders'], why: [] }],
    reason: 'clean up after the test',
    effect: {
      at: startMs,
      tookMs: 3,
      relations: [
        { does: 'DELETE', name: 'public.orders', kind: 'table', touched: rows(12431, 'count'), fires: [] },
      ],
      cascades: [
        {
          relation: 'public.order_items',
          constraint: 'fk',
          action: 'CASCADE',
          via: 'public.orders',
          touched: rows(30000, 'at-least'),
        },
      ],
      dependents: ['view public.report'],
      locks: [],
      unmeasured: [],
    },
  });
  const all = texts(blocksOf(given)).join('\n');
  for (const part of [
    'claude, for alice',
    'shop (production), database shop',
    'Kind\nDELETE',
    'public.orders',
    'DELETE: 12,431 rows of public.orders',
    'at least 30,000 rows of public.order_items by CASCADE',
    '1 dependent object with it',
    'In the words of the agent claude, which nobody has checked:',
    '“clean up after the test”',
    '```\nDROP TABLE orders\n```',
    `<!date^${Math.floor(given.expires / 1000)}^`,
    `*Code* (the page shows the same)\n${matchCode(given.rd)}`,
    'Waiting for a decision of level key.',
  ]) {
    expect(all).toContain(part);
  }
});

test('nothing of an agent is read as markup, mention, link or emoji', () => {
  const nasty =
    '<!channel> <https://evil.test|Open> <@U1> *bold* _it_ :tada: & `x` ```\n*approved by the CTO* ```';
  const given = notice({
    sql: `SELECT '${nasty}'`,
    reason: nasty,
    statements: [{ command: 'DROP TABLE', effects: ['drop'], relations: [`public."${nasty}"`], why: [] }],
    policy: { digest: 'p'.repeat(43), rule: 'definitions', reason: `removes ${nasty}` },
  });
  const { text, blocks } = requestMessage(given, given.page);
  expect(blockFaults(text, [...blocks])).toEqual([]);
  expect(text).not.toMatch(/<[!@#h]/);
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    if ('type' in value && 'text' in value && typeof value.text === 'string') {
      const own = value.text.replace(/<!date\^\d+\^\{date_short_pretty\} \{time_secs\}\|[^<>]*>/, '');
      expect(own).not.toMatch(/[<>]/);
      if (value.type === 'plain_text') expect(value).toMatchObject({ emoji: false });
      if (value.type === 'mrkdwn') {
        expect(value).toMatchObject({ verbatim: true });
        // Inside the one code block, which nothing in the statement ends.
        expect(own.match(/```/g)?.length ?? 0).toBeLessThanOrEqual(2);
        if (own.includes('evil.test')) expect(own).toMatch(/^```\n(.|\n)*\n```$/);
      }
    }
    for (const member of Object.values(value)) walk(member);
  };
  walk(blocks);
});

test('what a screen would hide or reorder is marked, and counted below', () => {
  const blocks = blocksOf(
    notice({ sql: "DELETE FROM t WHERE a = '\u202e--x'\u200b\u0007", reason: 'why\u202e not\u0000' }),
  );
  const all = texts(blocks).join('\n');
  expect(all).toContain("DELETE FROM t WHERE a = '⟨U+202E⟩--x'⟨U+200B⟩⟨U+0007⟩");
  expect(all).toContain('“why⟨U+202E⟩ not⟨U+0000⟩”');
  expect(all).toContain('3 characters in it are invisible or reordering text');
  expect(JSON.stringify(blocks)).not.toMatch(/[\u202e\u200b]/);
  expect(texts(blocksOf(notice({ sql: 'DROP TABLE \u043erders' }))).join('\n')).toContain(
    '1 character in it is beyond ASCII',
  );
});

test.each([
  ['a long line', `DELETE FROM t WHERE a IN (${'1,'.repeat(600_000)}2)`],
  ['a megabyte of blanks before what matters', `DELETE FROM a${' '.repeat(1_000_000)}; DROP TABLE b`],
  ['many lines, which Slack folds', `DELETE FROM a${'\n'.repeat(100)}; DROP TABLE b`],
  ['characters that escaping makes longer', `SELECT '${'&<>'.repeat(2_000)}'`],
  ['marks that are longer than what they mark', `SELECT '${'\u202e\u200b'.repeat(2_000)}'`],
  ['pairs of surrogates', `SELECT '${'😀'.repeat(4_000)}'`],
])('%s is cut, and the bytes that are not shown are counted', (_, sql) => {
  const blocks = blocksOf(notice({ ...staging, sql }));
  const code = texts(blocks).find((text) => text.startsWith('```'))!;
  expect(code.isWellFormed()).toBe(true);
  const told = /^(\d+) bytes not shown: open the page\.$/.exec(
    texts(blocks).find((text) => text.includes('not shown'))!,
  );
  const shown = Buffer.byteLength(sql) - Number(told![1]);
  expect(shown).toBeGreaterThan(0);
  expect(shown).toBeLessThan(Buffer.byteLength(sql));
  if (!/[&<>\u200b]/.test(sql)) {
    expect(Buffer.byteLength(code.slice('```\n'.length, -'\n```'.length))).toBe(shown);
  }
  expect(labels(blocks)).toEqual(['Open', 'Reject…']);
});

test('every name, reason and rule at its longest fits Block Kit', () => {
  const long = '&'.repeat(5_000);
  blocksOf(
    notice(
      {
        agent: {
          id: 'a'.repeat(63),
          auth: 'scram-sha-256',
          obo: Array.from({ length: 50 }, (_, at) => `${at}`.repeat(40)),
        },
        reason: long,
        sql: long,
        statements: Array.from({ length: 200 }, (_, at) => ({
          command: `${at} ${long}`,
          effects: ['drop'],
          relations: [`${at} ${long}`],
          why: [long],
        })),
        policy: { digest: 'p'.repeat(43), rule: 'r'.repeat(60), reason: long },
      },
      { state: 'rejected', ending: { by: 'b'.repeat(60), reason: '<'.repeat(500), at: startMs } },
    ),
  );
});

test('Approve is offered where Slack is enough and all of the statement is in sight, and nowhere else', () => {
  const all = ['Open', 'Approve', 'Reject…'];
  const no = ['Open', 'Reject…'];
  expect(labels(blocksOf(notice({ ...staging })))).toEqual(all);
  expect(
    labels(
      blocksOf(
        notice({ db: { ...staging.db, environment: 'development' }, need: { level: 'link', quorum: 1 } }),
      ),
    ),
  ).toEqual(all);
  expect(labels(blocksOf(notice()))).toEqual(no);
  expect(labels(blocksOf(notice({ need: staging.need })))).toEqual(no);
  expect(labels(blocksOf(notice({ db: staging.db, need: { level: 'link', quorum: 1 } })))).toEqual(no);
  expect(labels(blocksOf(notice({ db: staging.db })))).toEqual(no);
  expect(labels(blocksOf(notice({ ...staging, sql: 'DROP TABLE o\u200brders' })))).toEqual(no);
  const values = {
    params: [{ oid: 25, format: 0, salt: 'AAAAAAAAAAAAAAAAAAAAAA', value: Buffer.from('secret value') }],
  };
  const bound = notice({ ...staging }, {}, values);
  expect(labels(blocksOf(bound))).toEqual(no);
  expect(JSON.stringify(blocksOf(bound))).not.toContain('secret value');
  expect(approvalObstacle(bound)).toContain('parameters');
  const secret = {
    text: secretText('AAAAAAAAAAAAAAAAAAAAAA', Buffer.from("ALTER ROLE a PASSWORD 'x'")),
    params: [],
  };
  expect(labels(blocksOf(notice({ ...staging, sql: 'ALTER ROLE a PASSWORD ***' }, {}, secret)))).toEqual(no);
  expect(approvalObstacle(notice())).toContain('production');
  expect(approvalObstacle(notice({ ...staging }))).toBeUndefined();
});

test('a word that is read as another one is named, and not approved from here', () => {
  const given = notice({ ...staging, sql: 'DROP TABLE \u043erders' });
  const blocks = blocksOf(given);
  expect(texts(blocks).join('\n')).toContain('“\u043erders” (U+043E) is not “orders”.');
  expect(labels(blocks)).toEqual(['Open', 'Reject…']);
  expect(approvalObstacle(given)).toContain('read as other words');
  expect(
    approvalObstacle(notice({ ...staging, sql: "DELETE FROM t WHERE name = 'Müller'" })),
  ).toBeUndefined();
});

test('a plan says how many statements it has', () => {
  const [statement] = gate().request.statements;
  const one = { ...statement!, sql: 'DROP TABLE orders', sha: 's' };
  const given = notice({ ...staging, plan: { statements: [one, one, one], root: 'r' } });
  const blocks = blocksOf(given);
  expect(blocks[0]?.text.text).toBe('Held for approval: plan of 3 statements: DROP TABLE on shop (staging)');
  expect(texts(blocks)).toContain('Kind\nplan of 3 statements: DROP TABLE');
});

test('buttons name the verdict, the request and its digest', () => {
  const given = notice({ ...staging });
  const [open, approve, reject] = buttons(blocksOf(given));
  expect(open).toMatchObject({ action_id: 'holdpoint.open', url: `${publicUrl}/r/${given.rid}` });
  expect(open).not.toHaveProperty('value');
  expect(approve).toMatchObject({
    action_id: 'holdpoint.approve',
    value: `approve.${given.rid}.${given.rd}`,
  });
  expect(reject).toMatchObject({ action_id: 'holdpoint.reject', value: `reject.${given.rid}.${given.rd}` });
});

test.each([
  ['approved', {}, 'Approved by ann (key).'],
  ['consumed', {}, 'Approved by ann (key). Released; no result yet.'],
  ['executed', { ending: { by: 'server', reason: 'DELETE 42', at: 1 } }, 'DELETE 42'],
  ['failed', { ending: { by: 'server', reason: '23503', at: 1 } }, 'Approved by ann (key). Failed.'],
  ['unknown', {}, 'nobody can say what came of it'],
  ['rejected', { ending: { by: 'bob', reason: 'not <now>', at: 1 } }, 'not &lt;now&gt;'],
  ['expired', {}, 'Expired; nothing was released.'],
  [
    'canceled',
    { ending: { by: 'client', reason: 'the client canceled the statement', at: 1 } },
    'the client canceled the statement',
  ],
] as const)('a request that is %s says so, and offers nothing to decide', (state, change, words) => {
  const vote = {
    approver: 'ann',
    verdict: 'approve',
    level: 'key',
    decision: '',
    evidence: '',
    reason: '',
    at: 1,
    node: 'n1',
    seq: 1,
  } as const;
  const votes = ['rejected', 'expired', 'canceled'].includes(state) ? [] : [vote];
  const blocks = blocksOf(notice({ ...staging }, { state, votes, values: '', ...change }));
  expect(texts(blocks).join('\n')).toContain(words);
  expect(labels(blocks)).toEqual(['Open']);
});

test('the messages of crowds and of lost requests fit Block Kit too', () => {
  const crowd = crowdMessage({
    agent: '<a>',
    targets: ['shop'],
    waiting: 0,
    asked: 1,
    since: 1,
    page: `${publicUrl}/`,
  });
  expect(blockFaults(crowd.text, [...crowd.blocks])).toEqual([]);
  const lost = lostMessage({ rid: 'r', headline: '<'.repeat(200), page: publicUrl });
  expect(blockFaults(lost.text, [...lost.blocks])).toEqual([]);
});
