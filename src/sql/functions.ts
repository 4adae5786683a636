// Functions: what the functions, types and operators that PostgreSQL brings along do, by name. Knows names only: which
// overload a call resolves to, and whether a user object of the same name matches better, is the catalog's to say.

import {
  builtinFunctions,
  builtinOperators,
  builtinTypes,
  informationSchema,
  setReturning,
} from './functions-data.ts';
import type { Effect } from './statement.ts';

function words(text: string): string[] {
  return text.trim().split(/\s+/);
}

const functionEffects = new Map<string, readonly Effect[]>();
for (const [effects, names] of Object.entries(builtinFunctions)) {
  const list = effects.split(' ') as Effect[];
  for (const name of words(names)) functionEffects.set(name, list);
}
const types = new Set(words(builtinTypes));
const operators = new Set(words(builtinOperators));
const setReturningNames = new Set(words(setReturning));
const informationSchemaNames = new Set(words(informationSchema));

/**
 * Functions of well-known extensions: they live in any schema and anyone may write one of the same name, so they stay
 * `function` whatever else they do.
 */
const extensionEffects: readonly (readonly [RegExp, Effect])[] = [
  [/^dblink/, 'remote'],
  [/^postgres_fdw_/, 'remote'],
  [/^http(_|$)/, 'remote'],
  [/^pg_file_|^pg_logdir_ls$/, 'os'],
  [/^crosstab|^connectby$/, 'code'],
  [/^pg_stat_statements_reset$/, 'administer'],
  [/^cron_?\.?|^schedule/, 'code'],
];

/** Effects of calling a function; `function` is among them if it is not a known builtin. */
export function effectsOfFunction(schema: string | undefined, name: string): readonly Effect[] {
  if (schema === undefined || schema === 'pg_catalog') {
    const effects = functionEffects.get(name);
    if (effects !== undefined) return effects;
  } else if (schema === 'information_schema' && informationSchemaNames.has(name)) {
    return ['read'];
  }
  const extra = extensionEffects.filter(([pattern]) => pattern.test(name)).map(([, effect]) => effect);
  return ['function', ...extra];
}

/** True of a name that PostgreSQL brings along, whatever calling it does. */
export function isBuiltinFunction(schema: string | undefined, name: string): boolean {
  if (schema === undefined || schema === 'pg_catalog') return functionEffects.has(name);
  return schema === 'information_schema' && informationSchemaNames.has(name);
}

/** False only of a function that is known to return one value. */
export function mayReturnSet(schema: string | undefined, name: string): boolean {
  if (schema !== undefined && schema !== 'pg_catalog') return true;
  return setReturningNames.has(name) || !functionEffects.has(name);
}

export function isBuiltinType(schema: string | undefined, name: string): boolean {
  if (schema === undefined || schema === 'pg_catalog') return types.has(name);
  return schema === 'information_schema' && informationSchemaNames.has(name);
}

export function isBuiltinOperator(schema: string | undefined, symbol: string): boolean {
  return (schema === undefined || schema === 'pg_catalog') && operators.has(symbol);
}
