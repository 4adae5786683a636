// `holdpoint-verify PATH`: the verifier by itself, for whoever has a log, a proof or a bundle and public keys, and nothing
// of Holdpoint. Reads its arguments, prints, sets the exit code.

import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runVerify, type VerifyFlags } from './command.ts';
import { UsageError } from './input.ts';
import { SourceError } from './source.ts';

const usage = `holdpoint-verify PATH [options]

PATH is a folder that holds a log (or the data folder above it), or a file: a proof or a bundle.

  --root-key FILE|THUMBPRINT   the root key that you trust; without it the log's own word is taken, and said
  --expect SIZE:ROOT|FILE      what an earlier verification printed, or a checkpoint you kept; the log must continue it
  --witness KEY|FILE           a witness you trust (NAME+HEX+BASE64); it must have cosigned; may be repeated
  --policy KofN                how many of the witnesses (default: all)
  --max-age TIME               how long ago at most they last cosigned: 90s, 5m, 2h, 1d
  --revoked FILE               the root's words on keys in doubt, beside those in the log; may be repeated
  --approver FILE              an approver's public key (JWK or OpenSSH), beside those in the log; may be repeated
  --log-key KEY                a key of the log's checkpoints (NAME+HEX+BASE64), for a tlog-proof; may be repeated
  --from SEQ, --to SEQ         only the segments that hold these records
  --jobs N                     threads (default: one for each processor)
  --live                       Holdpoint is writing it: the newest records may be under no seal yet
  --no-gaps                    fail on crashes and gaps that the log itself declares
  --json                       print JSON
  --version, --help

Exit codes: 0 verified; 1 nothing was checked, or it cannot be read; 2 usage; 10 hash or chain; 11 signature; 12 root or
size; 13 torn tail; 14 unsealed tail; 15 stale, or no witness; 16 not what --expect remembers; 17 key chain; 18 not
canonical; 19 gap declared (--no-gaps); 20 statement without outcome; 21 ran without a valid approval.
`;

const options = {
  'root-key': { type: 'string' },
  expect: { type: 'string' },
  witness: { type: 'string', multiple: true },
  policy: { type: 'string' },
  'max-age': { type: 'string' },
  revoked: { type: 'string', multiple: true },
  approver: { type: 'string', multiple: true },
  'log-key': { type: 'string', multiple: true },
  from: { type: 'string' },
  to: { type: 'string' },
  jobs: { type: 'string' },
  live: { type: 'boolean' },
  'no-gaps': { type: 'boolean' },
  json: { type: 'boolean' },
  version: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** Runs the command line; returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = parsed(args);
    if (values.help === true) {
      process.stdout.write(usage);
      return 0;
    }
    if (values.version === true) {
      process.stdout.write(`${version()}\n`);
      return 0;
    }
    const [path] = positionals;
    if (path === undefined || positionals.length > 1)
      throw new UsageError('name one folder or file; see holdpoint-verify --help');
    const flags: VerifyFlags = {
      rootKey: values['root-key'],
      expect: values.expect,
      witness: values.witness,
      policy: values.policy,
      maxAge: values['max-age'],
      revoked: values.revoked,
      approver: values.approver,
      logKey: values['log-key'],
      gaps: values['no-gaps'] !== true,
      live: values.live,
      from: whole('--from', values.from),
      to: whole('--to', values.to),
      jobs: whole('--jobs', values.jobs),
      json: values.json,
    };
    return await runVerify(path, flags, {
      out: (text) => process.stdout.write(text),
      err: (text) => process.stderr.write(text),
      progress: process.stderr.isTTY,
    });
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof SourceError || isSystem(error))) throw error;
    process.stderr.write(`holdpoint-verify: ${error.message}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function whole(option: string, text: string | undefined): number | undefined {
  if (text !== undefined && !/^\d{1,15}$/.test(text)) throw new UsageError(`${option} takes a number`);
  return text === undefined ? undefined : Number(text);
}

/** An error of the operating system: what it could not read, and why. */
function isSystem(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string';
}

/** As package.json says: beside this file's folder, or where Holdpoint's own package has it. */
function version(): string {
  const paths = ['../package.json', '../../../verify/package.json'].map(
    (path) => new URL(path, import.meta.url),
  );
  const read = readFileSync(paths.find((path) => existsSync(path)) ?? paths[0]!, 'utf8');
  return String((JSON.parse(read) as { version: unknown }).version);
}

process.exitCode = await main(process.argv.slice(2));
