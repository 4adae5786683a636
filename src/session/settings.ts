// Settings: what the session has been told about its own context, for the approver's eyes and for the comparison at a
// release: role, search_path, the settings that the server reports, and the agent's stated reason. It believes SET
// statements as they are forwarded, so it may be ahead of the server; null means "cannot know". Pure.

import type { Statement } from '../sql/statement.ts';

/** Characters of a reason that are kept. */
const reasonCharactersMax = 500;

/** Reported by the server and able to change what a text does; not `application_name`, which differs by session. */
const meaningful = [
  'DateStyle',
  'IntervalStyle',
  'TimeZone',
  'client_encoding',
  'default_transaction_read_only',
  'is_superuser',
  'server_encoding',
  'session_authorization',
  'standard_conforming_strings',
];

export class Settings {
  /** Current role, null once a SET ROLE or SET SESSION AUTHORIZATION went through. */
  role: string | null;
  /** Value of search_path as set in this session; null while it is the server's default or unknown. */
  searchPath: string | null = null;
  /** `SET holdpoint.reason`: the agent's own words, untrusted. */
  reason: string | undefined;
  readonly #reported: Map<string, string>;

  constructor(user: string, reported: ReadonlyMap<string, string>) {
    this.role = user;
    this.#reported = new Map(reported);
    this.searchPath = this.#reported.get('search_path') ?? null;
  }

  /** The reported settings that give a statement its meaning, in order of name. */
  get meaning(): Record<string, string> {
    return Object.fromEntries(
      meaningful.flatMap((name) => {
        const value = this.#reported.get(name);
        return value === undefined ? [] : [[name, value]];
      }),
    );
  }

  /** A ParameterStatus came. */
  reported(name: string, value: string): void {
    if (this.#reported.size < 64 || this.#reported.has(name)) this.#reported.set(name, value);
    if (name === 'search_path') this.searchPath = value;
  }

  /** Statements that are forwarded. */
  note(statements: readonly Statement[]): void {
    for (const statement of statements) {
      if (statement.effects.includes('role')) this.role = null;
      for (const setting of statement.settings) {
        if (setting.name === 'search_path') this.searchPath = setting.value ?? null;
        if (setting.name === 'holdpoint.reason') this.reason = setting.value?.slice(0, reasonCharactersMax);
      }
    }
  }
}

/** The reason given in a comment in front of the statement: `/* reason: … *\/`. Untrusted. */
export function leadingReason(sql: string): string | undefined {
  const match = /^\s*\/\*\s*reason:\s*([\s\S]{1,2000}?)\s*\*\//i.exec(sql);
  return match?.[1]?.slice(0, reasonCharactersMax);
}
