// Characters: those that PostgreSQL's scanner tells apart, by their bytes. The manual, 4.1 (Lexical Structure). Pure.

export const quote = 0x27;
export const doubleQuote = 0x22;
export const dollar = 0x24;

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** Letters, underscore, and all beyond ASCII. */
export function isIdentifierStart(byte: number): boolean {
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a) || byte === 0x5f || byte >= 0x80;
}

/** Not so a dollar sign, which is part of an identifier but of no number. */
export function isIdentifierPart(byte: number): boolean {
  return isIdentifierStart(byte) || isDigit(byte);
}
