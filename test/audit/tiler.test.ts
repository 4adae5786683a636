import * as fs from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Tiler } from '../../src/audit/tiler.ts';
import { Tiling } from '../../src/audit/tiling.ts';
import { leafHash } from '../../verify/src/leaf.ts';
import { checkProof, proofText, prove } from '../../verify/src/proof.ts';
import { FolderSource, readLines } from '../../verify/src/source.ts';
import { TileBuilder, tiledSizeName } from '../../verify/src/tiles.ts';
import { logFolder, openTestLog, statement, temporaryFolder } from './fixture.ts';

/** A log of some segments, closed, of about so many records. Returns its folder. */
async function closedLog(records: number): Promise<string> {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 40_000 });
  for (let n = 0; n < records; n += 2) {
    const ref = log.append(statement(n));
    const seq = log.append({ kind: 'outcome', ref, st: 'ok', dur_us: 1 });
    if (n % 50 === 0) await log.durable(seq);
  }
  await log.close();
  return logFolder(path);
}

/** The files under `tile`, by name. */
function tilesIn(folder: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const name of fs.readdirSync(join(folder, 'tile'), { recursive: true, encoding: 'utf8' }).sort()) {
    const path = join(folder, 'tile', name);
    if (fs.statSync(path).isFile()) files.set(`tile/${name}`, fs.readFileSync(path, 'latin1'));
  }
  return files;
}

/** The tiles that the lines of the log make, without the tiler. */
async function tilesOf(folder: string): Promise<Map<string, string>> {
  const builder = new TileBuilder();
  const files = new Map<string, string>();
  for await (const line of readLines(new FolderSource(folder))) {
    if (!('kind' in line)) continue;
    for (const tile of builder.append(Buffer.from(leafHash(line.line), 'base64url')))
      files.set(tile.name, tile.bytes.toString('latin1'));
  }
  for (const tile of builder.partial()) files.set(tile.name, tile.bytes.toString('latin1'));
  files.set(tiledSizeName, `${builder.size}\n`);
  return new Map([...files].sort());
}

/** The closed segments, as the manifest has them. */
function manifestOf(folder: string): { size: number }[] {
  const lines = fs.readFileSync(join(folder, 'manifest.jsonl'), 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(Buffer.from(line.split('.')[1]!, 'base64url').toString()));
}

async function provedBy(folder: string, seq: number): Promise<'used' | 'none' | 'wrong'> {
  const { proof, tiles } = await prove(new FolderSource(folder), seq);
  expect(await checkProof(proofText(proof))).toMatchObject({ seq });
  return tiles;
}

test('the tiles of a closed log are those of its lines, over several segments', async () => {
  const folder = await closedLog(700);
  expect((await new FolderSource(folder).segments()).length).toBeGreaterThan(3);
  expect(await provedBy(folder, 3)).toBe('none');
  const size = await new Tiler(folder).catchUp();
  expect(size).toBeGreaterThan(700);
  expect(tilesIn(folder)).toEqual(await tilesOf(folder));
  for (const seq of [0, 3, 255, 256, 600, size - 1]) expect(await provedBy(folder, seq)).toBe('used');
});

test('a tiler that follows a log as it grows makes the same tiles, and none beyond what is on disk', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 40_000 });
  const folder = logFolder(path);
  const tiler = new Tiler(folder);
  for (let n = 0; n < 60; n += 1) {
    for (let i = 0; i < 10; i += 1) log.append(statement(n));
    await log.durable(log.append(statement(n)));
    const { sealed } = log.health;
    // What is written behind the seal meanwhile is not taken.
    log.append(statement(n));
    expect(await tiler.catchUp(sealed)).toBe(sealed);
    expect(await tiler.catchUp(sealed)).toBe(sealed);
  }
  await log.close();
  const size = await tiler.catchUp();
  expect(size).toBe(log.health.sealed);
  const kept = tilesIn(folder);
  for (const [name, bytes] of await tilesOf(folder)) expect(kept.get(name), name).toBe(bytes);
  // Partial tiles go when their full one is there.
  expect([...kept.keys()].filter((name) => name.startsWith('tile/0/000'))).toEqual(['tile/0/000']);
});

test('a tiler that was ended at any point is taken up by the next', async () => {
  const folder = await closedLog(600);
  const whole = await tilesOf(folder);
  for (const [name, damage] of [
    ['no tile is there', () => fs.rmSync(join(folder, 'tile'), { recursive: true, force: true })],
    ['the size was not written', () => fs.rmSync(join(folder, tiledSizeName))],
    ['the size is an old one', () => fs.writeFileSync(join(folder, tiledSizeName), '300\n')],
    ['a file was being written', () => fs.writeFileSync(join(folder, 'tile/0/001.new'), 'half')],
    ['the size is nonsense', () => fs.writeFileSync(join(folder, tiledSizeName), '12e3\n')],
    ['the size is beyond the log', () => fs.writeFileSync(join(folder, tiledSizeName), '100000\n')],
  ] as const) {
    damage();
    await new Tiler(folder).catchUp();
    for (const [file, bytes] of whole) expect(tilesIn(folder).get(file), `${name}: ${file}`).toBe(bytes);
  }
});

