// Turn: the lines that go to the file in one write, gathered over a turn of the event loop. What somebody waits for ends
// the turn at once; what nobody waits for (the outcome of a read, whose client has its answer) rides with the next line
// that somebody does, or goes by itself a moment later. Refuses to know the file and what a line says.

/** How long a line that nobody waits for may lie here. Whoever is killed meanwhile has lost what it tells. */
const lateMs = 5;

/** Lines taken, in order, each with its LF. */
export interface Taken {
  readonly text: string;
  readonly records: number;
}

export class Turn {
  readonly #due: () => void;
  #text = '';
  #records = 0;
  #isScheduled = false;
  #late: NodeJS.Timeout | undefined;

  /** `due` is called when the turn ends, always later than what ended it. */
  constructor(due: () => void) {
    this.#due = due;
  }

  /** UTF-16 units that are gathered. */
  get length(): number {
    return this.#text.length;
  }

  get isEmpty(): boolean {
    return this.#text === '';
  }

  /** Adds a line, given without LF. */
  add(line: string): void {
    this.#text += `${line}\n`;
    this.#records += 1;
  }

  /** The turn of the event loop that goes on now is the last of this one. */
  end(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#due();
    });
  }

  /** As `end`, in a while. */
  endLate(): void {
    if (this.#isScheduled || this.#late !== undefined) return;
    // Not cleared when the turn ends sooner: under load, to set one anew for every turn costs more than it is worth.
    this.#late = setTimeout(() => {
      this.#late = undefined;
      if (!this.isEmpty) this.end();
    }, lateMs).unref();
  }

  take(): Taken {
    const taken = { text: this.#text, records: this.#records };
    this.#text = '';
    this.#records = 0;
    return taken;
  }

  /** Puts what was taken back in front. */
  giveBack({ text, records }: Taken): void {
    this.#text = text + this.#text;
    this.#records += records;
  }
}
