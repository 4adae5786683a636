// Invitation: the link by which an approver registers a first passkey, and, where no Holdpoint runs yet that would show
// its page, a server that shows this page alone until it was used. Refuses to add anybody: their own authenticator does.

import { randomBytes } from 'node:crypto';
import { HoldpointError } from '../errors.ts';
import { enrolmentLink, enrolmentMs } from '../http/enrolment.ts';
import { enrolmentApp, listenHttp } from '../http/server.ts';
import type { Registry } from '../registry.ts';
import type { openFolder } from './folder.ts';
import { pageKeys } from './keys.ts';
import type { Output } from './outcome.ts';

/** `approver add NAME --passkey`. With `serving`, prints the link there, serves its page, and resolves once it was used. */
export async function inviteByLink(
  name: string,
  { registry, config }: Awaited<ReturnType<typeof openFolder>>,
  serving: Output | undefined,
): Promise<{ text: string; json: { name: string; link: string; expires: string } }> {
  await registry.mayEnrol(name);
  const publicUrl = config?.publicUrl ?? `http://${process.env.HOLDPOINT_HTTP ?? '127.0.0.1:8432'}`;
  const { hostname, port } = new URL(publicUrl);
  if (/^[\d.]+$|^\[/.test(hostname)) {
    throw new HoldpointError(
      'bad-config',
      `passkeys belong to a host name, and ${publicUrl} has none; set publicUrl, such as http://localhost:8432 on this machine`,
    );
  }
  const { enrolKey: key } = await pageKeys(registry.dataDir);
  const from = { key, now: Date.now(), random: randomBytes };
  const { link, until } = await enrolmentLink(publicUrl, name, registry.approver(name), from);
  const expires = new Date(until).toISOString();
  const text = `Send this link to ${name}, and to nobody else. It registers one passkey, once, until ${expires}:\n\n  ${link}\n\n`;
  if (serving === undefined) return { text, json: { name, link, expires } };
  serving.out(text);
  const listen = config?.listen.http ?? { host: '127.0.0.1', port: Number(port) };
  await served(publicUrl, registry, listen);
  return { text: `${name} may decide now, with a passkey.\n`, json: { name, link, expires } };
}

/** Serves the page until a passkey was registered by it. Throws `expired` when nobody did in time. */
async function served(
  publicUrl: string,
  registry: Registry,
  listen: { host: string; port: number },
): Promise<void> {
  const used = new Set<string>();
  const once = async (what: string) => !used.has(what) && used.add(what) !== undefined;
  let enrolled: () => void = () => {};
  const done = new Promise<void>((resolve) => {
    enrolled = resolve;
  });
  const ports = { ...(await pageKeys(registry.dataDir)), now: Date.now, random: randomBytes, once };
  const app = enrolmentApp({ ...ports, publicUrl, registry, enrolled });
  const listener = await listenHttp(app, listen);
  let late: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    const error = new HoldpointError('expired', 'nobody used the link within its hour; make a new one');
    late = setTimeout(() => reject(error), enrolmentMs);
  });
  try {
    await Promise.race([done, expired]);
    // The answer that says so is still on its way.
    await new Promise((resolve) => setTimeout(resolve, 500));
  } finally {
    clearTimeout(late);
    await listener.close();
  }
}
