// Role powers: what the role that Holdpoint logs in with may do beyond its tables, and for each power what it puts out
// of the proxy's sight. Counts what it may become by SET ROLE, too. Refuses to know statements and connections.
// Source: PostgreSQL manual, "Role Attributes" and "Predefined Roles"; the names of managed services are theirs.

import type { Answer } from './question.ts';

/** Attributes of pg_roles, by the order of the columns asked for. Superuser is not among them: it says all. */
const attributes: readonly (readonly [word: string, beyond: string])[] = [
  [
    'CREATEROLE',
    'it can make roles with passwords, which then reach the database around Holdpoint, and take on roles that it may grant',
  ],
  ['CREATEDB', 'it can make and drop databases that no target watches'],
  [
    'REPLICATION',
    'it can read every change of every database, and keep the server from removing its log until the disk is full',
  ],
  [
    'BYPASSRLS',
    'row-level policies do not hold for it: a statement that passes reads and changes rows of everybody',
  ],
];

/** Predefined roles that reach past tables; a role of that name with no such meaning is reported all the same. */
const memberships: Readonly<Record<string, string>> = {
  pg_write_server_files: "code and COPY can write the server's files, its own configuration among them",
  pg_read_server_files: "code and COPY can read the server's files, keys and passwords among them",
  pg_execute_server_program: 'code and COPY can run programs on the server',
  pg_signal_backend: "it can end other people's sessions",
  pg_write_all_data: 'it can change every table of every schema, whoever owns it',
  pg_maintain: 'it can lock and rewrite every table',
  pg_create_subscription: 'it can make the server apply the changes of another database to this one',
  rds_superuser: 'on Amazon RDS it makes roles, extensions and settings of the whole server',
  rds_replication: 'it can read every change of every database',
  cloudsqlsuperuser: 'on Cloud SQL it makes roles, databases and extensions',
  alloydbsuperuser: 'on AlloyDB it makes roles, databases and extensions',
  azure_pg_admin: 'on Azure it makes roles, databases and extensions',
  neon_superuser: 'on Neon it makes roles and databases and reads and writes all data',
  supabase_admin: 'on Supabase it is the administrator',
};

const named = Object.keys(memberships)
  .map((name) => `'${name}'`)
  .join(', ');

/** Rows of (role, is it the session's own, superuser, attributes in the order above). Every name is qualified. */
export const powersQuestion = `SELECT r.rolname, r.rolname OPERATOR(pg_catalog.=) session_user, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls
FROM pg_catalog.pg_roles r
WHERE pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')
  AND (r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls
    OR r.rolname OPERATOR(pg_catalog.=) ANY (ARRAY[${named}]::pg_catalog.name[]))
ORDER BY 2 DESC, 1`;

/** One sentence a power, for the operator. `role`: the one that Holdpoint logs in with. Empty for an ordinary one. */
export function powerWarnings(role: string, answer: Answer): string[] {
  if (!('rows' in answer)) return [`what role ${role} may do could not be asked: ${answer.sqlstate}`];
  const advice = 'use a role that has the rights on its tables and nothing else';
  const superuser = answer.rows.find((row) => row[2] === 't');
  if (superuser !== undefined) {
    const is =
      superuser[1] === 't' ? 'is a superuser' : `can become the superuser ${superuser[0]} by SET ROLE`;
    return [
      `role ${role} ${is}: no permission stops it, and code that a statement reaches in the database can read and write files and run programs on the server; ${advice}`,
    ];
  }
  return answer.rows.flatMap(([name = null, own, , ...flags]) => {
    const through = own === 't' ? '' : ` through ${name}, which it can become by SET ROLE`;
    const found = attributes
      .filter((_, index) => flags[index] === 't')
      .map(([word, beyond]) => `role ${role} has ${word}${through}: ${beyond}; ${advice}`);
    const beyond = name === null || own === 't' ? undefined : memberships[name];
    if (beyond !== undefined) found.push(`role ${role} is a member of ${name}: ${beyond}; ${advice}`);
    return found;
  });
}
