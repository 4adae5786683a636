// Fetch: a log out of a bucket, into an empty folder, as the verifier reads it. Needs nothing of the proxy that wrote it.
// Believes nothing: it puts together what is there and leaves the judging to `audit verify`. The layout is vault.ts's;
// copying it by other means and concatenating manifest/* and the last chunks/*/* gives the same, unless pieces overlap.

import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { segmentName, segmentNumber, storedNumber } from '../../verify/src/names.ts';
import { HoldpointError } from '../errors.ts';
import type { Bucket } from './bucket.ts';

export interface Fetched {
  /** Where the log now lies. */
  readonly folder: string;
  readonly objects: number;
  readonly segments: number;
}

/** A manifest line and a chunk are small; a blob is a statement, whose size is bounded; a segment is a file. */
const wanted =
  /^(keys\/(root|\d+)\.(jwk|cert)|seg-\d{8,12}\.jsonl(\.zst)?|manifest\/\d{8,12}\.jws|chunks\/seg-\d{8,12}\/\d{12}-\d{12}\.jsonl|blobs\/[0-9a-f]{64}|checkpoints\/\d{15}-[0-9TZ.]+\.note)$/;

/**
 * Gets the log at `prefix` (with a slash at the end, if any) into `into`, which is made and must be empty. Throws
 * `not-found` if there is no log there, `bad-request` if `into` holds something or the chunks do not fit together.
 */
export async function fetchLog(bucket: Bucket, prefix: string, into: string): Promise<Fetched> {
  await mkdir(into, { recursive: true, mode: 0o700 });
  if ((await readdir(into)).length > 0)
    throw new HoldpointError('bad-request', `${into} is not empty; name a folder that is`);
  const names: string[] = [];
  for await (const key of bucket.keys(prefix)) {
    const name = key.slice(prefix.length);
    if (wanted.test(name)) names.push(name);
  }
  if (!names.some((name) => /^(seg-|chunks\/)/.test(name)))
    throw new HoldpointError(
      'not-found',
      `there is no log under ${prefix || 'the top'} of the bucket ${bucket.name}; name the folder that holds keys/ and chunks/`,
    );
  const whole = new Set(names.map(storedNumber));
  const pieces = new Map<number, string[]>();
  let objects = 0;
  for (const name of names.sort()) {
    const chunk = /^chunks\/(seg-\d+)\//.exec(name)?.[1];
    const n = chunk === undefined ? undefined : segmentNumber(`${chunk}.jsonl`)!;
    // A segment that is there whole needs no pieces.
    if (n !== undefined && whole.has(n)) continue;
    await download(bucket, prefix + name, join(into, name));
    objects += 1;
    if (n !== undefined) pieces.set(n, [...(pieces.get(n) ?? []), name]);
  }
  await concatenate(
    into,
    names.filter((name) => name.startsWith('manifest/')),
    'manifest.jsonl',
  );
  for (const [n, parts] of pieces) await joinPieces(into, parts, segmentName(n));
  // Of the segment behind the last closed one nothing may be there yet: then it has begun and is empty.
  const lines = names.filter((name) => name.startsWith('manifest/')).length;
  if (!whole.has(lines) && !pieces.has(lines)) await joinPieces(into, [], segmentName(lines));
  const newest = names.filter((name) => name.startsWith('checkpoints/')).at(-1);
  if (newest !== undefined) await concatenate(into, [newest], 'checkpoint');
  return { folder: into, objects, segments: [...whole].filter((n) => n !== undefined).length + pieces.size };
}

async function download(bucket: Bucket, key: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await pipeline(await bucket.get(key), createWriteStream(path, { flags: 'wx', mode: 0o600 }));
}

async function concatenate(into: string, names: readonly string[], name: string): Promise<void> {
  for (const part of names)
    await pipeline(
      createReadStream(join(into, part)),
      createWriteStream(join(into, name), { flags: 'a', mode: 0o600 }),
    );
}

/** One segment of its pieces, each of which is named by its first and last byte. Where two overlap, the first counts. */
async function joinPieces(into: string, parts: readonly string[], name: string): Promise<void> {
  const file = await open(join(into, name), 'ax', 0o600);
  try {
    let at = 0;
    for (const part of parts) {
      const begin = Number(basename(part, '.jsonl').split('-')[0]);
      if (begin > at)
        throw new HoldpointError(
          'bad-request',
          `${part} begins at byte ${begin} and what is before it ends at ${at}: the bucket lacks a piece of ${name}`,
        );
      for await (const bytes of createReadStream(join(into, part), {
        start: at - begin,
      }) as AsyncIterable<Buffer>) {
        await file.write(bytes);
        at += bytes.length;
      }
    }
  } finally {
    await file.close();
  }
}
