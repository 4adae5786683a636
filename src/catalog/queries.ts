// The questions to a server's catalog: one a section, each a plain SELECT whose rows a table of this folder takes in.
// Everything is qualified by pg_catalog and runs as any role, on servers from 13 to 18. Objects of the server's own (below
// 16384) are left out where nothing else is said, temporary ones always. Every cell arrives as text. Knows SQL and which
// catalogs an answer rests on; refuses to know connections. Source: the manual, "System Catalogs".

/** Catalogs whose rows are counted by digests.ts; `shared` ones are of the whole cluster. */
export type CatalogName =
  | 'pg_namespace'
  | 'pg_class'
  | 'pg_attribute'
  | 'pg_type'
  | 'pg_range'
  | 'pg_proc'
  | 'pg_aggregate'
  | 'pg_operator'
  | 'pg_cast'
  | 'pg_opclass'
  | 'pg_amproc'
  | 'pg_amop'
  | 'pg_rewrite'
  | 'pg_trigger'
  | 'pg_constraint'
  | 'pg_attrdef'
  | 'pg_index'
  | 'pg_partitioned_table'
  | 'pg_inherits'
  | 'pg_policy'
  | 'pg_statistic_ext'
  | 'pg_event_trigger'
  | 'pg_depend'
  | 'pg_extension'
  | 'pg_db_role_setting';

export type SectionName =
  | 'builtins'
  | 'functions'
  | 'operators'
  | 'types'
  | 'casts'
  | 'support'
  | 'relations'
  | 'attributes'
  | 'inheritance'
  | 'views'
  | 'rules'
  | 'triggers'
  | 'constraints'
  | 'defaults'
  | 'indexes'
  | 'partitions'
  | 'policies'
  | 'statistics'
  | 'eventTriggers';

export interface SectionQuery {
  /** `version`: major version of the server. */
  text(version: number): string;
  /** It is asked again when a row of one of these is another. None: it never is. */
  readonly catalogs: readonly CatalogName[];
}

/** Namespaces of temporary objects, of all sessions. */
export const temporarySchemas = `(SELECT oid FROM pg_catalog.pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_')`;

const builtins = `
SELECT p.oid, n.nspname, p.proname
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.oid < 16384`;

/** Whole rows go where these are asked for: "any", anyelement, anynonarray, anycompatible, anycompatiblenonarray. */
const anyTypes = '2276, 2283, 2776, 5077, 5079';

// A function of the server's own that was replaced is the user's from then on: what has been there since initdb is frozen. A type whose
// values are rows is known by its output function, which a domain has from its base. `t.f` is f(t) also where further
// parameters have defaults, where the parameter is VARIADIC, or where a cast from the row to it is implicit.
const functions = (version: number) => `
SELECT p.oid, p.xmin, n.nspname, p.proname, p.prokind, l.lanname,
  CASE WHEN l.lanname IN ('sql', 'plpgsql', 'c', 'internal') THEN p.prosrc END, p.probin, e.extname,
  ${version >= 14 ? 'p.prosqlbody' : 'NULL'}, p.proargdefaults, p.prosupport::oid, p.pronargs, p.pronargdefaults,
  p.provariadic, p.proargtypes, p.proallargtypes, p.proargmodes, pg_catalog.to_json(p.proargnames), p.prorettype,
  p.proretset, pg_catalog.to_json(p.proconfig), p.prosecdef,
  w.typoutput = 'pg_catalog.record_out'::pg_catalog.regproc OR w.oid IN (${anyTypes}) OR w.oid IN (
    SELECT k.casttarget FROM pg_catalog.pg_cast k JOIN pg_catalog.pg_type s ON s.oid = k.castsource
    WHERE k.castcontext = 'i' AND s.typoutput = 'pg_catalog.record_out'::pg_catalog.regproc),
  a.aggkind, pg_catalog.concat_ws(' ', a.aggtransfn::oid, a.aggfinalfn::oid, a.aggcombinefn::oid, a.aggserialfn::oid,
    a.aggdeserialfn::oid, a.aggmtransfn::oid, a.aggminvtransfn::oid, a.aggmfinalfn::oid),
  a.aggsortop, pg_catalog.concat_ws(' ', a.aggtranstype, a.aggmtranstype)
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
LEFT JOIN pg_catalog.pg_type w ON w.oid = CASE WHEN p.pronargs = 1 AND p.provariadic <> 0 THEN p.provariadic ELSE p.proargtypes[0] END
LEFT JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid
LEFT JOIN (
  SELECT d.objid, x.extname FROM pg_catalog.pg_extension x
  JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = x.oid
  WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.deptype = 'e'
) e ON e.objid = p.oid
WHERE (p.oid >= 16384 OR pg_catalog.age(p.xmin) < 2147483647) AND p.pronamespace NOT IN ${temporarySchemas}`;

