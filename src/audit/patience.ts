// Patience: a signer that is asked until it answers. One that fails is asked again; one that says nothing is asked again
// after a while. It is always asked for the same bytes, so that of two answers either will do (Ed25519 has one signature
// for one message) and no two seals are made where one belongs. audit-approval §3.5, rule 3.

import type { Sign } from './seal.ts';

/** Times in milliseconds. */
export interface PatienceOptions {
  /** How long an answer may take before the question is asked again. */
  readonly answerMs: number;
  /** The wait after the first failure; it doubles with each, up to `againMsMax`. */
  readonly againMs: number;
  readonly againMsMax: number;
  /** Told of each failure. Must not throw. */
  readonly failed: (error: Error) => void;
  /** True once nobody wants the answer any more. */
  readonly isOver: () => boolean;
}

/** A signer that rejects only when it is over. It settles when `sign` has answered. */
export function patient(sign: Sign, options: PatienceOptions): Sign {
  const { answerMs, againMs, againMsMax, failed, isOver } = options;
  return async (key, type, payload) => {
    for (let wait = againMs; ; wait = Math.min(wait * 2, againMsMax)) {
      try {
        return await inTime(sign(key, type, payload), answerMs);
      } catch (error) {
        if (isOver()) throw error;
        failed(error instanceof Error ? error : new Error(String(error)));
      }
      await pause(wait);
    }
  };
}

function inTime(signed: Promise<string>, ms: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the signer has not answered for ${ms} ms`)), ms);
    signed.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
