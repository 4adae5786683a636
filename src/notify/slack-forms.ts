// Slack forms: what goes to one person while they decide: the form that asks why they reject, a word about what came of
// it, and the question who they are. Refuses to know what may be decided and what a callback proves (http/slack.ts).

import { reasonCharactersMax } from '../approval/decision.ts';
import { actionValue } from '../approval/slack-callback.ts';
import { headline, type Notice } from './notice.ts';
import type { SlackClient } from './slack-client.ts';
import { escaped, plain } from './slack-text.ts';

/** Where a callback says it can be answered; Slack's own, or beside the API that is configured. */
const answersHost = 'https://hooks.slack.com';
const answerMs = 5_000;

/** What Slack says of an account. `unknown`: it was not allowed to say. */
export type SlackAccount = 'member' | 'unknown' | 'unreachable' | { readonly refused: string };

export interface SlackFormsOptions {
  readonly client: SlackClient;
  readonly apiUrl: string;
  /** Where words are said to one person when the callback names no place. */
  readonly channel: string;
}

export class SlackForms {
  readonly #options: SlackFormsOptions;

  constructor(options: SlackFormsOptions) {
    this.#options = options;
  }

  /**
   * Opens the form that asks for the reason of a rejection. Its private_metadata is `reject.<rid>.<rd>`, the same text
   * as the button's value, and its one input is block `reason`, action `reason`. False if it could not be opened.
   */
  async askReason(triggerId: string, notice: Notice): Promise<boolean> {
    const answer = await this.#options.client.call('views.open', {
      trigger_id: triggerId,
      view: {
        type: 'modal',
        callback_id: 'holdpoint.reject',
        private_metadata: actionValue('reject', notice),
        title: plain('Reject', 24),
        submit: plain('Reject', 24),
        close: plain('Back', 24),
        blocks: [
          { type: 'section', text: plain(`${headline(notice)}\nCode ${notice.code}`, 1_000) },
          {
            type: 'input',
            block_id: 'reason',
            optional: true,
            label: plain('Reason, as the agent will read it', 100),
            element: {
              type: 'plain_text_input',
              action_id: 'reason',
              multiline: true,
              max_length: reasonCharactersMax,
            },
          },
        ],
      },
    });
    return answer.ok;
  }

  /** Says something to one person, visible to nobody else. Never rejects; it is no loss if it does not arrive. */
  async tell(person: { user: string; responseUrl: string | undefined }, words: string): Promise<void> {
    const text = escaped(words);
    if (person.responseUrl !== undefined && this.#isSlack(person.responseUrl)) {
      const answered = await fetch(person.responseUrl, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ response_type: 'ephemeral', replace_original: false, text }),
        redirect: 'error',
        signal: AbortSignal.timeout(answerMs),
      }).catch(() => undefined);
      await answered?.body?.cancel();
      if (answered?.ok === true) return;
    }
    const { channel, client } = this.#options;
    await client.call('chat.postEphemeral', { channel, user: person.user, text, parse: 'none' });
  }

  /** Whether a user is a full member of their team now: no bot, no guest, nobody of another organisation. */
  async account(team: string, user: string): Promise<SlackAccount> {
    const answer = await this.#options.client.call('users.info', { user });
    if (!answer.ok) {
      if (answer.retry === 'everything') return 'unreachable';
      return answer.error === 'user_not_found' ? { refused: 'Slack does not know this account' } : 'unknown';
    }
    const told = answer.body.user as Record<string, unknown> | undefined;
    const flaw = accountFlaw(told ?? {});
    if (flaw !== undefined) return { refused: flaw };
    if (typeof told?.team_id === 'string' && told.team_id !== team) {
      return { refused: 'this account is of another team' };
    }
    return 'member';
  }

  #isSlack(url: string): boolean {
    try {
      const { origin } = new URL(url);
      return origin === answersHost || origin === new URL(this.#options.apiUrl).origin;
    } catch {
      return false;
    }
  }
}

function accountFlaw(user: Record<string, unknown>): string | undefined {
  if (user.deleted === true) return 'this account is deactivated';
  if (user.is_bot === true) return 'this account is a bot';
  if (user.is_restricted === true || user.is_ultra_restricted === true) return 'this account is a guest';
  if (user.is_stranger === true) return 'this account is of another organisation';
  return undefined;
}
