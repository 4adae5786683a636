// The command line: registers one module a command and turns whatever goes wrong into one sentence and an exit code:
// 0 done, 1 refused or found wrong, 2 usage. Refuses to know what the commands do. Source: CONTRACT, "Commands".

import { Command, CommanderError } from 'commander';
import { register as agent } from './agent.ts';
import { register as approver } from './approver.ts';
import { register as audit } from './audit.ts';
import { isTold } from './outcome.ts';
import { register as plan } from './plan.ts';
import { register as reconcile } from './reconcile.ts';
import { register as requests } from './requests.ts';
import { register as rules } from './rules.ts';
import { register as start } from './start.ts';
import { register as attempt } from './try.ts';
import { packageVersion } from './version.ts';
import { register as witness } from './witness.ts';

const program = new Command('holdpoint')
  .description('Holds destructive PostgreSQL statements until a person approves exactly those bytes.')
  .version(packageVersion())
  .showHelpAfterError('(run with --help for the options)')
  // Inherited by the commands registered after it.
  .exitOverride();
for (const register of [start, attempt, agent, approver, requests, plan, rules, audit, reconcile, witness])
  register(program);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}

/** Says what went wrong, unless commander has, and what the process ends with. */
function exitCodeOf(error: unknown): number {
  // Commander has printed its sentence, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const message = error instanceof Error ? error.message : String(error);
  const internal = isTold(error) ? '' : 'internal error: ';
  process.stderr.write(`holdpoint: ${internal}${message}\n`);
  if (internal && process.env.HOLDPOINT_DEBUG && error instanceof Error)
    process.stderr.write(`${error.stack}\n`);
  return 1;
}
