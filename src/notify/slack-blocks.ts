// Slack blocks: a notice as a Block Kit message. Whatever is not our own word stands in plain text or in a code block, so
// that no agent can draw a button, a link or a mention. Approve is offered only where Slack's word is enough and nothing
// of the statement is out of sight. Pure. audit-approval §17.10, §15 P12; docs.slack.dev "Block Kit" for the limits.

import { actionValue } from '../approval/slack-callback.ts';
import type { Crowd, Lost } from './channel.ts';
import { endingWords, headline, kindOf, type Notice, standing } from './notice.ts';
import { codeBlock, escaped, marked, plain, type TextObject } from './slack-text.ts';

const headerCharactersMax = 150;
const fieldCharactersMax = 600;
const reasonCharactersMax = 1_000;

/** Names of the buttons' actions, as callbacks carry them. */
export const actions = { approve: 'holdpoint.approve', reject: 'holdpoint.reject', open: 'holdpoint.open' };

type Block =
  | { type: 'header'; text: TextObject }
  | { type: 'section'; text: TextObject }
  | { type: 'section'; fields: TextObject[] }
  | { type: 'context'; elements: TextObject[] }
  | { type: 'actions'; elements: Button[] };

interface Button {
  type: 'button';
  action_id: string;
  text: TextObject;
  style?: 'primary' | 'danger';
  value?: string;
  url?: string;
  confirm?: Record<string, unknown>;
}

/** What chat.postMessage and chat.update are given. */
export interface SlackMessage {
  readonly text: string;
  readonly blocks: readonly Block[];
}

/** The message about a request. `open` is where Open leads: the page, or a link that is the reader's own. */
export function requestMessage(notice: Notice, open: string): SlackMessage {
  const { object: statement, bytesLeftOut } = codeBlock(notice.sql);
  const pending = notice.state === 'pending';
  const hints = hintsOf(notice, bytesLeftOut);
  const words = endingWords(notice);
  return {
    text: escaped(`${headline(notice)}. ${standing(notice)}`),
    blocks: [
      { type: 'header', text: plain(title(notice), headerCharactersMax) },
      { type: 'section', text: plain(standing(notice)) },
      ...(words === undefined ? [] : endingBlocks(notice, words)),
      { type: 'section', fields: fieldsOf(notice) },
      ...reasonBlocks(notice),
      { type: 'section', text: statement },
      ...(hints.length === 0
        ? []
        : [{ type: 'context', elements: hints.map((hint) => plain(hint)) } as const]),
      {
        type: 'section',
        fields: [marked(`*Code* (the page shows the same)\n${notice.code}`), expiry(notice)],
      },
      {
        type: 'actions',
        elements: [openButton(open), ...(pending ? decisionButtons(notice, bytesLeftOut) : [])],
      },
    ],
  };
}

/**
 * Why a request cannot be approved from Slack; undefined if it can. Whoever approves there has seen what the message
 * shows, so the message has to show all of it.
 */
export function approvalObstacle(notice: Notice): string | undefined {
  return obstacle(notice, codeBlock(notice.sql).bytesLeftOut);
}

function obstacle(notice: Notice, bytesLeftOut: number): string | undefined {
  if (notice.environment === 'production') return 'a production database is not released from Slack';
  const { level } = notice.need;
  if (level !== 'slack' && !(level === 'link' && notice.environment === 'development')) {
    return `it needs evidence of level ${level}`;
  }
  if (bytesLeftOut > 0) return 'the statement is too long to be read here';
  if (notice.parameters > 0) return 'the values of its parameters are on its page only';
  if (notice.secret) return 'the statement carries a secret that is not shown here';
  if (notice.hidden > 0) return 'the statement has characters that no screen shows';
  if (notice.lookalikes.length > 0) return 'the statement has words that are read as other words';
  return undefined;
}

/** The message of many requests at once. */
export function crowdMessage(crowd: Crowd): SlackMessage {
  const { agent, targets, waiting, asked, page } = crowd;
  const many = `${asked} more ${asked === 1 ? 'request' : 'requests'}`;
  const told = `${agent} asked so often that ${many} on ${targets.join(', ')} ${asked === 1 ? 'is' : 'are'} not told one by one. ${waiting === 0 ? 'None of them waits any more.' : `${waiting} of them ${waiting === 1 ? 'waits' : 'wait'} for a decision.`}`;
  return {
    text: escaped(told),
    blocks: [
      { type: 'header', text: plain(`Many requests of ${agent}`, headerCharactersMax) },
      { type: 'section', text: plain(told) },
      { type: 'actions', elements: [openButton(page)] },
    ],
  };
}

