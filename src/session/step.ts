// Step: what the session says of one frame, and what the relay then does. Types and the answers that need no object of
// their own. Refuses to know how the session came to it. Source: DESIGN §4 (7a–7c), §5.

import type { HoldpointError } from '../errors.ts';
import type { Analysis } from '../sql/statement.ts';
import type { Gate } from './gate.ts';

/**
 * What becomes of a frontend frame.
 * - `pass`: it joins the run. With a gate: the gate is recorded first.
 * - `defer`: a gated Parse, or a frame behind one; kept until its Bind or until the client asks for an answer. With a
 *   gate: it passes, but in its turn; it is recorded now.
 * - `hold`: deferred frames and this one wait for a person; then `released` or `refused` is called with the gate.
 * - `replace`: `bytes` go in its place. With a gate: the gate is recorded as refused first.
 * - `analyze`: the text is large; await the analysis and offer the frame again with it.
 * - `barrier`: the answer depends on frames the server has not acknowledged; offer it again when they are.
 * `flush`: deferred frames go to the server before this one.
 */
export type FrontendStep =
  | { readonly kind: 'pass'; readonly gate: Gate | undefined; readonly flush: boolean }
  | { readonly kind: 'defer'; readonly gate: Gate | undefined }
  | { readonly kind: 'hold'; readonly gate: Gate }
  | {
      readonly kind: 'replace';
      readonly gate: Gate | undefined;
      readonly bytes: Buffer;
      readonly error: HoldpointError;
      readonly flush: boolean;
    }
  | { readonly kind: 'analyze'; readonly analysis: Promise<Analysis> }
  | { readonly kind: 'barrier' };

/** What becomes of a backend frame. `close`: the session cannot be guarded any more and ends with that error. */
export type BackendStep =
  | { readonly kind: 'pass' }
  | { readonly kind: 'replace'; readonly bytes: Buffer }
  | { readonly kind: 'close'; readonly error: HoldpointError };

export const passed: FrontendStep = { kind: 'pass', gate: undefined, flush: false };
export const passedFlushing: FrontendStep = { kind: 'pass', gate: undefined, flush: true };
export const deferred: FrontendStep = { kind: 'defer', gate: undefined };
export const barrier: FrontendStep = { kind: 'barrier' };
export const forwarded: BackendStep = { kind: 'pass' };
