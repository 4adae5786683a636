// Slack callback: what Slack sends when somebody presses a button or submits a form, opened by its signature before it
// is read. The signature is an HMAC over the exact bytes: it shows that they come from Slack (or from whoever else knows
// the signing secret) and when, not that they come for the first time. Pure. docs.slack.dev "Verifying requests from
// Slack", "block_actions payload", "view_submission payload".

import { createHmac, timingSafeEqual } from 'node:crypto';
import { HoldpointError } from '../errors.ts';
import type { Decision } from './decision.ts';

/** How far Slack's clock and ours may be apart, and how old a callback may be. */
export const callbackAgeMsMax = 300_000;

/** Bytes of a callback's body: it carries the whole message that it was pressed in. */
export const callbackBytesMax = 131_072;

/** A callback as it came: two headers, and the exact bytes of the body as text. */
export interface RawCallback {
  readonly timestamp: string;
  readonly signature: string;
  readonly body: string;
}

/** Who pressed. `flaw` is what makes the account unfit to decide, as far as the callback tells. */
export interface SlackWho {
  readonly team: string;
  readonly user: string;
  readonly flaw: string | undefined;
}

/** `value`: what the button, or the private_metadata of the form, says it decides: see `actionValue`. */
export type SlackCallback =
  | {
      readonly kind: 'button';
      readonly who: SlackWho;
      readonly value: string;
      readonly triggerId: string;
      readonly responseUrl: string | undefined;
    }
  /** `reason`: the text of the input that is block `reason`, action `reason`. */
  | { readonly kind: 'form'; readonly who: SlackWho; readonly value: string; readonly reason: string }
  | { readonly kind: 'other' };

/** What buttons and forms carry: `<verdict>.<rid>.<rd>`. */
export function actionValue(verdict: Decision['verdict'], { rid, rd }: { rid: string; rd: string }): string {
  return `${verdict}.${rid}.${rd}`;
}

/** The parts of an `actionValue`; undefined for anything else. */
export function readActionValue(
  value: string,
): { verdict: Decision['verdict']; rid: string; rd: string } | undefined {
  const [, verdict, rid, rd] =
    /^(approve|reject)\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})$/.exec(value) ?? [];
  if (rid === undefined || rd === undefined) return undefined;
  return { verdict: verdict === 'approve' ? 'approve' : 'reject', rid, rd };
}

/** When Slack signed it, milliseconds since the epoch; NaN if it does not say. */
export function callbackAtMs({ timestamp }: RawCallback): number {
  return /^\d{1,12}$/.test(timestamp) ? Number(timestamp) * 1000 : Number.NaN;
}

/**
 * A callback that Slack signed, read. Says nothing about its age, nor whether it came before. Throws `unauthorized` for
 * a wrong signature, `bad-request` for what Slack does not send.
 */
export function openCallback(raw: RawCallback, secret: string): SlackCallback {
  const { timestamp, signature, body } = raw;
  const expected = createHmac('sha256', secret).update(`v0:${timestamp}:${body}`, 'utf8').digest();
  const given = /^v0=([0-9a-f]{64})$/.exec(signature)?.[1];
  if (given === undefined || !timingSafeEqual(Buffer.from(given, 'hex'), expected)) {
    throw new HoldpointError('unauthorized', 'the callback is refused: Slack did not sign these bytes');
  }
  const payload = payloadOf(body);
  if (payload.type === 'block_actions') return button(payload);
  return payload.type === 'view_submission' ? form(payload) : { kind: 'other' };
}

function button(payload: Record<string, unknown>): SlackCallback {
  const [action, ...more] = Array.isArray(payload.actions) ? (payload.actions as unknown[]) : [];
  // Slack sends one at a time; what else comes is none of ours.
  if (action === undefined || more.length > 0) return { kind: 'other' };
  return {
    kind: 'button',
    who: whoOf(payload),
    value: text(object(action).value),
    triggerId: text(payload.trigger_id),
    responseUrl: typeof payload.response_url === 'string' ? payload.response_url : undefined,
  };
}

function form(payload: Record<string, unknown>): SlackCallback {
  const view = object(payload.view);
  const values = object(object(view.state).values);
  return {
    kind: 'form',
    who: whoOf(payload),
    value: text(view.private_metadata),
    reason: text(object(object(values.reason).reason).value),
  };
}

function payloadOf(body: string): Record<string, unknown> {
  const fields = new URLSearchParams(body).getAll('payload');
  if (fields.length !== 1) throw malformed('one payload');
  try {
    return object(JSON.parse(fields[0] ?? ''));
  } catch (cause) {
    throw malformed('JSON in it', cause);
  }
}

function whoOf(payload: Record<string, unknown>): SlackWho {
  const user = object(payload.user);
  const team = text(object(payload.team).id);
  const own = typeof user.team_id === 'string' ? user.team_id : team;
  return { team: own, user: text(user.id), flaw: flawOf(user, own, team) };
}

function flawOf(user: Record<string, unknown>, own: string, team: string): string | undefined {
  // Somebody of another workspace, in a channel that both share. An organisation's app has no team of its own.
  if (team !== '' && own !== team) return 'of another workspace';
  if (user.is_bot === true || user.is_app_user === true) return 'a bot';
  if (user.is_restricted === true || user.is_ultra_restricted === true) return 'a guest';
  if (user.is_stranger === true) return 'of another organisation';
  return user.deleted === true ? 'deactivated' : undefined;
}

function object(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function malformed(what: string, cause?: unknown): HoldpointError {
  return new HoldpointError('bad-request', `the callback is malformed: a Slack interaction has ${what}`, {
    cause,
  });
}
