// The server itself, which all others are compared with.

import type { Candidate } from './subject.ts';

export const direct: Candidate = {
  name: 'direct',
  start: async ({ server }) => ({ address: server, pid: undefined, stop: async () => undefined }),
};
