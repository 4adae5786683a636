// A real browser for the tests: the machine's Chromium, else one in a Docker container. scripts/provision.ts has made
// sure of one of them.

import { type ChildProcess, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { type Browser, chromium } from 'playwright-core';
import { freePort } from '../../src/demo/postgres.ts';
import { dockerAnswers, findProgram, programs } from './programs.ts';

/** Headless; close it in afterAll. */
export async function launchBrowser(): Promise<Browser> {
  const executablePath = findProgram(programs.Chromium);
  if (executablePath !== undefined) {
    // Chromium's sandbox needs namespaces that root and most containers do not have; the pages are our own.
    return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  }
  if (!dockerAnswers())
    throw new Error('There is no Chromium on PATH; install it (Debian: chromium), or start Docker.');
  return inContainer();
}

/** Playwright's image of the same version serves its protocol; `host` network, since the pages are on loopback. */
async function inContainer(): Promise<Browser> {
  const { version } = createRequire(import.meta.url)('playwright-core/package.json') as { version: string };
  const port = await freePort();
  const server = `npx -y playwright@${version} run-server --host 127.0.0.1 --port ${port}`;
  const image = `mcr.microsoft.com/playwright:v${version}-noble`;
  const container = spawn('docker', [
    'run',
    '--rm',
    '--init',
    '--network',
    'host',
    image,
    'sh',
    '-c',
    server,
  ]);
  await listening(container);
  const browser = await chromium.connect(`ws://127.0.0.1:${port}/`);
  browser.on('disconnected', () => container.kill('SIGTERM'));
  return browser;
}

function listening(container: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = '';
    const read = (chunk: Buffer) => {
      output += chunk;
      if (output.includes('Listening on')) resolve();
    };
    container.stdout?.on('data', read);
    container.stderr?.on('data', read);
    container.once('error', reject);
    container.once('exit', () => reject(new Error(`The browser's container ended: ${output}`)));
  });
}