test('a changed tile at the border is made anew, one further in when a proof fails', async () => {
  const folder = await closedLog(600);
  await new Tiler(folder).catchUp();
  const whole = tilesIn(folder);
  const border = [...whole.keys()].find((name) => /^tile\/0\/\d+\.p\//.test(name))!;
  const flip = (name: string, at: number) => {
    const bytes = fs.readFileSync(join(folder, name));
    bytes[at]! ^= 1;
    fs.writeFileSync(join(folder, name), bytes);
  };
  flip(border, 40);
  await new Tiler(folder).catchUp();
  expect(tilesIn(folder)).toEqual(whole);

  // The proof is then made by a pass over the log, and holds.
  flip('tile/0/000', 40);
  expect(await provedBy(folder, 3)).toBe('wrong');
  fs.rmSync(join(folder, 'tile/0/000'));
  expect(await provedBy(folder, 3)).toBe('wrong');
  await new Tiler(folder).makeAnew();
  expect(tilesIn(folder)).toEqual(whole);
  expect(await provedBy(folder, 3)).toBe('used');
});

test('tiles of a log that was set back and written on are made anew', async () => {
  const folder = await closedLog(600);
  await new Tiler(folder).catchUp();
  const other = await closedLog(400);
  fs.cpSync(join(folder, 'tile'), join(other, 'tile'), { recursive: true });
  await new Tiler(other).catchUp();
  const made = tilesIn(other);
  for (const [name, bytes] of await tilesOf(other)) expect(made.get(name), name).toBe(bytes);
});

test('compressed segments give the same tiles', async () => {
  const folder = await closedLog(600);
  const names = (await new FolderSource(folder).segments()).slice(0, -1);
  const tiler = new Tiler(folder);
  // No seal is over just one more than the segment's last.
  const { size } = manifestOf(folder)[1]!;
  expect(await tiler.catchUp(size + 1)).toBe(size);
  for (const name of names) {
    const path = join(folder, name);
    fs.writeFileSync(`${path}.zst`, zstdCompressSync(fs.readFileSync(path)));
    fs.rmSync(path);
  }
  await tiler.catchUp();
  const made = tilesIn(folder);
  for (const [name, bytes] of await tilesOf(folder)) expect(made.get(name), name).toBe(bytes);
  await new Tiler(folder).makeAnew();
  for (const [name, bytes] of await tilesOf(folder)) expect(tilesIn(folder).get(name), name).toBe(bytes);
});

test('tiles that end with a segment are compared with the seal at its end, and taken up', async () => {
  const folder = await closedLog(600);
  const { size } = manifestOf(folder)[1]!;
  await new Tiler(folder).catchUp(size);
  const whole = tilesIn(folder);
  fs.rmSync(join(folder, 'tile/0/000'));
  expect(await new Tiler(folder).catchUp(size)).toBe(size);
  expect(fs.existsSync(join(folder, 'tile/0/000'))).toBe(false);
  const border = join(folder, 'tile/1/000.p/1');
  fs.writeFileSync(border, Buffer.alloc(32));
  await new Tiler(folder).catchUp(size);
  expect(tilesIn(folder)).toEqual(whole);
});

test('a log without its beginning proves what is left of it, with tiles and without', async () => {
  const folder = await closedLog(600);
  await new Tiler(folder).catchUp();
  const { size } = manifestOf(folder)[1]!;
  for (const n of [0, 1]) fs.rmSync(join(folder, `seg-0000000${n}.jsonl`));
  for (const seq of [size, size + 1, size + 77]) expect(await provedBy(folder, seq)).toBe('used');
  await expect(prove(new FolderSource(folder), size - 1)).rejects.toThrow('does not hold record');
  await expect(new Tiler(folder).makeAnew()).rejects.toThrow('those before are not here');
  fs.rmSync(join(folder, 'tile'), { recursive: true });
  for (const seq of [size, size + 1, size + 77]) expect(await provedBy(folder, seq)).toBe('none');
});

test('no tiles are made of lines that are not what the seals say', async () => {
  const folder = await closedLog(300);
  const name = join(folder, 'seg-00000001.jsonl');
  fs.writeFileSync(name, fs.readFileSync(name, 'utf8').replace('select 1', 'select 2'));
  await expect(new Tiler(folder).catchUp()).rejects.toThrow(
    'its records are not those that its seals are over',
  );
  expect(fs.existsSync(join(folder, tiledSizeName))).toBe(false);
});

test('while much is written no tiles are made, and a while after they are', async () => {
  const folder = await closedLog(300);
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const tiling = new Tiling({ path: folder, failed: () => undefined });
  onTestFinished(() => tiling.close());
  const isAtWork = async () => {
    await new Promise((resolve) => setImmediate(resolve));
    return tiling.isAtWork || tiling.size > 0;
  };
  tiling.sealed(0);
  tiling.sealed(20_000);
  vi.advanceTimersByTime(15_000);
  expect(await isAtWork()).toBe(false);
  vi.advanceTimersByTime(15_000);
  expect(await isAtWork()).toBe(true);
  vi.useRealTimers();
  await expect.poll(() => tiling.size).toBeGreaterThan(300);
});

test('the thread keeps the tiles of a log that is written, and tells what it could not', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const failures: string[] = [];
  const tiling = new Tiling({ path: logFolder(path), failed: (reason) => failures.push(reason) });
  onTestFinished(() => tiling.close());
  log.listen(tiling);
  for (let n = 0; n < 1100; n += 1) log.append(statement(n));
  await log.durable(log.append(statement(0)));
  await tiling.reach();
  expect(failures).toEqual([]);
  expect(tiling.size).toBe(log.health.sealed);
  expect(await provedBy(logFolder(path), 700)).toBe('used');

  // Behind what the tiles cover, the lines are read.
  await log.durable(log.append(statement(1)));
  expect(await provedBy(logFolder(path), log.health.sealed - 1)).toBe('used');

  fs.rmSync(join(logFolder(path), 'tile'), { recursive: true });
  fs.writeFileSync(join(logFolder(path), 'tile'), 'in the way');
  for (let n = 0; n < 1100; n += 1) log.append(statement(n));
  await log.durable(log.append(statement(0)));
  await tiling.reach();
  expect(failures).not.toEqual([]);
  expect(log.failed).toBeUndefined();
});
