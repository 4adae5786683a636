// Packing: compresses one closed segment and proves that nothing was lost. Works in streams, so that a segment of any
// size takes little memory. Refuses to know what becomes of the files.

import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';

/** What to do. */
export interface PackJob {
  readonly plain: string;
  /** Where the compressed form goes; whatever is there is overwritten. Undefined: it is there and only checked. */
  readonly to: string | undefined;
  readonly packed: string;
}

/** What was found. Digests are hex, of the plain text: as read, and as it comes out of the compressed file. */
export interface Packed {
  readonly plain: string | undefined;
  readonly unpacked: string;
  readonly bytes: number;
}

/** Text compresses to a fifth at this level already; higher ones cost ten times the time for a few percent. */
const level = 3;

/** Passes everything on and takes its digest. */
function digesting(): { stream: Transform; digest: () => string } {
  const hasher = createHash('sha256');
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hasher.update(chunk);
      done(null, chunk);
    },
  });
  return { stream, digest: () => hasher.digest('hex') };
}

async function compress(plain: string, to: string): Promise<string> {
  const { stream, digest } = digesting();
  // `flush`: on disk before it gets its name.
  const out = createWriteStream(to, { flags: 'w', mode: 0o600, flush: true });
  const zstd = createZstdCompress({
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
  });
  await pipeline(createReadStream(plain), stream, zstd, out);
  return digest();
}

async function unpack(path: string): Promise<{ digest: string; bytes: number }> {
  const hasher = createHash('sha256');
  let bytes = 0;
  await pipeline(createReadStream(path), createZstdDecompress(), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      hasher.update(chunk);
      bytes += chunk.length;
    }
  });
  return { digest: hasher.digest('hex'), bytes };
}

/** Rejects if a file cannot be read or written, or does not unpack. */
export async function pack({ plain, to, packed }: PackJob): Promise<Packed> {
  const read = to === undefined ? undefined : await compress(plain, to);
  const { digest, bytes } = await unpack(to ?? packed);
  return { plain: read, unpacked: digest, bytes };
}