const operators = `
SELECT o.oid, o.xmin, n.nspname, o.oprname, o.oprleft, o.oprright, o.oprresult,
  pg_catalog.concat_ws(' ', o.oprcode::oid, o.oprrest::oid, o.oprjoin::oid)
FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
WHERE o.oid >= 16384 AND o.oprnamespace NOT IN ${temporarySchemas}`;

// The row types of relations and their arrays come with the relations.
const types = (version: number) => `
SELECT t.oid, t.xmin, n.nspname, t.typname, t.typtype, t.typbasetype, t.typelem, t.typarray, t.typrelid,
  pg_catalog.concat_ws(' ', t.typinput::oid, t.typoutput::oid, t.typreceive::oid, t.typsend::oid, t.typmodin::oid,
    t.typmodout::oid, t.typanalyze::oid${version >= 14 ? ', t.typsubscript::oid' : ''}, r.rngcanonical::oid, r.rngsubdiff::oid),
  t.typdefaultbin, r.rngsubtype, ${version >= 14 ? 'm.rngsubtype' : 'NULL'}, r.rngsubopc
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
${version >= 14 ? 'LEFT JOIN pg_catalog.pg_range m ON m.rngmultitypid = t.oid' : ''}
WHERE t.oid >= 16384 AND t.typnamespace NOT IN ${temporarySchemas} AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_type w JOIN pg_catalog.pg_class c ON c.oid = w.typrelid
  WHERE w.oid = CASE WHEN t.typtype = 'c' THEN t.oid ELSE t.typelem END AND c.relkind <> 'c'
    AND (t.typtype = 'c' OR w.typarray = t.oid))`;

const casts = `
SELECT castsource, casttarget, castfunc, castcontext
FROM pg_catalog.pg_cast WHERE oid >= 16384`;

/** Operator classes of users, and the members of families that are functions or operators of users. */
const support = `
SELECT 'class', c.oid::text, c.opcfamily::text, c.opcintype::text, c.opcdefault::text, m.amname::text
FROM pg_catalog.pg_opclass c JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod WHERE c.oid >= 16384
UNION ALL
SELECT 'function', amprocfamily::text, amproclefttype::text, amprocrighttype::text, amproc::oid::text, NULL
FROM pg_catalog.pg_amproc WHERE amproc::oid >= 16384
UNION ALL
SELECT 'operator', amopfamily::text, amoplefttype::text, amoprighttype::text, amopopr::text, NULL
FROM pg_catalog.pg_amop WHERE amopopr >= 16384`;

/** pg_toast, which holds nothing that a statement names. */
const toastSchema = 99;

