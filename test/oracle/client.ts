// The client of the oracle: sends the steps of scripts on one session through Holdpoint and hears all answers, whatever
// they are; begins a new session where the old one ended. Knows nothing of what the answers are worth.

import {
  bind,
  close,
  describe,
  execute,
  flush,
  parse,
  query,
  sync,
} from '../../src/wire/messages/frontend.ts';
import type { Guard } from '../support/holdpoint.ts';
import type { RawClient, Reply } from '../support/raw.ts';
import type { FrameText, Step } from './generate.ts';

export interface Session {
  /** Process of the server behind the session, as it is now. */
  readonly pid: number;
  /** Sends the step; all that came back. */
  play(step: Step): Promise<readonly Reply[]>;
  /** No transaction, no prepared statements, no temporary objects, settings as at the start. False if they were so. */
  clear(): Promise<boolean>;
  close(): void;
}

/** Of a text that leaves something behind in its session. */
const lasting =
  /\b(set|set_config|begin|start|prepare|declare|temp|temporary|pg_temp|listen|execute|reset|into|discard)\b/i;

/** `types`: OIDs of the types that a Parse may declare, by name. */
export async function openSession(guard: Guard, types: ReadonlyMap<string, number>): Promise<Session> {
  let client: RawClient | undefined;
  let pid = 0;
  let dirty = false;
  let copied = 5000;

  const connect = async (): Promise<RawClient> => {
    const made = await guard.connect();
    made.send(query('SELECT pg_backend_pid()'));
    const row = (await made.until('Z')).find((reply) => reply.letter === 'D');
    pid = Number(row?.summary ?? 0);
    dirty = false;
    return made;
  };

  /** Answers COPY FROM STDIN with one row of numbers, and hears the rest. */
  const hear = async (on: RawClient, step: Step): Promise<Reply[]> => {
    const heard: Reply[] = [];
    const simple = step.every(([kind]) => kind === 'Q');
    let left = step.filter(([kind]) => kind === 'Q' || kind === 'S').length;
    while (left > 0) {
      const some = await on.until('ZG');
      heard.push(...some);
      const last = some.at(-1);
      if (last === undefined || on.closed) return heard;
      if (last.letter === 'Z') left -= 1;
      if (last.letter !== 'G') continue;
      copied += 1;
      const comma = step.some((frame) => frame.some((each) => /csv/i.test(String(each))));
      const columns = Array(last.body.readInt16BE(1))
        .fill(copied)
        .join(comma ? ',' : '\t');
      on.send(frame('d', Buffer.from(`${columns}\n`)), frame('c', Buffer.alloc(0)));
      // Every Sync that was sent along was swallowed by the COPY, and everything else failed it.
      if (!simple) {
        on.send(sync());
        left = 1;
      }
    }
    return heard;
  };

  client = await connect();
  return {
    get pid() {
      return pid;
    },
    async play(step) {
      if (client === undefined || client.closed) client = await connect();
      if (step.some((each) => each[0] === 'P' && each[1] !== '')) dirty = true;
      if (step.some((each) => lasting.test(String(each[0] === 'P' ? each[2] : each[1])))) dirty = true;
      client.send(...step.map((each) => bytesOf(each, types)));
      try {
        const heard = await hear(client, step);
        if (heard.at(-1)?.summary !== 'I') dirty = true;
        return heard;
      } catch (error) {
        // A pipeline that went wrong in the middle of a COPY may be owed nothing more; what was sent counts all the same.
        client.destroy();
        client = undefined;
        return [{ letter: '!', summary: (error as Error).message, body: Buffer.alloc(0) }];
      }
    },
    async clear() {
      if (client === undefined || client.closed) {
        client = await connect();
        return true;
      }
      if (!dirty) return false;
      dirty = false;
      client.send(query('ROLLBACK'), query('DISCARD ALL'));
      const heard = await client.until('Z', 2);
      if (heard.some((reply) => reply.letter === 'E')) {
        client.destroy();
        client = await connect();
      }
      return true;
    },
    close: () => client?.destroy(),
  };
}

function bytesOf(text: FrameText, types: ReadonlyMap<string, number>): Buffer {
  switch (text[0]) {
    case 'Q':
      return query(text[1]);
    case 'P':
      return parse(
        text[1],
        text[2],
        text[3]?.map((name) => types.get(name) ?? 0),
      );
    case 'B':
      return bind(
        text[1],
        text[2],
        text[3].map((value) => (value === null ? null : Buffer.from(value))),
      );
    case 'D':
      return describe(text[1], text[2]);
    case 'E':
      return execute(text[1], text[2]);
    case 'C':
      return close(text[1], text[2]);
    case 'H':
      return flush();
    case 'S':
      return sync();
  }
}

function frame(letter: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(letter, 0, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
