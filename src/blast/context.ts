// Context: where the connection that measures would take a name for something else than the session does, and what it has
// to be told so that it does not. What cannot be told (temporary relations, a path that is not known) is said instead.
// Refuses to know what is asked. Source: the manual, 5.10.3 "The Schema Search Path".

import type { Named } from '../sql/aim.ts';
import type { Analysis } from '../sql/statement.ts';
import type { Asked } from './asked.ts';
import { identifier, literal } from './asker.ts';

/** The same text for the same relation as named. */
export function keyOf({ schema, name, only }: Named): string {
  return JSON.stringify([schema ?? null, name, only]);
}

export function wordsOf({ schema, name }: Named): string {
  return schema === undefined ? name : `${schema}.${name}`;
}

/** Why it cannot be told here what the session means by a name, in a sentence; undefined if it can. */
export function uncertain(named: Named, { temporary, path }: Asked): string | undefined {
  if (named.schema === 'pg_temp' || (named.schema === undefined && temporary.has(named.name)))
    return `${named.name} is a temporary relation of the session, which no other connection sees`;
  if (named.schema === undefined && path === undefined)
    return `which ${named.name} is meant is not known, because the search_path of the session is not`;
  return undefined;
}

/** Why names in a text may mean something else on this connection than in the session; undefined if they do not. */
export function elsewhere(analysis: Analysis, { path, temporary, shadowed }: Asked): string | undefined {
  if (path === undefined) return 'the search_path of the session is not known';
  const relations =
    analysis.kind === 'statements' ? analysis.statements.flatMap((each) => each.relations) : [];
  const own = relations.find(({ schema, name }) =>
    schema === undefined ? temporary.has(name) : schema === 'pg_temp',
  );
  if (own !== undefined) return `${own.name} is a temporary relation of the session`;
  return shadowed && relations.some(({ schema }) => schema === undefined)
    ? 'a temporary relation of the session may stand in front of what it reads'
    : undefined;
}

/** The session's own search_path and what else gives a text its meaning; a savepoint behind it. */
export function contextText({ path, settings }: Asked): string {
  const list = (path ?? []).map(identifier).join(', ');
  const set = Object.entries({ ...settings, ...(path === undefined ? {} : { search_path: list }) });
  const calls = set.map(
    ([name, value]) => `pg_catalog.set_config(${literal(name)}, ${literal(value)}, true)`,
  );
  return `SELECT ${calls.join(', ')}; SAVEPOINT holdpoint`;
}
