// What happens to a proxy in the middle of streams of rounds: rules and definitions change, statements are canceled, clients
// do not read, the process is stopped or killed. With the addon and without it the same must hold.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hasHop } from '../../src/hop/descriptor.ts';
import { bind, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { cancelRequest } from '../../src/wire/startup.ts';
import { startPostgres, type TestServer, tlsFixture } from '../support/postgres.ts';
import { errorFields, RawClient, type Reply } from '../support/raw.ts';
import { type Line, records, verified } from '../support/trail.ts';
import { startTwin, type Twin, type TwinGuard } from '../support/twin.ts';

let server: TestServer;
let direct: pg.Client;
let folder: string;
const clients: RawClient[] = [];

beforeAll(async () => {
  server = await startPostgres({
    settings: {
      logging_collector: 'on',
      log_destination: 'jsonlog',
      log_statement: 'all',
      log_rotation_size: '0',
      log_rotation_age: '0',
    },
  });
  direct = new pg.Client({ connectionString: server.url() });
  await direct.connect();
  await direct.query(`
    create table watched (id int primary key, v text);
    insert into watched select n, 'row ' || n from generate_series(1, 50) as n;
    create table wide (id int primary key, v text);
    insert into wide select n, repeat(chr(97 + n), 990) from generate_series(1, 20) as n;`);
  folder = mkdtempSync(join(tmpdir(), 'holdpoint-lane-events-'));
});

afterAll(async () => {
  await direct?.end();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const passing = (effects: string, more = '') => `
version: 1
rules:
  - name: everyday-work
    action: pass
    effects: [${effects}]
${more}`;
const everyday = 'read, insert, setting, custom-setting, transaction, notify';
const together = 8;
/** Kills of a run, more on request; and how long the proxy goes on at most before one, once rounds go by the lane. */
const kills = Number(process.env.HOLDPOINT_KILLS ?? 2);
const lifeMs = 100;
const patienceMs = 60_000;

describe.each([
  { native: 'on', leg: 'plaintext' },
  { native: 'off', leg: 'plaintext' },
  { native: 'on', leg: 'TLS' },
] as const)('native $native, $leg', ({ native, leg }) => {
  let twin: Twin;
  let rules: string;
  let dataDir: string;
  let guard: TwinGuard | undefined;

  beforeAll(() => {
    twin = startTwin(native);
  });

  beforeEach(() => {
    dataDir = mkdtempSync(join(folder, 'guard-'));
    rules = join(dataDir, 'rules.yaml');
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await guard?.close();
    guard = undefined;
  });

  afterAll(() => twin?.kill());

  async function start(text: string, by: Twin = twin): Promise<TwinGuard> {
    writeFileSync(rules, text);
    const started = await by.start({
      url: server.url(),
      rules,
      dataDir,
      audit: { values: 'none' },
      catalog: { pollMs: 100 },
      hold: { waitMs: 100 },
      ...(leg === 'TLS' && { tls: { cert: tlsFixture.cert, key: tlsFixture.key } }),
    });
    guard = started;
    return started;
  }

  /** Clients with the text prepared as `read`, each in a session of its own. */
  async function readers(many: number, at: TwinGuard, text: string): Promise<RawClient[]> {
    return Promise.all(
      Array.from({ length: many }, async () => {
        const client = await at.connect({ application_name: 'worker' });
        client.patienceMs = patienceMs;
        clients.push(client);
        client.send(parse('read', text), sync());
        await client.until('Z');
        return client;
      }),
    );
  }

  test.each(['deny', 'hold'] as const)(
    'rules that %s from now on count for the next round',
    async (action) => {
      const at = await start(passing(everyday));
      const text = 'select v from watched where id = $1';
      let stop = false;
      let inForce = false;
      const streams = (await readers(together, at, text)).map(async (client) => {
        const seen: { came: string; late: boolean }[] = [];
        // A few more behind the first that is refused: none of them passes.
        for (let left = 3; left > 0; ) {
          const late = inForce;
          const came = outcomeOf(await round(client, '7'));
          seen.push({ came, late });
          if (stop && late) left -= 1;
        }
        return seen;
      });
      await expect.poll(() => count(at, text)).toBeGreaterThan(together * 20);
      writeFileSync(
        rules,
        passing(
          everyday,
          `  - { name: watched, action: ${action}, reason: not now, relations: ['*.watched'] }`,
        ),
      );
      await at.reload();
      inForce = true;
      stop = true;
      for (const seen of await Promise.all(streams)) {
        expect(seen.filter(({ late }) => late).map(({ came }) => came)).toEqual(['42501', '42501', '42501']);
        const first = seen.findIndex(({ came }) => came === '42501');
        expect(seen.slice(0, first).every(({ came }) => came === 'row 7')).toBe(true);
        expect(seen.slice(first).every(({ came }) => came === '42501')).toBe(true);
      }
      const log = await ended();
      const changed = log.filter(({ kind }) => kind === 'policy').at(-1)!.seq;
      const decided = (dec: string) => log.filter((one) => one.sql === text && one.dec === dec);
      expect(decided('pass').every(({ seq }) => seq < changed)).toBe(true);
      expect(decided(action).every(({ seq }) => seq > changed)).toBe(true);
      expect(decided(action).length).toBeGreaterThanOrEqual(together * 3);
    },
  );

  test.each(['another session', 'the same session'])(
    'a function that %s changes through the proxy is another for the next round',
    async (who) => {
      const at = await start(
        passing(
          `${everyday}, create, alter, drop, lock-table`,
          '  - { name: rows, action: deny, effects: [delete, code, unknown, function] }',
        ),
      );
      const name = `f_${native}_${leg}_${who.slice(0, 3)}`.toLowerCase();
      await direct.query(
        `create function ${name}(int) returns int language sql stable as 'select id from watched where id = $1'`,
      );
      const [reader, other] = await readers(2, at, `select ${name}($1::int)`);
      for (let value = 1; value < 20; value += 1)
        expect(outcomeOf(await round(reader!, String(value)))).toBe(String(value));
      const definer = who === 'the same session' ? reader! : other!;
      definer.send(
        query(
          `create or replace function ${name}(int) returns int language sql as 'delete from watched where id = -1; select 1'`,
        ),
      );
      expect(outcomeOf(await definer.until('Z'))).toBe('');
      for (let value = 1; value < 4; value += 1) {
        expect(outcomeOf(await round(reader!, String(value)))).toBe('42501');
        expect(outcomeOf(await round(other!, String(value)))).toBe('42501');
      }
      await ended();
    },
  );

  test('a function that somebody else changes is another once that was noticed, and stays so', async () => {
    const at = await start(
      passing(everyday, '  - { name: rows, action: deny, effects: [delete, code, unknown, function] }'),
    );
    const name = `g_${native}_${leg}`.toLowerCase();
    const text = `select ${name}($1::int)`;
    await direct.query(
      `create function ${name}(int) returns int language sql stable as 'select id from watched where id = $1'`,
    );
    const streams = (await readers(together, at, text)).map(async (client) => {
      const seen: string[] = [];
      while (seen.filter((came) => came === '42501').length < 5)
        seen.push(outcomeOf(await round(client, '7')));
      return seen;
    });
    await expect.poll(() => count(at, text)).toBeGreaterThan(together * 20);
    await direct.query(
      `create or replace function ${name}(int) returns int language sql as 'delete from watched where id = -1; select 7'`,
    );
    for (const seen of await Promise.all(streams)) expect(seen.lastIndexOf('7')).toBe(seen.length - 6);
    const log = await ended();
    const first = log.find((one) => one.sql === text && one.dec === 'deny')!.seq;
    expect(log.filter((one) => one.sql === text && one.dec === 'pass' && one.seq > first)).toEqual([]);
  });

  test('a round that runs is canceled, and no other', async () => {
    const at = await start(passing(everyday));
    const text = 'select $1::float8 as s from pg_sleep($1)';
    const [client] = await readers(1, at, text);
    for (let each = 0; each < 5; each += 1) expect(outcomeOf(await round(client!, '0'))).toBe('0');
    const canceled = round(client!, '30');
    const active = `select 1 from pg_stat_activity where state = 'active' and wait_event = 'PgSleep'`;
    await expect.poll(async () => (await direct.query(active)).rowCount).toBe(1);
    await cancel(at, client!);
    expect(outcomeOf(await canceled)).toBe('57014');
    // To a session that has nothing under way: not even what comes right behind it is hit.
    for (let each = 0; each < 10; each += 1) {
      await cancel(at, client!);
      expect(outcomeOf(await round(client!, '0.01'))).toBe('0.01');
    }
    // While rounds run one is hit or none is, and whatever is not says what it would have said.
    let stop = false;
    const canceling = (async () => {
      for (let each = 0; each < 30; each += 1) await cancel(at, client!);
      stop = true;
    })();
    while (!stop) expect(['0.002', '57014']).toContain(outcomeOf(await round(client!, '0.002')));
    await canceling;
    expect(outcomeOf(await round(client!, '0'))).toBe('0');
    const log = await ended();
    const states = new Set(log.filter(({ kind }) => kind === 'outcome').map(({ st }) => st));
    expect(states.has('canceled')).toBe(true);
    expect(states.has('unknown')).toBe(false);
  });

  test('a client that does not read while it asks gets every byte once it reads', async () => {
    const at = await start(passing(everyday));
    const [client] = await readers(1, at, 'select id, v from wide where id > $1 order by id');
    const once = await round(client!, '0');
    expect(once.filter(({ letter }) => letter === 'D')).toHaveLength(20);
    const chunks: Buffer[] = [];
    client!.socket.removeAllListeners('data');
    client!.socket.pause();
    const rounds = 2000;
    for (let each = 0; each < rounds; each += 1) client!.send(...roundOf(String(each % 21)));
    const stuck = `select 1 from pg_stat_activity where wait_event = 'ClientWrite' and application_name = 'worker'`;
    await expect.poll(async () => (await direct.query(stuck)).rowCount, { timeout: patienceMs }).toBe(1);
    const wanted = Array.from({ length: rounds }, (_, each) => answerOf(once, each % 21));
    const bytes = wanted.reduce((sum, { length }) => sum + length, 0);
    await new Promise<void>((resolve) => {
      let got = 0;
      client!.socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        got += chunk.length;
        if (got >= bytes) resolve();
      });
      client!.socket.once('close', () => resolve());
      client!.socket.resume();
    });
    expect(Buffer.concat(chunks).equals(Buffer.concat(wanted))).toBe(true);
    const log = await ended(false);
    expect(log.filter(({ kind }) => kind === 'outcome').every(({ st }) => st === 'ok')).toBe(true);
  });

  test('notifications come in the middle of rounds, each once', async () => {
    const at = await start(passing(everyday));
    const [client] = await readers(1, at, 'select v from watched where id = $1');
    client!.send(query('listen ch'));
    await client!.until('Z');
    // By the lane, before anything comes in between.
    for (let each = 1; each < 10; each += 1)
      expect(outcomeOf(await round(client!, String(each)))).toBe(`row ${each}`);
    const told: string[] = [];
    const many = 50;
    const notifying = (async () => {
      for (let each = 0; each < many; each += 1) await direct.query(`select pg_notify('ch', 'n${each}')`);
    })();
    for (let each = 0; told.length < many; each += 1) {
      const id = String(1 + (each % 50));
      const replies = await round(client!, id);
      for (const { letter, body, summary } of replies)
        if (letter === 'A') {
          told.push(summary);
          expect(body.readInt32BE(0)).not.toBe(client!.pid);
        }
      expect(outcomeOf(replies)).toBe(`row ${id}`);
    }
    await notifying;
    expect(told).toEqual(Array.from({ length: many }, (_, each) => `ch n${each}`));
    await ended();
  });

  test('a server that ends sessions in the middle of rounds: nothing comes behind its error', async () => {
    const at = await start(passing(everyday));
    const streams = (await readers(together, at, 'select id, v from wide where id > $1 order by id')).map(
      streamed,
    );
    await expect.poll(() => streams.every(({ rounds }) => rounds() > 20)).toBe(true);
    await direct.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'worker'`,
    );
    // A server may end a session in the middle of an answer.
    for (const { ends } of streams) await ends('57P01', /^(2D{0,20})?E$/);
    await ended();
  });

  test('a proxy that is stopped in the middle of rounds: each answer is whole, or an error and the end', async () => {
    const at = await start(passing(everyday));
    const streams = (await readers(together, at, 'select id, v from wide where id > $1 order by id')).map(
      streamed,
    );
    await expect.poll(() => streams.every(({ rounds }) => rounds() > 20)).toBe(true);
    // Not one of them has left when it is stopped.
    const stopped = clients.splice(0);
    await ended();
    // Nothing behind the last whole answer but the error.
    for (const { ends } of streams) await ends('57P01', /^E$/);
    for (const client of stopped) client.destroy();
  });

  test(
    'a proxy that is killed in the middle of rounds: what the server was given is in the log',
    async () => {
      for (let kill = 1; kill <= kills; kill += 1) {
        const name = `${native}-${leg}-${kill}`;
        const doomed = startTwin(native);
        const at = await start(passing(everyday), doomed);
        guard = undefined;
        const asking = (
          await readers(together, at, 'select $1::text as tag, v from watched where id = 7')
        ).map((client, worker) => {
          let done = 0;
          const finished = (async () => {
            for (; !client.closed; done += 1) {
              client.send(...roundOf(`tag-${name}-${worker}-${done}`));
              await client.until('Z');
            }
          })();
          return { done: () => done, port: client.socket.localPort, finished };
        });
        await expect.poll(() => Math.min(...asking.map(({ done }) => done()))).toBeGreaterThan(30);
        if (native === 'on' && hasHop()) expect(await at.repeated()).toBeGreaterThan(together * 10);
        await new Promise((resolve) => setTimeout(resolve, Math.random() * lifeMs));
        await doomed.kill();
        await Promise.all(asking.map(({ finished }) => finished));
        const open = `select 1 from pg_stat_activity where application_name = 'worker'`;
        await expect.poll(async () => (await direct.query(open)).rowCount).toBe(0);
        const given = await tagsAtServer(name);
        expect(given.length).toBeGreaterThan(together * 30);
        // The log commits to tags and does not tell them. A session asks one after the other, each told of before it goes.
        const log = records(at.auditDir);
        for (const [worker, { port }] of asking.entries()) {
          const { sid } = log.findLast(
            ({ kind, client }) => kind === 'auth' && `${client}`.endsWith(`:${port}`),
          )!;
          const recorded = log.filter(
            (line) => line.kind === 'stmt' && line.sid === sid && line.pc !== undefined,
          );
          const own = given.filter((tag) => tag.startsWith(`tag-${name}-${worker}-`));
          expect(recorded.length, `of worker ${worker}, ${name}`).toBeGreaterThanOrEqual(own.length);
          expect(recorded.length - own.length, `of worker ${worker}, ${name}`).toBeLessThanOrEqual(1);
        }
        clients.length = 0;
      }
      // Whoever takes the log up says what is not known, and it holds.
      guard = await twin.start({ url: server.url(), rules, dataDir, audit: { values: 'none' } });
      await ended(false);
    },
    60_000 + kills * 20_000,
  );

  /** The log of the guard, which ends: it verifies, and each statement has one outcome. `repeats`: rounds came one by one. */
  async function ended(repeats = true): Promise<Line[]> {
    for (const client of clients.splice(0)) client.socket.end();
    const { auditDir, close, repeated } = guard!;
    // Else nothing was tested.
    if (native === 'on' && hasHop() && repeats) expect(await repeated()).toBeGreaterThan(0);
    guard = undefined;
    await close();
    expect(await verified(auditDir)).toMatchObject({ code: 0 });
    const log = records(auditDir);
    const outcomes = new Map<number, number>();
    for (const { kind, seq, ref } of log) {
      if (kind === 'stmt') outcomes.set(seq, 0);
      else if (kind === 'outcome') outcomes.set(Number(ref), outcomes.get(Number(ref))! + 1);
    }
    expect([...outcomes].filter(([, many]) => many !== 1)).toEqual([]);
    return log;
  }
});

const roundOf = (value: string): Buffer[] => [bind('', 'read', [Buffer.from(value)]), execute(''), sync()];

async function round(client: RawClient, value: string): Promise<Reply[]> {
  client.send(...roundOf(value));
  return client.until('Z');
}

/** The SQLSTATE of an error, else the values of its rows. */
function outcomeOf(replies: readonly Reply[]): string {
  const error = replies.find(({ letter }) => letter === 'E');
  if (error !== undefined) return errorFields(error).get('C')!;
  return replies
    .filter(({ letter }) => letter === 'D')
    .map(({ summary }) => summary)
    .join();
}

/** How many records of the text the log has by now. */
function count({ auditDir }: TwinGuard, sql: string): number {
  return records(auditDir).filter((record) => record.kind === 'stmt' && record.sql === sql).length;
}

async function cancel({ port }: TwinGuard, { pid, key }: RawClient): Promise<void> {
  const other = await RawClient.connect('127.0.0.1', port);
  other.send(cancelRequest(pid, key));
  await other.untilClosed();
}

/** The answer to the rows behind `from`, made of the answer to all of them. */
function answerOf(all: readonly Reply[], from: number): Buffer {
  const rows = all.filter(({ letter }) => letter === 'D');
  return Buffer.concat(
    all
      .filter(({ letter }, at) => letter !== 'D' || at > from)
      .map(({ letter, body }) => {
        const changed = letter === 'C' ? Buffer.from(`SELECT ${Math.max(rows.length - from, 0)}\0`) : body;
        const head = Buffer.alloc(5);
        head.write(letter, 'latin1');
        head.writeInt32BE(changed.length + 4, 1);
        return Buffer.concat([head, changed]);
      }),
  );
}

/** Rounds of one client, one after another, until its connection ends. */
function streamed(client: RawClient): {
  rounds(): number;
  ends(sqlstate: string, how: RegExp): Promise<void>;
} {
  let rounds = 0;
  const last: Reply[] = [];
  const finished = (async () => {
    for (;;) {
      const replies = await round(client, '0');
      if (replies.at(-1)?.letter !== 'Z') {
        last.push(...replies);
        return;
      }
      expect(replies.map(({ letter }) => letter).join('')).toBe(`2${'D'.repeat(20)}CZ`);
      rounds += 1;
    }
  })();
  return {
    rounds: () => rounds,
    async ends(sqlstate, how) {
      await finished;
      expect(last.map(({ letter }) => letter).join('')).toMatch(how);
      expect(errorFields(last.at(-1)!).get('C')).toBe(sqlstate);
    },
  };
}

/** Tags that the server's log has of clients' statements. */
async function tagsAtServer(prefix: string): Promise<string[]> {
  // Its collector may be behind: what was said before this is there when this is.
  const marker = `marker ${prefix} ${Date.now()}`;
  await direct.query(`select '${marker}'`);
  const file = (await direct.query(`select pg_current_logfile('jsonlog') as f`)).rows[0].f;
  let text = '';
  const read = async (): Promise<string> => {
    text = (await direct.query('select pg_read_file($1) as text', [file])).rows[0].text;
    return text;
  };
  await expect.poll(async () => (await read()).includes(marker)).toBe(true);
  return text
    .split('\n')
    .filter((line) => line.startsWith('{') && JSON.parse(line).application_name === 'worker')
    .flatMap((line) => /tag-[\w-]+/.exec(line)?.[0] ?? [])
    .filter((tag) => tag.startsWith(`tag-${prefix}-`));
}
