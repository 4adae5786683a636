// Measuring what statements would touch in a real database, by the catalog of that database and the default rules, as for a
// fresh session; with a backend where one is given.

import type { MeasuredEffect } from '../../src/approval/effect.ts';
import type { AskedText } from '../../src/blast/asked.ts';
import { loadPolicy } from '../../src/policy/packs.ts';
import { type AskedThere, askedOfPlan } from '../../src/proxy/asking.ts';
import { Blast, type BlastOptions } from '../../src/proxy/blast.ts';
import type { ServerIdentity } from '../../src/server-pins.ts';
import { explainerOf, snapshotOf } from '../catalog/live.ts';
import { analyzer } from '../sql/facts.ts';
import { connectTo } from './snapshot.ts';

export interface Measurer {
  readonly blast: Blast;
  /** Reads the catalog again; until then it is as it was. */
  reload(): Promise<void>;
  /** The texts by the catalog. */
  asked(texts: readonly string[], more?: Partial<AskedThere>): Promise<AskedThere>;
  /** The effect of one text; fails if there is none. */
  measure(text: string, more?: Partial<AskedThere> & Partial<AskedText>): Promise<MeasuredEffect>;
  /** How often a connection was made. */
  readonly connections: number;
  close(): void;
}

/** `url`: of the database, as whom it is measured. */
export async function measurerOf(url: string, options: Partial<BlastOptions> = {}): Promise<Measurer> {
  const policy = loadPolicy('default', '/');
  const user = decodeURIComponent(new URL(url).username);
  const actor = { agent: 'claude', target: 'shop', environment: 'staging' } as const;
  const database = await identityOf(url);
  let { reacher: reach } = explainerOf(await snapshotOf(url));
  let connections = 0;
  const connect: BlastOptions['connect'] = (settings) => {
    connections += 1;
    return connectTo(url)(settings);
  };
  const blast = new Blast({ connect, analyzer, measureMs: 10_000, countMs: 5_000, ...options });
  const asked: Measurer['asked'] = async (texts, more = {}) => {
    const buffers = texts.map((text) => Buffer.from(text));
    return { ...askedOfPlan(buffers, { actor, user, database, reach, policy }), ...more };
  };
  return {
    blast,
    async reload() {
      reach = explainerOf(await snapshotOf(url)).reacher;
    },
    asked,
    get connections() {
      return connections;
    },
    async measure(text, { types, parameters, prepared, ...more } = {}) {
      const given = await asked([text], more);
      const values = { types: types ?? [], parameters: parameters ?? [] };
      const texts = [{ ...given.texts[0]!, ...values, ...(prepared === undefined ? {} : { prepared }) }];
      const effect = await blast.measure({ ...given, texts });
      if (effect === undefined) throw new Error(`nothing was measured of ${text}`);
      return effect;
    },
    close: () => blast.close(),
  };
}

async function identityOf(url: string): Promise<ServerIdentity> {
  const upstream = await connectTo(url)([]);
  upstream.socket.destroy();
  return upstream.identity;
}
