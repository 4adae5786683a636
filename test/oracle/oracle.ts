// The oracle: sends scripts by seed through Holdpoint, with nobody to approve, and judges by the server alone whether
// anything changed that may not have. It does not know what a statement means, only what was recorded of it: nothing may
// differ by statements that passed as reads, no row may be gone by any, and no definition may change at all.
// What it finds it narrows down to one script and step by playing them again on a fresh copy.

import { changes, gone, type Standing } from './digest.ts';
import { moodScripts, printed, type Script, script } from './generate.ts';
import { type Ground, prepareGround, worker } from './schema.ts';
import { openSite, type Played, type Site, type SiteOptions } from './site.ts';
import { isQuiet } from './verdicts.ts';

export interface OracleOptions {
  readonly seed: number;
  /** How many statements to send at least. */
  readonly statements: number;
  /** Major version of the server; default 18. */
  readonly version?: number;
  /** Rules of the guard; default the default ones. */
  readonly rules?: string;
  /** Ends once so many breaches are known; default 5. */
  readonly breachesMax?: number;
  readonly onProgress?: (report: Report) => void;
}

export interface Breach {
  readonly seed: number;
  readonly index: number;
  readonly site: SiteOptions;
  /** What changed. */
  readonly what: string;
  /** The script with what was recorded of each step, for people. */
  readonly text: string;
}

export interface Report {
  scripts: number;
  statements: number;
  /** Statements by decision and class, such as `pass read`. */
  readonly verdicts: Map<string, number>;
  readonly breaches: Breach[];
  ms: number;
}

/** Scripts between two fresh copies of the ground. */
const siteScripts = 16 * moodScripts;

/** In turn. Row security applies to the worker alone; to the superuser nothing is refused by the server. */
const sites: readonly Omit<SiteOptions, 'rules'>[] = [
  { login: 'postgres', variant: 'named' },
  { login: 'postgres', variant: 'overloads' },
  { login: worker, variant: 'named' },
  { login: 'postgres', variant: 'everything' },
];

export async function runOracle(options: OracleOptions): Promise<Report> {
  const { seed, statements, breachesMax = 5, onProgress } = options;
  const started = Date.now();
  const report: Report = { scripts: 0, statements: 0, verdicts: new Map(), breaches: [], ms: 0 };
  const ground = await prepareGround(options.version);
  try {
    while (report.statements < statements && report.breaches.length < breachesMax) {
      await runSite(ground, options, report, () => {
        report.ms = Date.now() - started;
        onProgress?.(report);
        return report.statements < statements && report.breaches.length < breachesMax;
      });
    }
  } finally {
    await ground.stop();
  }
  report.ms = Date.now() - started;
  if (report.scripts === 0) throw new Error(`seed ${seed} sent nothing`);
  return report;
}

/** Batches on one copy of the ground, until it is used up or something was found on it. */
async function runSite(
  ground: Ground,
  options: OracleOptions,
  report: Report,
  more: () => boolean,
): Promise<void> {
  const kind = sites[Math.floor(report.scripts / siteScripts) % sites.length]!;
  const made: SiteOptions = { ...kind, rules: options.rules ?? 'default' };
  const site = await openSite(ground, made);
  let found: Suspicion[] = [];
  try {
    let before = await site.look();
    do {
      const first = report.scripts;
      const batch = Array.from({ length: moodScripts }, (_, n) => script(options.seed, first + n));
      const outcome = await playBatch(site, batch, before, report);
      before = outcome.after;
      found = outcome.suspicions;
    } while (more() && found.length === 0 && report.scripts % siteScripts !== 0);
  } finally {
    await site.close();
  }
  for (const suspicion of found) await confirm(ground, made, suspicion, report);
  more();
}

/** Something that may be a breach: by one of these scripts. */
interface Suspicion {
  readonly scripts: readonly Script[];
  readonly what: string;
  /** Certain already: `played` are the steps as they went. */
  readonly played?: readonly Played[];
}

