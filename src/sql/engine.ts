// Engine: one instance of PostgreSQL's own parser (libpg-query, compiled to WebAssembly), bytes in, syntax tree out.
// Refuses to know what a tree means. The package's own wrapper is passed by for two reasons: it has one instance for
// the life of the process, and it takes a JavaScript string, which would replace broken UTF-8 before the parser sees it.

import PgQueryModule from 'libpg-query/wasm/libpg-query.js';

/** The exports of the WebAssembly module that are used here. Pointers are byte offsets into HEAPU8. */
interface PgQueryExports {
  readonly HEAPU8: Uint8Array;
  readonly HEAPU32: Uint32Array;
  UTF8ToString(pointer: number): string;
  _malloc(bytes: number): number;
  _free(pointer: number): void;
  _wasm_parse_query_raw(text: number): number;
  _wasm_free_parse_result(result: number): void;
  _wasm_parse_plpgsql(text: number): number;
  _wasm_scan(text: number): number;
  _wasm_free_string(text: number): void;
}

/** A node of the tree as libpg-query writes it: `{ SelectStmt: { … } }`, absent fields left out. */
export type Tree = { readonly [field: string]: unknown };

/** One statement of the text; offsets are bytes. `stmt_len` is absent when it reaches to the end. */
export interface RawStatement {
  readonly stmt?: Tree;
  readonly stmt_location?: number;
  readonly stmt_len?: number;
}

/**
 * A token of PostgreSQL's scanner, comments among them; `start` and `end` are byte offsets, `tokenType` is the grammar's
 * number, `tokenName` its name where libpg-query knows one, `keywordName` as in `RESERVED_KEYWORD`.
 */
export interface ScanToken {
  readonly start: number;
  readonly end: number;
  readonly tokenType: number;
  readonly tokenName: string;
  readonly keywordName: string;
}

export type Parsed =
  | { readonly kind: 'tree'; readonly statements: readonly RawStatement[] }
  | { readonly kind: 'error'; readonly message: string; readonly position: number | undefined };

/** An instance grows and never shrinks: past this many bytes of its memory it is not used again. */
const memoryBytesMax = 256 * 1024 * 1024;

/**
 * A tree written out larger than this is not read: its objects take some six times as much. A text has about ten times
 * its length as a tree if it is all digits and commas, and less than its length if it is one long string.
 */
const treeBytesMax = 64 * 1024 * 1024;

/**
 * Throws whatever the instance throws (RangeError, WebAssembly.RuntimeError, SyntaxError): then `broken` is true and
 * the instance must not be used again, because its memory is in an unknown state.
 */
export class Engine {
  readonly #module: PgQueryExports;
  broken = false;

  private constructor(module: PgQueryExports) {
    this.#module = module;
  }

  static async load(): Promise<Engine> {
    return new Engine((await PgQueryModule()) as PgQueryExports);
  }

  /** `sql` must hold no NUL and be valid UTF-8; it is copied. */
  parse(sql: Uint8Array): Parsed {
    return this.#run(sql, (text) => {
      const module = this.#module;
      const result = module._wasm_parse_query_raw(text);
      if (result === 0) throw new Error('the parser returned nothing');
      // PgQueryParseResult { char *tree; char *stderr; PgQueryError *error }
      const tree = module.HEAPU32[result >> 2] ?? 0;
      const error = module.HEAPU32[(result >> 2) + 2] ?? 0;
      if (error === 0 && module.HEAPU8.indexOf(0, tree) - tree > treeBytesMax)
        throw new Error('the tree is too large');
      const parsed = error === 0 ? treeOf(module.UTF8ToString(tree)) : errorOf(module, error);
      module._wasm_free_parse_result(result);
      return parsed;
    });
  }

  /** The tokens of a text that parses; throws on one that does not scan (the instance stays whole). */
  scan(sql: Uint8Array): readonly ScanToken[] {
    const answer = this.#run(sql, (text) => {
      const pointer = this.#module._wasm_scan(text);
      const json = this.#module.UTF8ToString(pointer);
      this.#module._wasm_free_string(pointer);
      return json;
    });
    return (JSON.parse(answer) as { tokens: ScanToken[] }).tokens;
  }

  /**
   * The PL/pgSQL functions that a CREATE FUNCTION text defines, as libpg-query writes them; undefined if PL/pgSQL refuses
   * one. Known to be left out of the tree: the default of a variable of a row type.
   */
  plpgsql(sql: Uint8Array): readonly unknown[] | undefined {
    const answer = this.#run(sql, (text) => {
      const pointer = this.#module._wasm_parse_plpgsql(text);
      if (pointer === 0) throw new Error('the parser returned nothing');
      if (this.#module.HEAPU8.indexOf(0, pointer) - pointer > treeBytesMax)
        throw new Error('the tree is too large');
      const json = this.#module.UTF8ToString(pointer);
      this.#module._wasm_free_string(pointer);
      return json;
    });
    // An error is its message alone.
    if (!answer.startsWith('{')) return undefined;
    return (JSON.parse(answer) as { plpgsql_funcs?: unknown[] }).plpgsql_funcs;
  }

  #run<T>(sql: Uint8Array, use: (text: number) => T): T {
    const module = this.#module;
    try {
      const text = module._malloc(sql.length + 1);
      if (text === 0) throw new Error('the parser is out of memory');
      module.HEAPU8.set(sql, text);
      module.HEAPU8[text + sql.length] = 0;
      const value = use(text);
      module._free(text);
      if (module.HEAPU8.length > memoryBytesMax) this.broken = true;
      return value;
    } catch (error) {
      this.broken = true;
      throw error;
    }
  }
}

function treeOf(json: string): Parsed {
  const { stmts } = JSON.parse(json) as { stmts?: RawStatement[] };
  return { kind: 'tree', statements: stmts ?? [] };
}

function errorOf(module: PgQueryExports, error: number): Parsed {
  // PgQueryError { char *message; char *funcname; char *filename; int lineno; int cursorpos; char *context }
  const message = module.UTF8ToString(module.HEAPU32[error >> 2] ?? 0);
  const position = module.HEAPU32[(error >> 2) + 4] ?? 0;
  return { kind: 'error', message, position: position > 0 ? position : undefined };
}
