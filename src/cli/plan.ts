// `holdpoint plan submit | status`: an agent's list of statements, put before a person as one. Sends the file as it is and
// prints what came of it; with --wait until somebody has decided. Refuses to read SQL: the server splits and judges it.

import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { visibleLine } from '../approval/visible.ts';
import { HoldpointError } from '../errors.ts';
import { ended, type Found, type Output, terminal } from './outcome.ts';
import { requestId } from './remote.ts';

interface Options {
  readonly url: string;
  readonly agent: string;
  readonly passwordEnv: string;
  readonly json?: boolean;
}

interface SubmitOptions extends Options {
  readonly target: string;
  readonly reason?: string;
  readonly wait?: boolean;
}

/** What the server says of a plan, as far as it is printed. */
interface PlanView {
  readonly id: string;
  readonly state: string;
  readonly expires: string;
  readonly target: string;
  readonly need: { readonly level: string; readonly quorum: number };
  readonly ending: { readonly by: string; readonly reason: string } | null;
  readonly plan: { readonly statements: readonly { command: string; sql: string }[] } | null;
}

const answerMs = 60_000;
const pollMs = 1_000;

/** Adds the `plan` commands. Their exit codes go to process.exitCode. */
export function register(program: Command): void {
  const plan = program.command('plan').description('have a list of statements approved as one');
  const common = (command: Command): Command =>
    command
      .requiredOption('--agent <name>', 'the agent you are')
      .option('--password-env <variable>', 'the environment variable with its password', 'HOLDPOINT_PASSWORD')
      .option('--url <url>', 'the Holdpoint to ask', 'http://127.0.0.1:8432')
      .addOption(new Option('--json', 'print JSON'));
  common(plan.command('submit').description('hand in a file of SQL statements').argument('<file>'))
    .requiredOption('--target <name>', 'the target it is for')
    .option('--reason <text>', 'why, for whoever decides')
    .option('--wait', 'until it is decided; exit code 1 unless it was approved')
    .action(async (file: string, options: SubmitOptions) => {
      process.exitCode = await submitPlan(file, options, terminal);
    });
  common(plan.command('status').description('what became of a plan').argument('<id>')).action(
    async (id: string, options: Options) => {
      process.exitCode = await planStatus(id, options, terminal);
    },
  );
}

/** `plan submit`. `pauseMs`: between two looks. */
export function submitPlan(
  file: string,
  options: SubmitOptions,
  output: Output,
  pauseMs: number = pollMs,
): Promise<number> {
  return ended(options, output, async () => {
    const sql = textOf(file);
    const { target, reason } = options;
    let view = await asked(options, '/api/plans', { target, sql, ...(reason !== undefined && { reason }) });
    if (options.wait !== true) return told(view);
    if (options.json !== true) output.out(told(view).text);
    while (view.state === 'pending') {
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      view = await asked(options, `/api/plans/${view.id}`);
    }
    if (!passed.has(view.state)) throw new HoldpointError('rejected', endingText(view));
    return { ...told(view), text: `plan ${view.id}: ${view.state}\n` };
  });
}

/** `plan status`. */
export function planStatus(id: string, options: Options, output: Output): Promise<number> {
  return ended(options, output, async () => told(await asked(options, `/api/plans/${requestId(id)}`)));
}

const passed = new Set(['approved', 'consumed', 'executed']);

function textOf(file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file));
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : String(cause);
    throw new HoldpointError('not-found', `cannot read the plan ${file}: ${why}`, { cause });
  }
}

function told(view: PlanView): Found {
  const statements = view.plan?.statements ?? [];
  const lines = statements.map(
    ({ command, sql }, at) => `  ${String(at + 1).padStart(3)}  ${visibleLine(command)}  ${shortened(sql)}`,
  );
  const needs = `needs ${view.need.quorum} of level ${view.need.level}, by ${view.expires}`;
  const how =
    view.state === 'pending'
      ? needs
      : view.state === 'approved'
        ? `send its statements in this order, in one session, by ${view.expires}`
        : endingText(view);
  return {
    text: `plan ${view.id} on ${view.target}: ${view.state}\n${lines.join('\n')}\n${how}\n`,
    json: view,
  };
}

function endingText({ id, state, ending }: PlanView): string {
  return ending === null
    ? `plan ${id}: ${state}`
    : `plan ${id}: ${state} by ${visibleLine(ending.by)}${ending.reason === '' ? '' : `: ${visibleLine(ending.reason)}`}`;
}

const shownCharacters = 100;

function shortened(sql: string): string {
  const line = visibleLine(sql.replace(/\s+/g, ' '));
  return line.length > shownCharacters ? `${line.slice(0, shownCharacters)} …` : line;
}

/** With a body it is handed in, without one it is asked for. */
async function asked(options: Options, path: string, body?: unknown): Promise<PlanView> {
  const password = process.env[options.passwordEnv];
  if (password === undefined)
    throw new HoldpointError(
      'bad-request',
      `the environment has no ${options.passwordEnv}; put the password of ${options.agent} there, or name another with --password-env`,
    );
  const url = options.url.replace(/\/+$/, '');
  const basic = Buffer.from(`${options.agent}:${password}`).toString('base64');
  let answer: Response;
  try {
    answer = await fetch(url + path, {
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
      headers: { Authorization: `Basic ${basic}`, 'Content-Type': 'application/json' },
      signal: AbortSignal.timeout(answerMs),
      redirect: 'error',
    });
  } catch (cause) {
    throw new HoldpointError(
      'store-unreachable',
      `no Holdpoint answers at ${url}; start it, or name another with --url`,
      { cause },
    );
  }
  const given = (await answer.json().catch(() => null)) as (PlanView & { detail?: string }) | null;
  if (answer.ok && given !== null) return given;
  if (answer.status === 401)
    throw new HoldpointError(
      'unauthorized',
      `${options.agent} with the password in ${options.passwordEnv} is not known at ${url}`,
    );
  throw new HoldpointError('conflict', given?.detail ?? `${url} answered ${answer.status}`);
}
