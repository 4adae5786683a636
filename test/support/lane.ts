// Lane: plays scripts of rounds (rounds.ts) at a guard, and tells what its client got and what the log has of it, so that
// two guards that must not be told apart can be compared.

import { auditorIn, entriesOf } from '../../src/cli/audit-values.ts';
import { commit } from '../../verify/src/leaf.ts';
import { contentKeyOf, openEntry, type SideHeader } from '../../verify/src/sidefile.ts';
import { findLogs } from '../../verify/src/source.ts';
import type { RawClient } from './raw.ts';
import type { Script } from './rounds.ts';
import type { Line } from './trail.ts';

/** A client as the log names it: a port may be given out again, so that several have it, one after another. */
export interface Login {
  readonly port: number;
  /** How many with the same port there were before it. */
  readonly nth: number;
}

/** Numbers the clients of one guard, each as soon as it is there. */
export function loginsOf(): (client: RawClient) => Login {
  const before = new Map<number, number>();
  return ({ socket }) => {
    const port = socket.localPort!;
    const nth = before.get(port) ?? 0;
    before.set(port, nth + 1);
    return { port, nth };
  };
}

/** What became of a script. */
export interface Played {
  /** Everything that the client got behind its login. */
  readonly bytes: Buffer;
  /** Where in it each write began, to say what a difference belongs to. */
  readonly begins: readonly number[];
  readonly login: Login;
}

/** How long a piece of a write stays alone where no answer can be waited for. */
const momentMs = 2;
const patienceMs = 60_000;

export async function play(script: Script, client: RawClient, login: Login): Promise<Played> {
  client.patienceMs = patienceMs;
  const chunks: Buffer[] = [];
  let got = 0;
  client.socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    got += chunk.length;
  });
  const begins: number[] = [];
  let owed = 0;
  const answered = async (): Promise<void> => {
    if (owed === 0) return;
    const many = owed;
    owed = 0;
    await client.until('Z', many);
    // Else all that follows would be sent before the answer to what came before it.
    if (client.replies.some(({ letter }) => letter === 'Z'))
      throw new Error('more was answered than was asked');
  };
  for (const { bytes, cuts, until, readies } of script.writes) {
    if (client.closed) break;
    begins.push(got);
    if (until === 'answer') await answered();
    let from = 0;
    for (const to of cuts) {
      client.send(bytes.subarray(from, to));
      const due = readies.filter((at) => at > from && at <= to).length;
      owed += due;
      if (due > 0) await answered();
      else await new Promise((resolve) => setTimeout(resolve, momentMs));
      from = to;
    }
    client.send(bytes.subarray(from));
    owed += readies.filter((at) => at > from).length;
    if (until === 'ready') await answered();
    else if (until === 'answer') await client.until('CEIs');
    else if (until === 'closed') await client.untilClosed();
  }
  client.destroy();
  return { bytes: Buffer.concat(chunks), begins, login };
}

/** The client's bytes without the process numbers in notifications, which name the session. */
export function comparable(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (let at = 0; at + 9 <= copy.length; at += 1 + copy.readInt32BE(at + 1))
    if (copy[at] === 0x41) copy.writeInt32BE(0, at + 5);
  return copy;
}

/** What the log has of a session, without what differs between any two. */
export interface Trail {
  /** In the order of their gates. */
  readonly statements: readonly Record<string, unknown>[];
  /** By the seq of their statements, in that order. */
  readonly outcomes: readonly (readonly Record<string, unknown>[])[];
  /** Their seqs. */
  readonly seqs: readonly number[];
}

const different = ['seq', 'prev', 'ts', 'mono', 'node', 'boot', 'sid', 'db', 'mac', 'dur_us', 'ref'];

/** The session of the client. */
export function trailOf(log: readonly Line[], { port, nth }: Login): Trail {
  const session = log.filter(({ kind, client }) => kind === 'auth' && client === `127.0.0.1:${port}`)[nth];
  if (session === undefined) throw new Error(`the log knows no session from port ${port}`);
  const statements = log
    .filter(({ kind, sid }) => kind === 'stmt' && sid === session.sid)
    .sort((one, other) => Number(one.n) - Number(other.n) || one.seq - other.seq);
  const seqs = statements.map(({ seq }) => seq);
  const outcomes = new Map<number, Record<string, unknown>[]>(seqs.map((seq) => [seq, []]));
  for (const record of log)
    if (record.kind === 'outcome') outcomes.get(Number(record.ref))?.push(without(record));
  return { statements: statements.map(without), outcomes: [...outcomes.values()], seqs };
}

function without(record: Line): Record<string, unknown> {
  const rest: Record<string, unknown> = { ...record };
  for (const name of different) delete rest[name];
  // Salts make commitments differ: how many there are does not.
  if (Array.isArray(rest.pc)) rest.pc = rest.pc.length;
  const blobs = rest.blobs as Record<string, { sha: string }> | undefined;
  if (blobs?.pc !== undefined) rest.blobs = { ...blobs, pc: 'commitments' };
  return rest;
}

/** The values that were put aside for the auditor, by seq, in hex. Throws if one is not what its record commits to. */
export async function valuesOf(
  auditDir: string,
  auditorFile: string,
  log: readonly Line[],
): Promise<Map<number, readonly string[]>> {
  const auditor = auditorIn(auditorFile);
  const statements = new Map(log.filter(({ kind }) => kind === 'stmt').map((line) => [line.seq, line]));
  const values = new Map<number, string[]>();
  let header: SideHeader | undefined;
  let contentKey: Buffer | undefined;
  for await (const { header: over, block, entry } of entriesOf(
    findLogs(auditDir)[0]!,
    new Set(statements.keys()),
  )) {
    // A key is unwrapped once for all that lie behind its header.
    if (over !== header) contentKey = await contentKeyOf(over, auditor.kid, auditor.secret);
    header = over;
    const [seq, index] = entry;
    const { oid, salt, value } = openEntry(contentKey!, block.block, entry);
    if ((statements.get(seq)!.pc as string[])[index] !== commit(salt, oid, value))
      throw new Error(`value ${index} of record ${seq} is not what the record commits to`);
    const list = values.get(seq) ?? [];
    list[index] = `${oid} ${value?.toString('hex')}`;
    values.set(seq, list);
  }
  return values;
}
