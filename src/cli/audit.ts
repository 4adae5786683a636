// `holdpoint audit verify | show | tail | who | prove | consistency | tiles | root`: the log, for auditors. Reads files, prints, sets the exit
// code: those of reference §12 for verify, else 0 done, 1 found wrong, 2 usage. Needs no configuration, no running
// Holdpoint and no key but public ones.

import { type Command, Option } from 'commander';
import { runVerify, type VerifyFlags } from '../../verify/src/command.ts';
import { records } from '../../verify/src/input.ts';
import { findLogs } from '../../verify/src/source.ts';
import { plain } from '../../verify/src/text.ts';
import { readPublicKey } from '../../verify/src/token.ts';
import { type ConsistencyFlags, proveConsistency } from './audit-consistency.ts';
import { registerFetch } from './audit-fetch.ts';
import { registerOpen } from './audit-open.ts';
import { type ProveFlags, proveRecord } from './audit-prove.ts';
import { registerRedact } from './audit-redact.ts';
import { registerRoot } from './audit-root.ts';
import { registerShow } from './audit-show.ts';
import { makeTiles } from './audit-tiles.ts';
import { type WhoFlags, who } from './audit-who.ts';
import { registerAuditorKey } from './auditor-key.ts';
import { whole } from './log-filter.ts';
import { onlyLog } from './only-log.ts';
import { logsFor } from './opened-source.ts';
import { codeOf, isTold, type Output, terminal } from './outcome.ts';

const defaultFolder = './holdpoint-data/audit';

/** Adds the `audit` commands. Their exit codes go to process.exitCode. */
export function register(program: Command): void {
  const audit = program.command('audit').description('verify and read the signed log');
  const json = () => new Option('--json', 'print JSON');
  const folder = '[dir]';
  const folderWords = `a log's folder, or the data folder above it (default: ${defaultFolder})`;

  audit
    .command('verify')
    .description('check every record, seal and key; exit 0 only if something was checked and all of it held')
    .argument(
      folder,
      `${folderWords}; or a proof or bundle written by \`audit prove\` or \`audit who\``,
      defaultFolder,
    )
    .option('--root-key <key>', 'the root key you trust: its thumbprint, or a JWK file')
    .option(
      '--expect <size:root|file>',
      'what an earlier verification printed, or a checkpoint you kept; the log must continue it',
    )
    .option(
      '--witness <key...>',
      'witnesses you trust (NAME+HEX+BASE64, or files of such); they must have cosigned',
    )
    .option('--policy <kofn>', 'how many of them, such as 2of3 (default: all)')
    .option('--max-age <time>', 'how long ago at most they last cosigned, such as 5m')
    .option(
      '--revoked <file...>',
      "the root's words on keys in doubt, beside those in the log (`audit revoke`)",
    )
    .addOption(approvers())
    .addOption(auditorKey())
    .option('--log-key <key...>', 'keys of the log’s checkpoints (NAME+HEX+BASE64), for a tlog-proof')
    .option('--live', 'Holdpoint is writing it: the newest records may be under no seal yet')
    .option('--no-gaps', 'fail on crashes and gaps that the log itself declares')
    .option('--from <n>', 'only the segments that hold records from this one on', whole)
    .option('--to <n>', 'only the segments that hold records up to this one', whole)
    .option('--jobs <n>', 'threads (default: one for each processor)', whole)
    .addOption(json())
    .action((dir: string, flags: VerifyFlags) => finish(() => verify(dir, flags, terminal), flags, terminal));

  registerShow(audit, (run, flags) => finish(run, flags, terminal));
  registerRoot(audit, (run) => finish(run, {}, terminal));

  audit
    .command('who')
    .description('who ran it, who allowed it, what came of it')
    .argument(folder, folderWords, defaultFolder)
    .option('--seq <n>', 'any record of the statement', whole)
    .option('--request <id>', 'a request')
    .option('--bundle <file>', 'also write what proves it, for somebody who has no log; for `audit verify`')
    .addOption(approvers())
    .addOption(auditorKey())
    .option('--whole', 'verify all of the log, too')
    .addOption(json())
    .action((dir: string, flags: WhoFlags) => finish(() => who(dir, flags, terminal), flags, terminal));

  audit
    .command('prove')
    .description('write one record and the proof that it is in the log')
    .argument(folder, folderWords, defaultFolder)
    .requiredOption('--seq <n>', 'the record', whole)
    .option('-o, --output <file>', 'where to (default: standard output)')
    .addOption(
      new Option('--format <format>', 'by the seal, or as C2SP text by the newest checkpoint')
        .choices(['json', 'tlog-proof'])
        .default('json'),
    )
    .action((dir: string, flags: ProveFlags) =>
      finish(() => proveRecord(onlyLog(dir), flags, terminal), {}, terminal),
    );

  audit
    .command('consistency')
    .description('write the proof that the log goes on from what somebody remembers of it')
    .argument(folder, folderWords, defaultFolder)
    .requiredOption('--old <state>', 'what they remember: SIZE:ROOT, or a checkpoint file')
    .option('--new <state>', 'a later state that they know (default: the newest seal)')
    .option('-o, --output <file>', 'where to (default: standard output)')
    .action((dir: string, flags: ConsistencyFlags) =>
      finish(() => proveConsistency(onlyLog(dir), flags, terminal), {}, terminal),
    );

  audit
    .command('tiles')
    .description('make the Merkle tree of a log anew as tiles (C2SP tlog-tiles), which hold hashes only')
    .argument(folder, folderWords, defaultFolder)
    .action((dir: string) => finish(() => makeTiles(onlyLog(dir), terminal), {}, terminal));

  audit
    .command('root')
    .description('print the root public key that others pin with --root-key')
    .argument(folder, folderWords, defaultFolder)
    .addOption(json())
    .action((dir: string, flags: { json?: boolean }) =>
      finish(() => root(dir, flags, terminal), flags, terminal),
    );

  registerFetch(audit, (act) => finish(act, {}, terminal), terminal);
  const where = { name: folder, words: folderWords, fallback: defaultFolder };
  registerOpen(audit, where);
  registerRedact(audit, where);
  registerAuditorKey(audit);
}

