// Session facts: who a session belongs to, as its login proved it. Types only.

import type { RequestDraft } from '../approval/request.ts';
import type { Actor } from '../policy/verdict.ts';

/** The login that a session came from. All of it authenticated. */
export interface SessionFacts {
  readonly sid: string;
  readonly node: string;
  readonly boot: string;
  readonly actor: Actor;
  readonly agentAuth: 'scram-sha-256' | 'scram-sha-256-plus';
  /** The people whose work the agent does: none of them decides on its requests. */
  readonly onBehalfOf: () => readonly string[];
  readonly user: string;
  readonly db: Pick<RequestDraft['db'], 'name' | 'addr' | 'version' | 'systemId'>;
}