async function playBatch(
  site: Site,
  batch: readonly Script[],
  start: Standing,
  report: Report,
): Promise<{ after: Standing; suspicions: Suspicion[] }> {
  const suspicions: Suspicion[] = [];
  let before = start;
  let wrote = false;
  for (const each of batch) {
    const played = await site.play(each);
    count(report, played);
    const writes = played.some(({ entries }) =>
      entries.some((entry) => entry.dec === 'pass' && !isQuiet(entry)),
    );
    for (const what of played.flatMap(({ wrong }) => wrong))
      suspicions.push({ scripts: [each], what, played });
    if (played.some(({ suspect }) => suspect)) {
      if (wrote || writes) suspicions.push({ scripts: [each], what: 'something was written' });
      else {
        const after = await site.look(before);
        const what = differences(before, after, false);
        if (what !== '') suspicions.push({ scripts: [each], what, played });
        before = after;
      }
    }
    wrote ||= writes;
  }
  const after = await site.look(before);
  const what = differences(before, after, wrote);
  if (what !== '' && suspicions.length === 0) suspicions.push({ scripts: batch, what });
  return { after, suspicions };
}

function count(report: Report, played: readonly Played[]): void {
  report.scripts += 1;
  for (const { entries } of played) {
    report.statements += entries.length;
    for (const { dec, cls } of entries) {
      const key = `${dec} ${cls}`;
      report.verdicts.set(key, (report.verdicts.get(key) ?? 0) + 1);
    }
  }
}

/** What may not have changed and did, in words; empty if nothing. `wrote`: something passed that may write rows. */
function differences(before: Standing, after: Standing, wrote: boolean): string {
  const defined = changes(before.definitions, after.definitions);
  const rows = gone(before, after);
  const contents = wrote ? [] : changes(before.contents, after.contents);
  return [
    ...(rows.length > 0 ? [`rows gone: ${rows.join(', ')}`] : []),
    ...(defined.length > 0 ? [`changed: ${defined.join(', ')}`] : []),
    ...(contents.length > 0 ? [`changed by reads: ${contents.join(', ')}`] : []),
  ].join('; ');
}

/** Plays the scripts again, each with a look before and after, on a fresh copy; what then differs is a breach. */
async function confirm(
  ground: Ground,
  made: SiteOptions,
  suspicion: Suspicion,
  report: Report,
): Promise<void> {
  const breach = ({ seed, index, steps }: Script, what: string, played: readonly Played[]): void => {
    report.breaches.push({
      seed,
      index,
      site: made,
      what,
      text: printedWith({ seed, index, steps }, played),
    });
  };
  if (suspicion.played !== undefined) return breach(suspicion.scripts[0]!, suspicion.what, suspicion.played);
  const site = await openSite(ground, made);
  try {
    let before = await site.look();
    for (const each of suspicion.scripts) {
      const played = await site.play(each);
      const after = await site.look(before);
      const writes = played.some(({ entries }) =>
        entries.some((entry) => entry.dec === 'pass' && !isQuiet(entry)),
      );
      const what = differences(before, after, writes);
      if (what !== '') return breach(each, what, played);
      before = after;
    }
  } finally {
    await site.close();
  }
  // A whole batch that cannot be repeated is still one too many; a single transaction number is none.
  if (suspicion.scripts.length > 1)
    breach(
      suspicion.scripts[0]!,
      `${suspicion.what}, by one of ${suspicion.scripts.length} scripts from here`,
      [],
    );
}

/** The script, and under it what Holdpoint recorded of each step. */
function printedWith(each: Script, played: readonly Played[]): string {
  const verdicts = played.map(({ entries, suspect }, index) => {
    const words = entries.map(
      ({ dec, cls, effects, rule }) => `${dec} ${cls} [${effects.join(' ')}] by ${rule}`,
    );
    return `  step ${index + 1}: ${words.join('; ') || 'nothing recorded'}${suspect ? '  <- wrote' : ''}`;
  });
  return [printed(each), ...verdicts].join('\n');
}

/** A report as a person would want to read it. */
export function summary({ scripts, statements, verdicts, breaches, ms }: Report): string {
  const counted = [...verdicts].sort((a, b) => b[1] - a[1]).map(([key, n]) => `${key} ${n}`);
  const head = `${statements} statements in ${scripts} scripts, ${(ms / 1000).toFixed(1)} s: ${counted.join(', ')}`;
  return [
    head,
    ...breaches.map(
      ({ what, site, text }) => `BREACH as ${site.login} beside ${site.variant}: ${what}\n${text}`,
    ),
  ].join('\n');
}