// Not xmin: TRUNCATE, REFRESH and GRANT change the row and not the definition. An array of a row type comes with it.
const relations = `
SELECT c.oid, c.relkind, n.nspname, c.relname,
  CASE WHEN c.relkind NOT IN ('i', 'I') THEN pg_catalog.hashtextextended(pg_catalog.concat_ws(' ', c.relowner, c.relam,
    c.relrowsecurity, c.relforcerowsecurity, c.relispartition, c.relpersistence, c.reltype, c.reloptions), 0) END,
  c.reltype, c.relrowsecurity, a.oid, NULLIF(a.typname, '_' || c.relname),
  CASE WHEN c.relam >= 16384 THEN m.amhandler::oid END
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_type a ON a.typelem = c.reltype AND a.typelem <> 0 AND a.typcategory = 'A' AND a.typtype = 'b'
LEFT JOIN pg_catalog.pg_am m ON m.oid = c.relam
WHERE c.relpersistence <> 't' AND c.relkind <> 't' AND c.relnamespace <> ${toastSchema} AND (c.oid >= 16384 OR c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S'))`;

/** All columns in their order, also dropped ones, whose name is empty and whose type is 0. */
const attributes = `
SELECT attrelid, pg_catalog.array_agg(attname), pg_catalog.array_agg(atttypid), pg_catalog.sum(atttypmod),
  pg_catalog.array_agg(attnum) FILTER (WHERE attgenerated = 's'),
  pg_catalog.array_agg(attnum) FILTER (WHERE attgenerated = 'v')
FROM (
  SELECT a.attrelid, a.attnum, CASE WHEN a.attisdropped THEN '' ELSE a.attname END AS attname, a.atttypid, a.atttypmod,
    a.attgenerated
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  WHERE a.attnum > 0 AND c.oid >= 16384 AND c.relpersistence <> 't' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
  ORDER BY a.attrelid, a.attnum
) ordered GROUP BY attrelid`;

const permanent = (relation: string) =>
  `JOIN pg_catalog.pg_class c ON c.oid = ${relation} AND c.oid >= 16384 AND c.relpersistence <> 't' AND c.relkind <> 't'`;

// A temporary table may inherit from a permanent one.
const inheritance = `
SELECT i.inhparent, i.inhrelid FROM pg_catalog.pg_inherits i ${permanent('i.inhrelid')}
ORDER BY i.inhparent, i.inhseqno, i.inhrelid`;

const views = `
SELECT r.ev_class, r.xmin, r.ev_action, r.ev_qual
FROM pg_catalog.pg_rewrite r ${permanent('r.ev_class')}
WHERE r.rulename = '_RETURN'`;

// pg_get_ruledef locks what the rule names: a lock that is not to be had ends it, and the rule has no text for now.
const rules = `
SELECT r.oid, r.xmin, n.nspname, r.rulename, r.ev_class, r.ev_type, r.is_instead, r.ev_action, r.ev_qual,
  pg_catalog.pg_get_ruledef(r.oid)
FROM pg_catalog.pg_rewrite r ${permanent('r.ev_class')}
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE r.rulename <> '_RETURN' AND r.ev_enabled <> 'D'`;

const triggers = `
SELECT t.oid, t.xmin, n.nspname, t.tgname, t.tgrelid, t.tgfoid, t.tgtype, t.tgattr, t.tgqual
FROM pg_catalog.pg_trigger t ${permanent('t.tgrelid')}
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'`;

// A domain's constraints have contypid, a relation's conrelid. Operators: of foreign keys and exclusion constraints.
const constraints = (version: number) => `
SELECT o.oid, o.xmin, n.nspname, o.conname, o.contype, o.conrelid, o.contypid, o.confrelid, o.confdeltype, o.confupdtype,
  o.confkey, o.conbin, pg_catalog.array_to_string(o.conpfeqop || o.conppeqop || o.conffeqop || o.conexclop, ' ')
FROM pg_catalog.pg_constraint o
JOIN pg_catalog.pg_namespace n ON n.oid = o.connamespace
LEFT JOIN pg_catalog.pg_class c ON c.oid = o.conrelid
WHERE o.oid >= 16384 AND o.contype IN ('c', 'f', 'x') AND c.relpersistence IS DISTINCT FROM 't'
  AND o.connamespace NOT IN ${temporarySchemas}${version >= 18 ? ' AND o.conenforced' : ''}`;

