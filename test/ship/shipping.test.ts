// The proxy's side of the shipping thread: what it makes of a thread that dies, and of its own end.

import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ShipSettings } from '../../src/ship/settings.ts';
import { Shipping } from '../../src/ship/shipping.ts';
import { logFolder, openTestLog, origin, statement, temporaryFolder } from '../audit/fixture.ts';
import { startReceiver } from '../support/receiver.ts';

async function shippingOf(
  settings: ShipSettings,
): Promise<{ shipping: Shipping; reports: string[]; write(): void }> {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const reports: string[] = [];
  const shipping = new Shipping({
    settings,
    folder: logFolder(path),
    cursors: join(path, 'ship'),
    origin,
    host: 'db1',
    version: '0.0.0',
    isClear: false,
    packed: false,
    log,
    report: (level, message, more) => reports.push(`${level} ${message} ${JSON.stringify(more)}`),
    refused: () => {},
  });
  return { shipping, reports, write: () => void log.append(statement(1)) };
}

const place = {
  bucket: 'b',
  region: 'r',
  endpoint: 'http://127.0.0.1:9',
  forcePathStyle: true,
  credentials: undefined,
};

test('a thread that dies is told of and started again, and who waits for it is not left waiting', async () => {
  const broken = { address: undefined as never, lengthMax: 1 };
  const lock = { mode: 'COMPLIANCE', retainDays: 1 } as const;
  const { shipping, reports } = await shippingOf({
    redis: broken,
    s3: { place, prefix: '', lock, everyMs: 1000 },
  });
  const kept = shipping.anchor!.keep({ origin, size: 1, root: '', note: '', at: 0 });
  await expect(kept).rejects.toThrow('the shipping thread died');
  await expect
    .poll(() => reports.filter((report) => report.startsWith('error the shipping thread died')).length, {
      timeout: 20_000,
    })
    .toBeGreaterThan(1);
  await shipping.close(0);
  await expect(shipping.anchor!.keep({ origin, size: 1, root: '', note: '', at: 0 })).rejects.toThrow();
});

test('what the log has at its end is sent before the process goes, and no longer than it may take', async () => {
  const collector = await startReceiver();
  const { shipping, write } = await shippingOf({ otlp: { url: collector.url, headers: {} } });
  write();
  await expect.poll(() => shipping.states[0]?.records, { timeout: 20_000 }).toBeGreaterThan(2);
  await shipping.close(10_000);
  expect(collector.delivered.map(({ body }) => body).join()).toContain('holdpoint.stmt');
  await collector.close();
  const away = await shippingOf({ otlp: { url: collector.url, headers: {} } });
  const begun = performance.now();
  await away.shipping.close(100);
  expect(performance.now() - begun).toBeLessThan(10_000);
});
