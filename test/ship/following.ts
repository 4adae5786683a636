// A log and a follower that carries it to a destination, for tests: real files, real cursor, rounds by hand.

import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { AuditLog } from '../../src/audit/log.ts';
import { Cursor } from '../../src/ship/cursor.ts';
import type { Entry, Position } from '../../src/ship/feed.ts';
import { type Destination, Follower } from '../../src/ship/follower.ts';
import { Manifest } from '../../src/ship/manifest.ts';
import { logFolder } from '../audit/fixture.ts';

export interface Following {
  readonly follower: Follower;
  /** What the destination refused, and what was pruned before it could be sent. */
  readonly told: string[];
  drain(): Promise<void>;
}

/** A process's follower of the log under `path`; another one after it stands for the next process. */
export function follow(path: string, log: AuditLog, destination: Destination): Following {
  const folder = logFolder(path);
  const told: string[] = [];
  const follower = new Follower({
    folder,
    manifest: new Manifest(folder),
    destination,
    cursor: new Cursor<Position>(join(path, 'ship', 'cursor.json'), destination.place),
    durable: () => log.health.sealed,
    sent: () => {},
    refused: (records, why) => told.push(`${records} ${why}`),
    lost: (from, to) => told.push(`lost ${from} to ${to}`),
  });
  onTestFinished(() => follower.close());
  return {
    follower,
    told,
    async drain() {
      while (await follower.round(AbortSignal.timeout(20_000)));
    },
  };
}

/** A record as the feed gives it. */
export function entry(members: Readonly<Record<string, unknown>>): Entry {
  const line = JSON.stringify(members);
  const begin = { segment: 0, offset: 0, seq: Number(members.seq) };
  return { kind: 'record', line, begin, end: { ...begin, seq: begin.seq + 1 }, members, size: undefined };
}