function auditorKey(): Option {
  const words = 'the private key of an auditor (JWK): ID tokens that were put aside prove decisions, too';
  return new Option('--auditor-key <file>', words);
}

function approvers(): Option {
  const words = "approvers' public keys, beside those in the log: JWK files, or OpenSSH public key files";
  return new Option('--approver <file...>', words);
}

async function finish(
  run: () => Promise<number>,
  flags: { json?: boolean | undefined },
  output: Output,
): Promise<void> {
  try {
    process.exitCode = await run();
  } catch (error) {
    if (!isTold(error)) throw error;
    if (flags.json === true) output.out(`${JSON.stringify({ ok: false, error: error.message })}\n`);
    else output.err(`holdpoint audit: ${error.message}\n`);
    process.exitCode = codeOf(error);
  }
}

/** `audit verify`: exit code of the first log that is wrong. */
export async function verify(
  dir: string,
  flags: VerifyFlags & { readonly auditorKey?: string },
  output: Output,
): Promise<number> {
  const shown = {
    out: (text: string) => output.out(text),
    err: (text: string) => output.err(text),
    progress: output === terminal && process.stderr.isTTY,
  };
  return runVerify(dir, flags, shown, (path) => logsFor(path, flags.auditorKey));
}

/** `audit root`. */
export async function root(dir: string, flags: { json?: boolean }, output: Output): Promise<number> {
  for (const source of findLogs(dir)) {
    for await (const record of records(source)) {
      const key = await readPublicKey(record.members.jwk);
      const { origin } = record.members;
      output.out(
        flags.json === true
          ? `${JSON.stringify({ origin, kid: key.kid, jwk: key.jwk })}\n`
          : `${plain(String(origin))}\n  thumbprint ${key.kid}\n  ${JSON.stringify(key.jwk)}\n`,
      );
      break;
    }
  }
  return 0;
}
