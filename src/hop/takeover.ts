// Takeover: from a socket of Node's to a descriptor, where that is possible: a plain connection on a platform that the hop
// was built for. Everything else stays as it is. What was read and not given out goes with it, in order.

import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { Descriptor, hasHop } from './descriptor.ts';
import type { Line } from './line.ts';

/** A line, paused, and what was read of it before. */
export interface Taken {
  readonly line: Line;
  readonly head: Buffer;
}

/** What a socket of Node's has inside. Not documented: looked at, and never relied on. */
interface Inside {
  readonly _handle?: { readonly fd?: unknown; readStop?(): unknown } | null;
}

/**
 * Takes a paused connection over; `head` was read of it before. Whatever listens to `socket` hears nothing of the
 * connection any more, not even its end, if `line` is another.
 */
export function takeOver(socket: Duplex, head: Buffer): Taken {
  const asItIs: Taken = { line: socket, head };
  if (!(socket instanceof net.Socket) || socket instanceof tls.TLSSocket || !hasHop()) return asItIs;
  const handle = (socket as unknown as Inside)._handle;
  const fd = handle?.fd;
  if (typeof fd !== 'number' || fd < 0 || typeof handle?.readStop !== 'function') return asItIs;
  if (socket.writableLength > 0 || !socket.writable || !socket.readable) return asItIs;
  let descriptor: Descriptor;
  try {
    descriptor = new Descriptor(fd);
  } catch {
    // There are no more descriptors to be had: then this connection keeps the one that it has.
    return asItIs;
  }
  const heads = [head];
  for (let bytes = socket.read() as Buffer | null; bytes !== null; bytes = socket.read()) heads.push(bytes);
  // To read from a stream is to begin reading its socket again. What came meanwhile is the kernel's still, the end too.
  handle.readStop();
  socket.removeAllListeners();
  socket.on('error', () => undefined);
  socket.destroy();
  return { line: descriptor as unknown as Line, head: Buffer.concat(heads) };
}
