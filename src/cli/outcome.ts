// Outcome: how a command ends. Prints what it found, sets the exit code: 0 done, 1 refused or found wrong. Refuses to
// know what the command does.

import { once } from 'node:events';
import { UsageError } from '../../verify/src/input.ts';
import { SourceError } from '../../verify/src/source.ts';
import { HoldpointError } from '../errors.ts';

/** Where output goes; the process's own unless a test listens. */
export interface Output {
  out(text: string): void;
  err(text: string): void;
  /** Cells of a line, where a person reads at a terminal. */
  readonly columns?: number | undefined;
  /** Nobody reads any more. */
  readonly closed?: boolean;
  /** Resolves when there is room for more. */
  drained?(): Promise<void>;
}

class Terminal implements Output {
  #closed: boolean | undefined;

  out(text: string): void {
    this.#listen();
    if (this.#closed === false) process.stdout.write(text);
  }

  err(text: string): void {
    process.stderr.write(text);
  }

  get columns(): number | undefined {
    return process.stdout.isTTY ? process.stdout.columns : undefined;
  }

  get closed(): boolean {
    return this.#closed === true;
  }

  async drained(): Promise<void> {
    if (process.stdout.writableNeedDrain && this.#closed === false)
      await once(process.stdout, 'drain').catch(() => undefined);
  }

  /** Whoever takes a part of it, as `head` does, has had enough, and that is no error. */
  #listen(): void {
    if (this.#closed !== undefined) return;
    this.#closed = false;
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      this.#closed = true;
    });
  }
}

export const terminal: Output = new Terminal();

/** True of what ends a command with its message as a sentence: the proxy's own errors, and those of the verifier's package. */
export function isTold(error: unknown): error is HoldpointError | SourceError | UsageError {
  return error instanceof HoldpointError || error instanceof SourceError || error instanceof UsageError;
}

/** The exit code for such an error: 2 for wrong usage, else 1. */
export function codeOf(error: HoldpointError | SourceError | UsageError): number {
  return error instanceof UsageError || error.code === 'bad-request' ? 2 : 1;
}

/** What a command found: for people, and for `--json`. */
export interface Found {
  readonly text: string;
  readonly json: unknown;
}

/** Runs a command and returns its exit code. An error is one sentence on stderr, or a JSON object on stdout. */
export async function ended(
  options: { json?: boolean },
  output: Output,
  command: () => Promise<Found>,
): Promise<number> {
  try {
    const found = await command();
    output.out(options.json === true ? `${JSON.stringify(found.json, null, 2)}\n` : found.text);
    return 0;
  } catch (error) {
    if (!(error instanceof HoldpointError)) throw error;
    if (options.json === true)
      output.out(`${JSON.stringify({ error: error.code, detail: error.message })}\n`);
    else output.err(`${error.message}\n`);
    return 1;
  }
}
