// `holdpoint approver add | list | retire | delegate`: whose decision counts, and by which credentials. Makes a key pair on the
// approver's behalf, keeps the public part and writes the private one to a file of theirs; or takes a public key or an
// account that they have. Refuses to keep a private key.

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { type Delegation, delegationMsMax } from '../approval/delegation.ts';
import { slackUserShape } from '../credential-shape.ts';
import { HoldpointError } from '../errors.ts';
import type { Registry } from '../registry.ts';
import { duration } from './agent.ts';
import { type FolderOptions, folderOptions, openFolder } from './folder.ts';
import { inviteByLink } from './invitation.ts';
import { ended, type Output, terminal } from './outcome.ts';
import { identityOptions, type RemoteOptions, remote } from './remote.ts';

/** Adds the `approver` commands. Their exit codes go to process.exitCode. */
export function register(program: Command): void {
  const approver = program.command('approver').description('who may decide');
  const finish = async (code: Promise<number>): Promise<void> => {
    process.exitCode = await code;
  };
  folderOptions(approver.command('add').description('enrol an approver').argument('<name>'))
    .option('--generate <file>', 'make an Ed25519 key; the private part goes to this new file, mode 0600')
    .option('--ssh <file|line>', 'an OpenSSH public key: its .pub file, or the line in it')
    .option('--passkey', 'a one-time link by which they register a passkey, good for an hour')
    .option(
      '--serve',
      'with --passkey: also serve its page until it is registered, where no Holdpoint runs yet',
    )
    .option('--oidc <subject>', 'an account at the OpenID provider of the configuration: its `sub`')
    .option('--slack <team/user>', 'a Slack account by its ids, T012AB3CD/U012AB3CD')
    .option('--break-glass', 'may release alone in an emergency, to be reviewed afterwards')
    .action((name: string, options: AddOptions) => finish(addApprover(name, options, terminal)));
  folderOptions(approver.command('list').description('approvers and their credentials')).action(
    (options: FolderOptions) => finish(listApprovers(options, terminal)),
  );
  folderOptions(
    approver.command('retire').description('from now on nothing of theirs counts').argument('<name>'),
  ).action((name: string, options: FolderOptions) => finish(retireApprover(name, options, terminal)));
  identityOptions(approver.command('delegate').description('let another approver decide in your name'))
    .requiredOption('--to <name>', 'the approver who may')
    .requiredOption('--for <time>', 'how long: 90m, 8h, 14d at most')
    .option('--targets <target...>', 'on these targets only')
    .option('--rules <rule...>', 'for what these rules hold only')
    .action((options: DelegateOptions) => finish(delegate(options, terminal)));
}

/** As `requests` commands have them: who one is, and where the Holdpoint is. */
interface DelegateOptions extends RemoteOptions {
  readonly to: string;
  readonly for: string;
  readonly targets?: string[];
  readonly rules?: string[];
  readonly json?: boolean;
}

/** `approver delegate`: signs and hands in that another approver decides in one's name for a while. */
export function delegate(options: DelegateOptions, output: Output): Promise<number> {
  return ended(options, output, async () => {
    const lifeMs = duration(options.for);
    if (lifeMs > delegationMsMax) {
      throw new HoldpointError(
        'bad-parameter',
        `${options.for} is too long; a delegation lasts at most ${delegationMsMax / 86_400_000} days`,
      );
    }
    const server = await remote(options);
    const nbf = server.now();
    const { targets, rules, to } = options;
    const delegation: Delegation = {
      typ: 'holdpoint.delegation.v1',
      aud: server.issuer,
      from: server.approver,
      to,
      ...(targets !== undefined && { targets }),
      ...(rules !== undefined && { rules }),
      nbf,
      exp: nbf + lifeMs,
      nonce: randomBytes(16).toString('base64url'),
    };
    const answer = await server.delegate(delegation);
    const until = new Date(delegation.exp).toISOString();
    const where = `${targets === undefined ? 'every target' : targets.join(', ')}${rules === undefined ? '' : `, rules ${rules.join(', ')}`}`;
    return {
      text: `${to} may decide for ${server.approver} until ${until} on ${where}: holdpoint requests approve ID --as ${to} --for ${server.approver}. Both count as one person.\n`,
      json: answer,
    };
  });
}

interface AddOptions extends FolderOptions {
  readonly generate?: string;
  readonly ssh?: string;
  readonly passkey?: boolean;
  readonly serve?: boolean;
  readonly oidc?: string;
  readonly slack?: string;
  readonly breakGlass?: boolean;
}

/** `approver add`: one credential, or the right to break glass for somebody who has one. */
export function addApprover(name: string, options: AddOptions, output: Output): Promise<number> {
  return ended(options, output, async () => {
    const { generate, ssh, passkey, oidc, slack, breakGlass } = options;
    const given = [generate, ssh, passkey, oidc, slack].filter((one) => one !== undefined);
    if (given.length > 1 || (given.length === 0 && breakGlass !== true)) {
      throw new HoldpointError(
        'bad-request',
        'name one credential: --generate FILE, --ssh FILE, --passkey, --oidc SUBJECT or --slack TEAM/USER',
      );
    }
    if (passkey === true && breakGlass === true) {
      throw new HoldpointError(
        'bad-request',
        'a link registers nobody yet; give --break-glass alone, once the passkey is there',
      );
    }
    const folder = await openFolder(options);
    const { registry } = folder;
    const added =
      generate !== undefined
        ? await addGenerated(name, generate, registry)
        : ssh !== undefined
          ? await addSshKey(name, ssh, registry)
          : oidc !== undefined
            ? await addAccount(name, oidc, folder)
            : slack !== undefined
              ? await addSlackAccount(name, slack, registry)
              : passkey === true
                ? await inviteByLink(name, folder, options.serve === true ? output : undefined)
                : { text: '', json: { name } };
    if (breakGlass !== true) return added;
    await registry.allowBreakGlass(name);
    return {
      text: `${added.text}${name} may release alone in an emergency; each such release has to be reviewed.\n`,
      json: { ...added.json, breakGlass: true },
    };
  });
}

