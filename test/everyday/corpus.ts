// Everyday: what tools and applications send all day, as they send it. None of it may wait for a person, and all of it
// must be answered as by PostgreSQL itself; run.ts compares. Types, and the lists of all files together.

import { application } from './application.ts';
import { code } from './code.ts';
import { introspection } from './introspection.ts';
import { psql } from './psql.ts';
import { queries } from './queries.ts';
import { sessions } from './sessions.ts';

/** A text by the simple protocol, or one with parameters by the extended protocol; or COPY with its rows. */
export type EverydayStep =
  | string
  | { readonly sql: string; readonly values: readonly (string | null)[] }
  | { readonly sql: string; readonly copy: readonly string[] };

/** Steps on one session, from a clean one on. */
export interface Everyday {
  readonly steps: readonly EverydayStep[];
  /** Least major version that knows it. */
  readonly since?: number;
  /** First major version that it is not for. */
  readonly before?: number;
  /** Values differ from run to run: times, process numbers. Only the shape of the answer is compared. */
  readonly moving?: true;
}

/** Each text is an everyday of its own. */
export function each(...texts: readonly string[]): Everyday[] {
  return texts.map((sql) => ({ steps: [sql] }));
}

/** As `each`, with values that differ from run to run. */
export function moving(...texts: readonly string[]): Everyday[] {
  return texts.map((sql) => ({ steps: [sql], moving: true }));
}

/** Texts that only servers from that version on know. */
export function since(version: number, ...texts: readonly string[]): Everyday[] {
  return texts.map((sql) => ({ steps: [sql], since: version }));
}

/** One text with parameters. */
export function bound(sql: string, ...values: readonly (string | null)[]): Everyday {
  return { steps: [{ sql, values }] };
}

/** Steps that belong together. */
export function together(...steps: readonly EverydayStep[]): Everyday {
  return { steps };
}

/** Everything, by where it comes from. */
export const everydayLists: Readonly<Record<string, readonly Everyday[]>> = {
  psql,
  introspection,
  queries,
  application,
  code,
  sessions,
};
