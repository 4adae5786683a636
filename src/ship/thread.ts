// Thread: the shipping thread. Reading, parsing and sending the log must cost the relay's event loop nothing.

import { parentPort, workerData } from 'node:worker_threads';
import { Carriers } from './carriers.ts';
import { reasonOf } from './retry.ts';
import type { FromThread, ThreadData, ToThread } from './settings.ts';

/** How often the other side is told how far everything has got. */
const statesMs = 250;

const port = parentPort!;
const tell = (message: FromThread): void => port.postMessage(message);
const carriers = new Carriers(workerData as ThreadData, {
  said: (name, problem) => tell({ kind: 'said', name, problem }),
  lost: (name, from, to) => tell({ kind: 'lost', name, from, to }),
  refused: (name, records, why) => tell({ kind: 'refused', name, records, why }),
});
const states = (): void => tell({ kind: 'states', states: carriers.states(Date.now()) });
const timer = setInterval(states, statesMs);

port.on('message', async (message: ToThread) => {
  if (message.kind === 'wake') carriers.wake();
  else if (message.kind === 'keep') {
    const { id, size, note } = message;
    await carriers.keep(size, note).then(
      () => tell({ kind: 'kept', id }),
      (error: unknown) => tell({ kind: 'missed', id, why: reasonOf(error) }),
    );
  } else {
    await carriers.finish(message.ms);
    clearInterval(timer);
    await carriers.close();
    states();
    tell({ kind: 'closed' });
    port.close();
  }
});
