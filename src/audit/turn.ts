// Turn: when what was appended goes to the file: in one write for a turn of the event loop. What somebody waits for ends
// the turn at once; what nobody waits for (the outcome of a read, whose client has its answer) rides with the next record
// that somebody does, or goes by itself a moment later. Refuses to know the file and what is written.

/** How long a record that nobody waits for may lie here. Whoever is killed meanwhile has lost what it tells. */
const lateMs = 5;

export class Turn {
  readonly #due: () => void;
  #isScheduled = false;
  #late: NodeJS.Timeout | undefined;

  /** `due` is called when the turn ends, always later than what ended it. */
  constructor(due: () => void) {
    this.#due = due;
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
      this.end();
    }, lateMs).unref();
  }
}
