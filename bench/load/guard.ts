// A whole Holdpoint in a process of its own, forked by a bench: its first message says in front of what and with which
// log; it answers with its address, and each later message with the CPU that it has used.

import * as fs from 'node:fs';
import type { Lines } from '../../src/audit/chain.ts';
import type { LogFs } from '../../src/audit/folder.ts';
import { spelling } from '../../src/audit/frequent.ts';
import type { AuditLog } from '../../src/audit/log.ts';
import { openLog } from '../../src/audit/opening.ts';
import type { StatementBody } from '../../src/audit/record.ts';
import { StatementRecords } from '../../src/proxy/recording.ts';
import { startGuard } from '../../test/support/holdpoint.ts';
import { lendsNothing, loadUnrecorded } from './unrecorded.ts';

/** `off`: nothing is recorded. `no-fsync`: the class of reads as configured, on a disk whose fdatasync returns at once. */
export interface GuardSetting {
  readonly url: string;
  readonly log: 'off' | 'no-fsync' | 'on';
  readonly audit: Readonly<Record<string, unknown>>;
  readonly connectionsMax?: number;
  readonly hold?: { waitMs?: number; pendingMax?: number };
  /** Files; the client's leg is encrypted with them. */
  readonly tls?: { cert: string; key: string };
}

/** Where the agent logs in, and where metrics are. */
export interface GuardAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly http: string;
}

/** Makes a log take everything and keep nothing, and records that nobody keeps cost nothing to make. */
function keepNothing(log: AuditLog): void {
  StatementRecords.prototype.statement = () => ({ body: unmade, kept: undefined });
  Object.assign(log, {
    append: () => 0,
    appendLate: () => undefined,
    // Lines of nothing, in which the addon notes that their rounds went.
    adopt: ({ make }: Lines) => {
      make(scratch, 0, 0, 0, 0);
      return 0;
    },
    writeNow: () => true,
    spelling: () => unspelled,
    written: (done: () => void) => done(),
    synced: () => Promise.resolve(),
    durable: () => Promise.resolve(),
    ...(loadUnrecorded() ? lendsNothing : { lend: () => undefined }),
  });
}

const scratch = Buffer.alloc(1 << 20);
const unmade = { kind: 'stmt', agent: '' } as StatementBody;
/** As many pieces as there are, and nothing in them: with another number nothing would be repeated by the lane. */
const spelled = spelling(unmade, '', { seq: 0, prev: '', ts: 0, mono: 0, node: '', boot: '' });
const unspelled = { stmt: spelled.stmt.map(() => ''), outcome: spelled.outcome.map(() => '') };

const readyDisk = {
  ...fs,
  fdatasync: (_fd: number, done: fs.NoParamCallback) => setImmediate(done, null),
} as unknown as LogFs;

const openers: Record<GuardSetting['log'], typeof openLog> = {
  on: openLog,
  off: async (options) => {
    const opened = await openLog(options);
    keepNothing(opened.log);
    return opened;
  },
  'no-fsync': (options) => openLog({ ...options, fs: readyDisk }),
};

process.once('message', async ({ url, log, audit, connectionsMax, hold, tls }: GuardSetting) => {
  const guard = await startGuard({
    url,
    audit,
    openLog: openers[log],
    isForgetful: true,
    ...(connectionsMax && { limits: { connectionsMax } }),
    ...(hold && { hold }),
    ...(tls && { tls }),
  });
  process.on('message', () => process.send?.(process.cpuUsage()));
  process.on('disconnect', () => guard.close().finally(() => process.exit(0)));
  const address: GuardAddress = {
    host: guard.host,
    port: guard.port,
    user: guard.agent,
    password: guard.password,
    database: guard.database,
    http: guard.http,
  };
  process.send?.(address);
});
