// Note: text signed by several keys, and the checkpoint that a log says of itself in one: C2SP signed-note,
// tlog-checkpoint and tlog-cosignature. Whoever keeps such a note outside the log's machine can later tell whether
// the log is still the one it was.
// Pure given keys; refuses to know which keys are to be trusted, and what time it is. Everything read here is hostile.

import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto';

/** What a key signs a note as: the text itself (0x01), or a witness's timestamped cosignature over it (0x04). */
export type SignatureType = 0x01 | 0x04;

export const noteType = 0x01;
export const cosignatureType = 0x04;

/** Signatures of one note; a note with more is not read. */
const signaturesMax = 100;
/** Characters of a note that is read at all. */
export const noteCharactersMax = 1 << 16;

/** A public key under the name it signs with. `id`: the four bytes that name it in a signature, as 8 hex digits. */
export interface NoteKey {
  readonly name: string;
  readonly id: string;
  readonly type: SignatureType;
  /** 32 bytes. */
  readonly raw: Buffer;
  readonly key: KeyObject;
}

/** A signature line. Nothing is verified. */
export interface NoteSignature {
  readonly name: string;
  readonly id: string;
  readonly bytes: Buffer;
  /** As it stands in the note, without LF. */
  readonly line: string;
}

/** A note as read. `text` ends with LF. */
export interface Note {
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** A signature that is the key holder's. `seconds`: of a cosignature, since 1970. */
export interface GoodSignature {
  readonly key: NoteKey;
  readonly seconds: number | undefined;
  readonly line: string;
}

/** What a log says of itself at one size. `root`: 32 bytes. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
  /** Further lines; nobody checks what they say. */
  readonly extensions: readonly string[];
}

/** The key under a name. Throws Error on a name that no signature line can carry, or a key that is not 32 bytes. */
export function noteKey(name: string, type: SignatureType, raw: Buffer): NoteKey {
  if (!isKeyName(name)) throw new Error(`${JSON.stringify(name)} cannot name a key: no spaces, no plus`);
  if (raw.length !== 32) throw new Error('an Ed25519 public key has 32 bytes');
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') };
  const tagged = Buffer.concat([Buffer.from(`${name}\n`, 'utf8'), Buffer.of(type), raw]);
  const id = hash('sha256', tagged, 'hex').slice(0, 8);
  return { name, id, type, raw, key: createPublicKey({ key: jwk, format: 'jwk' }) };
}

/** A key as it is handed about: `NAME+HEX+BASE64`. Throws Error on any other than its canonical spelling. */
export function readVkey(text: string): NoteKey {
  const match = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(text);
  const bytes = match === null ? undefined : base64(match[3]!);
  if (match === null || bytes === undefined)
    throw new Error('it is not a key of the form NAME+8 HEX DIGITS+BASE64');
  const type = bytes[0];
  if (type !== noteType && type !== cosignatureType)
    throw new Error(`its algorithm ${type} is not known: 1 (Ed25519) and 4 (Ed25519 cosignature) are`);
  const key = noteKey(match[1]!, type, bytes.subarray(1));
  if (key.id !== match[2]) throw new Error('its hash is not that of its name and key');
  return key;
}

export function vkeyText({ name, id, type, raw }: NoteKey): string {
  return `${name}+${id}+${Buffer.concat([Buffer.of(type), raw]).toString('base64')}`;
}

/** The same key as one that cosigns: witnesses' keys are handed about in both forms. */
export function asCosigner(key: NoteKey): NoteKey {
  return key.type === cosignatureType ? key : noteKey(key.name, cosignatureType, key.raw);
}

/** Reads a note. Throws Error unless it is one, in its only spelling. */
export function readNote(message: string | Buffer): Note {
  const whole = typeof message === 'string' ? message : decode(message);
  if (whole.length > noteCharactersMax) throw new Error('the note is too long');
  if (/[\x00-\x09\x0b-\x1f]/.test(whole) || !whole.isWellFormed())
    throw new Error('the note has control characters or is not UTF-8');
  const end = whole.lastIndexOf('\n\n');
  const lines = end < 0 ? '' : whole.slice(end + 2);
  if (!lines.endsWith('\n')) throw new Error('the note has no signatures behind a blank line');
  const signatures = lines.slice(0, -1).split('\n').map(readSignature);
  if (signatures.length > signaturesMax) throw new Error('the note has too many signatures');
  return { text: whole.slice(0, end + 1), signatures };
}

