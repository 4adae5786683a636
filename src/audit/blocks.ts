// Blocks: memory in which lines of the log are made, one block after the other, and the same ones again: what is made and
// thrown away without end makes V8 collect its whole heap again and again. Refuses to know lines.

/** One block, unless more is asked for at once. */
const blockBytes = 512 << 10;
/** How many are kept for the next time. */
const sparesMax = 8;

export class Blocks {
  readonly #spare: Buffer[] = [];
  /** Those that are full, and how many records there were then: the first first. */
  readonly #full: { readonly block: Buffer; readonly size: number }[] = [];

  /** One that has room for so many bytes; nobody else has it. */
  take(bytes: number): Buffer {
    const spare = bytes <= blockBytes ? this.#spare.pop() : undefined;
    return spare ?? Buffer.allocUnsafeSlow(Math.max(blockBytes, bytes));
  }

  /** What is in it belongs to the first `size` records, and is needed until the disk has confirmed all of those. */
  giveBack(block: Buffer, size: number): void {
    if (block.length === blockBytes) this.#full.push({ block, size });
  }

  /** Nobody looks at the lines of the first `size` records again. */
  confirm(size: number): void {
    while (this.#full.length > 0 && this.#full[0]!.size <= size) {
      const { block } = this.#full.shift()!;
      if (this.#spare.length < sparesMax) this.#spare.push(block);
    }
  }
}
