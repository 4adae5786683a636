// The canonical form of log records and seals: RFC 8785 (JCS), restricted to integers.
// Knows JSON values only. It stands apart from the approvals' canonical form because the offline verifier takes
// nothing from the proxy: whoever checks the log needs this folder and no other.

/** Nesting beyond this has no canonical form: nothing in a log is deeper. */
export const depthMax = 32;

/**
 * The canonical text of a JSON value: members sorted by UTF-16 code units, no spaces, integers below 2^53 only.
 * Members that are `undefined` are left out. Throws TypeError on what has no such form, and on nesting beyond 32.
 */
export function canonical(value: unknown): string {
  return write(value, 0);
}

/** A JSON string in canonical form. A lone surrogate, which has none, becomes U+FFFD. */
export function canonicalString(value: string): string {
  return JSON.stringify(value.isWellFormed() ? value : value.toWellFormed());
}

function write(value: unknown, depth: number): string {
  if (depth > depthMax) throw new TypeError(`nested deeper than ${depthMax} levels`);
  switch (typeof value) {
    case 'string':
      return canonicalString(value);
    case 'number':
      if (!Number.isSafeInteger(value)) throw new TypeError(`${value} is not an integer below 2^53`);
      return `${value}`;
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      if (Array.isArray(value)) return `[${value.map((item) => write(item, depth + 1)).join(',')}]`;
      return writeMembers(value as Readonly<Record<string, unknown>>, depth);
    default:
      throw new TypeError(`a ${typeof value} is not a JSON value`);
  }
}

function writeMembers(value: Readonly<Record<string, unknown>>, depth: number): string {
  let text = '';
  for (const name of Object.keys(value).sort()) {
    const member = value[name];
    if (member !== undefined) text += `,${canonicalString(name)}:${write(member, depth + 1)}`;
  }
  return `{${text.slice(1)}}`;
}
