// Witness server: C2SP tlog-witness over HTTP. `POST …/add-checkpoint` and nothing else: no page, no list, no login;
// what it gives away is a signature that anybody may have. Bounded in bytes and time, whoever asks.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readSubmission, type Verdict, type WitnessBook } from './book.ts';

/** A submission has at most 63 hashes and a note of 64 KiB. */
const bodyBytesMax = 72 << 10;
const requestMs = 10_000;

export interface WitnessServerOptions {
  readonly host: string;
  readonly port: number;
  readonly book: WitnessBook;
  /** Told of what could not be written. */
  readonly failed: (error: Error) => void;
}

/** A witness that listens. */
export interface WitnessServer {
  readonly port: number;
  close(): Promise<void>;
}

export async function serveWitness(options: WitnessServerOptions): Promise<WitnessServer> {
  const server = createServer((request, response) => void answer(request, response, options));
  server.requestTimeout = requestMs;
  server.headersTimeout = requestMs;
  server.maxConnections = 1000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { book, failed }: WitnessServerOptions,
): Promise<void> {
  if (!/\/add-checkpoint$/.test(request.url ?? '')) return end(response, 404, 'no such page\n');
  if (request.method !== 'POST') return end(response, 405, 'POST only\n', { allow: 'POST' });
  const body = await read(request).catch(() => undefined);
  if (body === undefined) return end(response, 413, 'too long, or cut off\n', { connection: 'close' });
  let verdict: Verdict;
  try {
    const submission = readSubmission(body);
    try {
      verdict = book.add(submission);
    } catch (error) {
      failed(error as Error);
      return end(response, 500, 'this witness cannot write down what it saw\n');
    }
  } catch (error) {
    return end(response, 400, `${(error as Error).message}\n`);
  }
  if (verdict.status === 200) return end(response, 200, `${verdict.line}\n`);
  if (verdict.status === 409)
    return end(response, 409, `${verdict.size}\n`, { 'content-type': 'text/x.tlog.size' });
  return end(response, verdict.status, `${verdict.message}\n`);
}

/** The body; rejects if it is too long. */
async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) throw new Error('too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function end(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', ...headers });
  response.end(text);
}
