// A person at a browser of their own: a profile, a page, what went over the wire and what went wrong, and, if they have
// one, an authenticator that answers at once (WebAuthn's virtual authenticator, over the DevTools protocol).

import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser, BrowserContextOptions, CDPSession, Page } from 'playwright-core';

export interface Visitor {
  readonly page: Page;
  /** `METHOD URL REFERRER BODY` of every request. */
  readonly sent: string[];
  /** Errors of scripts, dialogs, and what the console complained about. */
  readonly wrong: string[];
  readonly done: () => Promise<void>;
}

const closeMs = 10_000;

/** Opens an address in a profile of its own. */
export async function visitor(
  browser: Browser,
  address: string,
  options: BrowserContextOptions = {},
): Promise<Visitor> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const sent: string[] = [];
  const wrong: string[] = [];
  page.on('request', (request) => {
    const { referer = '' } = request.headers();
    sent.push(`${request.method()} ${request.url()} ${referer} ${request.postData() ?? ''}`);
  });
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('dialog', (dialog) => wrong.push(`dialog ${dialog.message()}`));
  page.on('console', (message) => {
    if (/Content Security Policy|TrustedHTML/.test(message.text())) wrong.push(message.text());
  });
  await page.goto(address);
  // Chromium may never let go of a profile that is closed while its page is being loaded anew: the browser's own end does.
  const done = () => Promise.race([context.close(), sleep(closeMs)]);
  return { page, sent, wrong, done };
}

export interface Authenticator {
  /** False: whoever is there is not recognised. */
  verified(is: boolean): Promise<void>;
  /** Its credentials, to put into another one. */
  credentials(): Promise<Credential[]>;
  add(credential: Credential): Promise<void>;
}

/** As the DevTools protocol has it. */
export type Credential = Awaited<ReturnType<typeof credentialsOf>>[number];

/** Puts an authenticator with user verification at this page: in the device, or one that is plugged in. */
export async function authenticatorAt(
  page: Page,
  transport: 'internal' | 'usb' = 'internal',
): Promise<Authenticator> {
  const session = await page.context().newCDPSession(page);
  await session.send('WebAuthn.enable');
  const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport,
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return {
    verified: async (isUserVerified) => {
      await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified });
    },
    credentials: () => credentialsOf(session, authenticatorId),
    add: async (credential) => {
      await session.send('WebAuthn.addCredential', { authenticatorId, credential });
    },
  };
}

async function credentialsOf(session: CDPSession, authenticatorId: string) {
  return (await session.send('WebAuthn.getCredentials', { authenticatorId })).credentials;
}
