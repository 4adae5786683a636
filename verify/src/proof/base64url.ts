// base64url in its one spelling. RFC 4648 §5: the last character of a text may carry bits that mean nothing, so two
// spellings could carry one signature; only the one whose loose bits are 0 and that has no padding is taken. Pure.

/** True for the canonical spelling of at least one byte. */
export function isBase64url(text: string): boolean {
  return text !== '' && Buffer.from(text, 'base64url').toString('base64url') === text;
}

/** True for a compact JWS of three parts, each in its canonical spelling. Nothing in it is looked at. */
export function isCompactJws(token: string): boolean {
  const parts = token.split('.');
  return parts.length === 3 && parts.every(isBase64url);
}
