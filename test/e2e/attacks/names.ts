// Names (threats B10, B11, C7, E3, E4; wire.md §0.1, §0.15, §2.3): prepared statements, portals and cursors whose name is
// given to another statement than the one that was judged, most of all by code that a person has approved for something
// else. Ways that need no such code stand in names.test.ts and wire.ts.

import { expect } from 'vitest';
import { bind, close, execute, parse, query, sync } from '../../../src/wire/messages/frontend.ts';
import type { Guard } from '../../support/holdpoint.ts';
import { type RawClient, type Reply, transcript } from '../../support/raw.ts';
import type { Script } from '../../support/siege.ts';

const wipe = 'DELETE FROM t';
const run = (statement: string, portal = ''): Buffer[] => [bind(portal, statement), execute(portal)];

function errors(replies: readonly Reply[]): string[] {
  return transcript(replies).filter((line) => line.startsWith('E '));
}

/** One session: texts pass, `held` texts and frames must not, `approved` ones are released by a person. */
class Attacker {
  readonly #guard: Guard;
  readonly #client: RawClient;

  constructor(guard: Guard, client: RawClient) {
    this.#guard = guard;
    this.#client = client;
  }

  async passes(...texts: string[]): Promise<void> {
    for (const text of texts) {
      this.#client.send(query(text));
      expect(errors(await this.#client.until('Z')), text).toEqual([]);
    }
  }

  async send(...frames: Buffer[]): Promise<Reply[]> {
    this.#client.send(...frames);
    return this.#client.until('Z');
  }

  async held(...texts: string[]): Promise<void> {
    for (const text of texts) await this.heldFrames(query(text));
  }

  async heldFrames(...frames: Buffer[]): Promise<void> {
    this.#client.send(...frames);
    const replies = (await this.rejected()).filter(({ letter }) => 'ECD'.includes(letter));
    expect(transcript(replies)).toEqual([expect.stringMatching(/^E ERROR (42501|55000|25P02)/)]);
  }

  /** What comes up to ReadyForQuery, while a person says no to all that waits. */
  async rejected(): Promise<Reply[]> {
    let waits = true;
    const answer = this.#client.until('Z').finally(() => {
      waits = false;
    });
    while (waits) {
      for (const { id } of await this.#guard.pending())
        await this.#guard.decide(id, 'reject').catch(() => undefined);
    }
    return answer;
  }

  async approved(...frames: Buffer[]): Promise<Reply[]> {
    this.#client.send(...frames);
    await this.#guard.approveNext();
    return this.#client.until('Z');
  }

  end(): void {
    this.#client.destroy();
  }
}

function script(name: string, attack: (session: Attacker) => Promise<void>): Script {
  return [
    name,
    async (siege) => {
      const guard = await siege.patient();
      const session = new Attacker(guard, await guard.connect());
      await attack(session);
      session.end();
    },
  ];
}

/** A block that redefines `s`; the number makes each a text of its own, so that no test waits on another's request. */
let blocks = 0;
function redefines(name = 's', text = wipe): string {
  blocks += 1;
  return `DO $$ BEGIN -- ${blocks}
    EXECUTE 'DEALLOCATE ${name}'; EXECUTE 'PREPARE ${name} AS ${text}'; END $$`;
}

const long = 'n'.repeat(63);

export const nameScripts: readonly Script[] = [
  script('approved code gives the name of a PREPARE to a DELETE', async (session) => {
    await session.passes('PREPARE s AS SELECT 1', 'EXECUTE s');
    await session.approved(query(redefines()));
    await session.held('EXECUTE s', 'EXPLAIN ANALYZE EXECUTE s', 'CREATE TEMP TABLE q AS EXECUTE s');
    await session.heldFrames(...run('s'), sync());
  }),
  script('approved code gives the name of a Parse to a DELETE', async (session) => {
    await session.send(parse('s', 'SELECT 1'), ...run('s'), sync());
    await session.approved(query(redefines()));
    await session.heldFrames(...run('s'), sync());
    await session.held('EXECUTE s');
  }),
  script('approved code does it in the extended protocol', async (session) => {
    await session.send(parse('s', 'SELECT 1'), sync());
    await session.approved(parse('', redefines()), ...run(''), sync());
    await session.heldFrames(...run('s'), sync());
  }),
  script('approved code does it in the same flight', async (session) => {
    await session.send(parse('s', 'SELECT 1'), sync());
    const replies = await session.approved(parse('', redefines()), ...run(''), sync(), ...run('s'), sync());
    expect(errors([...replies, ...(await session.rejected())])).toEqual([expect.stringContaining('42501')]);
  }),
  script('approved code that is bound early and executed late', async (session) => {
    await session.passes('BEGIN');
    await session.approved(parse('', redefines()), bind('late', ''), sync());
    await session.send(parse('s', 'SELECT 1'), ...run('s'), sync());
    await session.send(execute('late'), sync());
    await session.heldFrames(...run('s'), sync());
  }),
  script('approved code behind a cursor that is fetched from later', async (session) => {
    await session.passes('BEGIN', 'PREPARE s AS SELECT 1');
    blocks += 1;
    await session.approved(query(`DECLARE c CURSOR FOR SELECT redefine(), ${blocks}`));
    await session.held('FETCH c');
    await session.passes('ROLLBACK', 'PREPARE s2 AS SELECT 1', 'EXECUTE s2');
  }),
  script('a portal over such a cursor', async (session) => {
    await session.passes('BEGIN', 'PREPARE s AS SELECT 1');
    blocks += 1;
    await session.approved(query(`DECLARE c CURSOR FOR SELECT redefine(), ${blocks}`));
    await session.heldFrames(execute('c'), sync());
  }),
  script('a name that only code has defined', async (session) => {
    blocks += 1;
    await session.approved(query(`DO $$ BEGIN EXECUTE 'PREPARE dyn AS ${wipe}'; END $$ -- ${blocks}`));
    await session.held('EXECUTE dyn', 'EXPLAIN EXECUTE dyn', 'EXPLAIN ANALYZE EXECUTE dyn');
    await session.held(
      'CREATE TEMP TABLE q AS EXECUTE dyn',
      'EXPLAIN ANALYZE CREATE TEMP TABLE q AS EXECUTE dyn',
    );
    await session.heldFrames(...run('dyn'), sync());
    await session.heldFrames(parse('', 'EXECUTE dyn'), ...run(''), sync());
  }),
  script('a cursor that code has opened', async (session) => {
    await session.passes('BEGIN');
    blocks += 1;
    await session.approved(
      query(`DO $$ DECLARE r refcursor := 'r'; BEGIN OPEN r FOR SELECT purge(); END $$ -- ${blocks}`),
    );
    await session.heldFrames(execute('r'), sync());
    await session.held('FETCH r');
  }),
  script('a cursor whose name code has given to another query', async (session) => {
    await session.passes('BEGIN; DECLARE c CURSOR FOR SELECT 1');
    blocks += 1;
    await session.approved(
      query(
        `DO $$ DECLARE r refcursor := 'c'; BEGIN CLOSE r; OPEN r FOR SELECT purge(); END $$ -- ${blocks}`,
      ),
    );
    await session.held('FETCH c');
  }),
  script('a name that a failed text has given to a DELETE', async (session) => {
    await session.passes('PREPARE s AS SELECT 1');
    const replies = await session.send(query(`BEGIN; DEALLOCATE s; PREPARE s AS ${wipe}; SELECT 1/0`));
    expect(errors(replies)).toHaveLength(1);
    await session.passes('ROLLBACK');
    await session.held('EXECUTE s');
    await session.heldFrames(...run('s'), sync());
  }),
  script('a PREPARE that outlives its transaction', async (session) => {
    await session.passes('BEGIN', `PREPARE s AS ${wipe}`, 'ROLLBACK');
    await session.held('EXECUTE s');
  }),
  script('DISCARD PLANS and SEQUENCES forget no name', async (session) => {
    await session.send(parse('s', wipe), sync());
    await session.passes('DISCARD PLANS; DISCARD SEQUENCES');
    await session.heldFrames(...run('s'), sync());
  }),
  script('names of more than 63 bytes are one name', async (session) => {
    await session.passes(`PREPARE ${long}a AS ${wipe}`);
    await session.send(parse(`${long}b`, 'SELECT 1'), sync());
    await session.held(`EXECUTE ${long}c`, `EXECUTE ${long}`);
    await session.heldFrames(...run(`${long}b`), sync());
  }),
  script('names by other spellings', async (session) => {
    await session.passes('PREPARE "S" AS SELECT 1', `PREPARE s AS ${wipe}`);
    await session.held('EXECUTE S', 'EXECUTE "s"', 'EXECUTE U&"\\0073"', 'EXPLAIN ANALYZE EXECUTE s');
    await session.heldFrames(...run('s'), sync());
    await session.passes('EXECUTE "S"');
  }),
  script('a named Parse that is skipped in a segment that was not answered', async (session) => {
    await session.send(parse('s', wipe), sync());
    await session.send(parse('x', 'SELEC'), close('S', 's'), parse('s', 'SELECT 1'), sync());
    await session.heldFrames(...run('s'), sync());
  }),
  script('a cursor that is held over the end of its transaction', async (session) => {
    await session.held('DECLARE c CURSOR WITH HOLD FOR SELECT purge()');
    await session.held('BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT purge(); COMMIT');
    await session.heldFrames(parse('', 'DECLARE c CURSOR WITH HOLD FOR SELECT purge()'), ...run(''), sync());
  }),
  script('a cursor that nobody has declared', async (session) => {
    await session.passes('BEGIN');
    await session.held('FETCH ALL FROM nothing');
  }),
];

/** What is defined after the approved code is known again, and the unnamed statement always was. */
export const knownAgain: Script = script('what is defined after approved code passes', async (session) => {
  await session.approved(query(redefines('none').replace("EXECUTE 'DEALLOCATE none'; ", '')));
  await session.passes('PREPARE s AS SELECT 1', 'EXECUTE s', 'EXECUTE s', 'DEALLOCATE s');
  const known = await session.send(parse('s', 'SELECT 1'), sync());
  expect(errors(known)).toEqual([]);
  expect(errors(await session.send(...run('s'), sync()))).toEqual([]);
  expect(errors(await session.send(parse('', 'SELECT 1'), ...run(''), sync()))).toEqual([]);
  await session.passes('BEGIN; DECLARE c CURSOR FOR SELECT 1', 'FETCH c', 'COMMIT', 'DEALLOCATE ALL');
});
