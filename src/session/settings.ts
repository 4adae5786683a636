// Settings: what the session has been told about its own context, for the approver's eyes and for the comparison at a
// release: role, search_path, the settings that the server reports, and the agent's stated reason. It believes SET
// statements as they are forwarded, so it may be ahead of the server; null means "cannot know". Pure.

import type { NameContext } from '../catalog/names.ts';
import type { Effect, Statement } from '../sql/statement.ts';

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

const reasonSetting = 'holdpoint.reason';

/** Names of temporary relations that are remembered. */
const temporaryNamesMax = 1000;

export class Settings {
  /** Current role, null once a SET ROLE or SET SESSION AUTHORIZATION went through. */
  role: string | null;
  /** Value of search_path as set in this session; null while it is the server's default or unknown. */
  searchPath: string | null = null;
  /** `SET holdpoint.reason`: the agent's own words, untrusted. */
  reason: string | undefined;
  readonly #reported: Map<string, string>;
  readonly #startPath: string | null;
  /** `set`: by a text whose end is not known yet. `doubtful`: it may have been undone. */
  #path: 'known' | 'set' | 'doubtful' = 'known';
  #pathMoved = false;
  /** Something was forwarded whose effect on the reported settings the server has not told yet. */
  #untold = false;
  /** Since the server was last ready a transaction was begun or ended, or a statement did not succeed. */
  #undone = false;
  /** A custom setting was set, which row policies may read, or one that guards data: elsewhere it means something else. */
  #custom = false;
  /** Temporary relations made here by their own statements, as the catalog is to look at them. */
  readonly #temporary = new Map<string, Statement>();
  /** A copy that does not change any more: whoever explains statements tells contexts apart by it. */
  #temporaryNow: ReadonlyMap<string, Statement> = new Map();
  /** Code ran that may have made temporary objects of any name. */
  #shadowed = false;
  /** The last answer of `names`, and to which question, as long as it holds: it is asked for every statement. */
  #names: NameContext | undefined;
  #namesOf: readonly string[] | undefined;
  /** Definitions were changed here, and the transaction that did it may not have ended. */
  #defining = false;

  /** `searchPath`: as the client set it at login; servers before 18 do not report it. */
  constructor(user: string, reported: ReadonlyMap<string, string>, searchPath?: string) {
    this.role = user;
    this.#reported = new Map(reported);
    this.#startPath = this.#reported.get('search_path') ?? searchPath ?? null;
    this.searchPath = this.#startPath;
  }

  /** True once search_path was set here: the end of a transaction or a savepoint may bring another value back. */
  get pathMoved(): boolean {
    return this.#pathMoved;
  }

  /** True while the session has changed definitions in a transaction that has not ended. */
  get defining(): boolean {
    return this.#defining;
  }

  /** True once the session has set a setting with a dot in its name, which policies and functions may read. */
  get customised(): boolean {
    return this.#custom;
  }

