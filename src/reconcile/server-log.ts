// Server log: what PostgreSQL wrote down of its sessions, as csvlog or jsonlog, entry by entry and in constant memory.
// Knows the two formats; refuses the third (stderr), whose lines cannot be told from what a client put into them. Refuses
// to know what an entry means. Source: PostgreSQL manual, "Error Reporting and Logging", and csvlog.c, jsonlog.c.

import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { HoldpointError } from '../errors.ts';

/** One entry. A text that the entry does not have is empty. */
export interface ServerEntry {
  /** As the server wrote it, in its `log_timezone`. */
  readonly time: string;
  readonly user: string;
  readonly database: string;
  /** Address and port, or `[local]`. */
  readonly client: string;
  /** Its start in seconds since 1970 and its process, in hexadecimal. */
  readonly session: string;
  /** Its number among the entries of the session, from 1. */
  readonly line: number;
  readonly severity: string;
  readonly message: string;
  readonly context: string;
  readonly application: string;
}

/** What a file is, and how much of it could be read. */
export interface ServerFile {
  readonly path: string;
  format: 'csvlog' | 'jsonlog' | 'empty';
  entries: number;
  /** The file ends within an entry. */
  cut: boolean;
}

/** An entry with a statement can be as long as that: PostgreSQL itself takes no text beyond 1 GiB. */
const entryCharactersMax = 1 << 28;

const howTo =
  "set log_destination = 'csvlog' (or 'jsonlog', from PostgreSQL 15 on), logging_collector = on and log_statement = 'all'";

/** The entries of a file, which may be compressed (`.gz`). `file` is filled in as they are read. */
export async function* entriesOf(path: string, file: ServerFile): AsyncGenerator<ServerEntry> {
  let reader: EntryReader | undefined;
  for await (const text of textOf(path)) {
    reader ??= readerFor(path, text, file);
    for (const entry of reader.push(text)) {
      file.entries += 1;
      yield entry;
    }
  }
  if (reader === undefined) return;
  for (const entry of reader.end()) {
    file.entries += 1;
    yield entry;
  }
  file.cut = reader.cut;
}

async function* textOf(path: string): AsyncGenerator<string> {
  const file = createReadStream(path, { highWaterMark: 256 << 10 });
  const stream = path.endsWith('.gz') ? file.pipe(createGunzip()) : file;
  file.once('error', (error) => stream.destroy(error));
  const decoder = new TextDecoder('utf-8');
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      const text = decoder.decode(chunk, { stream: true });
      if (text !== '') yield text;
    }
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : message;
    throw new HoldpointError('bad-request', `cannot read ${path}: ${why}`, { cause });
  } finally {
    file.destroy();
  }
}

interface EntryReader {
  push(text: string): Iterable<ServerEntry>;
  end(): Iterable<ServerEntry>;
  readonly cut: boolean;
}

