// Fitness: whether a server is one whose statements Holdpoint can judge, and what the operator should know of it. By its
// own words: version() and what it reports at login. Refuses to know which server it is.
// Source: wire.md §1.5 and §3.3; the texts of version() are those of the products named.

import { HoldpointError } from '../errors.ts';

/** What names itself so is not PostgreSQL at all, or has a grammar, catalog and functions of its own. */
const strangers: readonly (readonly [pattern: RegExp, product: string])[] = [
  [/redshift/i, 'Amazon Redshift'],
  [/cockroach/i, 'CockroachDB'],
  [/materialize/i, 'Materialize'],
  [/risingwave/i, 'RisingWave'],
  [/questdb/i, 'QuestDB'],
  [/crate(db)?\b/i, 'CrateDB'],
];

const forks: readonly (readonly [pattern: RegExp, product: string])[] = [
  [/-YB-|yugabyte/i, 'YugabyteDB'],
  [/greenplum/i, 'Greenplum'],
  [/cloudberry/i, 'Cloudberry'],
  [/warehouse ?pg/i, 'WarehousePG'],
  [/enterprisedb|\bedb\b/i, 'EDB Postgres Advanced Server'],
  [/opengauss|gaussdb/i, 'openGauss'],
  [/postgres ?pro\b/i, 'Postgres Pro'],
  [/polardb/i, 'PolarDB'],
  [/kingbase/i, 'KingbaseES'],
  [/\bivorysql\b/i, 'IvorySQL'],
  [/babelfish/i, 'Babelfish'],
];

/** `PostgreSQL 15.18 (Debian 15.18-1.pgdg120+1) on x86_64-…`; builds of distributions, whose code is the community's. */
const community =
  /^PostgreSQL (\d+)(?:\.\d+|devel|(?:alpha|beta|rc)\d+)(?: \([^()]*\))?(?: - Percona [^,]*)?(?: on |, compiled by )/;

/** Majors that the test-suite runs against. */
const majorLeast = 13;
const majorMost = 18;

/**
 * Throws `wrong-server` for a server that is not PostgreSQL, and unless `accepted` is `patched` for a fork of it:
 * its grammar is not the one that statements are judged by. The `cause` is for the operator.
 */
export function refuseForeign(target: string, version: string, accepted: 'community' | 'patched'): void {
  const stranger = productOf(strangers, version);
  if (stranger !== undefined) {
    throw foreign(target, `${stranger}, which is not PostgreSQL`, 'Holdpoint cannot judge its statements');
  }
  const fork =
    productOf(forks, version) ?? (community.test(version) ? undefined : 'a build it does not know');
  if (fork === undefined || accepted === 'patched') return;
  throw foreign(
    target,
    `${fork}, not community PostgreSQL`,
    `its grammar may read a statement otherwise than Holdpoint does; where you know it does not, set targets.${target}.server: patched and start again`,
  );
}

/** What an operator should know of a server that is served, a sentence each. `reported`: its ParameterStatus. */
export function fitnessWarnings(version: string, reported: ReadonlyMap<string, string>): string[] {
  const warnings: string[] = [];
  const fork = productOf(forks, version);
  const major = Number(community.exec(version)?.[1] ?? Number.NaN);
  if (fork !== undefined || Number.isNaN(major)) {
    warnings.push(
      `the server is ${fork ?? 'not community PostgreSQL'}: statements are judged by the grammar of PostgreSQL ${majorMost}, which may not be the server's`,
    );
  } else if (major < majorLeast || major > majorMost) {
    warnings.push(`PostgreSQL ${major} is not tested; ${majorLeast} to ${majorMost} are`);
  }
  const encoding = reported.get('server_encoding');
  if (encoding === 'SQL_ASCII') {
    warnings.push(
      'server_encoding is SQL_ASCII: the server checks no text that others wrote, so that names and values may be shown otherwise than they are; move to a database in UTF8',
    );
  } else if (encoding !== undefined && encoding !== 'UTF8') {
    warnings.push(
      `server_encoding is ${encoding}: the server may fold letters beyond ASCII in names that are not quoted, which Holdpoint does not; move to a database in UTF8`,
    );
  }
  return warnings;
}

function productOf(
  products: readonly (readonly [pattern: RegExp, product: string])[],
  version: string,
): string | undefined {
  return products.find(([pattern]) => pattern.test(version))?.[1];
}

function foreign(target: string, what: string, mend: string): HoldpointError {
  const sentence = `the server of target ${target} says it is ${what}`;
  return new HoldpointError('wrong-server', sentence, {
    hint: 'The operator of this proxy can see in its log how to go on.',
    cause: new Error(`${sentence}; ${mend}`),
  });
}
