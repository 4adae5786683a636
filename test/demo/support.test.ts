// The real programs that other tests lean on start here and are gone after.

import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { launchBrowser } from '../support/chromium.ts';
import { startRedis } from '../support/redis.ts';

test('a Redis answers, and is gone after stop', async () => {
  const redis = await startRedis();
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(redis.port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.once('error', reject).once('data', (data) => {
      socket.destroy();
      resolve(data.toString());
    });
  });
  expect(answer).toBe('+PONG\r\n');
  await redis.stop();
  await expect(
    new Promise((resolve, reject) =>
      connect(redis.port, '127.0.0.1', () => resolve('open')).once('error', reject),
    ),
  ).rejects.toThrow('ECONNREFUSED');
});

test('a browser shows a page', async () => {
  const browser = await launchBrowser();
  const page = await browser.newPage();
  await page.setContent('<title>held</title>');
  expect(await page.title()).toBe('held');
  await browser.close();
});
