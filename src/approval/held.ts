// Held: the record of a request, with what it commits to put aside for auditors: what a person was shown, and the parameters.
// Refuses to know where either goes. audit-approval §10, §16.1.

import type { DeskLog, KeptRecord, KeptValue } from './ports.ts';
import { type Request, type RequestValues, requestOpening, requestText } from './request.ts';

/** The `hold` record of a request. `ref`: seq of its `stmt` record, which a plan has not. */
export function heldRecord(request: Request, rd: string, ref?: number, values?: RequestValues): KeptRecord {
  const { rid } = request;
  const record = {
    kind: 'hold',
    rid,
    rd,
    R: requestText(request),
    ...(ref !== undefined && { ref }),
  } as const;
  return { record, kept: keptOf(request, values) };
}

/** Appends it. */
export function appendHeld(
  log: DeskLog,
  request: Request,
  rd: string,
  ref?: number,
  values?: RequestValues,
): number {
  const { record, kept } = heldRecord(request, rd, ref, values);
  return log.append(record, kept);
}

function keptOf(request: Request, values: RequestValues | undefined): KeptValue[] {
  const opening = requestOpening(request);
  if (opening === undefined) return [];
  const bytes = (salt: string) => Buffer.from(salt, 'base64url');
  const shown = { index: 0, oid: 0, salt: bytes(opening.salt), value: Buffer.from(opening.text, 'utf8') };
  // A parameter of a text that carries a secret may be it.
  const params = values === undefined || values.text !== undefined ? [] : values.params;
  return [
    shown,
    ...params.map(({ oid, salt, value }, at) => ({
      index: at + 1,
      oid,
      salt: bytes(salt),
      value: value ?? undefined,
    })),
  ];
}
