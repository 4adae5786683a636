// Slack client: calls of Slack's Web API, and what a failed one means for the letter that made it. Retries and rate
// limits are the lane's: @slack/web-api's own would hold on to an old state of the message while newer ones wait.
// Nothing of a token or an answer's body goes into an error.

import { type Logger, LogLevel, WebClient } from '@slack/web-api';
import { retryAfter } from './retry-after.ts';

/** Milliseconds for one call. */
const callMs = 10_000;

/** Errors of Slack that pass by themselves. */
const passing = new Set([
  'ratelimited',
  'rate_limited',
  'internal_error',
  'fatal_error',
  'service_unavailable',
  'request_timeout',
  'team_added_to_org',
]);

/** Errors that an operator may mend: what waits is sent then. `everything`: nothing gets through until it is. */
const mendable: Readonly<Record<string, 'everything' | 'here'>> = {
  invalid_auth: 'everything',
  not_authed: 'everything',
  token_revoked: 'everything',
  token_expired: 'everything',
  account_inactive: 'everything',
  accesslimited: 'everything',
  org_login_required: 'everything',
  ekm_access_denied: 'everything',
  missing_scope: 'here',
  channel_not_found: 'here',
  not_in_channel: 'here',
  is_archived: 'here',
  no_permission: 'here',
  restricted_action: 'here',
};

/** An answer, or why there is none: `error` is Slack's word or a name of ours, never a text of somebody's. */
export type SlackAnswer =
  | { readonly ok: true; readonly body: Readonly<Record<string, unknown>> }
  | {
      readonly ok: false;
      readonly error: string;
      /** Whether and how widely a later attempt may do better. */
      readonly retry: 'never' | 'here' | 'everything';
      readonly afterMs?: number;
    };

/** Calls with one token. Never rejects. */
export class SlackClient {
  readonly #web: WebClient;

  constructor(options: { token: string; apiUrl: string }) {
    this.#web = new WebClient(options.token, {
      slackApiUrl: options.apiUrl,
      retryConfig: { retries: 0 },
      rejectRateLimitedCalls: true,
      allowAbsoluteUrls: false,
      timeout: callMs,
      maxRequestConcurrency: 16,
      logger: silent,
    });
  }

  async call(method: string, parameters: Record<string, unknown>): Promise<SlackAnswer> {
    try {
      return { ok: true, body: { ...(await this.#web.apiCall(method, parameters)) } };
    } catch (error) {
      return failure(error);
    }
  }
}

/** The library logs bodies of requests and answers; what is worth telling, the courier reports. */
const silent: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  setLevel: () => {},
  getLevel: () => LogLevel.ERROR,
  setName: () => {},
};

function failure(error: unknown): Extract<SlackAnswer, { ok: false }> {
  const given = error as {
    code?: string;
    retryAfter?: number;
    statusCode?: number;
    headers?: Record<string, string>;
    data?: { error?: unknown };
    original?: unknown;
  };
  switch (given.code) {
    case 'slack_webapi_rate_limited_error':
      return {
        ok: false,
        error: 'rate limited',
        retry: 'everything',
        afterMs: (given.retryAfter ?? 1) * 1000,
      };
    case 'slack_webapi_platform_error':
      return platformFailure(given.data?.error);
    case 'slack_webapi_http_error':
      // Slack's API answers 200 for its own errors; any other status is something on the way.
      return {
        ok: false,
        error: `HTTP ${given.statusCode}`,
        retry: 'everything',
        ...retryAfter(given.headers?.['retry-after'], Date.now()),
      };
    default:
      return { ok: false, error: reasonOf(given.original ?? error), retry: 'everything' };
  }
}

function platformFailure(said: unknown): Extract<SlackAnswer, { ok: false }> {
  const error = typeof said === 'string' && /^[a-z0-9_]{1,60}$/.test(said) ? said : undefined;
  // What is not a word of Slack's, such as a login page of a proxy on the way, is not Slack's last word.
  if (error === undefined) return { ok: false, error: 'an answer that is not of Slack', retry: 'everything' };
  if (passing.has(error)) return { ok: false, error, retry: 'everything' };
  return { ok: false, error, retry: mendable[error] ?? 'never' };
}

/** A word for a failed connection. */
function reasonOf(error: unknown): string {
  const { name, cause } = error as { name?: string; cause?: { code?: unknown } };
  if (name === 'TimeoutError' || name === 'AbortError') return `no answer within ${callMs / 1000} s`;
  return typeof cause?.code === 'string' ? cause.code : 'no connection';
}
