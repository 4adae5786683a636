// Outcome: how a command ends. Prints what it found, sets the exit code: 0 done, 1 refused or found wrong. Refuses to
// know what the command does.

import { HoldpointError } from '../errors.ts';

/** Where output goes; the process's own unless a test listens. */
export interface Output {
  out(text: string): void;
  err(text: string): void;
}

export const terminal: Output = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
};

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
