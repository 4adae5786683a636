// Server identity: what is asked of a server right after our login, before a client is let near it: which server it is,
// which database, what it calls itself, and how it calls this session. Every name in the questions is qualified, since nothing is known yet of the
// search_path. Refuses to know which answer is the right one (server-pins.ts).
// Source: PostgreSQL manual, "Control Data Functions" and "System Information Functions".

import { HoldpointError } from '../errors.ts';
import type { ServerIdentity } from '../server-pins.ts';
import type { Answer } from './question.ts';

/** In statements of their own, so that a server which keeps one of them from the role still answers the others. */
export const identityQuestions: readonly string[] = [
  'SELECT system_identifier FROM pg_catalog.pg_control_system()',
  'SELECT oid, pg_catalog.version() FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()',
  'SELECT pid, pg_catalog.floor(EXTRACT(EPOCH FROM backend_start)) FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())',
];

/** insufficient_privilege, undefined_function, undefined_table, invalid_schema_name, feature_not_supported */
const unanswerable: ReadonlySet<string> = new Set(['42501', '42883', '42P01', '3F000', '0A000']);

/** Throws `upstream-refused` where the server answers with anything but what was asked. */
export function readIdentity(answers: readonly Answer[]): ServerIdentity {
  const [control, database] = answers;
  const [row] = rowsOf(database);
  const databaseOid = Number(row?.[0]);
  const version = row?.[1] ?? '';
  if (!Number.isSafeInteger(databaseOid) || version === '') throw silent('an empty answer');
  if (control !== undefined && 'sqlstate' in control && unanswerable.has(control.sqlstate))
    return { systemIdentifier: undefined, databaseOid, version };
  const systemIdentifier = rowsOf(control)[0]?.[0] ?? '';
  if (!/^\d{1,20}$/.test(systemIdentifier)) throw silent('no system identifier');
  return { systemIdentifier, databaseOid, version };
}

/**
 * The name of this session in the server's own log (`%c`, `session_id`): when it began, in seconds since 1970, and its
 * process, both in hexadecimal. Undefined where the server does not tell.
 */
export function readSession(answers: readonly Answer[]): string | undefined {
  const answer = answers[2];
  const [pid = '', began = ''] = answer !== undefined && 'rows' in answer ? (answer.rows[0] ?? []) : [];
  if (!/^\d{1,10}$/.test(pid ?? '') || !/^\d{1,15}$/.test(began ?? '')) return undefined;
  return `${Number(began).toString(16)}.${Number(pid).toString(16)}`;
}

function rowsOf(answer: Answer | undefined): readonly (readonly (string | null)[])[] {
  if (answer === undefined) throw silent('no answer');
  if ('rows' in answer) return answer.rows;
  throw silent(`${answer.sqlstate}: ${answer.message}`);
}

function silent(what: string): HoldpointError {
  return new HoldpointError('upstream-refused', 'the database does not say which server it is', {
    hint: 'The operator of this proxy can see the cause in its log.',
    cause: new Error(`asked for its system identifier and version, the server gave ${what}`),
  });
}
