// Server pins: which server a target may be served by, given what it was found to mean before and what the others mean;
// and that this is remembered over restarts, also of targets that are gone.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { HoldpointError } from '../src/errors.ts';
import { judge, type Pin, type PinnedTarget, type ServerIdentity, ServerPins } from '../src/server-pins.ts';

const at = Date.UTC(2026, 0, 2);
const a = '7711079308823436947';
const b = '7711079304989695610';

function target(change: Partial<PinnedTarget> = {}): PinnedTarget {
  return {
    name: 'shop',
    environment: 'production',
    systemIdentifier: undefined,
    database: 'shop',
    ...change,
  };
}

function server(systemIdentifier: string | undefined, databaseOid = 16_384): ServerIdentity {
  return { systemIdentifier, databaseOid, version: 'PostgreSQL 18.4 on x86_64' };
}

function pin(systemIdentifier: string, change: Partial<Pin> = {}): Pin {
  const about = { target: 'shop', environment: 'production', database: 'shop' } as const;
  return { ...about, systemIdentifier, databaseOid: 16_384, learnedAt: at, ...change };
}

/** `serve`, `learn`, or what stands in the refusal. */
function verdict(
  of: PinnedTarget,
  found: ServerIdentity,
  pins: readonly Pin[] = [],
  targets: readonly PinnedTarget[] = [of],
): string {
  const judgement = judge(of, found, pins, targets);
  if (judgement.kind === 'refuse') return judgement.sentence;
  return `${judgement.learn ? 'learn' : 'serve'}${judgement.warning === undefined ? '' : `: ${judgement.warning}`}`;
}

describe('a production target', () => {
  test('means the server that it finds first, and serves it from then on', () => {
    expect(verdict(target(), server(a))).toBe('learn');
    expect(verdict(target(), server(a), [pin(a)])).toBe('serve');
  });

  test('refuses any other server, naming both, and how to accept it', () => {
    const judgement = judge(target(), server(b), [pin(a)], []);
    expect(judgement).toEqual({
      kind: 'refuse',
      sentence: `target shop is production and means server ${a}, which it was on 2026-01-02; it now leads to server ${b}`,
      mend: `find out why; if server ${b} is the one you mean, set targets.shop.systemIdentifier: "${b}" and start again`,
    });
  });

  test('serves another server that its configuration names, and no other, also not the one it was', () => {
    const named = target({ systemIdentifier: b });
    expect(verdict(named, server(b), [pin(a)])).toBe('learn');
    expect(verdict(named, server(a), [pin(a)])).toContain(
      `means server ${b}, which its configuration names; it now leads to server ${a}`,
    );
    expect(verdict(target(), server(b), [pin(a), pin(b)])).toBe('serve');
    expect(verdict(target(), server(a), [pin(a), pin(b)])).toContain(`means server ${b}`);
  });

  test('whose server does not tell what it is cannot be pinned, and is refused once it was', () => {
    expect(verdict(target(), server(undefined))).toContain('serve: target shop cannot be pinned');
    expect(verdict(target(), server(undefined), [pin(a)])).toContain(
      `target shop means server ${a}; the server it leads to does not say which one it is`,
    );
    expect(verdict(target({ systemIdentifier: a }), server(undefined))).toContain(`means server ${a}`);
  });

  test('keeps to its server when the database in it is made anew', () => {
    expect(verdict(target(), server(a, 99_999), [pin(a)])).toBe('learn');
  });
});

describe.each(['staging', 'development'] as const)('a %s target', (environment) => {
  const stage = target({ name: 'stage', environment });
  const before = pin(a, { target: 'stage', environment });

  test('may lead to another server than before, which is said', () => {
    expect(verdict(stage, server(b), [before])).toContain(
      'learn: target stage leads to another server than before',
    );
    expect(verdict(stage, server(a), [before])).toBe('serve');
  });

  test('refuses a server that any target was ever pinned to as production', () => {
    const refusal = `target stage is ${environment}, but it leads to server ${a}, which is pinned as production by target shop`;
    expect(verdict(stage, server(a), [pin(a)])).toBe(refusal);
    expect(verdict(stage, server(a), [pin(a), pin(b), before])).toBe(refusal);
    expect(verdict(stage, server(b), [pin(a)])).toBe('learn');
  });

  test('refuses a server that a production target names, though nobody has met it there yet', () => {
    const shop = target({ systemIdentifier: a });
    expect(verdict(stage, server(a), [], [shop, stage])).toContain('pinned as production by target shop');
  });

  test('refuses the server that it was itself production on', () => {
    const was = pin(a, { target: 'stage' });
    expect(verdict(stage, server(a), [was])).toContain('pinned as production by target stage');
  });

  test('serves the production server if its configuration names exactly that one', () => {
    const deliberate = { ...stage, systemIdentifier: a };
    expect(verdict(deliberate, server(a), [pin(a)])).toBe('learn');
    expect(verdict({ ...stage, systemIdentifier: b }, server(a), [pin(a)])).toContain(`means server ${b}`);
  });
});

