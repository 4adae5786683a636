// Side file: the values behind the commitments of one segment, encrypted to auditors: `seg-NNNNNNNN.prv`. audit-approval §10.
// A header line holds the content key of the blocks behind it, once for each auditor as a JWE; a block line holds entries
// in AES-256-GCM. What an entry is for stands beside it in clear, so that one can be taken out by whoever keeps the file,
// without any key; the others are then opened one by one, by the counter mode inside GCM, and what proves them is no tag
// but the commitment in the signed log. Pure; refuses to know files, and which record commits to what (opening.ts).
//
// Nonces: a content key is made for one header, lives in the memory of one process, and numbers its blocks upwards; the
// number is the nonce. Taking entries out encrypts nothing. So no nonce is used twice under one key.

import { createCipheriv, createDecipheriv } from 'node:crypto';
import { CompactEncrypt, compactDecrypt, importJWK, type JWK } from 'jose';
import { canonical } from './jcs.ts';

/** Begins the values of one process in one segment's side file. */
export interface SideHeader {
  readonly typ: 'holdpoint.values.v1';
  readonly origin: string;
  /** Number of the segment. */
  readonly n: number;
  /** The content key, wrapped for each auditor: compact JWEs. */
  readonly keys: readonly string[];
}

/** Where an entry is from: sequence number and index of its value; its bytes in the block's plaintext, encrypted. */
export type SideEntry = readonly [seq: number, index: number, offset: number, sealed: string];

/** Entries that were written together. `tag`: of GCM, gone once an entry was taken out. */
export interface SideBlock {
  readonly block: number;
  readonly tag?: string;
  readonly entries: readonly SideEntry[];
}

/** A value and its salt. `value`: undefined for NULL. */
export interface Opened {
  readonly salt: Buffer;
  readonly oid: number;
  readonly value: Buffer | undefined;
}

/** The index of an ID token among the values of a record: it is committed to by its digest. */
export const tokenIndex = -1;

/** Bytes of an entry before its value: type OID, salt, and whether there is a value. */
export const entryHeadBytes = 21;

const jweType = 'holdpoint-values+jwe';

/** An auditor's public key. `kid`: its RFC 7638 thumbprint. */
export interface Recipient {
  readonly kid: string;
  readonly jwk: JWK;
}

/** The header line of a content key, without LF. */
export async function headerLine(
  origin: string,
  n: number,
  contentKey: Uint8Array,
  recipients: readonly Recipient[],
): Promise<string> {
  const keys: string[] = [];
  for (const { kid, jwk } of recipients) {
    const header = { alg: 'ECDH-ES+A256KW', enc: 'A256GCM', kid, n, origin, typ: jweType };
    const key = await importJWK(jwk, 'ECDH-ES+A256KW');
    keys.push(await new CompactEncrypt(contentKey).setProtectedHeader(header).encrypt(key));
  }
  const header: SideHeader = { typ: 'holdpoint.values.v1', origin, n, keys };
  return canonical(header);
}

/** The content key of a header for the holder of the private key; undefined if it was not wrapped for that one. */
export async function contentKeyOf(
  header: SideHeader,
  kid: string,
  secret: JWK,
): Promise<Buffer | undefined> {
  const key = await importJWK(secret, 'ECDH-ES+A256KW');
  for (const jwe of header.keys) {
    const head = JSON.parse(Buffer.from(jwe.split('.')[0] ?? '', 'base64url').toString('utf8')) as Record<
      string,
      unknown
    >;
    if (head.kid !== kid) continue;
    const allowed = {
      keyManagementAlgorithms: ['ECDH-ES+A256KW'],
      contentEncryptionAlgorithms: ['A256GCM'],
    };
    const { plaintext, protectedHeader } = await compactDecrypt(jwe, key, allowed);
    const { typ, origin, n } = protectedHeader as Record<string, unknown>;
    if (typ !== jweType || origin !== header.origin || n !== header.n || plaintext.length !== 32)
      throw new Error('the content key was wrapped for another file');
    return Buffer.from(plaintext);
  }
  return undefined;
}

/** Which bytes are whose: the additional data of a block. */
function additional(origin: string, n: number, block: number): Buffer {
  return Buffer.from(`holdpoint-values-v1\0${origin}\0${n}\0${block}`, 'utf8');
}