function readerFor(path: string, beginning: string, file: ServerFile): EntryReader {
  const place = () => `${path}, entry ${file.entries + 1}`;
  if (/^\{"timestamp":"/.test(beginning)) {
    file.format = 'jsonlog';
    return new JsonReader(place);
  }
  if (/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [^,\n]{1,40},/.test(beginning)) {
    file.format = 'csvlog';
    return new CsvReader(place);
  }
  throw new HoldpointError(
    'bad-request',
    `${path} is neither csvlog nor jsonlog; in the stderr format a client can write what looks like an entry: ${howTo}`,
  );
}

/** What the manual calls the columns, by their place. */
const columns = {
  time: 0,
  user: 1,
  database: 2,
  client: 4,
  session: 5,
  line: 6,
  severity: 11,
  message: 13,
  context: 18,
  application: 22,
} as const;

/** PostgreSQL 13 writes 24 columns, 14 and later 26. */
const columnsMin = 24;
const columnsMax = 40;

/** Comma-separated values: a text stands between quotes, which are doubled in it; a line end in quotes ends no entry. */
class CsvReader implements EntryReader {
  readonly #place: () => string;
  #rest = '';
  /** How far the rest was looked through, and whether that place is within quotes. */
  #looked = 0;
  #quoted = false;

  constructor(place: () => string) {
    this.#place = place;
  }

  get cut(): boolean {
    return this.#rest !== '';
  }

  *push(text: string): Iterable<ServerEntry> {
    this.#rest += text;
    let start = 0;
    for (;;) {
      const end = this.#endOfEntry();
      if (end === -1) break;
      yield this.#entry(this.#rest.slice(start, end));
      start = end + 1;
      this.#looked = start;
    }
    this.#rest = this.#rest.slice(start);
    this.#looked -= start;
    refuseEndless(this.#rest, this.#place);
  }

  *end(): Iterable<ServerEntry> {
    if (this.#rest.endsWith('\n')) yield this.#entry(this.#rest);
  }

  /** Of the next LF that is not within quotes; -1 if there is none yet. */
  #endOfEntry(): number {
    // Looked for once: a text of quotes alone would have it looked for at each of them.
    let line = -2;
    for (;;) {
      const quote = this.#rest.indexOf('"', this.#looked);
      if (this.#quoted) {
        if (quote === -1) {
          this.#looked = this.#rest.length;
          return -1;
        }
        this.#quoted = false;
        this.#looked = quote + 1;
        continue;
      }
      if (line !== -1 && line < this.#looked) line = this.#rest.indexOf('\n', this.#looked);
      if (line !== -1 && (quote === -1 || line < quote)) return line;
      if (quote === -1) {
        this.#looked = this.#rest.length;
        return -1;
      }
      this.#quoted = true;
      this.#looked = quote + 1;
    }
  }

  #entry(text: string): ServerEntry {
    const fields = fieldsOf(text);
    if (fields === undefined || fields.length < columnsMin || fields.length > columnsMax)
      throw unreadable(this.#place(), 'csvlog');
    const field = (name: keyof typeof columns) => fields[columns[name]] ?? '';
    return {
      time: field('time'),
      user: field('user'),
      database: field('database'),
      client: field('client'),
      session: field('session'),
      line: Number(field('line')),
      severity: field('severity'),
      message: field('message'),
      context: field('context'),
      application: field('application'),
    };
  }
}

/** The values of one line; undefined if it is not of this form. */
function fieldsOf(text: string): string[] | undefined {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (text[at] === '"') {
      let value = '';
      for (;;) {
        const end = text.indexOf('"', at + 1);
        if (end === -1) return undefined;
        value += text.slice(at + 1, end);
        at = end + 1;
        if (text[at] !== '"') break;
        value += '"';
      }
      fields.push(value);
    } else {
      const end = text.indexOf(',', at);
      const stop = end === -1 ? text.length : end;
      fields.push(text.slice(at, stop));
      at = stop;
    }
    if (at >= text.length || text[at] === '\n') return fields;
    if (text[at] !== ',') return undefined;
    at += 1;
  }
}

/** One object a line. */
class JsonReader implements EntryReader {
  readonly #place: () => string;
  #rest = '';

  constructor(place: () => string) {
    this.#place = place;
  }

  get cut(): boolean {
    return this.#rest !== '';
  }

  *push(text: string): Iterable<ServerEntry> {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    refuseEndless(this.#rest, this.#place);
    for (const line of lines) if (line !== '') yield this.#entry(line);
  }

  *end(): Iterable<ServerEntry> {}

  #entry(line: string): ServerEntry {
    let read: Readonly<Record<string, unknown>>;
    try {
      read = JSON.parse(line);
    } catch {
      throw unreadable(this.#place(), 'jsonlog');
    }
    if (typeof read !== 'object' || read === null || typeof read.session_id !== 'string')
      throw unreadable(this.#place(), 'jsonlog');
    const field = (name: string) => (read[name] === undefined ? '' : String(read[name]));
    const port = field('remote_port');
    return {
      time: field('timestamp'),
      user: field('user'),
      database: field('dbname'),
      client: `${field('remote_host')}${port === '' ? '' : `:${port}`}`,
      session: read.session_id,
      line: Number(field('line_num')),
      severity: field('error_severity'),
      message: field('message'),
      context: field('context'),
      application: field('application_name'),
    };
  }
}

function unreadable(place: string, format: string): HoldpointError {
  return new HoldpointError('bad-request', `${place}: this is not an entry of ${format}; is the file whole?`);
}

function refuseEndless(rest: string, place: () => string): void {
  if (rest.length > entryCharactersMax)
    throw new HoldpointError('bad-request', `${place()}: an entry without an end; is the file whole?`);
}