describe('servers.json', () => {
  let dataDir: string;
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'holdpoint-pins-'));
  });
  afterEach(() => rmSync(dataDir, { recursive: true }));

  const said: string[] = [];
  const open = (...targets: PinnedTarget[]): Promise<ServerPins> =>
    ServerPins.open({ dataDir, targets, now: () => at, report: (_, message) => said.push(message) });

  test('remembers over a restart what a target means, readable by its owner only', async () => {
    expect(await (await open(target())).admit(target(), server(a))).toEqual([]);
    const file = join(dataDir, 'servers.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
      v: 1,
      servers: [
        {
          target: 'shop',
          environment: 'production',
          systemIdentifier: a,
          database: 'shop',
          databaseOid: 16_384,
          learned: '2026-01-02T00:00:00.000Z',
        },
      ],
    });
    const refused = (await open(target())).admit(target(), server(b));
    await expect(refused).rejects.toMatchObject({ code: 'wrong-server', sqlstate: '08004' });
  });

  test('remembers a production server after its target is gone and after it means another', async () => {
    const pins = await open(target());
    await pins.admit(target(), server(a));
    await (await open()).admit(target({ systemIdentifier: b }), server(b));
    const stage = target({ name: 'stage', environment: 'staging' });
    const after = await open(stage);
    for (const id of [a, b])
      await expect(after.admit(stage, server(id))).rejects.toThrow('pinned as production');
  });

  test('keeps one server of a target that is not production, and warns when it is another', async () => {
    const stage = target({ name: 'stage', environment: 'staging' });
    const pins = await open(stage);
    await pins.admit(stage, server(a));
    said.length = 0;
    expect(await pins.admit(stage, server(b))).toEqual([]);
    expect(said).toEqual([
      expect.stringContaining(`leads to another server than before: ${b}, no longer ${a}`),
    ]);
    expect(await pins.admit(stage, server(b))).toEqual([]);
    expect(JSON.parse(readFileSync(join(dataDir, 'servers.json'), 'utf8')).servers).toHaveLength(1);
  });

  test('of two servers that answer a new production target at once, one is refused', async () => {
    const pins = await open(target());
    const answers = await Promise.allSettled([
      pins.admit(target(), server(a)),
      pins.admit(target(), server(b)),
      pins.admit(target(), server(a)),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  test('tells a client what is wrong, and only the operator how to go on', async () => {
    const pins = await open(target());
    await pins.admit(target(), server(a));
    const error: HoldpointError = await pins.admit(target(), server(b)).then(
      () => Promise.reject(new Error('it was admitted')),
      (refusal) => refusal,
    );
    expect(`${error.message} ${error.hint} ${error.detail}`).not.toContain('systemIdentifier');
    expect((error.cause as Error).message).toContain('targets.shop.systemIdentifier');
  });

  test('that is broken stops the start', async () => {
    writeFileSync(join(dataDir, 'servers.json'), '{"v":1,"servers":[{"target":"shop"}]}');
    await expect(open(target())).rejects.toMatchObject({ code: 'bad-config' });
  });

  test('that cannot be written keeps a new server out', async () => {
    const pins = await open(target());
    // Neither root nor anybody else makes a file where a folder is.
    mkdirSync(join(dataDir, 'servers.json.new'));
    const nowhere = pins.admit(target(), server(a));
    await expect(nowhere).rejects.toMatchObject({ code: 'store-unreachable' });
    rmSync(join(dataDir, 'servers.json.new'), { recursive: true });
    expect(await pins.admit(target(), server(b))).toEqual([]);
  });
});
