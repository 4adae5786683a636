// Bodies: what the code of functions says, read when it is first reached and kept beyond the snapshot that it was read
// for: by OID, version and text of the function, as a server that was restored may use an OID and a transaction number
// again. Knows statements as text shows them; what their names mean depends on who calls and is found anew each time
// (closure.ts). Bounded by the number of statements kept.

import type { RawStatement } from '../sql/engine.ts';
import type { Analysis, NameInSchema, Statement } from '../sql/statement.ts';
import { declarationsOf, tokensOf } from './declarations.ts';
import type { Fragment } from './plpgsql.ts';
import { columnsOfNew, definitionOf, fragmentsOf, variablesOf } from './plpgsql.ts';
import type { FunctionObject, Snapshot } from './snapshot.ts';
import { triggerType } from './snapshot.ts';
import { anyName, isWhole, templateOf } from './templates.ts';

/** What reads text; the Analyzer of sql/parse.ts is one. Undefined and false as there. */
export interface CodeParser {
  readonly ready: boolean;
  analyze(sql: Buffer): Analysis | Promise<Analysis>;
  syntax(sql: Buffer): readonly RawStatement[] | undefined;
  plpgsql(sql: Buffer): readonly unknown[] | undefined;
}

export interface BodyPart {
  readonly statement: Statement;
  /** The statement was built when it ran, and may hold placeholders for names and values (templates.ts). */
  readonly template: boolean;
  /** Columns of its target that are compared by `=` with fields of the row that a trigger fires for, and by nothing else. */
  readonly pinnedByRow?: readonly string[] | undefined;
}

/** The code of a function, as far as its text tells. */
export interface Body {
  readonly parts: readonly BodyPart[];
  /** Set if it runs more than `parts`: a predicate, such as `runs SQL that it builds when it runs`. */
  readonly opaque: string | undefined;
  /** Types of its variables, and relations whose rows or columns they are like. */
  readonly types: readonly NameInSchema[];
  /** Columns of NEW that it may assign, as far as it is a trigger's. */
  readonly assignsNew: readonly string[] | 'any';
  /** Names that look like calls and are in none of the parts: the parser may have left something out. */
  readonly calls: readonly string[];
}

/** `busy`: ask again later, nothing is known yet. */
export type BodyAnswer = Body | 'busy';

const bodyBytesMax = 64 * 1024;
/** About a hundred bytes of memory a name: some 200 MB at most. */
const statementsMax = 200_000;

interface Kept {
  readonly body: Body;
  readonly text: string;
}

export class Bodies {
  readonly #parser: CodeParser;
  /** Two generations, as in sql/parse.ts: what is asked for again moves to the young one. */
  #young = new Map<string, Kept>();
  #old = new Map<string, Kept>();
  #count = 0;

  constructor(parser: CodeParser) {
    this.#parser = parser;
  }

