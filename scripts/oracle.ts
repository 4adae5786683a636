// `npm run oracle`: statements by seed through Holdpoint, a million of them unless told otherwise, and a comparison of
// the database before and after. Ends with 1 and the statement if something changed that may not have.
// Usage: npm run oracle -- [--seed 1] [--count 1000000] [--version 18] [--rules default] [--breaches 5]

import { parseArgs } from 'node:util';
import { runOracle, summary } from '../test/oracle/oracle.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    count: { type: 'string', default: '1000000' },
    version: { type: 'string', default: '18' },
    rules: { type: 'string', default: 'default' },
    breaches: { type: 'string', default: '5' },
  },
});
const reportEveryMs = 5000;
let reported = Date.now();

console.log(`seed ${values.seed}, PostgreSQL ${values.version}`);
const report = await runOracle({
  seed: Number(values.seed),
  statements: Number(values.count),
  version: Number(values.version),
  rules: values.rules,
  breachesMax: Number(values.breaches),
  onProgress({ statements, ms, breaches }) {
    if (Date.now() - reported < reportEveryMs) return;
    reported = Date.now();
    const rate = Math.round(statements / (ms / 1000));
    console.log(`${statements} statements, ${rate} per second, ${breaches.length} breaches`);
  },
});
console.log(summary(report));
process.exit(report.breaches.length === 0 ? 0 : 1);
