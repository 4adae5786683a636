// Values configuration: what becomes of the values in statements, from `audit.values` and `audit.auditorKeys`. Reads the key
// files that are named; refuses to know how values are encrypted. audit-approval §10.

import { readFileSync } from 'node:fs';
import { readAuditorKey } from '../verify/src/auditorkey.ts';
import type { Recipient } from '../verify/src/sidefile.ts';

export interface ValuesConfig {
  readonly values: 'none' | 'auditor' | 'clear';
  /** Whom values are encrypted to; empty unless `auditor`. */
  readonly auditors: readonly Recipient[];
  /** Nobody has said what becomes of values: then they are forgotten. */
  readonly valuesUnsaid: boolean;
  /** Whether comments in statements stand in the log. */
  readonly comments: 'strip' | 'keep';
}

interface Given {
  readonly values?: 'none' | 'auditor' | 'clear' | undefined;
  readonly comments?: 'strip' | 'keep' | undefined;
  readonly auditorKeys?: readonly (string | Readonly<Record<string, unknown>>)[] | undefined;
}

/** `path` resolves a file's name; `fail` makes the error that names the key of the configuration. */
export function valuesConfig(
  { values, comments, auditorKeys = [] }: Given,
  path: (relative: string) => string,
  fail: (at: readonly PropertyKey[], text: string) => Error,
): ValuesConfig {
  const auditors = auditorKeys.map((given, index) => {
    try {
      return readAuditorKey(
        typeof given === 'string' ? JSON.parse(readFileSync(path(given), 'utf8')) : given,
      );
    } catch (error) {
      const { message } = error as Error;
      const where = typeof given === 'string' ? `${path(given)} is no auditor's key: ` : '';
      throw fail(['audit', 'auditorKeys', index], where + message);
    }
  });
  const mode = values ?? (auditors.length > 0 ? 'auditor' : 'none');
  if (mode === 'auditor' && auditors.length === 0)
    throw fail(
      ['audit', 'values'],
      'auditor needs the public key of somebody who may open values; make one with `holdpoint audit auditor-key --generate FILE` and name it under audit.auditorKeys',
    );
  if (mode !== 'auditor' && auditors.length > 0)
    throw fail(
      ['audit', 'values'],
      `${mode} encrypts nothing, and audit.auditorKeys names keys; use auditor, or take them out`,
    );
  return {
    values: mode,
    auditors,
    valuesUnsaid: values === undefined && auditors.length === 0,
    comments: comments ?? (mode === 'clear' ? 'keep' : 'strip'),
  };
}
