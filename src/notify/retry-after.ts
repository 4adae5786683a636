// Retry-After: how long the other side asks to be left alone. RFC 9110 section 10.2.3. Pure given now.

/** The waiting time that a Retry-After header asks for, in seconds or by a date; nothing for anything else. */
export function retryAfter(header: string | null | undefined, nowMs: number): { afterMs?: number } {
  if (header == null) return {};
  const seconds = /^\d{1,9}$/.test(header.trim()) ? Number(header) : undefined;
  const ms = seconds === undefined ? Date.parse(header) - nowMs : seconds * 1000;
  return Number.isFinite(ms) ? { afterMs: Math.max(0, ms) } : {};
}
