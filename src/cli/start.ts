// holdpoint start: the proxy, until a signal ends it. Chooses the configuration (a file, DATABASE_URL, or the
// demonstration), prints where everything is, and reloads or stops when told to. Refuses to know how the parts work.

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { pino } from 'pino';
import type { Request } from '../approval/request.ts';
import { type Config, configFromEnv, demoConfig, loadConfig } from '../config.ts';
import { startDemoDatabase } from '../demo/shop.ts';
import { HoldpointError } from '../errors.ts';
import type { Report } from '../proxy/listener.ts';
import { assemble, type Running } from './assembly.ts';
import { auditorIn } from './audit-values.ts';
import { makeAuditorKey } from './auditor-key.ts';
import { packageVersion } from './version.ts';

/** What is started, and what belongs to it. */
interface Plan {
  readonly config: Config;
  /** An agent's URL with its password, if this start may show it. */
  readonly agent: { readonly name: string; readonly password: string } | undefined;
  readonly demo: boolean;
  /** Whether links go to the terminal: whoever has one may approve a development target. */
  readonly showLinks: boolean;
  readonly stop: () => Promise<void>;
}

export function register(program: Command): void {
  program
    .command('start')
    .description('run the proxy; without a file and without DATABASE_URL, a demonstration')
    .option('--config <file>', 'configuration (default: holdpoint.yaml, if there is one)')
    .action(async (options: { config?: string }) => {
      await start(options.config);
    });
}

async function start(file: string | undefined): Promise<void> {
  const log = pino({ level: process.env.HOLDPOINT_LOG_LEVEL ?? 'info' }, pino.destination(2));
  const report: Report = (level, message, fields) => log[level](fields, message);
  const plan = await choose(file);
  let running: Running;
  try {
    running = await assemble({
      config: plan.config,
      version: packageVersion(),
      report,
      ...(plan.showLinks ? { notify: announce } : {}),
    });
  } catch (error) {
    await plan.stop();
    throw error;
  }
  const agent = plan.agent ?? (await firstAgent(plan, running));
  process.stdout.write(welcome(plan, running, agent));
  await untilStopped(plan, running, report);
}

async function choose(file: string | undefined): Promise<Plan> {
  const path = file ?? (existsSync('holdpoint.yaml') ? 'holdpoint.yaml' : undefined);
  const nothing = async (): Promise<void> => undefined;
  if (path !== undefined) {
    const config = loadConfig(path, process.env);
    return { config, agent: undefined, demo: false, showLinks: false, stop: nothing };
  }
  if (process.env.DATABASE_URL !== undefined && process.env.DATABASE_URL !== '') {
    const config = configFromEnv(process.env, process.cwd());
    return { config, agent: undefined, demo: false, showLinks: true, stop: nothing };
  }
  return demonstration();
}

async function demonstration(): Promise<Plan> {
  const before = demoConfig('postgres://demo@127.0.0.1:5432/shop', process.env, process.cwd());
  const database = await startDemoDatabase({ dataDir: before.dataDir });
  const config = demoConfig(database.url, process.env, process.cwd());
  const name = 'agent';
  const agent = {
    name,
    password: database.agentPassword,
    verifier: undefined,
    targets: ['shop'],
    access: 'read-write' as const,
    onBehalfOf: [],
    expiresAt: undefined,
  };
  return {
    config: {
      ...config,
      agents: new Map([[name, agent]]),
      audit: { ...config.audit, ...(await demoAuditor(config)) },
    },
    agent: { name, password: database.agentPassword },
    demo: true,
    showLinks: true,
    stop: () => database.stop(),
  };
}

/** The demonstration's auditor has their key in the data folder, where it never is of anybody else. */
async function demoAuditor({
  dataDir,
}: Config): Promise<Pick<Config['audit'], 'values' | 'auditors' | 'valuesUnsaid'>> {
  const file = auditorFile(dataDir);
  const auditor = existsSync(file) ? auditorIn(file) : await makeAuditorKey(file);
  return { values: 'auditor', auditors: [{ kid: auditor.kid, jwk: auditor.jwk }], valuesUnsaid: false };
}

function auditorFile(dataDir: string): string {
  return join(dataDir, 'auditor.jwk');
}

