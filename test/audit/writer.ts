// A process that writes records until it is killed: prints `w SEQ` for what was written, `d SEQ` for what was durable.
// Arguments: the folder, and the number of bytes of a segment.

import { openLog } from '../../src/audit/opening.ts';

const [path, segmentBytesMax] = process.argv.slice(2);
const { log } = await openLog({
  dir: `${path}/audit`,
  keysDir: `${path}/keys`,
  origin: 'holdpoint/test',
  version: '0.0.0',
  values: 'clear',
  sealMs: 1,
  segmentBytesMax: Number(segmentBytesMax),
});
process.stdout.write('open\n');
const body = { kind: 'auth', sid: 's', client: 'c', agent: 'a', target: 't', ok: true, method: 'm' } as const;
for (;;) {
  let seq = 0;
  for (let n = 0; n < 5; n += 1) seq = log.append(body);
  await new Promise<void>((resolve, reject) => log.written((error) => (error ? reject(error) : resolve())));
  process.stdout.write(`w ${seq}\n`);
  await log.durable(seq);
  process.stdout.write(`d ${seq}\n`);
}
