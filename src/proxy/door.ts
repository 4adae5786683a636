// Door: who may come in, by how many are there already, and what becomes of those who may not. A connection counts until
// its descriptor is given back, not only until its session has ended. Refuses to know who anybody is.

import type net from 'node:net';
import { HoldpointError } from '../errors.ts';
import type { Line } from '../hop/line.ts';
import { errorFrom } from '../wire/messages/backend.ts';

export interface DoorLimits {
  readonly connectionsMax: number;
  /** Connections that are being told that there is no room. Whoever comes beyond them is told nothing. */
  readonly turnedAwayMax: number;
}

/**
 * Connections that have not logged in yet, of all addresses together: at most half of those that may be open, so that a
 * pool of hundreds can open at once and whoever never logs in leaves room for those who did.
 */
const strangersShare = 0.5;

/** SSLRequest and GSSENCRequest, each once. */
const encryptionRequestsMax = 2;
const encryptionRequestBytes = 8;
const turnAwayMs = 1000;

export class Door {
  readonly #limits: DoorLimits;
  readonly #hasTls: boolean;
  readonly #strangers = new Set<net.Socket>();
  /** Their session has ended, or there was none; they have not closed yet. */
  readonly #leaving = new Set<Line>();
  #turnedAway = 0;

  constructor(limits: DoorLimits, hasTls: boolean) {
    this.#limits = limits;
    this.#hasTls = hasTls;
  }

  /** Takes a stranger in beside so many `sessions`. False if he was turned away. */
  enter(socket: net.Socket, sessions: number): boolean {
    const { connectionsMax } = this.#limits;
    if (
      sessions + this.#strangers.size + this.#leaving.size >= connectionsMax ||
      this.#strangers.size >= Math.ceil(connectionsMax * strangersShare)
    ) {
      this.#turnAway(socket);
      return false;
    }
    this.#strangers.add(socket);
    return true;
  }

  /** He is no stranger any more: he has a session, or leaves. */
  known(socket: net.Socket): void {
    this.#strangers.delete(socket);
  }

  /** Nothing else knows of the connection, which closes soon. */
  leaves(line: Line): void {
    if (line.destroyed) return;
    this.#leaving.add(line);
    line.once('close', () => this.#leaving.delete(line));
  }

  /** Whoever has not logged in yet has to go. */
  clear(): void {
    for (const socket of this.#strangers) socket.destroy();
  }

  /**
   * Whoever floods us is owed little: no login, no TLS, one second. A client that asks for encryption first would read
   * an error in its place as a broken server, so that it is told `N` where we have none to offer.
   */
  #turnAway(socket: net.Socket): void {
    if (this.#turnedAway >= this.#limits.turnedAwayMax) {
      socket.destroy();
      return;
    }
    this.#turnedAway += 1;
    socket.once('close', () => {
      this.#turnedAway -= 1;
    });
    const error = new HoldpointError('too-many-connections', 'sorry, too many clients already', {
      hint: 'Try again later.',
    });
    let questions = this.#hasTls ? 0 : encryptionRequestsMax;
    socket.on('data', (chunk: Buffer) => {
      questions -= 1;
      if (questions >= 0 && chunk.length === encryptionRequestBytes) socket.write('N');
      else socket.end(errorFrom(error, 'FATAL'));
    });
    setTimeout(() => socket.destroy(), turnAwayMs).unref();
    socket.resume();
  }
}
