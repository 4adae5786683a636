// Body: what a caller sends, as JSON, read no further than a limit. Refuses to know what is in it.

import type { Context } from 'hono';
import { HoldpointError } from '../errors.ts';

/** The members of a JSON object; a length header is not believed. Throws `bad-request`, `too-large`. */
export async function jsonBody(c: Context, bytesMax: number): Promise<Record<string, unknown>> {
  const type = (c.req.header('Content-Type') ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (type !== 'application/json') {
    throw new HoldpointError('bad-request', 'the body must be sent as application/json');
  }
  const text = await boundedText(c.req.raw, bytesMax);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw new HoldpointError('bad-request', 'the body is not JSON', { cause });
  }
  return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
}

/** The body as text, read no further than the limit. Throws `too-large`, and `bad-request` for what is not UTF-8. */
export async function boundedText(request: Request, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new HoldpointError('too-large', `the body has more than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch (cause) {
    throw new HoldpointError('bad-request', 'the body is not UTF-8', { cause });
  }
}
