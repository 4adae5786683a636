// How fast is a log verified, and in how much memory: a log as a busy proxy writes it (a read and its outcome, a seal for
// every hundred records), made here by the writer's own parts without a disk's waiting, then verified by one thread and by
// as many as there are processors. Prints records a second, processor time a record, and the most memory that was held.
// Run: node bench/verify.ts [records] [folder to keep the log in]

import { spawnSync } from 'node:child_process';
import { createHash, hash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { certify, freshKey } from '../src/audit/keyring.ts';
import { encodeRecord } from '../src/audit/line.ts';
import type { RecordBody } from '../src/audit/record.ts';
import { signToken } from '../src/audit/seal.ts';
import { canonical } from '../verify/src/jcs.ts';
import { leafHash, originHash } from '../verify/src/leaf.ts';
import { CompactTree } from '../verify/src/merkle.ts';
import { segmentName } from '../verify/src/names.ts';
import { digest, firstSealHash } from '../verify/src/token.ts';

const records = Number(process.argv[2] ?? 1_000_000);
const kept = process.argv[3];
const origin = 'holdpoint/bench';
const boot = 'A'.repeat(22);
const segmentBytesMax = 64 << 20;
const recordsPerSeal = 100;

/** Writes a log of at least that many records into a folder. */
async function make(folder: string): Promise<void> {
  mkdirSync(join(folder, 'keys'), { recursive: true });
  const tree = new CompactTree();
  let [head, psh, pmh] = [
    originHash(origin),
    firstSealHash(origin),
    digest(`holdpoint-manifest-v1\n${origin}`),
  ];
  let lines: string[] = [];
  const append = (body: RecordBody): number => {
    const seq = tree.size;
    const line = encodeRecord(body, {
      seq,
      prev: head,
      ts: 1.7e15 + seq * 50,
      mono: seq * 50_000,
      node: origin,
      boot,
    });
    head = leafHash(line);
    tree.append(Buffer.from(head, 'base64url'));
    lines.push(line);
    return seq;
  };
  const root = await freshKey();
  let key = root;
  let epoch = -1;
  const nextKey = async () => {
    const next = await freshKey();
    const cert = await certify(key, signToken, origin, epoch + 1, next.kid);
    writeFileSync(join(folder, `keys/${epoch + 1}.jwk`), JSON.stringify(next.jwk));
    writeFileSync(join(folder, `keys/${epoch + 1}.cert`), cert);
    append({ kind: 'key', epoch: epoch + 1, kid: next.kid, jwk: { ...next.jwk }, cert });
    return next;
  };
  const seal = async (by: typeof key, of: number) => {
    const size = tree.size;
    const common = { v: 1, origin, size, root: tree.root().toString('base64url'), head, psh };
    const times = { ts: 1.7e15 + size * 50, mono: size * 50_000, boot, epoch: of };
    const line = await signToken(by, 'holdpoint-seal+jws', canonical({ ...common, ...times }));
    psh = digest(line);
    lines.push(line);
  };
  writeFileSync(join(folder, 'keys/root.jwk'), JSON.stringify(root.jwk));
  append({ kind: 'genesis', origin, root: root.kid, jwk: { ...root.jwk } });
  key = await nextKey();
  epoch = 0;
  await seal(key, epoch);
  for (let n = 0; tree.size < records; n += 1) {
    const range = () => tree.range.map((peak) => peak.toString('base64url'));
    const [start_head, start_range] = n === 0 ? [originHash(origin), []] : [head, range()];
    const first = n === 0 ? 0 : tree.size;
    const fd = openSync(join(folder, segmentName(n)), 'w');
    const sha = createHash('sha256');
    let bytes = 0;
    const flush = () => {
      const text = Buffer.from(`${lines.join('\n')}\n`);
      lines = [];
      sha.update(text);
      bytes += text.length;
      writeSync(fd, text);
    };
    while (bytes < segmentBytesMax && tree.size < records) {
      for (let i = 0; i < recordsPerSeal / 2; i += 1) {
        const ref = append(statement(i));
        append({ kind: 'outcome', ref, st: 'ok', tags: ['SELECT 1'], rows: 1, dur_us: 250 + i });
      }
      await seal(key, epoch);
      flush();
    }
    if (tree.size >= records) break;
    const next = await nextKey();
    await seal(key, epoch);
    flush();
    [key, epoch] = [next, epoch + 1];
    const ends = { size: tree.size, end_head: head, end_range: range(), bytes, sha256: sha.digest('hex') };
    const claims = {
      v: 1,
      origin,
      n,
      first,
      start_head,
      start_range,
      ...ends,
      psh,
      epoch,
      pmh,
      intents: [],
      holds: [],
    };
    const line = await signToken(key, 'holdpoint-segment+jws', canonical(claims));
    pmh = digest(line);
    writeFileSync(join(folder, 'manifest.jsonl'), `${line}\n`, { flag: 'a' });
  }
}

function statement(i: number): RecordBody {
  const digestOf = hash('sha256', `${i}`, 'base64url');
  return {
    kind: 'stmt',
    sid: 's12',
    n: i,
    agent: 'claude',
    target: 'shop',
    db: 'shop',
    role: null,
    tx: 'I',
    proto: 'X',
    cls: 'read',
    effects: ['read'],
    dec: 'pass',
    rule: 'reads',
    sql: 'select id, name from customers where id = $1',
    sha: digestOf,
    len: 44,
    pc: [digestOf],
  };
}

/** Loaded into the verifier: says at its end what it took. Threads inherit it, and have nothing to say. */
const saying = `data:text/javascript,${encodeURIComponent(`
  import { isMainThread } from 'node:worker_threads';
  if (isMainThread) process.on('exit', () => {
    const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
    const figures = { ms: performance.now(), cpuMs: (userCPUTime + systemCPUTime) / 1000, rssKb: maxRSS };
    process.stderr.write(JSON.stringify(figures));
  });`)}`;

/** Verifies it with the command itself, in a process of its own, and prints what that took. */
function measure(folder: string, jobs: number): void {
  const command = join(import.meta.dirname, '../verify/src/cli.ts');
  const args = ['--import', saying, command, folder, '--jobs', `${jobs}`, '--json'];
  const run = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (run.status !== 0) throw new Error(`not verified: ${run.stdout}${run.stderr}`);
  const { logs } = JSON.parse(run.stdout) as { logs: { records: number; seals: number; segments: number }[] };
  const [{ records: count, seals, segments }] = logs as [(typeof logs)[0]];
  const { ms, cpuMs, rssKb } = JSON.parse(run.stderr) as { ms: number; cpuMs: number; rssKb: number };
  console.log(
    `jobs ${jobs}: ${count} records, ${seals} seals, ${segments} segments in ${(ms / 1000).toFixed(1)} s: ` +
      `${Math.round((count / ms) * 1000).toLocaleString('en')} records/s, ` +
      `${((cpuMs / count) * 1000).toFixed(1)} µs CPU a record, at most ${Math.round(rssKb / 1024)} MiB`,
  );
}

const folder = kept ?? mkdtempSync(join(tmpdir(), 'holdpoint-bench-'));
try {
  if (!existsSync(join(folder, segmentName(0)))) await make(folder);
  for (const jobs of new Set([1, 2, availableParallelism()])) measure(folder, jobs);
} finally {
  if (kept === undefined) rmSync(folder, { recursive: true, force: true });
}
