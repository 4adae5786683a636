// Names: how the files of a log are called. audit-approval §11.

/** A folder's name for an origin: letters, digits, dot, dash and underscore stay; the rest is percent-encoded. */
export function folderName(origin: string): string {
  return encodeURIComponent(origin).replace(/^\.+$/, (dots) => '%2E'.repeat(dots.length));
}

export function segmentName(n: number): string {
  return `seg-${String(n).padStart(8, '0')}.jsonl`;
}

/** How a closed segment is called when it is compressed. */
export function packedName(n: number): string {
  return `${segmentName(n)}.zst`;
}

/** The number in a segment's name; undefined for any other name. */
export function segmentNumber(name: string): number | undefined {
  const digits = /^seg-(\d{8,12})\.jsonl$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** The number in a segment's name, plain or compressed; undefined for any other name. */
export function storedNumber(name: string): number | undefined {
  return segmentNumber(name.replace(/\.zst$/, ''));
}

/** The file with the encrypted values of segment `n`. */
export function sideName(n: number): string {
  return `seg-${String(n).padStart(8, '0')}.prv`;
}
