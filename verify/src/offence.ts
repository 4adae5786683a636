// Offence: something in a log that cannot be, where it is, and the exit code for it. audit-approval §12.

/** Exit codes of the verifier, by what is wrong. */
export const offenceCodes = {
  chain: 10,
  signature: 11,
  root: 12,
  torn: 13,
  unsealed: 14,
  stale: 15,
  expectation: 16,
  keys: 17,
  form: 18,
  gap: 19,
  outcome: 20,
  approval: 21,
} as const;

export type OffenceKind = keyof typeof offenceCodes;

/** A place in a log: file name and line, from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
}

/** Something in the log that cannot be, and where. */
export class Offence extends Error {
  readonly kind: OffenceKind;
  readonly place: Place;

  constructor(kind: OffenceKind, place: Place, message: string) {
    super(message);
    this.name = 'Offence';
    this.kind = kind;
    this.place = place;
  }
}
