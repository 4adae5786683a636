// `holdpoint agent add | list | revoke`: the credentials agents connect with. A password is made here, shown once inside
// the URL, and kept only as a SCRAM verifier.

import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import type { Config } from '../config.ts';
import { HoldpointError } from '../errors.ts';
import { type FolderOptions, folderOptions, openFolder } from './folder.ts';
import { ended, type Output, terminal } from './outcome.ts';

interface AddOptions extends FolderOptions {
  readonly target: string[];
  readonly expires?: string;
  readonly readOnly?: boolean;
  readonly onBehalfOf?: string[];
}

/** Adds the `agent` commands. Their exit codes go to process.exitCode. */
export function register(program: Command): void {
  const agent = program.command('agent').description('credentials of agents');
  const finish = async (code: Promise<number>): Promise<void> => {
    process.exitCode = await code;
  };
  folderOptions(
    agent.command('add').description('make a credential; its URL is shown once').argument('<name>'),
  )
    .requiredOption('--target <target...>', 'where it may connect')
    .option('--expires <time>', 'how long it is good for: 90m, 8h, 30d')
    .option('--read-only', 'its sessions are read-only at the server')
    .option('--on-behalf-of <name...>', 'the people whose work it does: they never decide on its requests')
    .action((name: string, options: AddOptions) => finish(addAgent(name, options, terminal)));
  folderOptions(agent.command('list').description('agents, without their passwords')).action(
    (options: FolderOptions) => finish(listAgents(options, terminal)),
  );
  folderOptions(agent.command('revoke').description('refuse its next login').argument('<name>')).action(
    (name: string, options: FolderOptions) => finish(revokeAgent(name, options, terminal)),
  );
}

/** `agent add`. */
export function addAgent(name: string, options: AddOptions, output: Output): Promise<number> {
  return ended(options, output, async () => {
    const { registry, config } = await openFolder(options);
    for (const target of options.target) refuseUnknown(target, config);
    const password = randomBytes(24).toString('base64url');
    const createdAt = Date.now();
    const lifeMs = options.expires === undefined ? undefined : duration(options.expires);
    const agent = await registry.addAgent({
      name,
      password,
      targets: options.target,
      access: options.readOnly === true ? 'read-only' : 'read-write',
      ...(options.onBehalfOf !== undefined && { onBehalfOf: options.onBehalfOf }),
      createdAt,
      ...(lifeMs !== undefined && { expiresAt: createdAt + lifeMs }),
    });
    const { host, port } = config?.listen.postgres ?? { host: '127.0.0.1', port: 6432 };
    const at = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    const urls = options.target.map(
      (target) => `postgres://${name}:${password}@${at}/${encodeURIComponent(target)}`,
    );
    const until = agent.expiresAt === undefined ? '' : `, until ${new Date(agent.expiresAt).toISOString()}`;
    return {
      text: `${urls.join('\n')}\n\nThis is shown once; only a verifier of the password is kept${until}.\n`,
      json: {
        name,
        urls,
        access: agent.access,
        onBehalfOf: agent.onBehalfOf,
        expires: agent.expiresAt === undefined ? null : new Date(agent.expiresAt).toISOString(),
      },
    };
  });
}

/** `agent list`. */
export function listAgents(options: FolderOptions, output: Output): Promise<number> {
  return ended(options, output, async () => {
    const { registry } = await openFolder(options);
    const now = Date.now();
    const rows = registry.agents().map((one) => ({
      name: one.name,
      targets: one.targets,
      access: one.access,
      onBehalfOf: one.onBehalfOf,
      state:
        one.revokedAt !== undefined ? 'revoked' : (one.expiresAt ?? Infinity) <= now ? 'expired' : 'in force',
      expires: one.expiresAt === undefined ? null : new Date(one.expiresAt).toISOString(),
      source: one.source,
    }));
    const lines = rows.map((one) => {
      const until = one.expires === null ? '' : `, until ${one.expires}`;
      const access = one.access === 'read-only' ? ', read-only' : '';
      const whose = one.onBehalfOf.length === 0 ? '' : `, for ${one.onBehalfOf.join(', ')}`;
      return `${one.name}  ${one.targets.join(', ')}  ${one.state}${access}${whose}${until}\n`;
    });
    return {
      text: lines.join('') || 'No agents yet: holdpoint agent add NAME --target TARGET\n',
      json: rows,
    };
  });
}

/** `agent revoke`. */
export function revokeAgent(name: string, options: FolderOptions, output: Output): Promise<number> {
  return ended(options, output, async () => {
    const { registry } = await openFolder(options);
    await registry.revokeAgent(name, Date.now());
    return {
      text: `${name} cannot log in any more. A running Holdpoint ends its open sessions.\n`,
      json: { name },
    };
  });
}

function refuseUnknown(target: string, config: Config | undefined): void {
  if (config === undefined || config.targets.has(target)) return;
  const known = [...config.targets.keys()].join(', ');
  throw new HoldpointError('bad-parameter', `there is no target ${target}; the configuration has ${known}`);
}

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `8h` in milliseconds. */
export function duration(text: string): number {
  const match = /^([1-9][0-9]{0,5})([smhd])$/.exec(text);
  if (match === null) {
    throw new HoldpointError('bad-parameter', `${JSON.stringify(text)} is not a time; write 90m, 8h or 30d`);
  }
  return Number(match[1]) * (unitMs[match[2] as string] ?? 0);
}
