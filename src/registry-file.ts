// agents.json, approvers.json and passkey-counters.json: their shape, and changing them so that neither a crash nor a
// second command at the same time loses an entry. Knows files; refuses to know what an entry is good for.

import { mkdir, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JWK } from 'jose';
import { z } from 'zod';
import { readSshLine } from '../verify/src/proof/sshkey.ts';
import type { OidcSubject, Passkey, SlackUser, SshCredential } from './approval/approvers.ts';
import { passkeyShape, slackUserShape, subjectShape } from './credential-shape.ts';
import { HoldpointError } from './errors.ts';
import { readJson, writeWhole } from './json-file.ts';

const time = z.iso.datetime().transform((text) => Date.parse(text));
const agentEntry = z.strictObject({
  verifier: z.string().startsWith('SCRAM-SHA-256$'),
  targets: z.array(z.string()),
  access: z.enum(['read-write', 'read-only']).default('read-write'),
  onBehalfOf: z.array(z.string()).default([]),
  created: time,
  expires: time.optional(),
  revoked: time.optional(),
});
const approverEntry = z.strictObject({
  keys: z
    .array(z.strictObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string() }))
    .default([]),
  ssh: z.array(z.string().superRefine(isSshLine)).default([]),
  passkeys: z.array(passkeyShape).default([]),
  oidc: z.array(subjectShape).default([]),
  slack: z.array(slackUserShape).default([]),
  breakGlass: z.boolean().default(false),
  created: time,
  retired: time.optional(),
});
const agentsFile = z.strictObject({ v: z.literal(1), agents: z.record(z.string(), agentEntry) });
const approversFile = z.strictObject({ v: z.literal(1), approvers: z.record(z.string(), approverEntry) });
const countersFile = z.strictObject({ v: z.literal(1), counters: z.record(z.string(), z.int().min(0)) });

function isSshLine(line: string, context: z.core.$RefinementCtx<string>): void {
  try {
    readSshLine(line);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
  }
}

/** Times are milliseconds since the epoch. */
export interface AgentEntry {
  readonly verifier: string;
  readonly targets: readonly string[];
  readonly access: 'read-write' | 'read-only';
  readonly onBehalfOf: readonly string[];
  readonly createdAt: number;
  readonly expiresAt: number | undefined;
  readonly revokedAt: number | undefined;
}

export interface ApproverEntry {
  /** Ed25519. */
  readonly keys: readonly JWK[];
  readonly ssh: readonly SshCredential[];
  readonly passkeys: readonly Passkey[];
  readonly oidc: readonly OidcSubject[];
  readonly slack: readonly SlackUser[];
  readonly breakGlass: boolean;
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
      onBehalfOf: entry.onBehalfOf,
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
  const entries = Object.entries(file?.approvers ?? {}).map(([name, entry]): [string, ApproverEntry] => {
    const { created, retired, ssh, passkeys, ...rest } = entry;
    const kept = {
      ...rest,
      ssh: ssh.map((line) => ({ fingerprint: readSshLine(line).fingerprint, line })),
      passkeys: passkeys.map(passkeyOf),
    };
    return [name, { ...kept, createdAt: created, retiredAt: retired }];
  });
  return new Map(entries);
}

/** A passkey as a file has it, as the rest of the house has it. */
export function passkeyOf({ created, ...rest }: z.output<typeof passkeyShape>): Passkey {
  return { ...rest, createdAt: Date.parse(created) };
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
      [...entries].map(([name, { createdAt, expiresAt, revokedAt, ...rest }]) => [
        name,
        {
          ...rest,
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
      [...entries].map(([name, { ssh, passkeys, createdAt, retiredAt, ...rest }]) => [
        name,
        {
          ...rest,
          ssh: ssh.map(({ line }) => line),
          passkeys: passkeys.map(({ createdAt, ...passkey }) => ({ ...passkey, created: iso(createdAt) })),
          created: iso(createdAt),
          retired: iso(retiredAt),
        },
      ]),
    );
    const file = { v: 1, approvers };
    // What could not be read again would lock everybody out.
    const issue = approversFile.safeParse(JSON.parse(JSON.stringify(file))).error?.issues[0];
    if (issue !== undefined) {
      throw new HoldpointError(
        'bad-parameter',
        `${issue.path.slice(1).map(String).join('.')}: ${issue.message}`,
      );
    }
    await writeWhole(join(dataDir, 'approvers.json'), file);
  });
}

/**
 * Takes note of a passkey's counter, `least` being the one of its enrolment. False, and nothing changes, unless it is
 * above every one before, or 0 as ever.
 */
export async function raiseCounter(
  dataDir: string,
  id: string,
  least: number,
  counter: number,
): Promise<boolean> {
  const path = join(dataDir, 'passkey-counters.json');
  const known = (file: z.output<typeof countersFile> | undefined) => Math.max(least, file?.counters[id] ?? 0);
  // Most authenticators do not count: nothing to write for them.
  if (counter === 0) return known(await readJson(path, countersFile)) === 0;
  let raised = false;
  await alone(dataDir, 'passkey-counters.json', async () => {
    const file = await readJson(path, countersFile);
    if (counter <= known(file)) return;
    await writeWhole(path, { v: 1, counters: { ...file?.counters, [id]: counter } });
    raised = true;
  });
  return raised;
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
