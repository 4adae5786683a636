// Turn: the lines that wait to be written: those of this turn of the event loop, and those that no file takes now.
// Refuses to know why they wait.

export class Turn {
  #text = '';
  #records = 0;

  get isEmpty(): boolean {
    return this.#text === '';
  }

  /** In UTF-16 units: what it costs to hold them. */
  get length(): number {
    return this.#text.length;
  }

  /** Adds a record's line, without LF. */
  add(line: string): void {
    this.#text += `${line}\n`;
    this.#records += 1;
  }

  /** Takes everything out. */
  take(): { readonly text: string; readonly records: number } {
    const taken = { text: this.#text, records: this.#records };
    this.#text = '';
    this.#records = 0;
    return taken;
  }

  /** Puts back what was taken, before what came since. */
  giveBack({ text, records }: { readonly text: string; readonly records: number }): void {
    this.#text = text + this.#text;
    this.#records += records;
  }
}