/** One signature line, without LF: `— NAME BASE64`. Throws Error on anything else. */
export function readSignature(line: string): NoteSignature {
  const match = /^\u2014 ([^ ]+) ([A-Za-z0-9+/]+={0,2})$/.exec(line);
  const bytes = match === null ? undefined : base64(match[2]!);
  if (match === null || bytes === undefined || bytes.length < 5 || !isKeyName(match[1]!))
    throw new Error('a line behind the text is not a signature');
  return { name: match[1]!, id: bytes.toString('hex', 0, 4), bytes: bytes.subarray(4), line };
}

/**
 * The signatures of a note by these keys, one for each key at most. Signatures by others are passed over. Throws Error
 * if one that names a key of these is not that key's.
 */
export function goodSignatures(note: Note, keys: readonly NoteKey[]): GoodSignature[] {
  const good: GoodSignature[] = [];
  for (const signature of note.signatures) {
    const key = keys.find(({ name, id }) => name === signature.name && id === signature.id);
    if (key === undefined || good.some((other) => other.key === key)) continue;
    good.push(goodSignature(note.text, signature, key));
  }
  return good;
}

/** The signature, if it is that key's over that text. Throws Error otherwise. */
export function goodSignature(text: string, signature: NoteSignature, key: NoteKey): GoodSignature {
  const { bytes, line } = signature;
  const timed = key.type === cosignatureType;
  const seconds = timed && bytes.length === 72 ? bytes.readBigUInt64BE(0) : 0n;
  const message = timed ? cosignedText(text, Number(seconds)) : text;
  if (
    signature.name !== key.name ||
    signature.id !== key.id ||
    bytes.length !== (timed ? 72 : 64) ||
    seconds > BigInt(Number.MAX_SAFE_INTEGER) ||
    !verify(null, Buffer.from(message, 'utf8'), key.key, bytes.subarray(timed ? 8 : 0))
  )
    throw new Error(`the signature by ${key.name}+${key.id} is not valid`);
  return { key, seconds: timed ? Number(seconds) : undefined, line };
}

/** What a witness signs: that it saw `text`, and nothing larger, at that second since 1970. */
export function cosignedText(text: string, seconds: number): string {
  return `cosignature/v1\ntime ${seconds}\n${text}`;
}

/** The signature line of a key, without LF. `seconds`: for a cosignature. */
export function signatureLine({ name, id, type }: NoteKey, signature: Buffer, seconds = 0): string {
  const time = Buffer.alloc(type === cosignatureType ? 8 : 0);
  if (type === cosignatureType) time.writeBigUInt64BE(BigInt(seconds));
  return `\u2014 ${name} ${Buffer.concat([Buffer.from(id, 'hex'), time, signature]).toString('base64')}`;
}

/** A note of this text and these signature lines. */
export function noteOf(text: string, lines: readonly string[]): string {
  return `${text}\n${lines.map((line) => `${line}\n`).join('')}`;
}

/** The text of a checkpoint, with its LF. */
export function checkpointText({ origin, size, root, extensions }: Checkpoint): string {
  return [origin, size, root.toString('base64'), ...extensions].map((line) => `${line}\n`).join('');
}

/** Reads the text of a note as a checkpoint. Throws Error unless it is one, in its only spelling. */
export function readCheckpoint(text: string): Checkpoint {
  const [origin = '', digits = '', encoded = '', ...extensions] = text.split('\n').slice(0, -1);
  const root = base64(encoded);
  if (origin === '' || root?.length !== 32 || extensions.includes(''))
    throw new Error('it is not a checkpoint: origin, size and root of 32 bytes, one a line');
  const checkpoint = { origin, size: Number(digits), root, extensions };
  if (!/^\d+$/.test(digits) || !Number.isSafeInteger(checkpoint.size) || checkpointText(checkpoint) !== text)
    throw new Error('it is not a checkpoint in its canonical spelling');
  return checkpoint;
}

function isKeyName(name: string): boolean {
  return name !== '' && !/[\p{White_Space}+]/u.test(name) && name.isWellFormed();
}

/** The bytes of canonical base64; undefined for another spelling. */
function base64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error('the note is not UTF-8');
  }
}