/** With DATABASE_URL alone there is nobody yet who may log in: one agent is made, and its password shown this once. */
async function firstAgent(plan: Plan, running: Running): Promise<Plan['agent']> {
  const { registry } = running;
  if (plan.config.file !== undefined || registry.agents().length > 0) return undefined;
  const password = randomBytes(18).toString('base64url');
  const targets = [...plan.config.targets.keys()];
  await registry.addAgent({ name: 'agent', password, targets, createdAt: Date.now() });
  return { name: 'agent', password };
}

function welcome(plan: Plan, running: Running, agent: Plan['agent']): string {
  const { host } = plan.config.listen.postgres;
  const place = `${host.includes(':') ? `[${host}]` : host}:${running.postgresPort}`;
  const target = [...plan.config.targets.keys()][0] ?? '';
  const url = `postgres://${agent?.name ?? 'AGENT'}:${agent?.password ?? 'PASSWORD'}@${place}/${target}`;
  const data = relative(process.cwd(), plan.config.dataDir) || '.';
  const lines = [
    `Holdpoint ${packageVersion()} is guarding ${[...plan.config.targets.keys()].join(', ')}.`,
    '',
    `  agent's URL    ${url}`,
    `  approvals      ${running.config.publicUrl}/`,
    `  metrics        ${running.config.publicUrl}/metrics`,
    `  data folder    ${plan.config.dataDir}`,
    `  log's root key ${running.recovered.root}`,
    '',
    ...(agent !== undefined && !plan.demo
      ? ['The password is shown this once; only a verifier of it is kept.', '']
      : []),
    ...(agent === undefined ? [`Another agent: npx holdpoint agent add NAME --target ${target}`, ''] : []),
    'Three things to try:',
    ...(plan.demo
      ? [
          `  1. a read passes:        psql "${url}" -c "select count(*) from orders"`,
          `  2. a DROP is held:       psql "${url}" -c "drop table coupons"`,
          '     then open the link that appears here, and approve or reject',
          `     (no psql? "npx holdpoint try" plays the agent)`,
        ]
      : [
          `  1. a read passes:        psql "${url}" -c "select 1"`,
          `  2. a DROP is held:       psql "${url}" -c "drop table no_such_table"`,
          plan.showLinks
            ? '     then open the link that appears here'
            : '     then: npx holdpoint requests list --as NAME --key FILE',
        ]),
    `  3. the log proves it:    npx holdpoint audit verify ${data}/audit`,
    ...(plan.demo
      ? [
          '     and has no value in clear; an auditor opens one (whose key only a demonstration has here):',
          `     npx holdpoint audit open ${data}/audit --seq N --auditor-key ${auditorFile(data)}`,
        ]
      : []),
    '',
  ];
  return `${lines.join('\n')}\n`;
}

function announce(request: Request, link: string): void {
  const [statement] = request.statements;
  const what =
    statement === undefined ? 'a statement' : [statement.command, ...statement.relations].join(' ');
  process.stdout.write(`held: ${visible(what)} by ${visible(request.agent.id)}\n      ${link}\n`);
}

/** Names come from an agent's text; a terminal must not obey them. */
function visible(text: string): string {
  return text.replaceAll(/[^\x20-\x7e\p{L}\p{N}]/gu, '?').slice(0, 200);
}

/** Resolves after an orderly end. SIGTERM and SIGINT stop, a second one stops at once; SIGHUP reloads. */
async function untilStopped(plan: Plan, running: Running, report: Report): Promise<void> {
  const { file } = plan.config;
  process.on('SIGHUP', () => {
    const fresh = (): Config => (file === undefined ? plan.config : loadConfig(resolve(file), process.env));
    Promise.resolve()
      .then(() => running.reload(fresh()))
      .then(() => report('info', 'agents, approvers and rules are reloaded', {}))
      .catch((error: unknown) =>
        report('error', 'the reload failed; what was in force stays in force', { cause: said(error) }),
      );
  });
  const signal = await new Promise<string>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  process.once('SIGTERM', () => process.exit(1));
  process.once('SIGINT', () => process.exit(1));
  report('info', 'stopping', { signal });
  await running.close();
  await plan.stop();
}

function said(error: unknown): string {
  return error instanceof HoldpointError ? error.message : String(error);
}
