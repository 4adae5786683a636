// Survey: one short look at a target, as a session would see it: does it answer, is it the server that is meant, and what
// should the operator know of it. Leaves nothing behind. Refuses to know who asks.

import { HoldpointError } from '../errors.ts';
import { backendKnown } from '../wire/messages/backend.ts';
import { fitnessWarnings } from './fitness.ts';
import { FrameStream } from './framestream.ts';
import type { Target } from './listener.ts';
import { ask } from './question.ts';
import { powersQuestion, powerWarnings } from './role-powers.ts';
import { connectUpstream } from './upstream.ts';

const settings = [
  ['client_encoding', 'UTF8'],
  ['standard_conforming_strings', 'on'],
  ['application_name', 'holdpoint survey'],
] as const;
const frameBytesMax = 1 << 20;

/** Warnings, a sentence each. Rejects as `connectUpstream` does, at the latest after `answerMs`. */
export async function survey(target: Target, answerMs: number): Promise<string[]> {
  const { address } = target;
  const connectTimeoutMs = Math.min(address.connectTimeoutMs, answerMs);
  const upstream = await connectUpstream(
    { ...address, connectTimeoutMs },
    settings,
    target.admitOwn ?? target.admit,
  );
  const { socket, head, identity, parameters } = upstream;
  const late = new HoldpointError('upstream-unreachable', 'the database did not answer in time');
  const timer = setTimeout(() => socket.destroy(late), answerMs);
  try {
    const frames = new FrameStream(socket, { known: backendKnown, frameBytesMax }, head);
    const [powers] = await ask(socket, frames, [powersQuestion]);
    return [
      ...upstream.warnings,
      ...fitnessWarnings(identity.version, parameters),
      ...powerWarnings(address.user, powers!),
    ];
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** What a start should say of its targets: production first, so that no other is taken for what one of them means. */
export async function surveyAll(
  targets: Iterable<Target>,
  answerMs: number,
  told: (target: string, found: { warnings: readonly string[] } | { error: unknown }) => void,
): Promise<void> {
  const all = [...targets];
  for (const production of [true, false]) {
    const these = all.filter(({ environment }) => (environment === 'production') === production);
    await Promise.all(
      these.map((target) =>
        survey(target, answerMs).then(
          (warnings) => told(target.name, { warnings }),
          (error: unknown) => told(target.name, { error }),
        ),
      ),
    );
  }
}
