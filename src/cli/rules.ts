// `holdpoint rules check | explain | test | schema`: what the rules say, before anybody relies on them. Reads files,
// prints, sets the exit code: 0 done, 1 found wrong, 2 usage. Refuses to know how a verdict comes about (policy/).

import { existsSync, readFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';

import { type Command, Option } from 'commander';

import { HoldpointError } from '../errors.ts';
import { type Case, difference, parseCases, someActor } from '../policy/cases.ts';
import { explain, explanationText } from '../policy/explain.ts';
import { rulesSchemaText } from '../policy/format.ts';
import { loadPolicy, packNames, policyPath, readSource } from '../policy/packs.ts';
import type { Policy } from '../policy/rules.ts';
import type { Environment } from '../policy/verdict.ts';
import { classOf } from '../sql/class.ts';
import { Analyzer } from '../sql/parse.ts';

/** Where output goes; the process's own unless a test listens. */
export interface Output {
  out(text: string): void;
  err(text: string): void;
}

interface ActorOptions {
  agent: string;
  target: string;
  env: Environment;
  access?: 'read-only';
}

const terminal: Output = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
};

/** Adds the `rules` commands. Their exit codes go to process.exitCode. */
export function register(program: Command): void {
  const rules = program.command('rules').description('check, explain and test rules');
  const json = () => new Option('--json', 'print JSON');

  rules
    .command('check')
    .description('validate a rules file; says what is wrong, and in which line')
    .argument('<file>', 'a path, or the name of a shipped pack')
    .addOption(json())
    .action((file: string, options: { json?: boolean }) => finish(checkRules(file, options, terminal)));

  rules
    .command('explain')
    .description('say class, effects, rule and verdict of a statement')
    .argument('<sql>', 'the statement; - reads standard input')
    .option('--rules <name>', 'a shipped pack, or the path of a rules file', 'default')
    .option('--agent <name>', 'who asks', someActor.agent)
    .option('--target <name>', 'on which target', someActor.target)
    .addOption(
      new Option('--env <environment>', 'in which environment')
        .choices(['production', 'staging', 'development'])
        .default(someActor.environment),
    )
    .addOption(new Option('--access <access>', 'as an agent that only reads').choices(['read-only']))
    .addOption(json())
    .action((sql: string, options: ActorOptions & { rules: string; json?: boolean }) =>
      finish(explainSql(sql === '-' ? readFileSync(0) : Buffer.from(sql, 'utf8'), options, terminal)),
    );

  rules
    .command('test')
    .description('run the tests beside a rules file; without a file, those of every shipped pack')
    .argument('[file]', 'x.yaml, whose tests are in x.test.yaml, or the name of a shipped pack')
    .addOption(json())
    .action((file: string | undefined, options: { json?: boolean }) =>
      finish(testRules(file, options, terminal)),
    );

  rules
    .command('schema')
    .description('print the JSON Schema of rules files')
    .action(() => terminal.out(rulesSchemaText()));
}

async function finish(code: number | Promise<number>): Promise<void> {
  process.exitCode = await code;
}

/** `rules check`. Exit code 1 for a file that is wrong, 2 for one that is not there. */
export function checkRules(file: string, options: { json?: boolean }, output: Output): number {
  const read = attempt(() => loadNamed(file));
  if ('code' in read) return refuse(read, options, output);
  const { policy } = read;
  const count = (action: string) => policy.rules.filter((rule) => rule.action === action).length;
  const summary = { pass: count('pass'), hold: count('hold'), deny: count('deny') };
  if (options.json === true) {
    output.out(
      `${JSON.stringify({ ok: true, file: policy.name, observe: policy.observe, digest: policy.digest, rules: summary })}\n`,
    );
    return 0;
  }
  const words = Object.entries(summary).map(([action, number]) => `${number} ${action}`);
  const mode = policy.observe ? ', observing: everything passes, the log says what would not' : '';
  output.out(
    `${policy.name}: ${policy.rules.length} rules (${words.join(', ')})${mode}\ndigest ${policy.digest}\n`,
  );
  return 0;
}

/** `rules explain`. Exit code 0 whatever the verdict, 1 for a text that never reaches the rules. */
export async function explainSql(
  sql: Buffer,
  options: ActorOptions & { rules: string; json?: boolean },
  output: Output,
): Promise<number> {
  const read = attempt(() => loadNamed(options.rules));
  if ('code' in read) return refuse(read, options, output);
  const { agent, target, env: environment, access } = options;
  const actor = { agent, target, environment, ...(access !== undefined && { access }) };
  const analyzer = await Analyzer.load();
  try {
    const explanation = explain(read.policy, sql, await analyzer.analyze(sql), actor, classOf);
    output.out(
      options.json === true ? `${JSON.stringify(explanation, null, 2)}\n` : explanationText(explanation),
    );
    return explanation.refused === undefined ? 0 : 1;
  } finally {
    await analyzer.close();
  }
}