  /**
   * What names are looked up in: the same object until that changes. `searchPath`: of a fresh session, for one that has
   * not set its own.
   */
  names(searchPath: readonly string[]): NameContext {
    if (this.#names === undefined || this.#namesOf !== searchPath) {
      this.#namesOf = searchPath;
      this.#names = {
        path: this.#schemas(searchPath),
        temporary: this.#temporaryNow,
        shadowed: this.#shadowed || this.#temporary.size >= temporaryNamesMax,
        changed: this.#defining,
      };
    }
    return this.#names;
  }

  #schemas(searchPath: readonly string[]): readonly string[] | undefined {
    if (this.#path !== 'known' || this.role === null) return undefined;
    if (this.searchPath === null) return searchPath;
    // `SET search_path = 'a, b'` is one schema with a comma in its name; only the server's report tells it from two.
    if (this.searchPath.includes(',') && !this.#reported.has('search_path')) return undefined;
    return schemasOf(this.searchPath, this.role);
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

  /**
   * True if the statements would mean the same in another session that shows the same context. Not so where the context
   * may be another than it shows, or where a temporary relation of this session stands behind a name.
   */
  comparable(statements: readonly Statement[]): boolean {
    if (this.role === null || this.#path !== 'known' || this.#untold || this.#custom) return false;
    return !statements.some(({ relations }) =>
      relations.some(
        ({ schema, name }) =>
          schema === 'pg_temp' ||
          (schema === undefined && (this.#temporary.has(name) || this.#temporary.size >= temporaryNamesMax)),
      ),
    );
  }

  /** A ParameterStatus came. */
  reported(name: string, value: string): void {
    if (this.#reported.size < 64 || this.#reported.has(name)) this.#reported.set(name, value);
    if (name !== 'search_path') return;
    this.searchPath = value;
    this.#names = undefined;
  }

  /** Statements that are forwarded. */
  note(statements: readonly Statement[]): void {
    for (const statement of statements) {
      const { effects, settings, command } = statement;
      if (effects.length > 1 || effects[0] !== 'read') this.#names = undefined;
      if (effects.includes('role')) this.role = null;
      if (effects.some((effect) => defining.has(effect))) this.#defining = true;
      if (effects.includes('transaction')) this.#undone = true;
      if (effects.some((effect) => opaque.has(effect))) this.#doubtPath();
      else if (resetsAll(statement)) this.#resetPath();
      // Servers that report it do so before they are ready again; what comes until then may not rest on it.
      if (this.#pathMoved && effects.includes('transaction') && this.#reported.has('search_path'))
        this.#path = 'doubtful';
      if (effects.includes('setting')) this.#untold = true;
      if (effects.includes('guard-setting')) this.#custom = true;
      if (effects.includes('custom-setting') && settings.some(({ name }) => name !== reasonSetting))
        this.#custom = true;
      if (effects.some((effect) => opaque.has(effect))) this.#shadowed = true;
      // DISCARD makes none: pools send it between any two clients.
      if (effects.includes('temporary') && !statement.command.startsWith('DISCARD'))
        this.#notesTemporary(statement);
      for (const setting of settings) {
        if (setting.name === 'search_path' && command === 'RESET') this.#resetPath();
        else if (setting.name === 'search_path') {
          this.searchPath = setting.value ?? null;
          // A set_config() in a query may run for no row, or for several.
          const certain = command === 'SET' && !setting.local && setting.value !== undefined;
          this.#path = certain ? 'set' : 'doubtful';
          this.#pathMoved = true;
        }
        if (setting.name === reasonSetting) this.reason = setting.value?.slice(0, reasonCharactersMax);
      }
    }
  }

  /** Code of which nothing is known may have run: it may have set anything, and made temporary objects. */
  codeRan(): void {
    this.#names = undefined;
    this.#shadowed = true;
    this.#doubtPath();
  }

  /** A statement that was noted did not succeed, or not for certain. */
  failed(): void {
    this.#undone = true;
  }

  /** The server has answered everything. `before`, `after`: transaction status of its last two ReadyForQuery. */
  ready(before: string, after: string): void {
    if (this.#path !== 'known' || this.#defining) this.#names = undefined;
    const told = this.#reported.get('search_path');
    if (told !== undefined) {
      this.searchPath = told;
      this.#path = 'known';
    } else if (this.#path === 'set') {
      this.#path = before === 'I' && after === 'I' && !this.#undone ? 'known' : 'doubtful';
    }
    this.#untold = false;
    this.#undone = false;
    if (after === 'I') this.#defining = false;
  }

  /** Back to what the connection began with. */
  #resetPath(): void {
    this.#untold = true;
    this.#pathMoved = true;
    this.searchPath = this.#startPath;
    this.#path = 'set';
  }

  #doubtPath(): void {
    this.#pathMoved = true;
    this.#untold = true;
    this.#path = 'doubtful';
  }

  #notesTemporary(statement: Statement): void {
    const made = statement.relations.filter(({ access }) => access === 'define');
    for (const { name } of made)
      if (this.#temporary.size < temporaryNamesMax) this.#temporary.set(name, statement);
    this.#temporaryNow = new Map(this.#temporary);
    // A function made it, under a name that the text does not tell.
    if (made.length === 0) {
      this.#shadowed = true;
      this.#defining = true;
    }
  }
}

/** Code may set anything, and nothing in the text shows it. */
const opaque = new Set<Effect>(['code', 'function', 'unknown']);

/** After these, names may mean something else than they did. */
const defining = new Set<Effect>([
  'create',
  'alter',
  'drop',
  'grant',
  'code',
  'function',
  'unknown',
  'administer',
]);

/** The schemas of a search_path; undefined where a name in it is not plainly one. */
function schemasOf(searchPath: string, role: string): readonly string[] | undefined {
  const schemas: string[] = [];
  for (const part of searchPath.split(',')) {
    const [, quoted, plain] = /^\s*(?:"([^"]*)"|([a-z_][a-z0-9_$]*))\s*$/.exec(part) ?? [];
    const schema = quoted ?? plain;
    if (schema === undefined) return undefined;
    schemas.push(schema === '$user' ? role : schema);
  }
  return schemas;
}

/** RESET ALL, which names no setting, and DISCARD ALL, which does the same among others. */
export function resetsAll({ command, settings, effects }: Statement): boolean {
  return (
    command === 'DISCARD ALL' || (command === 'RESET' && settings.length === 0 && effects.includes('setting'))
  );
}

/** True for a setting that gives statements their meaning: search_path and what the server reports of that kind. */
export function restsOn(setting: string): boolean {
  return setting === 'search_path' || meaningful.some((name) => name.toLowerCase() === setting.toLowerCase());
}

/** True if unqualified names may be looked up elsewhere after the statement. */
export function movesPath(statement: Statement): boolean {
  return resetsAll(statement) || statement.settings.some(({ name }) => name === 'search_path');
}

/** The reason given in a comment in front of the statement: `/* reason: … *\/`. Untrusted. */
export function leadingReason(sql: string): string | undefined {
  const match = /^\s*\/\*\s*reason:\s*([\s\S]{1,2000}?)\s*\*\//i.exec(sql);
  return match?.[1]?.slice(0, reasonCharactersMax);
}
