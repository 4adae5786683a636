// The arrows between the folders of src, and from them to the verifier's package, read from the import lines, and the purity of the pure ones. An arrow that is
// missing here is drawn in a commit of its own, with its reason. Type imports count: they are knowledge too.

import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');

/** What each room may import besides itself and errors.ts. Files in src itself are rooms of their own. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  'errors.ts': [],
  wire: [],
  // Of its own, how a thread stands back.
  sql: ['background.ts'],
  'background.ts': [],
  catalog: ['sql'],
  policy: ['sql', 'catalog'],
  session: ['wire', 'sql', 'catalog', 'policy'],
  // Where a shared store is comes from the configuration, which reads its URL.
  store: ['store-url.ts'],
  'store-url.ts': [],
  // The package holdpoint-verify, in verify/src: nothing of the proxy.
  verify: [],
  // Of the verifier, what a signature is over its bytes: who decides by it and who verifies the log believe the same.
  approval: ['sql', 'policy', 'store', 'verify'],
  // Of its own, what finishes lines in C.
  audit: ['verify', 'addon.ts', 'background.ts'],
  // Carries the log's files away: reads them as the verifier does, never through the writer. Of the store, the client
  // of a Redis.
  ship: ['verify', 'audit', 'store', 'store-url.ts', 'metrics.ts', 'background.ts'],
  'ship-shape.ts': [],
  'ship-config.ts': ['ship-shape.ts', 'store-url.ts'],
  // The log as people read it: pieces of its files, whoever wrote them.
  trail: ['verify'],
  // Somebody else's process: of the log's room it takes how notes are signed and how a file is written durably.
  witness: ['verify', 'audit'],
  // The database server's own log against ours; of sql, what two writings of one statement have in common.
  reconcile: ['trail', 'sql'],
  // What a held statement would touch: questions to a catalog and what their answers come to, in R's terms.
  blast: ['sql', 'catalog', 'approval'],
  'yaml.ts': ['policy'],
  'target-url.ts': ['policy'],
  'credential-shape.ts': [],
  'config-shape.ts': ['credential-shape.ts', 'ship-shape.ts'],
  // The keys that values are encrypted to.
  'values-config.ts': ['verify'],
  'config.ts': [
    'approval',
    'policy',
    'verify',
    'config-shape.ts',
    'ship-config.ts',
    'store-url.ts',
    'target-url.ts',
    'values-config.ts',
    'yaml.ts',
  ],
  'json-file.ts': [],
  'open-files.ts': [],
  'registry-file.ts': ['approval', 'credential-shape.ts', 'json-file.ts', 'verify'],
  'registry-book.ts': ['approval', 'config.ts', 'registry-file.ts', 'verify', 'wire'],
  'delegations.ts': ['approval', 'json-file.ts'],
  'server-pins.ts': ['json-file.ts', 'policy'],
  'registry.ts': ['approval', 'registry-book.ts', 'registry-file.ts', 'verify', 'wire'],
  'observations.ts': [],
  'metrics.ts': ['observations.ts', 'policy', 'sql'],
  // What is written in C, and whether it is there.
  'addon.ts': [],
  // Sockets as bare descriptors.
  hop: ['addon.ts'],
  proxy: [
    'hop',
    'wire',
    'sql',
    'catalog',
    'policy',
    'session',
    'approval',
    'audit',
    'blast',
    'target-url.ts',
    'server-pins.ts',
    'metrics.ts',
  ],
  // Neither http, where callbacks arrive, nor proxy, which must not wait for a message.
  notify: ['approval', 'store', 'policy', 'json-file.ts'],
  // Of sql, the tokens that a statement is coloured by; of the verifier, what proves a record of the log.
  http: ['approval', 'sql', 'store', 'audit', 'metrics.ts', 'registry.ts', 'trail', 'verify'],
  demo: [],
};

/** Rooms, and single files of the others, that take clock, chance and keys as arguments and do no I/O. */
const pure = (path: string) =>
  /^(wire|sql|catalog|policy|session|blast)\//.test(path) ||
  /^approval\/(approvers|request|decision|evidence|sshsig|webauthn|oidc|slack)\.ts$/.test(path) ||
  /^audit\/(anchor|note-signer|record|seal)\.ts$/.test(path) ||
  /^reconcile\/(comparison|executed|ledger)\.ts$/.test(path) ||
  path === 'open-files.ts' ||
  // Of the verifier, all but what reads files, owns threads and is a command.
  (/^verify\//.test(path) && !/^verify\/(source|input|anchor-input|crew|worker|command|cli)\.ts$/.test(path));

const impureModules =
  /^node:(net|tls|fs|fs\/promises|http|http2|https|dns|dgram|child_process|worker_threads|timers|timers\/promises|process|os)$|^(pg|ioredis|hono|pino|prom-client)(\/|$)|^@hono\//;
const impureCalls =
  /\b(Date\.now|Math\.random|performance\.now|setTimeout|setInterval|setImmediate|fetch)\s*\(|\bnew Date\(\)|\bprocess\.|\b(randomBytes|randomUUID|randomInt|randomFillSync)\s*\(/;

/** Why each may: the reason is in the file's first lines. */
const exempt: Readonly<Record<string, RegExp>> = {
  'policy/packs.ts': /^node:fs$/,
  'sql/parse.ts': /^node:worker_threads$/,
  'sql/worker.ts': /^node:worker_threads$/,
  // Ends a worker that takes too long over one text.
  'sql/pool.ts': /^node:worker_threads$|^setTimeout/,
};

type Sources = ReadonlyMap<string, string>;

function roomOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : path;
}

/** The specifiers after `from`, after a bare `import`, and in `import()`. */
function importsOf(text: string): string[] {
  const found = text.matchAll(
    /^\s*(?:import|export)\b[^;'"]*?\bfrom\s+['"]([^'"]+)['"]|^\s*import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm,
  );
  return [...found].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
}

function localImports(path: string, text: string): string[] {
  return importsOf(text)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => posix.normalize(posix.join(posix.dirname(path), specifier)))
    .map((to) => to.replace(/^\.\.\/verify\/src\//, 'verify/'));
}

function wrongArrows(sources: Sources): string[] {
  const wrong: string[] = [];
  for (const [path, text] of sources) {
    const room = roomOf(path);
    if (room === 'cli') continue;
    const allowed = arrows[room];
    if (allowed === undefined) wrong.push(`${path} is in no room of the plan`);
    for (const to of localImports(path, text)) {
      const target = roomOf(to);
      const fine = target === room || target === 'errors.ts' || allowed?.includes(target);
      if (!fine && allowed !== undefined) wrong.push(`${path} imports ${to}`);
    }
  }
  return wrong;
}

function impurities(sources: Sources): string[] {
  const found: string[] = [];
  for (const [path, text] of sources) {
    if (!pure(path)) continue;
    const may = (what: string) => exempt[path]?.test(what) === true;
    for (const specifier of importsOf(text)) {
      if (impureModules.test(specifier) && !may(specifier)) found.push(`${path} imports ${specifier}`);
    }
    for (const line of text.split('\n')) {
      const call = /^\s*(\/\/|\*|\/\*)/.test(line) ? undefined : impureCalls.exec(line)?.[0];
      if (call !== undefined && !may(call)) found.push(`${path} calls ${call}`);
    }
  }
  return found;
}

/** The first cycle of files found, as a path that ends where it began. */
function cycle(sources: Sources): string[] | undefined {
  const done = new Set<string>();
  const visit = (path: string, trail: string[]): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return undefined;
    for (const to of localImports(path, sources.get(path) ?? '')) {
      const found = visit(to, [...trail, path]);
      if (found !== undefined) return found;
    }
    done.add(path);
    return undefined;
  };
  for (const path of sources.keys()) {
    const found = visit(path, []);
    if (found !== undefined) return found;
  }
  return undefined;
}

function filesOf(folder: string, room: string): [string, string][] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.ts'))
    .map((path) => [`${room}${path}`, readFileSync(join(root, folder, path), 'utf8')]);
}

const sources: Sources = new Map([...filesOf('src', ''), ...filesOf('verify/src', 'verify/')]);

test('every import follows an arrow of the plan', () => {
  expect(sources.size).toBeGreaterThan(20);
  expect(wrongArrows(sources)).toEqual([]);
});

test('pure folders do no I/O and know neither clock nor chance', () => {
  expect(impurities(sources)).toEqual([]);
});

test('no file imports itself by way of others', () => {
  expect(cycle(sources)).toBeUndefined();
});

test('only the command line constructs: nothing imports cli', () => {
  const importers = [...sources].filter(
    ([path, text]) => roomOf(path) !== 'cli' && localImports(path, text).some((to) => roomOf(to) === 'cli'),
  );
  expect(importers.map(([path]) => path)).toEqual([]);
});

test('the checks see what they are for', () => {
  const bad: Sources = new Map([
    ['http/pages.ts', "import { readQuery } from '../wire/messages.ts';"],
    ['proxy/relay.ts', "import type { App } from '../http/server.ts';\nimport '../http/api.ts';"],
    [
      'wire/framer.ts',
      "import {\n  connect,\n} from 'node:net';\nconst now = Date.now();\n// Date.now() in a comment",
    ],
    ['policy/decide.ts', "import { readFileSync } from 'node:fs';"],
    ['policy/packs.ts', "import { readFileSync } from 'node:fs';"],
    ['store/a.ts', "export { b } from './b.ts';"],
    ['store/b.ts', "const a = await import('./a.ts');"],
    ['helpers/text.ts', ''],
    ['verify/chain.ts', "import { HoldpointError } from '../../src/errors.ts';"],
    ['audit/log.ts', "import { Walk } from '../../verify/src/chain.ts';"],
  ]);
  expect(wrongArrows(bad)).toEqual([
    'http/pages.ts imports wire/messages.ts',
    'proxy/relay.ts imports http/server.ts',
    'proxy/relay.ts imports http/api.ts',
    'helpers/text.ts is in no room of the plan',
    'verify/chain.ts imports ../src/errors.ts',
  ]);
  expect(impurities(bad)).toEqual([
    'wire/framer.ts imports node:net',
    'wire/framer.ts calls Date.now(',
    'policy/decide.ts imports node:fs',
  ]);
  expect(cycle(bad)).toEqual(['store/a.ts', 'store/b.ts', 'store/a.ts']);
});