/** `rules test`. Exit code 0 only if something was tested and all of it held. */
export async function testRules(
  file: string | undefined,
  options: { json?: boolean },
  output: Output,
): Promise<number> {
  const names = file === undefined ? packNames() : [file];
  const read = attempt(() => ({ packs: names.map(loadWithCases) }));
  if ('code' in read) return refuse(read, options, output);
  const analyzer = await Analyzer.load();
  try {
    const failures: { test: Case; text: string }[] = [];
    for (const { policy, cases } of read.packs) {
      const failed = await failuresOf(policy, cases, analyzer);
      failures.push(...failed);
      if (options.json !== true) output.out(packText(policy, cases.length, failed));
    }
    if (options.json === true) output.out(testJson(read.packs, failures));
    return failures.length === 0 ? 0 : 1;
  } finally {
    await analyzer.close();
  }
}

async function failuresOf(policy: Policy, cases: readonly Case[], analyzer: Analyzer) {
  const failures: { test: Case; text: string }[] = [];
  for (const test of cases) {
    const text = difference(policy, test, await analyzer.analyze(Buffer.from(test.sql, 'utf8')));
    if (text !== undefined) failures.push({ test, text });
  }
  return failures;
}

function packText(policy: Policy, total: number, failures: readonly { test: Case; text: string }[]): string {
  const lines = failures.map(
    ({ test, text }) => `  ${shortPath(test.file)}:${test.line}: ${oneLine(test.sql)}\n    ${text}`,
  );
  const verdict = failures.length === 0 ? 'ok    ' : 'FAILED';
  const held = `${total - failures.length} of ${total} statements judged as expected`;
  return `${[`${verdict} ${policy.name}: ${held}`, ...lines].join('\n')}\n`;
}

function testJson(
  packs: readonly { policy: Policy; cases: readonly Case[] }[],
  failures: readonly { test: Case; text: string }[],
): string {
  const total = packs.reduce((sum, { cases }) => sum + cases.length, 0);
  const failed = failures.map(({ test, text }) => ({
    file: test.file,
    line: test.line,
    sql: test.sql,
    problem: text,
  }));
  const files = packs.map(({ policy }) => policy.name);
  return `${JSON.stringify({ ok: failed.length === 0, files, tests: total, failed }, null, 2)}\n`;
}

/** A policy under the name a person would use for its file. */
function loadNamed(nameOrPath: string): { policy: Policy } {
  const policy = loadPolicy(asArgument(nameOrPath), process.cwd());
  const rules = policy.rules.map((rule) => ({ ...rule, file: shortPath(rule.file) }));
  return { policy: { ...policy, name: shortPath(policy.name), rules } };
}

/** On a command line, an existing file needs no ./ before its name. */
function asArgument(nameOrPath: string): string {
  return /^[\w-]+$/.test(nameOrPath) && !packNames().includes(nameOrPath) && existsSync(nameOrPath)
    ? `./${nameOrPath}`
    : nameOrPath;
}

function loadWithCases(nameOrPath: string): { policy: Policy; cases: Case[] } {
  const rulesFile = policyPath(asArgument(nameOrPath), process.cwd()).replace(/\.test\.ya?ml$/, '.yaml');
  const { policy } = loadNamed(rulesFile);
  const cases = readSource(rulesFile.replace(/\.ya?ml$/, '.test.yaml'));
  return { policy, cases: parseCases(cases.text, shortPath(cases.file)) };
}

interface Refusal {
  readonly code: number;
  readonly error: HoldpointError;
}

/** A wrong file is found wrong (1); a file that cannot be read is a usage error (2). */
function attempt<T extends object>(read: () => T): T | Refusal {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof HoldpointError)) throw error;
    return { code: error.code === 'not-found' ? 2 : 1, error };
  }
}

function refuse({ code, error }: Refusal, options: { json?: boolean }, output: Output): number {
  const problems = [error.message, ...(error.detail?.split('\n') ?? [])];
  if (options.json === true) output.out(`${JSON.stringify({ ok: false, problems }, null, 2)}\n`);
  else output.err(`${problems.join('\n')}\n`);
  return code;
}

function shortPath(file: string): string {
  const short = relative(process.cwd(), resolve(file));
  return short.startsWith('..') ? resolve(file) : short;
}

function oneLine(sql: string): string {
  const line = sql.replaceAll(/\s+/g, ' ').trim();
  return line.length > 100 ? `${line.slice(0, 100)}…` : line;
}
