// Siege: a database that has something to lose, a Holdpoint in front of it with nobody to approve, and a way to tell,
// directly and without the classifier, whether anything in it is another than before: rows, definitions, roles, settings,
// slots, large objects. What an attack is sent as is the attack's affair; what became of it is asked here.

import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { expect, inject } from 'vitest';
import { bind, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { type Guard, type GuardOptions, startGuard } from './holdpoint.ts';
import { createDatabase, startPostgres } from './postgres.ts';
import { RawClient, type Reply, transcript } from './raw.ts';

export interface Siege {
  readonly guard: Guard;
  /** Another Holdpoint in front of the same database, in which a hold outlasts any test: somebody comes. */
  patient(): Promise<Guard>;
  /** As the superuser, past the guard, for looking. */
  readonly direct: pg.Client;
  /** Major version of the server. */
  readonly version: number;
  /** A raw session past the guard, as the role that the guard has. */
  unguarded(): Promise<RawClient>;
  /** The database as libpq is told of it, for what reaches it from inside the server. */
  readonly dsn: string;
  /** What there is: the same text as long as nothing was changed. */
  digest(): Promise<string>;
  close(): Promise<void>;
}

export interface SiegeOptions extends Omit<GuardOptions, 'url'> {
  /** What there is to lose, made by the superuser. */
  readonly fixture: string;
  /** A server of that version of its own; default the shared one. */
  readonly version?: number;
  /** The guard has an ordinary role that owns what the fixture makes from `SET ROLE` on, not the superuser's. */
  readonly ordinary?: boolean;
  readonly settings?: Readonly<Record<string, string>>;
}

/** The shortest that can be configured: nobody comes. */
const waitMs = 100;
const patientMs = 600_000;

export async function besiege(options: SiegeOptions): Promise<Siege> {
  const { fixture, version, ordinary, settings, ...rest } = options;
  const own =
    version === undefined && settings === undefined
      ? undefined
      : await startPostgres({
          ...(version === undefined ? {} : { version }),
          ...(settings === undefined ? {} : { settings }),
        });
  const database = own === undefined ? await createDatabase() : undefined;
  const { host, port, password } = own ?? inject('sharedPostgres');
  const name = database?.name ?? 'postgres';
  const role = ordinary ? `keeper_${randomBytes(6).toString('hex')}` : 'postgres';
  const url = (user: string): string =>
    `postgres://${user}:${encodeURIComponent(password)}@${host}:${port}/${name}`;
  const direct = new pg.Client({ connectionString: url('postgres') });
  await direct.connect();
  if (ordinary) {
    await direct.query(`create role ${role} login password ${pg.escapeLiteral(password)}`);
    await direct.query(`grant all on database ${name} to ${role}; grant all on schema public to ${role}`);
    await direct.query(`set role ${role}`);
  }
  await direct.query(fixture);
  await direct.query('reset role');
  const { rows } = await direct.query("select current_setting('server_version_num')::int / 10000 as major");
  const guarding = (hold: GuardOptions['hold']): Promise<Guard> =>
    startGuard({
      ...rest,
      url: url(role),
      hold: { waitMs, pendingMax: 1000, ...hold },
      // What is repeated goes by the lane then, as it does by default.
      audit: { values: 'none', ...rest.audit },
    });
  const guard = await guarding(rest.hold);
  let patient: Promise<Guard> | undefined;
  return {
    guard,
    patient() {
      patient ??= guarding({ ...rest.hold, waitMs: patientMs });
      return patient;
    },
    direct,
    version: rows[0].major,
    async unguarded() {
      const client = await RawClient.connect(host, port);
      await client.login({ user: role, password, database: name });
      return client;
    },
    dsn: `host=${host} port=${port} user=${role} password='${password.replaceAll("'", "\\'")}' dbname=${name}`,
    digest: () => digestOf(direct),
    async close() {
      await guard.close();
      await (await patient)?.close();
      await direct.end();
      if (ordinary && database !== undefined) await dropRole(database, role);
      await database?.drop();
      await own?.stop();
    },
  };
}

async function dropRole(database: { url: string; drop(): Promise<void> }, role: string): Promise<void> {
  await database.drop();
  const elsewhere = new pg.Client({ connectionString: database.url.replace(/[^/]*$/, 'postgres') });
  await elsewhere.connect();
  await elsewhere.query(`drop role ${role}`);
  await elsewhere.end();
}

/** Tables called `lure…` are left out: reading them is an attack by itself. */
const tables = `
  select format('%I.%I', nspname, relname) as name
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where relkind in ('r', 'p', 'm') and nspname !~ '^(pg_|information_schema$)' and relname !~ '^lure'
  order by 1`;

/** Catalogs whose rows do not change by themselves. */
const catalogs = [
  'pg_proc',
  'pg_type',
  'pg_operator',
  'pg_cast',
  'pg_namespace',
  'pg_trigger',
  'pg_rewrite',
  'pg_policy',
  'pg_constraint',
  'pg_extension',
  'pg_foreign_server',
  'pg_foreign_data_wrapper',
  'pg_publication',
  'pg_collation',
  'pg_event_trigger',
  'pg_language',
  'pg_default_acl',
  'pg_statistic_ext',
  'pg_largeobject_metadata',
  'pg_opclass',
  'pg_conversion',
  'pg_am',
  'pg_ts_config',
  'pg_attrdef',
  'pg_transform',
] as const;

/** Of a relation what a definition changes, and its file, which is another after a rewrite. */
const relationColumns = `relname, relnamespace, reltype, relowner, relam, relfilenode, reltablespace, relkind,
  relpersistence, relacl, reloptions, relrowsecurity, relforcerowsecurity, relispartition, relreplident`;

const others = [
  `select relname, row(${relationColumns})::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.oid >= 16384 and nspname !~ '^pg_(temp|toast)'`,
  `select a.attrelid::text, a::text from (select attrelid, attname, atttypid, attnotnull, attisdropped, attacl,
     attoptions, attidentity, attgenerated, atthasdef from pg_attribute where attrelid >= 16384 and attnum > 0) a
   join pg_class c on c.oid = attrelid where c.relnamespace not in (select oid from pg_namespace where nspname ~ '^pg_(temp|toast)')`,
  `select 'sequence', s::text from pg_sequence s`,
  `select 'last value', schemaname || sequencename || coalesce(last_value, 0) from pg_sequences`,
  `select 'role', row(rolname, rolsuper, rolpassword, rolcanlogin, rolconfig)::text
   from (select a.*, (select array_agg(s::text) from pg_db_role_setting s where setrole = a.oid) as rolconfig from pg_authid a) r
   where rolname !~ '^keeper_'`,
  `select 'member', row(roleid, member)::text from pg_auth_members`,
  `select 'setting', row(setdatabase, setrole, setconfig)::text from pg_db_role_setting s
   where setdatabase in (0, (select oid from pg_database where datname = current_database()))`,
  `select 'slot', slot_name::text from pg_replication_slots`,
  `select 'origin', roname from pg_replication_origin`,
  `select 'subscription', subname::text from pg_subscription`,
  `select 'prepared transaction', gid from pg_prepared_xacts`,
  `select 'file setting', name || coalesce(setting, '') from pg_file_settings where sourcefile like '%auto.conf'`,
  `select 'tablespace', spcname::text from pg_tablespace`,
  `select 'large object', loid::text || pageno || data::text from pg_largeobject`,
  `select 'comment', row(objoid, classoid, objsubid, description)::text from pg_description where objoid >= 16384`,
  `select 'label', s::text from pg_seclabel s`,
];

async function digestOf(direct: pg.Client): Promise<string> {
  const { rows } = await direct.query(tables);
  const contents = rows.map(
    ({ name }) =>
      `select '${name.replaceAll("'", "''")}', md5(coalesce(string_agg(r::text, ',' order by r::text), '')) from ${name} r`,
  );
  const definitions = catalogs.map(
    (name) =>
      `select '${name}', o::text from ${name} o where oid >= 16384 and o::text !~ 'pg_(toast_)?temp_'`,
  );
  const parts = [...contents, ...definitions, ...others].map(
    (part) => `select x::text as line from (${part}) x`,
  );
  const found = await direct.query(
    `select line from (${parts.join(' union all ')}) y order by line collate "C"`,
  );
  return found.rows.map(({ line }) => line).join('\n');
}

/** Its lines that `after` does not have, and the other way round: for a message that says what was lost. */
export function changes(before: string, after: string): string[] {
  const old = new Set(before.split('\n'));
  const now = new Set(after.split('\n'));
  return [
    ...[...old].filter((line) => !now.has(line)).map((line) => `- ${line}`),
    ...[...now].filter((line) => !old.has(line)).map((line) => `+ ${line}`),
  ];
}

/** What came back but notices: `E ERROR 42501 …`, `D 1`, `Z I`. The session is closed. */
export async function sent(client: RawClient, ...texts: string[]): Promise<string[]> {
  const replies: Reply[] = [];
  for (const text of texts) {
    client.send(query(text));
    replies.push(...(await client.until('Z')));
  }
  client.destroy();
  return transcript(replies, 'TSNA');
}

/** As one pipeline of the extended protocol, behind one Sync. */
export async function pipelined(client: RawClient, ...texts: string[]): Promise<string[]> {
  client.send(...texts.flatMap((text) => [parse('', text), bind('', ''), execute('')]), sync());
  const replies = await client.until('Z');
  client.destroy();
  return transcript(replies, 'TSNA12n');
}

/** True if one of the lines is an error. */
export function refused(lines: readonly string[]): boolean {
  return lines.some((line) => line.startsWith('E '));
}

/** Sessions that attack at once: each waits for a person who does not come. */
const attackersMax = 8;

/** One answer an attack, in their order; some at a time. */
export async function together<A, B>(attacks: readonly A[], run: (attack: A) => Promise<B>): Promise<B[]> {
  const answers: B[] = [];
  let next = 0;
  const attacker = async (): Promise<void> => {
    for (let at = next++; at < attacks.length; at = next++) answers[at] = await run(attacks[at] as A);
  };
  await Promise.all(Array.from({ length: attackersMax }, attacker));
  return answers;
}

/** Each text (or texts of one session) in both protocols: fails if all was answered without an error, or if anything changed. */
export async function unharmed(
  siege: Siege,
  attacks: readonly (string | readonly string[])[],
): Promise<void> {
  const before = await siege.digest();
  const sending = attacks.flatMap((texts) =>
    [sent, pipelined].map((way) => ({ texts: [texts].flat(), way })),
  );
  const answers = await together(sending, async ({ texts, way }) => ({
    texts,
    lines: await way(await siege.guard.connect(), ...texts),
  }));
  const passed = answers.filter(({ lines }) => !refused(lines));
  expect({ changes: changes(before, await siege.digest()), passed }).toEqual({ changes: [], passed: [] });
}

/**
 * Those of the attacks that do not empty `customers` when nobody guards it, each with what is left and the first error.
 * Tried inside a transaction that is rolled back, so not the ones that end it themselves.
 */
export async function inert(
  siege: Siege,
  attacks: readonly (string | readonly string[])[],
): Promise<unknown[]> {
  const before = await siege.digest();
  const found: unknown[] = [];
  for (const texts of attacks) {
    const steps = [texts].flat();
    if (steps.some((text) => text.startsWith('ROLLBACK;'))) continue;
    const client = await siege.unguarded();
    const inside = ['BEGIN', ...steps.filter((text) => text !== 'BEGIN' && text !== 'COMMIT')];
    client.send(...inside.map((text) => query(text)));
    const replies = await client.until('Z', inside.length);
    client.send(query('SET LOCAL search_path = public; SELECT count(*) FROM customers'));
    const left = (await client.until('Z')).find(({ letter }) => letter === 'D')?.summary;
    client.destroy();
    if (left !== '0') found.push([texts, left, replies.find(({ letter }) => letter === 'E')?.summary]);
  }
  return [...found, ...changes(before, await siege.digest())];
}

/** An attack of several steps. It looks by itself at what came back; what is in the database is looked at after it. */
export type Script = readonly [name: string, run: (siege: Siege) => Promise<void>];

/** Runs it; fails if anything in the database is another afterwards. */
export async function withstands(siege: Siege, [, run]: Script): Promise<void> {
  const before = await siege.digest();
  await run(siege);
  expect(changes(before, await siege.digest())).toEqual([]);
}
