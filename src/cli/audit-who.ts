// `holdpoint audit who`: the story of one statement or request, from the log alone: what ran, who allowed it, did they see
// exactly this, what came of it. Each record of it is proved by its place under a seal, as an outsider would who has the
// bundle of them; `--whole` verifies all of the log, too.

import { writeFileSync } from 'node:fs';
import { type Account, accountOf, keptOf } from '../../verify/src/account.ts';
import { bundleText, makeBundle } from '../../verify/src/bundle.ts';
import type { Credential } from '../../verify/src/credentials.ts';
import { credentialsOf } from '../../verify/src/input.ts';
import { Offence, offenceCodes } from '../../verify/src/offence.ts';
import type { Report } from '../../verify/src/report.ts';
import type { FolderSource } from '../../verify/src/source.ts';
import { storyText } from '../../verify/src/story-text.ts';
import { plain, recordText, reportText, time } from '../../verify/src/text.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { HoldpointError } from '../errors.ts';
import { wrongCheckpoint, wrongTiles } from './audit-prove.ts';
import { logsFor } from './opened-source.ts';
import type { Output } from './outcome.ts';

export interface WhoFlags {
  readonly seq?: number;
  readonly request?: string;
  readonly bundle?: string;
  readonly approver?: string[];
  readonly auditorKey?: string;
  /** Verify all of the log, too. */
  readonly whole?: boolean;
  readonly json?: boolean;
}

/** `audit who`: exit code 0 only if every record of the story is proved to be in the log, and the approvals are. */
export async function who(dir: string, flags: WhoFlags, output: Output): Promise<number> {
  if ((flags.seq === undefined) === (flags.request === undefined))
    throw new HoldpointError('bad-request', 'name either --seq N or --request ID');
  const approvers = await credentialsOf(flags.approver ?? []);
  for (const source of logsFor(dir, flags.auditorKey)) {
    const account = await accountOf(source, flags);
    if (account.records.length === 0) continue;
    const proven = await proveAccount(source, account, flags, approvers);
    const whole =
      flags.whole === true || 'error' in proven
        ? await verifyLog(source, { live: true, approvers, about: account.rid })
        : undefined;
    if (flags.json === true) output.out(whoJson(account, proven, whole));
    else output.out(whoText(account, proven, whole));
    if ('error' in proven) return whole?.ok === false ? whole.code : proven.code;
    if (flags.bundle !== undefined) writeFileSync(flags.bundle, bundleText(proven.bundle));
    if (whole?.ok === false) return whole.code;
    return unsealedOf(account) > 0 ? offenceCodes.unsealed : 0;
  }
  throw new HoldpointError('not-found', `the log in ${dir} has no such record or request`);
}

type Proven = Awaited<ReturnType<typeof makeBundle>> | { readonly error: string; readonly code: number };

/** The bundle of the records that a seal covers, checked as an outsider would. */
async function proveAccount(
  source: FolderSource,
  { records, rid, sealed }: Account,
  { seq }: WhoFlags,
  given: ReadonlyMap<string, Credential>,
): Promise<Proven> {
  const told = records.filter((record) => record.seq < sealed);
  if (told.length === 0)
    return {
      error: 'these records are under no seal yet: the next one covers them',
      code: offenceCodes.unsealed,
    };
  const lines = new Map(told.map((record) => [record.seq, record.line]));
  try {
    return await makeBundle(source, { rid, seq, lines, ...(await keptOf(source, told)) }, { given });
  } catch (error) {
    const code = error instanceof Offence ? offenceCodes[error.kind] : offenceCodes.signature;
    return { error: (error as Error).message, code };
  }
}

/** How many records of it are under no seal yet: a moment later they are. */
function unsealedOf({ records, sealed }: Account): number {
  return records.filter(({ seq }) => seq >= sealed).length;
}

function whoText(account: Account, proven: Proven, whole: Report | undefined): string {
  let text = account.records.map((record) => `${recordText(record)}\n`).join('');
  if ('error' in proven) text += `\nNOT PROVED: ${plain(proven.error)}\n`;
  else {
    const { shows } = proven;
    if (shows.story?.asked !== undefined) text += `\n${storyText(shows.story)}`;
    text += `\n${plain(shows.origin)}: verified\n`;
    text += `  ${shows.records.length} of these ${account.records.length} records are proved to be in the log, by a seal of ${time(shows.sealedAt)} under root ${shows.rootKid}\n`;
    const unsealed = unsealedOf(account);
    if (unsealed > 0)
      text += `  the newest ${unsealed} of them are not: they are under no seal yet; ask again in a moment\n`;
    if (whole === undefined) text += '  whether the rest of the log is whole, `audit verify` tells\n';
    if (proven.tiles === 'wrong') text += `  note: ${wrongTiles}\n`;
    if (proven.checkpoint === 'wrong') text += `  note: ${wrongCheckpoint}\n`;
  }
  if (whole !== undefined) text += `\n${reportText(whole).split('\n\n')[0]!.trimEnd()}\n`;
  return text;
}

function whoJson(account: Account, proven: Proven, whole: Report | undefined): string {
  const { records, rid } = account;
  const told = records.map(({ members }) => members);
  const shown =
    'error' in proven
      ? { ok: false, origin: whole?.origin, error: proven.error, story: null }
      : {
          ok: (whole?.ok ?? true) && unsealedOf(account) === 0,
          unsealed: unsealedOf(account),
          origin: proven.shows.origin,
          root: proven.shows.rootKid,
          sealedAt: proven.shows.sealedAt,
          story: proven.shows.story ?? null,
        };
  return `${JSON.stringify({ ...shown, request: rid, verified: whole?.findings, records: told }, null, 2)}\n`;
}