/** The message of a request that is gone from the store. */
export function lostMessage({ headline: what, rid }: Lost): SlackMessage {
  const told = `Withdrawn: request ${rid} is gone from the store, and nothing comes of it any more: Holdpoint was started anew, or the store was emptied.`;
  return {
    text: escaped(`${what}. ${told}`),
    blocks: [
      { type: 'header', text: plain(`Withdrawn: ${what}`, headerCharactersMax) },
      { type: 'section', text: plain(told) },
    ],
  };
}

function title(notice: Notice): string {
  const states: Record<Notice['state'], string> = {
    pending: 'Held for approval',
    approved: 'Approved',
    consumed: 'Released',
    executed: 'Executed',
    failed: 'Failed',
    unknown: 'Outcome unknown',
    rejected: 'Rejected',
    expired: 'Expired',
    canceled: 'Withdrawn',
  };
  return `${states[notice.state]}: ${kindOf(notice)} on ${notice.target} (${notice.environment})`;
}

function fieldsOf(notice: Notice): TextObject[] {
  const { agent, onBehalfOf, target, environment, database, relations, rows } = notice;
  const field = (name: string, value: string): TextObject => plain(`${name}\n${value}`, fieldCharactersMax);
  return [
    field('Agent', onBehalfOf.length === 0 ? agent : `${agent}, for ${onBehalfOf.join(', ')}`),
    field('Target', `${target} (${environment}), database ${database}`),
    field('Kind', kindOf(notice)),
    field('Objects', relations.length === 0 ? 'none named' : relations.join('\n')),
    field('Rows', rows.length === 0 ? 'not measured' : rows.join('\n')),
    field('Held by', `rule ${notice.rule}: ${notice.ruleReason}`),
  ];
}

function reasonBlocks({ agent, reason }: Notice): Block[] {
  if (reason === undefined) return [];
  return [
    { type: 'context', elements: [plain(`In the words of the agent ${agent}, which nobody has checked:`)] },
    { type: 'section', text: plain(`“${reason}”`, reasonCharactersMax) },
  ];
}

function endingBlocks(notice: Notice, words: string): Block[] {
  const whose = notice.state === 'rejected' ? `In the words of ${notice.ending?.by}:` : 'What came of it:';
  return [
    { type: 'context', elements: [plain(whose)] },
    { type: 'section', text: plain(words, reasonCharactersMax) },
  ];
}

function hintsOf(notice: Notice, bytesLeftOut: number): string[] {
  const { hidden, foreign, parameters, secret } = notice;
  const hints: string[] = [];
  if (bytesLeftOut > 0) hints.push(`${bytesLeftOut} bytes not shown: open the page.`);
  if (parameters > 0) {
    hints.push(`${parameters} parameter ${parameters === 1 ? 'value is' : 'values are'} on the page only.`);
  }
  if (secret) hints.push('The statement carries a secret, which is left out.');
  const some = (count: number): string =>
    `${count} ${count === 1 ? 'character in it is' : 'characters in it are'}`;
  if (hidden > 0) hints.push(`${some(hidden)} invisible or reordering text, and marked ⟨…⟩.`);
  if (foreign > 0) hints.push(`${some(foreign)} beyond ASCII and may look like others.`);
  return [...hints, ...notice.lookalikes.map((likeness) => `${likeness}.`)];
}

/** In the reader's own time zone. */
function expiry({ expires }: Notice): TextObject {
  const iso = new Date(expires).toISOString();
  return marked(`*Expires*\n<!date^${Math.floor(expires / 1000)}^{date_short_pretty} {time_secs}|${iso}>`);
}

function openButton(url: string): Button {
  return { type: 'button', action_id: actions.open, text: plain('Open'), url };
}

function decisionButtons(notice: Notice, bytesLeftOut: number): Button[] {
  const reject: Button = {
    type: 'button',
    action_id: actions.reject,
    text: plain('Reject…'),
    style: 'danger',
    value: actionValue('reject', notice),
  };
  if (obstacle(notice, bytesLeftOut) !== undefined) return [reject];
  const approve: Button = {
    type: 'button',
    action_id: actions.approve,
    text: plain('Approve'),
    style: 'primary',
    value: actionValue('approve', notice),
    confirm: {
      title: plain('Approve?', 100),
      text: plain(`The statement runs on ${notice.target} at once. Code ${notice.code}.`, 300),
      confirm: plain('Approve', 30),
      deny: plain('Back', 30),
    },
  };
  return [approve, reject];
}
