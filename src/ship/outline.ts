// Outline: what a collector of logs is told of a record: which it is, where it stands in the chain, and who did what to
// which database with what outcome. Never a value: no literal, no parameter, no request or decision text, however the
// log itself keeps them. The chain's record is the evidence; this is a copy to search and to notice gaps by.

import { leafHash } from '../../verify/src/leaf.ts';
import type { Entry } from './feed.ts';

export interface Outline {
  readonly seq: number;
  /** RFC 6962 leaf hash, base64url: by it the copy is compared with the log. */
  readonly leaf: string;
  readonly kind: string;
  /** µs since 1970. */
  readonly ts: number;
  /** Whether an operator should look. */
  readonly severity: 'info' | 'notice' | 'warning' | 'error';
  /** One line for people: the statement with its values lifted out, or what happened. */
  readonly text: string;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

/** Members that are told as they are, of whichever kind. Texts of agents and people are among them, values are not. */
const told = [
  'agent',
  'target',
  'role',
  'sid',
  'cls',
  'cmd',
  'dec',
  'rule',
  'rid',
  'ref',
  'st',
  'rows',
  'sqlstate',
  'dur_us',
  'by',
  'client',
  'ok',
  'method',
  'channel',
  'epoch',
  'fp',
  'until',
  'uses',
  'id',
  'act',
  'boot',
  'node',
  'version',
  'from',
  'to',
  'count',
] as const;

const textCharactersMax = 8_192;

/** The outline of a record. `isClear`: the log keeps values in clear, also in the text of a statement. */
export function outlineOf({ line, members }: Entry, isClear: boolean): Outline {
  const record = members as Readonly<Record<string, unknown>>;
  const attributes: Record<string, string | number | boolean> = {};
  for (const name of told) {
    const value = record[name];
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      attributes[name] = value;
    else if (Array.isArray(value)) attributes[name] = value.map(String).join(', ');
  }
  const kind = String(record.kind);
  return {
    seq: Number(record.seq),
    leaf: leafHash(line),
    kind,
    ts: Number(record.ts),
    severity: severityOf(kind, record),
    text: textOf(kind, record, isClear),
    attributes,
  };
}

function textOf(kind: string, record: Readonly<Record<string, unknown>>, isClear: boolean): string {
  const { sql, cmd, rid, reason, agent, target, by, st } = record;
  if (kind === 'stmt' && typeof sql === 'string' && !isClear) return sql.slice(0, textCharactersMax);
  const who = by ?? agent;
  const parts = [
    kind,
    Array.isArray(cmd) ? cmd.join(', ') : undefined,
    st,
    rid,
    who === undefined ? undefined : `by ${String(who)}`,
    target,
    kind === 'bye' ? reason : undefined,
  ];
  return parts
    .filter((part) => part !== undefined)
    .map(String)
    .join(' ');
}

function severityOf(kind: string, { dec, ok, st }: Readonly<Record<string, unknown>>): Outline['severity'] {
  if (kind === 'breakglass' || kind === 'gap' || kind === 'recover' || kind === 'prune') return 'error';
  if (dec === 'deny' || dec === 'refuse' || ok === false || st === 'unknown' || kind === 'reject')
    return 'warning';
  if (
    dec === 'hold' ||
    ['hold', 'decision', 'intent', 'grant', 'grant_use', 'revoke', 'review'].includes(kind)
  )
    return 'notice';
  return 'info';
}
