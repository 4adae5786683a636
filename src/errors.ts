// The one error class of the product and the table of what each error is on the wire and over HTTP.
// Knows codes, SQLSTATEs and sentences; refuses to know who raises them or how they are encoded.
// Source of the SQLSTATEs: PostgreSQL manual, Appendix A; the choice is CONTRACT's ("What an agent sees").

/** What went wrong. The SQLSTATE and the HTTP status follow from it by `errorTable`. */
export type ErrorCode =
  | 'denied'
  | 'rejected'
  | 'pending'
  | 'canceled'
  | 'expired'
  | 'syntax'
  | 'aborted-transaction'
  | 'bad-encoding'
  | 'too-large'
  | 'too-complex'
  | 'log-unwritable'
  | 'store-unreachable'
  | 'upstream-unreachable'
  | 'upstream-refused'
  | 'wrong-server'
  | 'too-many-connections'
  | 'too-many-pending'
  | 'protocol-violation'
  | 'not-supported'
  | 'bad-parameter'
  | 'bad-credentials'
  | 'shutdown'
  | 'not-found'
  | 'conflict'
  | 'unauthorized'
  | 'forbidden'
  | 'bad-request'
  | 'bad-config';

/** SQLSTATE (five characters) and HTTP status of every code. */
export const errorTable: Readonly<Record<ErrorCode, { sqlstate: string; status: number }>> = {
  denied: { sqlstate: '42501', status: 403 },
  rejected: { sqlstate: '42501', status: 403 },
  pending: { sqlstate: '42501', status: 409 },
  canceled: { sqlstate: '57014', status: 409 },
  expired: { sqlstate: '57014', status: 410 },
  syntax: { sqlstate: '42601', status: 400 },
  'aborted-transaction': { sqlstate: '25P02', status: 409 },
  'bad-encoding': { sqlstate: '22021', status: 400 },
  'too-large': { sqlstate: '54000', status: 413 },
  'too-complex': { sqlstate: '54000', status: 413 },
  'log-unwritable': { sqlstate: '58030', status: 503 },
  'store-unreachable': { sqlstate: '58000', status: 503 },
  'upstream-unreachable': { sqlstate: '08006', status: 502 },
  'upstream-refused': { sqlstate: '08004', status: 502 },
  'wrong-server': { sqlstate: '08004', status: 502 },
  'too-many-connections': { sqlstate: '53300', status: 503 },
  'too-many-pending': { sqlstate: '53300', status: 429 },
  'protocol-violation': { sqlstate: '08P01', status: 400 },
  'not-supported': { sqlstate: '0A000', status: 501 },
  'bad-parameter': { sqlstate: '22023', status: 400 },
  'bad-credentials': { sqlstate: '28P01', status: 401 },
  shutdown: { sqlstate: '57P01', status: 503 },
  'not-found': { sqlstate: '42704', status: 404 },
  conflict: { sqlstate: '55000', status: 409 },
  unauthorized: { sqlstate: '28000', status: 401 },
  forbidden: { sqlstate: '42501', status: 403 },
  'bad-request': { sqlstate: '22023', status: 400 },
  'bad-config': { sqlstate: 'F0000', status: 500 },
};

/** The optional fields of an error, named as in the manual's "Error and Notice Message Fields". */
export interface ErrorFields {
  detail?: string;
  hint?: string;
  /** 1-based, in characters, into the text the client sent. */
  position?: number;
  /** Overrides the table where PostgreSQL has a finer SQLSTATE. */
  sqlstate?: string;
  cause?: unknown;
}

/** Every error that a person or a client may see. `message` says what happened, to which object, and what to do. */
export class HoldpointError extends Error {
  readonly code: ErrorCode;
  readonly sqlstate: string;
  readonly status: number;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  readonly position: number | undefined;

  constructor(code: ErrorCode, message: string, fields: ErrorFields = {}) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.name = 'HoldpointError';
    this.code = code;
    this.sqlstate = fields.sqlstate ?? errorTable[code].sqlstate;
    this.status = errorTable[code].status;
    this.detail = fields.detail;
    this.hint = fields.hint;
    this.position = fields.position;
  }
}
