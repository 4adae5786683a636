// Question: simple queries of our own on a connection that no client has yet, and their answers as texts. Nothing of an
// answer is left on the connection. Refuses to know what is asked and why.
// Source: PostgreSQL manual, "Simple Query"; every text is one statement.

import type { Duplex } from 'node:stream';
import { BodyCursor } from '../wire/bytes.ts';
import type { FrameView } from '../wire/framer.ts';
import { backendType, readErrorFields } from '../wire/messages/backend.ts';
import { query } from '../wire/messages/frontend.ts';
import type { FrameStream } from './framestream.ts';

/** Rows of texts, or the error that came instead. `message` is the server's own and may name its user. */
export type Answer =
  | { readonly rows: readonly (readonly (string | null)[])[] }
  | { readonly sqlstate: string; readonly message: string };

/**
 * Asks all `texts` in one round trip. `other` gets every frame that belongs to no answer, such as a ParameterStatus.
 * Rejects when the connection ends.
 */
export async function ask(
  stream: Duplex,
  frames: FrameStream,
  texts: readonly string[],
  other: (frame: FrameView) => void = () => undefined,
): Promise<Answer[]> {
  stream.write(Buffer.concat(texts.map((text) => query(text))));
  const answers: Answer[] = [];
  while (answers.length < texts.length) answers.push(await answer(frames, other));
  return answers;
}

async function answer(frames: FrameStream, other: (frame: FrameView) => void): Promise<Answer> {
  const rows: (string | null)[][] = [];
  let error: { sqlstate: string; message: string } | undefined;
  for (;;) {
    const frame = await frames.next();
    switch (frame.type) {
      case backendType.dataRow:
        rows.push(rowOf(frame));
        break;
      case backendType.errorResponse: {
        const fields = readErrorFields(frame);
        error = { sqlstate: fields.get('C') ?? '', message: fields.get('M') ?? '' };
        break;
      }
      case backendType.readyForQuery:
        return error ?? { rows };
      default:
        other(frame);
    }
  }
}

function rowOf(frame: FrameView): (string | null)[] {
  const body = new BodyCursor(frame);
  const values = Array.from({ length: body.uint16() }, () => {
    const bytes = body.int32();
    return bytes < 0 ? null : body.bytes(bytes).toString('utf8');
  });
  body.finish();
  return values;
}