type Added = { text: string; json: { name: string } & Record<string, unknown> };

/** The file must not exist: a key is never written over another. */
async function addGenerated(name: string, file: string, registry: Registry): Promise<Added> {
  const { privateKey } = await generateKeyPair('Ed25519', { extractable: true });
  const jwk = await exportJWK(privateKey);
  await writeKey(file, jwk);
  try {
    const { x } = jwk;
    const added = await registry.addApprover(
      name,
      { kty: 'OKP', crv: 'Ed25519', x: x as string },
      Date.now(),
    );
    const kid = added.keys.at(-1)?.kid ?? '';
    const also = added.keys.length > 1 ? `, with any of ${added.keys.length} keys` : '';
    return {
      text: `${name} may decide now${also}. The private key is in ${file}: give it to ${name}, keep no copy.\n`,
      json: { name, kid, file },
    };
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  }
}

async function addSshKey(name: string, given: string, registry: Registry): Promise<Added> {
  const line = given.includes(' ') && !existsSync(given) ? given : await publicLine(given);
  const added = await registry.addSsh(name, line, Date.now());
  const { fingerprint } = added.ssh.at(-1)!;
  return {
    text: `${name} may decide now with the SSH key ${fingerprint}.\n`,
    json: { name, fingerprint },
  };
}

/** The one key of a .pub file. A private key's file is not read any further than to say so. */
async function publicLine(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === 'ENOENT' ? 'there is no such file' : String(cause.code);
    throw new HoldpointError('not-found', `cannot read the public key ${file}: ${why}`, { cause });
  });
  if (text.includes('PRIVATE KEY'))
    throw new HoldpointError('bad-parameter', `${file} is a private key; name its public half, ${file}.pub`);
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
  if (lines.length !== 1)
    throw new HoldpointError('bad-parameter', `${file} holds ${lines.length} keys; enrol them one by one`);
  return lines[0]!;
}

async function addAccount(
  name: string,
  subject: string,
  { registry, config }: Awaited<ReturnType<typeof openFolder>>,
): Promise<Added> {
  const issuer = config?.oidc?.issuer;
  if (issuer === undefined) {
    throw new HoldpointError(
      'bad-request',
      'the configuration names no OpenID provider; add oidc: with issuer and clientId, and give --config',
    );
  }
  await registry.addOidc(name, { issuer, subject }, Date.now());
  return {
    text: `${name} may decide now, signed in at ${issuer} as ${subject}.\n`,
    json: { name, issuer, subject },
  };
}

async function addSlackAccount(name: string, given: string, registry: Registry): Promise<Added> {
  const [team, user, rest] = given.split('/');
  const shape = slackUserShape.safeParse({ team, user });
  if (!shape.success || rest !== undefined) {
    throw new HoldpointError(
      'bad-parameter',
      `${JSON.stringify(given)} is not a Slack account; write TEAM/USER by their ids, such as T012AB3CD/U012AB3CD`,
    );
  }
  await registry.addSlack(name, shape.data, Date.now());
  return { text: `${name} may decide in Slack now as ${given}.\n`, json: { name, slack: given } };
}

/** `approver list`. */
export function listApprovers(options: FolderOptions, output: Output): Promise<number> {
  return ended(options, output, async () => {
    const { registry } = await openFolder(options);
    const rows = registry.approvers().map((one) => ({
      name: one.name,
      keys: one.keys.map((key) => key.kid),
      ssh: one.ssh.map((key) => key.fingerprint),
      passkeys: one.passkeys.map((passkey) => passkey.id),
      oidc: one.oidc.map(({ issuer, subject }) => `${subject} at ${issuer}`),
      slack: one.slack.map(({ team, user }) => `${team}/${user}`),
      breakGlass: one.breakGlass,
      retired: one.retiredAt === undefined ? null : new Date(one.retiredAt).toISOString(),
      source: one.source,
    }));
    const lines = rows.map((one) => {
      const credentials = [
        ...one.keys,
        ...one.ssh.map((fingerprint) => `ssh ${fingerprint}`),
        ...one.passkeys.map((id) => `passkey ${id}`),
        ...one.oidc.map((account) => `oidc ${account}`),
        ...one.slack.map((account) => `slack ${account}`),
      ];
      const more = `${one.breakGlass ? '  may break glass' : ''}${one.retired === null ? '' : `  retired ${one.retired}`}`;
      return `${one.name}  ${credentials.join(', ')}${more}\n`;
    });
    return {
      text: lines.join('') || 'No approvers yet: holdpoint approver add NAME --generate FILE\n',
      json: rows,
    };
  });
}

/** `approver retire`. */
export function retireApprover(name: string, options: FolderOptions, output: Output): Promise<number> {
  return ended(options, output, async () => {
    const { registry } = await openFolder(options);
    await registry.retireApprover(name, Date.now());
    return {
      text: `${name} decides nothing any more, also not what was approved and not used yet.\n`,
      json: { name },
    };
  });
}

async function writeKey(file: string, jwk: JWK): Promise<void> {
  try {
    await writeFile(file, `${JSON.stringify(jwk)}\n`, { mode: 0o600, flag: 'wx' });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'EEXIST' ? 'it exists already; name a new file' : String(code);
    throw new HoldpointError('conflict', `cannot write the key to ${file}: ${why}`, { cause });
  }
}
