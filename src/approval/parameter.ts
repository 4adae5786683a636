// Parameter: one bound value as a person can read it. Text values are shown as they are; of binary ones only the types
// whose form is fixed by the manual and cannot surprise, all others as bytes. Pure; refuses to know the catalog.

/** How a value reads. `type` is the builtin type of the OID where it is known; `note` says what `text` is. */
export interface ParameterText {
  readonly type: string;
  readonly note: 'null' | 'text' | 'decoded' | 'bytes';
  /** The value; hexadecimal with `\x` in front for bytes; empty for NULL. */
  readonly text: string;
}

const typeNames: Readonly<Record<number, string>> = {
  0: 'not declared',
  16: 'bool',
  17: 'bytea',
  20: 'int8',
  21: 'int2',
  23: 'int4',
  25: 'text',
  26: 'oid',
  114: 'json',
  700: 'float4',
  701: 'float8',
  1042: 'bpchar',
  1043: 'varchar',
  1082: 'date',
  1114: 'timestamp',
  1184: 'timestamptz',
  1700: 'numeric',
  2950: 'uuid',
  3802: 'jsonb',
};

/** 2000-01-01, the beginning of PostgreSQL's time, in milliseconds since 1970. */
const postgresEpochMs = 946_684_800_000n;

/** `format` 0 is text, 1 binary, as in Bind. Never throws: what does not decode is shown as bytes. */
export function parameterText(oid: number, format: number, value: Buffer | null): ParameterText {
  const type = typeNames[oid] ?? `type ${oid}`;
  if (value === null) return { type, note: 'null', text: '' };
  if (format === 0) {
    const text = utf8(value);
    return text === undefined ? bytes(type, value) : { type, note: 'text', text };
  }
  const text = decoders[oid]?.(value);
  return text === undefined ? bytes(type, value) : { type, note: 'decoded', text };
}

type Decoder = (value: Buffer) => string | undefined;

const sized =
  (length: number, decode: (value: Buffer) => string | undefined): Decoder =>
  (value) =>
    value.length === length ? decode(value) : undefined;

const moment: Decoder = sized(8, (value) => {
  const micros = value.readBigInt64BE(0);
  const date = new Date(Number(micros / 1000n + postgresEpochMs));
  return Number.isNaN(date.getTime()) || micros % 1000n !== 0n ? undefined : date.toISOString();
});

const decoders: Readonly<Record<number, Decoder>> = {
  16: sized(1, (value) => ({ 0: 'false', 1: 'true' })[value[0] ?? 2]),
  20: sized(8, (value) => value.readBigInt64BE(0).toString()),
  21: sized(2, (value) => value.readInt16BE(0).toString()),
  23: sized(4, (value) => value.readInt32BE(0).toString()),
  25: utf8,
  26: sized(4, (value) => value.readUInt32BE(0).toString()),
  114: utf8,
  700: sized(4, (value) => value.readFloatBE(0).toString()),
  701: sized(8, (value) => value.readDoubleBE(0).toString()),
  1042: utf8,
  1043: utf8,
  1114: moment,
  1184: moment,
  2950: sized(16, (value) =>
    value.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
  ),
  // A version byte, 1 in every release so far, then the text.
  3802: (value) => (value[0] === 1 ? utf8(value.subarray(1)) : undefined),
};

function utf8(value: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value);
  } catch {
    return undefined;
  }
}

function bytes(type: string, value: Buffer): ParameterText {
  return { type, note: 'bytes', text: `\\x${value.toString('hex')}` };
}
