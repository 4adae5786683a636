// Folder: which data folder and which configuration a command means, by the same order as `holdpoint start`. Refuses to
// start anything.

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { type AgentConfig, type Config, loadConfig } from '../config.ts';
import { Registry } from '../registry.ts';

export interface FolderOptions {
  readonly config?: string;
  readonly data?: string;
  readonly json?: boolean;
}

/** Adds the options that `openFolder` reads. */
export function folderOptions(command: Command): Command {
  return command
    .option('--config <file>', 'the configuration; holdpoint.yaml here, if there is one')
    .option('--data <folder>', 'the data folder, where there is no configuration file')
    .addOption(new Option('--json', 'print JSON'));
}

/** The registry of the folder, and the configuration if there is a file. Throws `bad-config`, `not-found`. */
export async function openFolder(
  options: FolderOptions,
): Promise<{ registry: Registry; config: Config | undefined }> {
  const file =
    options.config ??
    (options.data === undefined && existsSync('holdpoint.yaml') ? 'holdpoint.yaml' : undefined);
  const config = file === undefined ? undefined : loadConfig(file, process.env);
  const dataDir = options.data ?? config?.dataDir ?? process.env.HOLDPOINT_DATA_DIR ?? 'holdpoint-data';
  const registry = await Registry.open({
    dataDir: resolve(dataDir),
    ...(config ? { agents: config.agents, approvers: config.approvers } : { agents: ofDemo(dataDir) }),
  });
  return { registry, config };
}

/** The demonstration's agent, which stands in no file of agents: nobody else may take its name. */
function ofDemo(dataDir: string): Map<string, AgentConfig> {
  if (!existsSync(join(dataDir, 'demo.json'))) return new Map();
  // Its password is not needed here, and this verifier lets nobody in.
  const agent = {
    name: 'agent',
    password: undefined,
    verifier: 'none',
    targets: ['shop'],
    access: 'read-write' as const,
    onBehalfOf: [],
    expiresAt: undefined,
  };
  return new Map([[agent.name, agent]]);
}
