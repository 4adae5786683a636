// A person with a key in front of a running Holdpoint, over its HTTP API: reads, signs, and sends what they signed as
// often and when the test says. Refuses to know whether the server runs in this process or in another.

import { readFileSync } from 'node:fs';
import { type Decision, decisionText } from '../../src/approval/decision.ts';
import { requestDigest } from '../../src/approval/request.ts';
import { signingKey, signToken } from '../../src/approval/token.ts';
import { remote } from '../../src/cli/remote.ts';
import type { FullView, Summary } from '../../src/http/view.ts';

/** What the server said to a decision. */
export interface Said {
  readonly status: number;
  readonly body: { state?: string; approvals?: number; detail?: string };
}

export interface Person {
  readonly name: string;
  pending(): Promise<Summary[]>;
  show(rid: string): Promise<FullView>;
  /** A signed decision, ready to be sent: the body of the POST. */
  sign(rid: string, verdict: 'approve' | 'reject', change?: Partial<Decision>): Promise<Signed>;
  /** Sends it. Rejects only where no answer came. */
  send(signed: Signed): Promise<Said>;
  decide(rid: string, verdict: 'approve' | 'reject', reason?: string): Promise<Said>;
}

export interface Signed {
  readonly rid: string;
  readonly body: string;
}

/** `keyFile`: their private JWK. `http`: where the server listens. */
export function personAt(http: string, name: string, keyFile: string): Person {
  const server = () => remote({ url: http, as: name, key: keyFile });
  const show = async (rid: string) => (await (await server()).get(`/api/requests/${rid}`)) as FullView;
  const sign: Person['sign'] = async (rid, verdict, change = {}) => {
    const view = await show(rid);
    const request = JSON.parse(view.request);
    if (view.draft === null) throw new Error(`request ${rid} is ${view.state}`);
    const decision: Decision = {
      typ: 'holdpoint.decision.v1',
      aud: request.aud,
      rid,
      rd: requestDigest(request),
      verdict,
      approver: name,
      level: 'key',
      reason: '',
      nonce: view.draft.nonce,
      nbf: view.draft.nbf,
      exp: request.exp,
      ...change,
    };
    const key = await signingKey(JSON.parse(readFileSync(keyFile, 'utf8')));
    const jws = await signToken('holdpoint-decision+jws', decisionText(decision), key);
    return { rid, body: JSON.stringify({ decision, evidence: { kind: 'jws', jws } }) };
  };
  const send: Person['send'] = async ({ rid, body }) => {
    const answer = await fetch(`${http}/api/requests/${rid}/decisions`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body,
    });
    return { status: answer.status, body: (await answer.json()) as Said['body'] };
  };
  return {
    name,
    show,
    sign,
    send,
    async pending() {
      const { requests } = (await (await server()).get('/api/requests?state=pending')) as {
        requests: Summary[];
      };
      return requests;
    },
    async decide(rid, verdict, reason = '') {
      return send(await sign(rid, verdict, { reason }));
    },
  };
}
