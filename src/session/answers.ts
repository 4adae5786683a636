// Answers: one backend frame to one step of the queue of what the client is owed. The table of which answer belongs to
// which frame stands in replies.ts; here is only which byte is which answer,
// and the one answer that is told in other words. Source: the manual, "Message Formats".

import type { FrameView } from '../wire/framer.ts';
import {
  backendType,
  readCommandComplete,
  readNotificationPid,
  readReadyForQuery,
  withNotificationPid,
} from '../wire/messages/backend.ts';
import { frontendType } from '../wire/messages/frontend.ts';
import type { Replies } from './replies.ts';
import { type BackendStep, forwarded, type SessionOptions } from './step.ts';

/** Tells the queue of an answer. Frames that answer nothing (rows, notices, notifications) change nothing. */
export function attribute(frame: FrameView, replies: Replies): void {
  switch (frame.type) {
    case backendType.parseComplete:
      replies.acknowledged(frontendType.parse);
      break;
    case backendType.bindComplete:
      replies.acknowledged(frontendType.bind);
      break;
    case backendType.closeComplete:
      replies.acknowledged(frontendType.close);
      break;
    case backendType.rowDescription:
    case backendType.noData:
      replies.described();
      break;
    case backendType.commandComplete:
      replies.completed(readCommandComplete(frame));
      break;
    case backendType.emptyQueryResponse:
      replies.completed(undefined);
      break;
    case backendType.portalSuspended:
      replies.suspended();
      break;
    case backendType.copyInResponse:
      replies.copyInStarted();
      break;
    case backendType.readyForQuery:
      replies.ready(readReadyForQuery(frame));
      break;
  }
}

/**
 * A client that notified itself must find the process number it was given, which is ours: the frame with `client` in
 * the place of `server`.
 */
export function notified(frame: FrameView, pids: SessionOptions['pids']): BackendStep {
  if (pids === undefined || readNotificationPid(frame) !== pids.server) return forwarded;
  return { kind: 'replace', bytes: withNotificationPid(frame, pids.client) };
}
