// `holdpoint audit open`: one value of one record, for whoever holds an auditor's private key, and whether it is the one that the
// record commits to. Nothing else is decrypted. Also written as a disclosure, which needs no key to be checked.

import { type Command, Option } from 'commander';
import {
  checkDisclosure,
  type Disclosure,
  disclosureText,
  isCommitted,
  valuesIn,
} from '../../verify/src/disclosure.ts';
import { readText } from '../../verify/src/input.ts';
import { type Opened, tokenIndex } from '../../verify/src/sidefile.ts';
import { parameterText } from '../approval/parameter.ts';
import { visibleLine } from '../approval/visible.ts';
import { HoldpointError } from '../errors.ts';
import { auditorIn, entriesOf, finished, numberOf, opened, type Placed, recordAt } from './audit-values.ts';
import { onlyLog } from './only-log.ts';
import type { Found } from './outcome.ts';

export interface OpenFlags {
  readonly seq?: number;
  readonly value?: number;
  readonly auditorKey?: string;
  readonly check?: string;
  readonly json?: boolean;
}

/** Adds `audit open`. */
export function registerOpen(
  audit: Command,
  folder: { name: string; words: string; fallback: string },
): void {
  audit
    .command('open')
    .description('show one value that a record commits to; needs the private key of an auditor')
    .argument(folder.name, folder.words, folder.fallback)
    .option('--seq <n>', 'the record', (given) => numberOf(given))
    .option('--value <i>', 'which of its values, from 0; -1 is an ID token', (given) => numberOf(given, true))
    .option('--auditor-key <file>', "the auditor's private key (JWK)")
    .option('--check <file>', 'check what --json printed, which takes no key and no log')
    .addOption(new Option('--json', 'print the value with its salt, for handing over'))
    .action(async (dir: string, flags: OpenFlags) => {
      process.exitCode = await finished(flags, async () =>
        flags.check === undefined ? open(dir, flags) : checked(flags.check),
      );
    });
}

/** The value, if it fits. Throws HoldpointError for whatever is in the way; `conflict` where it does not fit. */
export async function open(dir: string, flags: OpenFlags): Promise<Found> {
  if (flags.seq === undefined || flags.auditorKey === undefined)
    throw new HoldpointError(
      'bad-request',
      'name the record with --seq N and your key with --auditor-key FILE',
    );
  const auditor = auditorIn(flags.auditorKey);
  const source = onlyLog(dir);
  const { seq } = flags;
  const { record, long } = await recordAt(source, seq);
  const entries: Placed[] = [];
  for await (const placed of entriesOf(source, new Set([seq]))) entries.push(placed);
  const placed = one(entries, seq, flags.value, valuesIn(record.members, long));
  const at = placed.entry[1];
  const value = await opened(placed, auditor);
  if (!isCommitted(record.members, long, at, value))
    throw new HoldpointError(
      'conflict',
      `what is kept as value ${at} of record ${seq} is not what the record commits to: the side file was damaged or changed`,
    );
  const disclosure: Disclosure = {
    typ: 'holdpoint.disclosure.v1',
    index: at,
    oid: value.oid,
    salt: value.salt.toString('base64url'),
    value: value.value?.toString('base64url') ?? null,
    line: record.line,
    members: long,
  };
  return { text: text(record.members, at, value), json: disclosureText(disclosure) };
}

/** The one entry that is meant. */
function one(entries: readonly Placed[], seq: number, value: number | undefined, count: number): Placed {
  const indexes = entries.map(({ entry }) => entry[1]);
  if (entries.length === 0)
    throw new HoldpointError(
      'not-found',
      count === 0
        ? `record ${seq} commits to no value`
        : `none of the ${count} values of record ${seq} is kept: they were erased, or never put aside (audit.values)`,
    );
  const found =
    value === undefined && entries.length === 1
      ? entries[0]
      : entries.find(({ entry }) => entry[1] === value);
  if (found !== undefined) return found;
  const kept = `those kept are ${indexes.slice(0, 50).join(', ')}${indexes.length > 50 ? ', …' : ''}`;
  throw value === undefined
    ? new HoldpointError(
        'bad-request',
        `record ${seq} has ${entries.length} values; name one with --value I: ${kept}`,
      )
    : new HoldpointError('not-found', `value ${value} of record ${seq} is not kept; ${kept}`);
}

/** A disclosure in a file. Throws `conflict` where it does not hold. */
export function checked(path: string): Found {
  const written = readText(path);
  try {
    const { record, index: at, opened: value } = checkDisclosure(written);
    return { text: text(record, at, value), json: written };
  } catch (cause) {
    throw new HoldpointError('conflict', `${path} does not hold: ${(cause as Error).message}`, { cause });
  }
}

function text(record: Readonly<Record<string, unknown>>, at: number, opened: Opened): string {
  const { oid, value } = opened;
  const isLiteral = record.kind === 'stmt' && oid === 0 && value !== undefined;
  const read = parameterText(oid, 0, value ?? null);
  const type = isLiteral ? 'as it stands in the text' : read.type;
  const shown =
    value === undefined
      ? 'NULL'
      : isLiteral
        ? value.toString('utf8')
        : (shownIn(record, at, value) ?? read.text);
  const what = at === tokenIndex ? 'the ID token' : `value ${at}`;
  return (
    `${what} of record ${record.seq}: ${visibleLine(shown)}\n` +
    `  ${type}, ${value?.length ?? 0} bytes; it is the one that the record commits to\n`
  );
}

/** Of what was shown with a request, its statement. */
function shownIn({ kind }: Readonly<Record<string, unknown>>, at: number, value: Buffer): string | undefined {
  if (kind !== 'hold' || at !== 0) return undefined;
  const { sql } = JSON.parse(value.toString('utf8')) as { sql?: unknown };
  return typeof sql === 'string' ? sql : undefined;
}
