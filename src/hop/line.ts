// Line: one end of a connection, as the relay uses it: what it needs of a stream and no more. Node's sockets are lines, and
// so are descriptors (descriptor.ts). Events as those of net.Socket: `data` with bytes that the listener may keep, `end`,
// `close`, `error`, and `drain` after a `write` that gave false.

import type { Duplex } from 'node:stream';

export type Line = Pick<
  Duplex,
  'write' | 'end' | 'destroy' | 'destroyed' | 'pause' | 'resume' | 'on' | 'once' | 'writableLength'
>;