const defaults = `
SELECT d.adrelid, d.xmin, d.adnum, d.adbin FROM pg_catalog.pg_attrdef d ${permanent('d.adrelid')}`;

// By another operator class than the default one of its type, two values may differ that are equal by `=`.
const indexes = `
SELECT i.indrelid, i.indexrelid, i.xmin,
  i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND NOT i.indclass::oid[] && k.others,
  i.indnkeyatts, i.indkey, i.indclass, i.indexprs, i.indpred
FROM pg_catalog.pg_index i ${permanent('i.indrelid')}
CROSS JOIN (SELECT pg_catalog.array_agg(oid) AS others FROM pg_catalog.pg_opclass WHERE NOT opcdefault) k
WHERE i.indislive`;

const partitions = `
SELECT p.partrelid, p.xmin, p.partclass, p.partexprs
FROM pg_catalog.pg_partitioned_table p ${permanent('p.partrelid')}`;

const policies = `
SELECT p.polrelid, p.xmin, p.polqual, p.polwithcheck FROM pg_catalog.pg_policy p ${permanent('p.polrelid')}`;

// Before 14 they have columns only.
const statistics = (version: number) =>
  version >= 14
    ? `
SELECT s.stxrelid, s.xmin, s.stxexprs FROM pg_catalog.pg_statistic_ext s ${permanent('s.stxrelid')}
WHERE s.stxexprs IS NOT NULL`
    : 'SELECT 0, 0, NULL WHERE false';

const eventTriggers = `
SELECT evtfoid, xmin FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D'`;

/** All sections, in the order in which they are asked. */
export const sections: Readonly<Record<SectionName, SectionQuery>> = {
  builtins: { text: () => builtins, catalogs: [] },
  functions: {
    text: functions,
    catalogs: ['pg_proc', 'pg_aggregate', 'pg_cast', 'pg_namespace', 'pg_extension', 'pg_depend'],
  },
  operators: { text: () => operators, catalogs: ['pg_operator', 'pg_namespace'] },
  types: { text: types, catalogs: ['pg_type', 'pg_range', 'pg_namespace'] },
  casts: { text: () => casts, catalogs: ['pg_cast'] },
  support: { text: () => support, catalogs: ['pg_opclass', 'pg_amproc', 'pg_amop'] },
  relations: { text: () => relations, catalogs: ['pg_class', 'pg_namespace'] },
  attributes: { text: () => attributes, catalogs: ['pg_attribute'] },
  inheritance: { text: () => inheritance, catalogs: ['pg_inherits'] },
  views: { text: () => views, catalogs: ['pg_rewrite'] },
  // The text of a rule has names in it, which others may change.
  rules: {
    text: () => rules,
    catalogs: ['pg_rewrite', 'pg_class', 'pg_attribute', 'pg_proc', 'pg_type', 'pg_operator', 'pg_namespace'],
  },
  triggers: { text: () => triggers, catalogs: ['pg_trigger', 'pg_namespace'] },
  constraints: { text: constraints, catalogs: ['pg_constraint', 'pg_namespace'] },
  defaults: { text: () => defaults, catalogs: ['pg_attrdef'] },
  indexes: { text: () => indexes, catalogs: ['pg_index', 'pg_opclass'] },
  partitions: { text: () => partitions, catalogs: ['pg_partitioned_table'] },
  policies: { text: () => policies, catalogs: ['pg_policy'] },
  statistics: { text: statistics, catalogs: ['pg_statistic_ext'] },
  eventTriggers: { text: () => eventTriggers, catalogs: ['pg_event_trigger'] },
};

/** The section whose question may have to wait for a lock, and its question without what needs one. */
export const rulesWithoutText = rules.replace('pg_catalog.pg_get_ruledef(r.oid)', "''");