  /** The body of a function in PL/pgSQL, or of one in SQL that the server keeps as text. */
  body(fn: FunctionObject, snapshot: Snapshot): BodyAnswer {
    return this.#remember(`f${fn.oid}:${fn.version}:${fn.language}`, fn.body, () => {
      if (fn.body.length > bodyBytesMax) return unread('is too long to be read');
      return fn.language === 'plpgsql' ? this.#plpgsql(fn, snapshot) : this.#statements(fn.body);
    });
  }

  /** The statements of a definition that the server wrote out: CREATE RULE. */
  definition(key: string, text: string): BodyAnswer {
    return this.#remember(`r${key}`, text, () => this.#statements(text));
  }

  #remember(key: string, text: string, read: () => BodyAnswer): BodyAnswer {
    const young = this.#young.get(key);
    if (young?.text === text) return young.body;
    const old = this.#old.get(key);
    const kept = old?.text === text ? old.body : undefined;
    if (kept === undefined && !this.#parser.ready) return 'busy';
    const body = kept ?? read();
    if (body === 'busy') return body;
    this.#count += body.parts.length + 1;
    if (this.#count > statementsMax / 2) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#count = 0;
    }
    this.#young.set(key, { body, text });
    return body;
  }

  #statements(text: string): BodyAnswer {
    const analysis = this.#parser.analyze(Buffer.from(text));
    if (analysis instanceof Promise) return 'busy';
    if (analysis.kind !== 'statements') return unread('has a body that cannot be read');
    return {
      parts: analysis.statements.map((statement) => ({ statement, template: false })),
      opaque: undefined,
      types: [],
      assignsNew: 'any',
      calls: [],
    };
  }

  #plpgsql(fn: FunctionObject, snapshot: Snapshot): BodyAnswer {
    const declarations = declarationsOf(fn.body, (name) => shapeOfName(snapshot, name));
    const definition =
      declarations &&
      definitionOf(fn, declarations.text, (oid) => (snapshot.type(oid)?.kind === 'c' ? 'row' : 'scalar'));
    const functions = definition === undefined ? undefined : this.#parser.plpgsql(Buffer.from(definition));
    if (declarations === undefined || functions === undefined)
      return unread('has a body that cannot be read');
    const read = fragmentsOf(functions);
    if (read.kind === 'opaque') return unread(read.reason);
    const parts: BodyPart[] = [];
    const defaults = declarations.defaults.map(
      (text): Fragment => ({ kind: 'statement', text: `SELECT ${text}\n` }),
    );
    let opaque: string | undefined;
    const fires = fn.resultType === triggerType && !read.loops;
    const variables = variablesOf(functions);
    for (const fragment of [...defaults, ...read.fragments]) {
      const found = this.#fragment(fragment);
      if (found === 'busy') return found;
      const pinnedByRow =
        fires && fragment.kind === 'statement' ? this.#pinnedByRow(fragment.text, variables) : undefined;
      if (pinnedByRow === 'busy') return pinnedByRow;
      parts.push(...found.parts.map((part) => ({ ...part, pinnedByRow })));
      opaque ??= found.opaque;
    }
    const seen = new Set(parts.flatMap((part) => part.statement.functions.map((use) => use.name)));
    const calls = [...declarations.calls].filter((name) => !seen.has(name));
    const assignsNew = columnsOfNew(fn.body, read.assigned);
    return { parts, opaque, types: declarations.types, assignsNew, calls };
  }

  /**
   * NEW and OLD stay the same for one firing, so their fields are parameters; a body with loops may change them. A column
   * that is named like a variable may be the variable (plpgsql.variable_conflict).
   */
  #pinnedByRow(text: string, variables: ReadonlySet<string>): readonly string[] | undefined | 'busy' {
    if (!/\b(update|delete)\b/i.test(text) || !/\b(new|old)\b/i.test(text)) return undefined;
    const tokens = tokensOf(text);
    if (tokens === undefined) return undefined;
    let filled = '';
    for (let index = 0; index < tokens.length; index += 1) {
      const row = /^"?(new|old)"?$/i.test(tokens[index]?.text ?? '');
      const field = row && tokens[index + 1]?.text === '.';
      // As the name of something else it may stand for any of its rows.
      if (row && !field) return undefined;
      filled += field ? '$1 ' : `${tokens[index]?.text} `;
      if (field) index += 2;
    }
    const body = this.#statements(filled);
    return body === 'busy' ? body : body.parts[0]?.statement.pinned?.filter((name) => !variables.has(name));
  }

  #fragment(fragment: Fragment): BodyAnswer {
    if (fragment.kind === 'statement') return this.#statements(fragment.text);
    const builder = `SELECT ${fragment.text}\n`;
    const building = this.#statements(builder);
    if (building === 'busy' || building.opaque !== undefined) return building;
    const built = this.#built(builder);
    if (built === 'busy') return built;
    return { ...built, parts: [...building.parts, ...built.parts] };
  }

  /** The statements of a template; opaque if the expression is none, or a placeholder means more than a relation. */
  #built(builder: string): BodyAnswer {
    const dynamic = unread('runs SQL that it builds when it runs');
    const expression = this.#parser.syntax(Buffer.from(builder));
    const template = expression === undefined ? undefined : templateOf(expression);
    if (template === undefined) return dynamic;
    const trees = this.#parser.syntax(Buffer.from(template.text));
    if (trees === undefined || !isWhole(template, trees)) return dynamic;
    const body = this.#statements(template.text);
    if (body === 'busy' || body.opaque !== undefined) return body;
    const filled = template.names + template.values > 0;
    const understood = body.parts.every(({ statement }) => !filled || isOnlyOfRelations(statement));
    if (!understood) return dynamic;
    return { ...body, parts: body.parts.map((part) => ({ ...part, template: template.built })) };
  }
}

/** Anything named by a placeholder but relations and columns could be code, a setting or a role. */
function isOnlyOfRelations(statement: Statement): boolean {
  const named = [...statement.functions, ...statement.types, ...statement.operators];
  if (named.some((use) => use.name === anyName || use.schema === anyName)) return false;
  return !statement.fields.includes(anyName) && statement.settings.length === 0;
}

function unread(opaque: string): Body {
  return { parts: [], opaque, types: [], assignsNew: 'any', calls: [] };
}

function shapeOfName(snapshot: Snapshot, { schema, name }: NameInSchema): 'row' | 'scalar' | undefined {
  const inSchema = (found: { schema: string }) => schema === undefined || found.schema === schema;
  const types = snapshot.typesNamed(name).filter(inSchema);
  if (types.some((type) => type.kind !== 'c')) return 'scalar';
  const rows = types.length > 0 || snapshot.relationsNamed(name).some(inSchema);
  return rows ? 'row' : undefined;
}
