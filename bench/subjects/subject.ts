// Something that the load runs through: the server itself, or a process tree in front of it. Refuses to know what each
// is made of, and what is measured.

import type { Account } from '../../src/demo/account.ts';

/** Where a client logs in, and as whom. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** What every subject is put in front of. */
export interface Place {
  readonly server: Address;
  /** A folder for the files of this subject alone, owned by `account`. */
  readonly folder: string;
  /** Whom programs run as that refuse root; undefined if this process is not root. */
  readonly account: Account | undefined;
  /** The most sessions that are ever open at once. */
  readonly sessionsMax: number;
  /** The client's leg is encrypted with it; both are files. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
}

export interface Subject {
  readonly address: Address;
  /** The root of its process tree; undefined if it is no process besides the server. */
  readonly pid: number | undefined;
  stop(): Promise<void>;
}

/** A subject that cannot take part, and why, in a few words. */
export class Absent {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

export interface Candidate {
  readonly name: string;
  start(place: Place): Promise<Subject | Absent>;
}
