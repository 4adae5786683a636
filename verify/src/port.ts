// Port: the files of one log, wherever they are: a folder, a copy in memory, a store.

/** Which bytes of a file. */
export interface Range {
  /** Where to begin; 0 if left out. */
  readonly from?: number;
  /** How many at most a file may come to that is kept compressed: what it unpacks to beyond that is an error. */
  readonly bytesMax?: number;
}

/** The files of one log. Names are those of reference §11; one that is kept compressed goes by its plain name. */
export interface LogSource {
  /** Where it lies, if other threads can open it there as a folder. */
  readonly path?: string;
  /** Names of its segments, `seg-00000000.jsonl` and so on, in order. */
  segments(): Promise<readonly string[]>;
  /** A whole file by its name, `blobs/…`, `keys/…`; undefined if it is not there. For what is small. */
  read(name: string): Promise<Buffer | undefined>;
  /**
   * The bytes of a file as it is now, in pieces, without holding it; undefined if it is not there. A piece is good until
   * the next is asked for.
   */
  open(name: string, range?: Range): Promise<AsyncIterable<Uint8Array> | undefined>;
}
