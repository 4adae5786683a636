// Vectors: golang.org/x/mod/sumdb/note (PeterNeumann, EnochRoot) and C2SP tlog-cosignature, signed-note and
// tlog-witness (behind-the-sofa, quasimodo), transparency-dev/formats (remora).

import { generateKeyPairSync, sign } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  asCosigner,
  checkpointText,
  cosignatureType,
  cosignedText,
  goodSignatures,
  noteKey,
  noteOf,
  noteType,
  readCheckpoint,
  readNote,
  readVkey,
  signatureLine,
  vkeyText,
} from '../../verify/src/note.ts';

const peter = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const enoch = 'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop';
const text =
  "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const peterLine =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=';
const enochLine =
  '— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=';
const sofa = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';

test('keys are read and written as others write them, and in no other spelling', () => {
  for (const vkey of [
    peter,
    enoch,
    'remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2',
    'TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6',
  ])
    expect(vkeyText(readVkey(vkey))).toBe(vkey);
  for (let from = 0; from <= peter.length; from += 1)
    for (let to = from + 1; to <= peter.length; to += 1)
      if (from > 0 || to < peter.length) expect(() => readVkey(peter.slice(from, to))).toThrow();
  for (let at = 0; at < peter.length; at += 1) {
    const next = String.fromCharCode(peter.charCodeAt(at) + 1);
    expect(() => readVkey(peter.slice(0, at) + next + peter.slice(at + 1)), `character ${at}`).toThrow();
  }
  for (const vkey of [
    'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==',
    'PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
    peter.replace('c74f20a3', 'C74F20A3'),
  ])
    expect(() => readVkey(vkey)).toThrow();
});

test('a note by known keys opens; what others signed is passed over', () => {
  const keys = [readVkey(peter), readVkey(enoch)];
  const note = readNote(noteOf(text, [peterLine, enochLine]));
  expect(note.text).toBe(text);
  expect(goodSignatures(note, keys).map(({ key }) => key.name)).toEqual(['PeterNeumann', 'EnochRoot']);
  expect(goodSignatures(note, keys.slice(1)).map(({ line }) => line)).toEqual([enochLine]);
  expect(goodSignatures(note, [])).toEqual([]);
  const repeated = readNote(noteOf(text, [peterLine, peterLine]));
  expect(goodSignatures(repeated, keys)).toHaveLength(1);
});

test('one signature that is not its key’s spoils the note', () => {
  const broken = `${peterLine.slice(0, 60)}ABCD${peterLine.slice(60)}`;
  expect(() => goodSignatures(readNote(noteOf(text, [broken])), [readVkey(peter)])).toThrow(/not valid/);
  const elsewhere = readNote(noteOf(text.replace('answer', 'Answer'), [peterLine]));
  expect(() => goodSignatures(elsewhere, [readVkey(peter)])).toThrow(/not valid/);
});

test('what is no note is not read', () => {
  const bad = [
    text,
    `${text}\n`,
    noteOf(text, [peterLine]).slice(0, -1),
    `\x01${noteOf(text, [peterLine])}`,
    noteOf(text, ['— Bad Name x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFY=']),
    noteOf(text, [peterLine, 'Unexpected line.']),
    noteOf(text, [peterLine.replace('—', '-')]),
    noteOf(text, [`${peterLine.slice(0, -4)}nAN=`]),
    noteOf(text, ['— PeterNeumann x08gow==']),
    noteOf(text, new Array<string>(101).fill(peterLine)),
    noteOf(text, [peterLine]).replaceAll('\n', '\r\n'),
    noteOf('x'.repeat(1 << 16), [peterLine]),
  ];
  for (const message of bad) expect(() => readNote(message), JSON.stringify(message.slice(0, 200))).toThrow();
  expect(() => readNote(Buffer.from(`\xff${noteOf(text, [peterLine])}`, 'latin1'))).toThrow();
  const blank = 'Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n';
  const quasimodo =
    '— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=';
  expect(readNote(noteOf(blank, [quasimodo])).text).toBe(blank);
});

test('a checkpoint has one spelling', () => {
  const read = readCheckpoint(sofa);
  expect(read).toMatchObject({ origin: 'example.com/behind-the-sofa', size: 20852163, extensions: [] });
  expect(checkpointText(read)).toBe(sofa);
  expect(readCheckpoint(`${sofa}more\n`).extensions).toEqual(['more']);
  for (const wrong of [
    sofa.replace('20852163', '020852163'),
    sofa.replace('20852163', '+20852163'),
    sofa.replace('20852163', '2e3'),
    sofa.replace('20852163', '-1'),
    sofa.replace('20852163', ''),
    sofa.replace('20852163', '9007199254740993'),
    sofa.replace('q2I=', 'q2J='),
    sofa.replace('q2I=', 'q2I'),
    sofa.replace('CsUY', ''),
    sofa.slice(sofa.indexOf('\n')),
    sofa.slice(0, -1),
    `${sofa}\n`,
    `${sofa}a\n\nb\n`,
    '',
  ])
    expect(() => readCheckpoint(wrong), JSON.stringify(wrong)).toThrow();
});

test('a witness’s cosignature carries its time, and signs it', () => {
  const published =
    '— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==';
  const [signature] = readNote(noteOf(sofa, [published])).signatures;
  expect(signature!.bytes.readBigUInt64BE(0)).toBe(1679315147n);
  expect(cosignedText(sofa, 1679315147)).toBe(`cosignature/v1\ntime 1679315147\n${sofa}`);

  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(String(publicKey.export({ format: 'jwk' }).x), 'base64url');
  const key = noteKey('witness.example/w', cosignatureType, raw);
  const signed = sign(null, Buffer.from(cosignedText(sofa, 1_700_000_000)), privateKey);
  const line = signatureLine(key, signed, 1_700_000_000);
  expect(goodSignatures(readNote(noteOf(sofa, [line])), [key])[0]?.seconds).toBe(1_700_000_000);
  const later = signatureLine(key, signed, 1_700_000_001);
  expect(() => goodSignatures(readNote(noteOf(sofa, [later])), [key])).toThrow(/not valid/);
  // The same key as one that signs notes: neither is taken for the other.
  const plain = noteKey('witness.example/w', noteType, raw);
  expect(plain.id).not.toBe(key.id);
  expect(goodSignatures(readNote(noteOf(sofa, [line])), [plain])).toEqual([]);
  expect(asCosigner(plain).id).toBe(key.id);
  const forged = signatureLine(key, sign(null, Buffer.from(sofa), privateKey), 1_700_000_000);
  expect(() => goodSignatures(readNote(noteOf(sofa, [forged])), [key])).toThrow(/not valid/);
});
