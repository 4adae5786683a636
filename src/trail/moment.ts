// Moment: a point in time as people write it when they ask for a part of the log. Pure: the time now is an argument.

const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** µs since 1970 of ISO 8601, in UTC where it names no zone, or of so long ago: `15m`. Undefined for anything else. */
export function momentOf(text: string, nowMs: number): number | undefined {
  const ago = /^(\d{1,9})([smhd])$/.exec(text);
  if (ago !== null) return Math.round((nowMs - Number(ago[1]) * units[ago[2]!]! * 1000) * 1000);
  const iso =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?))?\s*(Z|UTC|[+-]\d\d:?\d\d)?$/i.exec(text);
  const [, day, clock = '00:00', zone = 'Z'] = iso ?? [];
  const ms = iso === null ? Number.NaN : Date.parse(`${day}T${clock}${/^utc$/i.test(zone) ? 'Z' : zone}`);
  return Number.isNaN(ms) ? undefined : Math.round(ms * 1000);
}

/** What `momentOf` takes, in words that go on after a name. */
export const momentWords = 'is a time as in 2026-11-30T17:05Z, or as in 15m, 2h, 3d for so long ago';
