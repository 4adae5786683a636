// agents.json and approvers.json: their shape, and changing them so that neither a crash nor a second command at the
// same time loses an entry. Knows files; refuses to know what an entry is good for.

import { mkdir, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { HoldpointError } from './errors.ts';
import { readJson, writeWhole } from './json-file.ts';

const time = z.iso.datetime().transform((text) => Date.parse(text));
const agentEntry = z.strictObject({
  verifier: z.string().startsWith('SCRAM-SHA-256$'),
  targets: z.array(z.string()),
  access: z.enum(['read-write', 'read-only']).default('read-write'),
  created: time,
  expires: time.optional(),
  revoked: time.optional(),
});
const approverEntry = z.strictObject({
  keys: z.array(z.strictObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string() })),
  created: time,
  retired: time.optional(),
});
const agentsFile = z.strictObject({ v: z.literal(1), agents: z.record(z.string(), agentEntry) });
const approversFile = z.strictObject({ v: z.literal(1), approvers: z.record(z.string(), approverEntry) });

/** Times are milliseconds since the epoch. */
export interface AgentEntry {
  readonly verifier: string;
  readonly targets: readonly string[];
  readonly access: 'read-write' | 'read-only';
  readonly createdAt: number;
  readonly expiresAt: number | undefined;
  readonly revokedAt: number | undefined;
}

export interface ApproverEntry {
  readonly keys: readonly { readonly kty: 'OKP'; readonly crv: 'Ed25519'; readonly x: string }[];
  readonly createdAt: number;
  readonly retiredAt: number | undefined;
}

/** The agents of the data folder; none if there is no file. Throws HoldpointError('bad-config') if it is broken. */
export async function readAgents(dataDir: string): Promise<Map<string, AgentEntry>> {
  const file = await readJson(join(dataDir, 'agents.json'), agentsFile);
  const entries = Object.entries(file?.agents ?? {}).map(([name, entry]): [string, AgentEntry] => [
    name,
    {
      verifier: entry.verifier,
      targets: entry.targets,
      access: entry.access,
      createdAt: entry.created,
      expiresAt: entry.expires,
      revokedAt: entry.revoked,
    },
  ]);
  return new Map(entries);
}

/** As readAgents. */
export async function readApprovers(dataDir: string): Promise<Map<string, ApproverEntry>> {
  const file = await readJson(join(dataDir, 'approvers.json'), approversFile);
  const entries = Object.entries(file?.approvers ?? {}).map(([name, entry]): [string, ApproverEntry] => [
    name,
    { keys: entry.keys, createdAt: entry.created, retiredAt: entry.retired },
  ]);
  return new Map(entries);
}

/** Reads, lets `change` alter the entries, and writes them, alone. What `change` throws leaves the file as it was. */
export function changeAgents(
  dataDir: string,
  change: (entries: Map<string, AgentEntry>) => void,
): Promise<void> {
  return alone(dataDir, 'agents.json', async () => {
    const entries = await readAgents(dataDir);
    change(entries);
    const agents = Object.fromEntries(
      [...entries].map(([name, { verifier, targets, access, createdAt, expiresAt, revokedAt }]) => [
        name,
        {
          verifier,
          targets,
          access,
          created: iso(createdAt),
          expires: iso(expiresAt),
          revoked: iso(revokedAt),
        },
      ]),
    );
    await writeWhole(join(dataDir, 'agents.json'), { v: 1, agents });
  });
}

/** As changeAgents. */
export function changeApprovers(
  dataDir: string,
  change: (entries: Map<string, ApproverEntry>) => void,
): Promise<void> {
  return alone(dataDir, 'approvers.json', async () => {
    const entries = await readApprovers(dataDir);
    change(entries);
    const approvers = Object.fromEntries(
      [...entries].map(([name, { keys, createdAt, retiredAt }]) => [
        name,
        { keys, created: iso(createdAt), retired: iso(retiredAt) },
      ]),
    );
    await writeWhole(join(dataDir, 'approvers.json'), { v: 1, approvers });
  });
}

function iso(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}

const lockWaitMs = 5000;
/** A change takes milliseconds; a lock this old was left by a process that died. */
const lockStaleMs = 10_000;

/** Runs `change` while no other process changes the same file. */
async function alone(dataDir: string, file: string, change: () => Promise<void>): Promise<void> {
  const lock = join(dataDir, `${file}.lock`);
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await take(lock);
  } catch (error) {
    if (error instanceof HoldpointError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new HoldpointError(
      'bad-config',
      `cannot write in the data folder ${dataDir}: ${code}; make it writable or choose another dataDir`,
      { cause: error },
    );
  }
  try {
    await change();
  } finally {
    await rm(lock, { force: true });
  }
}

async function take(lock: string): Promise<void> {
  for (let waitedMs = 0; ; waitedMs += 20) {
    try {
      return await (await open(lock, 'wx', 0o600)).close();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const held = await stat(lock).catch(() => undefined);
    if (held !== undefined && Date.now() - held.mtimeMs > lockStaleMs) await rm(lock, { force: true });
    if (waitedMs >= lockWaitMs) {
      throw new HoldpointError('conflict', `another command is changing ${lock.slice(0, -5)}; try again`);
    }
    await sleep(20);
  }
}