function nonceOf(block: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(BigInt(block), 4);
  return nonce;
}

/** Where each entry begins in the plaintext of a block that is being written. */
export interface PlainEntry {
  readonly seq: number;
  readonly index: number;
  readonly offset: number;
}

/** A block line, without LF. `plain` holds the entries one behind the other; `block` was not used with this key before. */
export function blockLine(
  at: {
    readonly origin: string;
    readonly n: number;
    readonly block: number;
    readonly contentKey: Uint8Array;
  },
  entries: readonly PlainEntry[],
  plain: Uint8Array,
): string {
  const { origin, n, block, contentKey } = at;
  const cipher = createCipheriv('aes-256-gcm', contentKey, nonceOf(block));
  cipher.setAAD(additional(origin, n, block));
  const sealed = cipher.update(plain);
  cipher.final();
  let line = `{"block":${block},"entries":[`;
  for (let i = 0; i < entries.length; i += 1) {
    const { seq, index, offset } = entries[i]!;
    const end = entries[i + 1]?.offset ?? sealed.length;
    line += `${i === 0 ? '' : ','}[${seq},${index},${offset},"${sealed.toString('base64url', offset, end)}"]`;
  }
  return `${line}],"tag":"${cipher.getAuthTag().toString('base64url')}"}`;
}

/** A line of a side file; undefined for one that is none: a crash leaves a cut one. */
export function readSideLine(line: string): SideHeader | SideBlock | undefined {
  try {
    const read = JSON.parse(line) as Partial<SideHeader & SideBlock> | null;
    if (read?.typ === 'holdpoint.values.v1' && Array.isArray(read.keys)) return read as SideHeader;
    const fits =
      Number.isSafeInteger(read?.block) &&
      Array.isArray(read?.entries) &&
      read.entries.every(
        (entry) =>
          Array.isArray(entry) &&
          entry.slice(0, 3).every(Number.isSafeInteger) &&
          typeof entry[3] === 'string',
      );
    return fits ? (read as SideBlock) : undefined;
  } catch {
    return undefined;
  }
}

/** One entry in clear, and nothing else of its block. Throws Error on an entry that is too short to be one. */
export function openEntry(contentKey: Uint8Array, block: number, [, , offset, sealed]: SideEntry): Opened {
  // GCM encrypts from counter 2 on: NIST SP 800-38D, 7.1.
  const counter = Buffer.concat([nonceOf(block), Buffer.alloc(4)]);
  counter.writeUInt32BE(2 + Math.floor(offset / 16), 12);
  const decipher = createDecipheriv('aes-256-ctr', contentKey, counter);
  decipher.update(Buffer.alloc(offset % 16));
  const plain = decipher.update(Buffer.from(sealed, 'base64url'));
  if (plain.length < entryHeadBytes) throw new Error('the entry is cut short');
  return {
    oid: plain.readUInt32BE(0),
    salt: plain.subarray(4, 20),
    value: plain[20] === 0 ? undefined : plain.subarray(entryHeadBytes),
  };
}

/** True of a whole block whose bytes are those that were written; false also where an entry was taken out. */
export function isIntact(
  contentKey: Uint8Array,
  header: SideHeader,
  { block, tag, entries }: SideBlock,
): boolean {
  if (tag === undefined) return false;
  const sealed = entries.map((entry) => Buffer.from(entry[3], 'base64url'));
  try {
    const decipher = createDecipheriv('aes-256-gcm', contentKey, nonceOf(block), { authTagLength: 16 });
    decipher.setAAD(additional(header.origin, header.n, block));
    decipher.setAuthTag(Buffer.from(tag, 'base64url'));
    decipher.update(Buffer.concat(sealed));
    decipher.final();
    return true;
  } catch {
    return false;
  }
}

/** The line without the entries that `isWanted` refuses; undefined if nothing of it is left, the line itself if all is. */
export function withoutEntries(
  line: string,
  isWanted: (seq: number, index: number) => boolean,
): string | undefined {
  const read = readSideLine(line);
  // What nobody can read may hold what is to be erased.
  if (read === undefined) return undefined;
  if (!('block' in read)) return line;
  const entries = read.entries.filter(([seq, index]) => isWanted(seq, index));
  if (entries.length === read.entries.length) return line;
  return entries.length === 0 ? undefined : canonical({ block: read.block, entries });
}
