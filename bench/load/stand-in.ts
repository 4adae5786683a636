// A PostgreSQL in front of which thousands of sessions cost next to nothing, in a process of its own, forked by a bench:
// what the guard asks at a login is answered as a real server answered it once; a connection that asks for anything
// else is given to that server. Its message says where both listen.

import { once } from 'node:events';
import net from 'node:net';
import { identityQuestions } from '../../src/proxy/server-identity.ts';
import { backendType } from '../../src/wire/messages/backend.ts';
import { frontendType, query } from '../../src/wire/messages/frontend.ts';
import { startPostgres } from '../../test/support/postgres.ts';

const host = '127.0.0.1';
const questions = Buffer.concat(identityQuestions.map((text) => query(text)));
const real = await startPostgres({ hba: [`host all all ${host}/32 trust`] });

/** What the real server was asked first, by the bytes asked. */
const recorded = new Map<string, Promise<Buffer>>();

/** Sends bytes and takes what comes back, up to the last of so many ReadyForQuery. */
async function exchange(socket: net.Socket, bytes: Buffer, answers: number): Promise<Buffer> {
  socket.write(bytes);
  let all: Buffer = Buffer.alloc(0);
  let at = 0;
  for (let seen = 0; seen < answers; ) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    all = Buffer.concat([all, chunk]);
    for (; at + 5 <= all.length && at + 1 + all.readInt32BE(at + 1) <= all.length; ) {
      if (all[at] === backendType.readyForQuery) seen += 1;
      at += 1 + all.readInt32BE(at + 1);
    }
  }
  return all;
}

async function connect(startup: Buffer): Promise<{ socket: net.Socket; greeting: Buffer }> {
  const socket = net.connect({ host, port: real.port, noDelay: true });
  socket.on('error', () => socket.destroy());
  return { socket, greeting: await exchange(socket, startup, 1) };
}

function record(startup: Buffer, asked: Buffer): Promise<Buffer> {
  const key = `${startup.toString('latin1')}${asked.toString('latin1')}`;
  const known = recorded.get(key);
  if (known !== undefined) return known;
  const fresh = connect(startup).then(async ({ socket, greeting }) => {
    const answer = asked.length === 0 ? greeting : await exchange(socket, asked, identityQuestions.length);
    socket.destroy();
    return answer;
  });
  recorded.set(key, fresh);
  return fresh;
}

async function serve(client: net.Socket): Promise<void> {
  const [startup] = (await once(client, 'data')) as [Buffer];
  client.write(await record(startup, Buffer.alloc(0)));
  for (;;) {
    const [bytes] = (await once(client, 'data')) as [Buffer];
    if (bytes[0] === frontendType.terminate) {
      client.end();
      return;
    }
    if (bytes.equals(questions)) {
      client.write(await record(startup, questions));
      continue;
    }
    client.pause();
    const { socket } = await connect(startup);
    socket.write(bytes);
    socket.pipe(client).on('close', () => socket.destroy());
    client.pipe(socket).on('close', () => client.destroy());
    return;
  }
}

const server = net.createServer({ noDelay: true }, (client) => {
  client.on('error', () => client.destroy());
  serve(client).catch(() => client.destroy());
});
server.listen({ port: 0, host, backlog: 1024 });
await once(server, 'listening');
process.on('disconnect', () => real.stop().finally(() => process.exit(0)));
process.once('message', () => process.send?.((server.address() as net.AddressInfo).port));
