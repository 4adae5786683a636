// Anchoring: composes what keeps the log's checkpoints outside: the wake behind the writer, the witnesses of the
// configuration, the checkpointer; and compares with them before the log is taken up. Refuses to know how any works.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { noteKey, noteType, vkeyText } from '../../verify/src/note.ts';
import { type Anchor, notOutside, type Outside } from '../audit/anchor.ts';
import { CheckpointFiles } from '../audit/checkpoint-files.ts';
import { Checkpointer } from '../audit/checkpointer.ts';
import { Folder, systemFs } from '../audit/folder.ts';
import { Keyring } from '../audit/keyring.ts';
import type { AuditLog } from '../audit/log.ts';
import { type NoteSigner, noteSigner } from '../audit/note-signer.ts';
import { type Extent, Remembered } from '../audit/remembered.ts';
import { type Comparison, compareOutside } from '../audit/rollback.ts';
import { Wake } from '../audit/wake.ts';
import { Witness } from '../audit/witness.ts';
import type { Config } from '../config.ts';
import { HoldpointError } from '../errors.ts';
import type { AnchorMetrics, Metrics } from '../metrics.ts';
import type { Report } from '../proxy/listener.ts';

export interface AnchoringOptions {
  readonly config: Pick<Config, 'dataDir' | 'node'> & {
    readonly audit: Pick<Config['audit'], 'checkpointMs' | 'anchorMs' | 'witnesses' | 'witnessQuorum'>;
  };
  readonly metrics: Pick<Metrics, 'anchor'>;
  readonly report: Report;
}

/** Where the logs of a data folder lie, and the private keys of them. */
export function auditFolders(dataDir: string): { dir: string; keysDir: string } {
  return { dir: join(dataDir, 'audit'), keysDir: join(dataDir, 'keys', 'audit') };
}

/** What keeps one log outside, from before it is opened until after it is closed. */
export class Anchoring {
  readonly #options: AnchoringOptions;
  readonly #folder: Folder;
  readonly #keyring: Keyring;
  readonly #memory: Remembered;
  readonly #wake: Wake;
  readonly #witnesses: readonly Witness[];
  readonly #metrics = new Map<string, AnchorMetrics>();
  #checkpointer: Checkpointer | undefined;

  private constructor(options: AnchoringOptions, memory: Remembered) {
    const { node, audit, dataDir } = options.config;
    const { dir, keysDir } = auditFolders(dataDir);
    this.#options = options;
    this.#memory = memory;
    this.#folder = new Folder(dir, node, systemFs);
    this.#keyring = new Keyring(keysDir, node, systemFs);
    this.#wake = new Wake(this.#folder);
    this.#witnesses = audit.witnesses.map(
      ({ url, key }) => new Witness({ url, key, wake: this.#wake, memory }),
    );
  }

  static async open(options: AnchoringOptions): Promise<Anchoring> {
    const { dataDir, node } = options.config;
    try {
      return new Anchoring(options, await Remembered.open(auditFolders(dataDir).keysDir, node));
    } catch (cause) {
      throw new HoldpointError(
        'log-unwritable',
        `what this machine remembers of its log cannot be read: ${(cause as Error).message}; put the file back or move it away`,
        { cause },
      );
    }
  }

  /** The public key of a log's notes, as witnesses are given it. Throws `not-found` if it has none. */
  static vkey(dataDir: string, origin: string): string {
    const path = new Folder(auditFolders(dataDir).dir, origin, systemFs).publicKey('checkpoint');
    try {
      const { x } = JSON.parse(readFileSync(path, 'utf8')) as { x: string };
      return vkeyText(noteKey(origin, noteType, Buffer.from(x, 'base64url')));
    } catch (cause) {
      throw new HoldpointError(
        'not-found',
        `the log ${origin} in ${dataDir} has no key for checkpoints yet; start Holdpoint once, or run \`holdpoint audit init\``,
        { cause },
      );
    }
  }

  /** For `openLog`, which holds the folder's lock meanwhile. */
  compare(): Promise<Comparison> {
    return compareOutside({
      origin: this.#options.config.node,
      wake: this.#wake,
      memory: this.#memory,
      signer: this.#signer(),
      witnesses: this.#witnesses,
      now: Date.now,
      unasked: (witness, error) =>
        this.#options.report('warn', 'a witness of the log could not be asked at start', {
          witness,
          cause: error.message,
        }),
    });
  }

  /** Begins to make checkpoints of the log, which is open. `stores`: besides the witnesses. */
  begin(log: AuditLog, stores: readonly Anchor[] = []): void {
    const { report, config } = this.#options;
    const { checkpointMs, anchorMs, witnessQuorum } = config.audit;
    const signer = this.#signer();
    if (signer === undefined) return;
    this.#checkpointer = new Checkpointer({
      log,
      wake: this.#wake,
      signer,
      files: new CheckpointFiles(this.#folder.path),
      memory: this.#memory,
      anchors: [...this.#witnesses, ...stores],
      quorum: this.#witnesses.length === 0 ? 0 : witnessQuorum,
      checkpointMs,
      anchorMs,
      now: Date.now,
      events: {
        kept: (anchor, size, seconds) => this.#metricsOf(anchor).kept(size, seconds),
        failed: (anchor, error, isNew) => {
          this.#metricsOf(anchor).failed();
          if (isNew) report('error', 'the log is not vouched for outside', { anchor, cause: error.message });
        },
        broken: (error) => report('error', 'no checkpoint of the log can be made', { cause: error.message }),
      },
    });
  }

  /** What a target's held statements wait for; undefined where they wait for nothing. */
  outside(where: Outside | 'none'): ((seq: number) => Promise<void>) | undefined {
    if (where === 'none') return undefined;
    return async (seq) => {
      if (this.#checkpointer === undefined)
        throw notOutside(where, 0, ['the log has no key for checkpoints']);
      await this.#checkpointer.anchored(seq, where);
    };
  }

  async close(): Promise<void> {
    await this.#checkpointer?.close();
  }

  #metricsOf(anchor: string): AnchorMetrics {
    const known = this.#metrics.get(anchor) ?? this.#options.metrics.anchor(anchor);
    this.#metrics.set(anchor, known);
    return known;
  }

  #signer(): NoteSigner | undefined {
    const secret = this.#keyring.checkpointKey();
    return secret === undefined ? undefined : noteSigner(this.#options.config.node, noteType, secret);
  }
}

/**
 * Notes that an operator accepts the log as it is, though others remember more of it: the next start goes on from there
 * and the log says so. Returns what was acknowledged. Throws `not-found` if there is no log.
 */
export async function acknowledgeRollback(dataDir: string, origin: string): Promise<Extent> {
  const { dir, keysDir } = auditFolders(dataDir);
  const standing = await new Wake(new Folder(dir, origin, systemFs)).advance();
  if (standing === undefined)
    throw new HoldpointError('not-found', `there is no sealed log ${origin} in ${dataDir}`);
  const extent: Extent = { size: standing.size, root: standing.root.toString('base64url') };
  const memory = await Remembered.open(keysDir, origin);
  memory.acknowledge(extent);
  await memory.write();
  return extent;
}
