// Stand-ins: what takes a refused frame's place. The server must reject it, and its ErrorResponse names an id that only
// this refusal has, so that exactly that ErrorResponse can be swapped for ours; ordering, rollback of the implicit
// transaction, skip-until-Sync and ReadyForQuery are then the server's own. Pure. Source: DESIGN §1.3, wire.md §2.6.

import { HoldpointError } from '../errors.ts';
import type { FrameView } from '../wire/framer.ts';
import { errorFrom, rewriteErrorResponse } from '../wire/messages/backend.ts';
import { bind, execute, frontendType, parse, query } from '../wire/messages/frontend.ts';

const idPattern = /holdpoint_([0-9a-f]{32})/;

/** The type of the frame that takes the place of a frontend frame of `type`, and is answered in its stead. */
export function standInType(type: number): number {
  // Query and FunctionCall end with ReadyForQuery, so a Query takes their place.
  if (type === frontendType.query || type === frontendType.functionCall) return frontendType.query;
  // A failing Parse destroys the unnamed statement as the refused one would have.
  if (type === frontendType.parse || type === frontendType.execute) return type;
  return frontendType.bind;
}

/** The frame to send in place of a frontend frame of `type`; `name` is the statement name of a refused Parse. */
export function standInFrame(type: number, id: string, name: string): Buffer {
  const poison = `holdpoint_${id}`;
  switch (standInType(type)) {
    case frontendType.query:
      return query(poison);
    case frontendType.parse:
      return parse(name, poison, []);
    case frontendType.execute:
      return execute(poison);
    default:
      return bind('', poison);
  }
}

/** Refusals that may wait for their ErrorResponse at once; only a client that never sends Sync comes near. */
const refusalsMax = 10_000;

/** Refusals whose stand-in was sent and whose ErrorResponse has not come yet. */
export class StandIns {
  readonly #refusals = new Map<string, HoldpointError>();

  /** `id`: 32 hex digits that were never used before. `error`: what the client is told instead. */
  add(id: string, error: HoldpointError): void {
    if (this.#refusals.size >= refusalsMax)
      throw new HoldpointError(
        'too-large',
        'too many refused statements were sent without reading their answers',
      );
    this.#refusals.set(id, error);
  }

  /**
   * The ErrorResponse that the client gets instead, or undefined if this one is the server's own. A plain syntax error
   * keeps the server's other fields (source file, routine), so that clients see what a direct connection shows.
   */
  swap(
    frame: FrameView,
    fields: ReadonlyMap<string, string>,
  ): { readonly bytes: Buffer; readonly sqlstate: string } | undefined {
    if (this.#refusals.size === 0) return undefined;
    const id = idPattern.exec(fields.get('M') ?? '')?.[1];
    const error = id === undefined ? undefined : this.#refusals.get(id);
    if (id === undefined || error === undefined) return undefined;
    this.#refusals.delete(id);
    const { sqlstate } = error;
    if (error.code !== 'syntax') return { bytes: errorFrom(error, 'ERROR'), sqlstate };
    const { detail: D = null, hint: H = null } = error;
    const P = error.position === undefined ? null : String(error.position);
    return { bytes: rewriteErrorResponse(frame, { C: sqlstate, M: error.message, D, H, P }), sqlstate };
  }

  /** Nothing is owed any more: stand-ins that were skipped after an earlier error will never be answered. */
  clear(): void {
    this.#refusals.clear();
  }
}
