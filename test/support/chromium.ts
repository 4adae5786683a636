// A real browser for the tests: the machine's Chromium, else one in a Docker container. scripts/provision.ts has made
// sure of one of them.

import { type ChildProcess, spawn } from 'node:child_process';
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

/** Headless Chromium behind its DevTools port; `host` network, since the pages are on loopback. */
async function inContainer(): Promise<Browser> {
  const port = await freePort();
  const container = spawn('docker', [
    'run',
    '--rm',
    '--init',
    '--network',
    'host',
    '--entrypoint',
    '/headless-shell/headless-shell',
    'chromedp/headless-shell:stable',
    '--no-sandbox',
    '--remote-debugging-address=127.0.0.1',
    `--remote-debugging-port=${port}`,
  ]);
  await listening(container);
  const browser = await chromium.connectOverCDP(`http://127.0.0.1:${port}/`);
  browser.on('disconnected', () => container.kill('SIGTERM'));
  return browser;
}

function listening(container: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = '';
    const read = (chunk: Buffer) => {
      output += chunk;
      if (output.includes('DevTools listening on')) resolve();
    };
    container.stdout?.on('data', read);
    container.stderr?.on('data', read);
    container.once('error', reject);
    container.once('exit', () => reject(new Error(`The browser's container ended: ${output}`)));
  });
}
