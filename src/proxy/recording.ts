// Recording: the `stmt` record of one gate: its text without secrets, and of its values what the log is to have: themselves,
// commitments to them, or commitments with the values put aside for auditors. audit-approval §3.4, §10.
// Refuses to know where records go and what becomes of the gate.

import type { Veil } from '../approval/veil.ts';
import type { Decided, StatementBody } from '../audit/record.ts';
import { committed, type Kept, type Salts, type ValuesMode } from '../audit/values.ts';
import type { HoldpointError } from '../errors.ts';
import type { Gate, Parameter } from '../session/gate.ts';
import type { Session } from '../session/session.ts';
import { type Comments, outline } from '../sql/loggable.ts';
import type { Statement } from '../sql/statement.ts';
import { type Description, describe, strictestClass } from './description.ts';
import type { SessionFacts } from './session-facts.ts';

/** What the log has of values and comments. One a process. */
export interface Privacy {
  readonly values: ValuesMode;
  readonly comments: Comments;
  readonly salts: Salts;
  /** HMAC under a secret of this node: tells a text that was not understood from others without showing it. */
  readonly mac: (bytes: Uint8Array) => string;
}

/** A record, and the values of it that are put aside. */
export interface Recorded {
  readonly body: StatementBody;
  readonly kept: readonly Kept[] | undefined;
}

/** Characters of one logged parameter; the commitment covers all of it. */
const parameterCharactersMax = 1000;
/** Parameters logged of one Bind; the digest of the frames covers all of them. */
const parametersMax = 1000;

/** The `stmt` records of one session. */
export class StatementRecords {
  readonly #facts: SessionFacts;
  readonly #privacy: Privacy;
  readonly #session: () => Session | undefined;

  constructor(facts: SessionFacts, privacy: Privacy, session: () => Session | undefined) {
    this.#facts = facts;
    this.#privacy = privacy;
    this.#session = session;
  }

  statement(gate: Gate, dec: Decided): Recorded {
    const { verdict, statements } = gate;
    const { values, comments } = this.#privacy;
    const clear = values === 'clear';
    const described = describe(ownOf(gate), gate.sql, { values: clear ? 'clear' : 'lifted', comments });
    // A parameter of a statement that carries a secret may be it.
    const params = described.secret ? [] : first(gate.parameters, parametersMax);
    const { pc, kept } = clear ? none : this.#commitments(described, params);
    const told = verdict.action !== 'pass' || verdict.shadow !== undefined;
    const { sid, actor, db } = this.#facts;
    const session = this.#session();
    // One literal: what is put together of parts costs ten times as much, and this is done for every statement.
    const body: StatementBody = {
      kind: 'stmt',
      sid,
      agent: actor.agent,
      target: actor.target,
      db: db.name,
      role: session?.settings.role ?? null,
      tx: session?.transactionStatus ?? 'I',
      n: gate.n,
      proto: gate.proto === 'simple' ? 'Q' : 'X',
      cls: strictestClass(statements),
      cmd: described.commands,
      effects: effectsOf(statements),
      dec,
      dc: dec === 'pass' ? classOfDurability(gate) : dec === 'hold' ? 'disk' : undefined,
      rule: verdict.rule,
      reason: told ? (clear ? verdict.reason : unquoted(verdict.reason, gate)) : undefined,
      shadow: verdict.shadow,
      sql: described.sql,
      sha: described.sha,
      len: gate.sql.length,
      pc,
      params: clear && params.length > 0 ? params.map(parameterText) : undefined,
    };
    return { body, kept };
  }

  /**
   * What the records of a gate and of others like it say alike, with the values that its text has; undefined where the log
   * says of each what the values are, or where one of them may be a secret.
   */
  alike(gate: Gate): { readonly body: StatementBody; readonly literals: readonly Buffer[] } | undefined {
    const { values, comments } = this.#privacy;
    if (values === 'clear') return undefined;
    const { secret, literals } = describe(ownOf(gate), gate.sql, { values: 'lifted', comments });
    if (secret) return undefined;
    const { body } = this.statement({ ...gate, parameters: [] }, 'pass');
    return { body: { ...body, pc: undefined }, literals };
  }

  /** What hides the values of its request from the log; nothing where values are clear. */
  veil({ own, resolved, sql }: Gate): { veil?: Veil } {
    const { values, comments } = this.#privacy;
    if (values === 'clear') return {};
    return {
      veil: veilOf(
        this.#privacy,
        describe(ownOf({ own, resolved }), sql, { values: 'lifted', comments }).sql,
      ),
    };
  }

  /** A frame whose text never became statements. Nothing of it is quoted: it may hold a mistyped password. */
  unread(bytes: Buffer, error: HoldpointError): StatementBody {
    const text = textOf(bytes);
    const { sid, actor, db } = this.#facts;
    const session = this.#session();
    return {
      kind: 'stmt',
      sid,
      agent: actor.agent,
      target: actor.target,
      db: db.name,
      role: session?.settings.role ?? null,
      tx: session?.transactionStatus ?? 'I',
      n: 0,
      proto: bytes[0] === 0x51 ? 'Q' : bytes[0] === 0x46 ? 'F' : 'X',
      cls: 'unknown',
      effects: ['unknown'],
      dec: 'refuse',
      rule: error.code,
      reason: error.code === 'syntax' ? 'it is not valid SQL' : error.message,
      ...(text !== undefined && { sql: outline(text.toString('utf8')), mac: this.#privacy.mac(text) }),
      len: bytes.length,
    };
  }

  /** To the lifted literals, then to the parameters. */
  #commitments(
    { literals }: Description,
    parameters: readonly Parameter[],
  ): { pc: string[] | undefined; kept: Kept[] | undefined } {
    if (literals.length + parameters.length === 0) return none;
    const { salts, values } = this.#privacy;
    const pc: string[] = [];
    const kept: Kept[] | undefined = values === 'auditor' ? [] : undefined;
    for (let at = 0; at < literals.length + parameters.length; at += 1) {
      const parameter = parameters[at - literals.length];
      const oid = parameter?.oid ?? 0;
      const value = (parameter === undefined ? literals[at] : parameter.value) ?? undefined;
      const salt = salts.next();
      kept?.push({ index: at, oid, salt, value });
      pc.push(committed(salt, oid, value));
    }
    return { pc, kept };
  }
}

const none = { pc: undefined, kept: undefined };

/** The first of them; the list itself if there are no more. */
function first<Item>(list: readonly Item[], many: number): readonly Item[] {
  return list.length <= many ? list : list.slice(0, many);
}

/** The veil of a request whose texts are these with their values lifted. `texts`: of a plan's statements. */
export function veilOf({ comments, salts }: Privacy, sql: string, texts?: readonly string[]): Veil {
  const salt = salts.next().toString('base64url');
  return { salt, sql, words: comments === 'strip', ...(texts && { texts }) };
}

/**
 * The statements of a gate's text; an EXECUTE of what carries a secret, or of what is not known, counts as carrying one: its
 * arguments may be that.
 */
export function ownOf({ own, resolved }: Pick<Gate, 'own' | 'resolved'>): readonly Statement[] {
  if (!own.some(executes)) return own;
  const masked = resolved.some((one) => one.secret || (executes(one) && one.effects.includes('unknown')));
  return masked ? own.map((one) => (executes(one) ? { ...one, secret: true } : one)) : own;
}

function executes({ names }: Statement): boolean {
  return names.some(({ kind }) => kind === 'execute');
}

/** The reason of a verdict without the text that an EXECUTE in it runs. */
function unquoted(reason: string, { own }: Gate): string {
  return own.some(executes) ? reason.replace(/ runs: [\s\S]*$/, ' runs a prepared statement') : reason;
}

/** The text in a Query or Parse; undefined for other frames, which have none. */
function textOf(bytes: Buffer): Buffer | undefined {
  const kind = bytes[0];
  if (kind !== 0x51 && kind !== 0x50) return undefined;
  const start = kind === 0x51 ? 5 : bytes.indexOf(0, 5) + 1;
  const end = bytes.indexOf(0, start);
  return bytes.subarray(start, end === -1 ? bytes.length : end);
}

function effectsOf(statements: readonly Statement[]): readonly string[] {
  if (statements.length === 1) return statements[0]!.effects;
  return [...new Set(statements.flatMap((statement) => statement.effects))].sort();
}

function parameterText({ format, value }: Parameter): string | null {
  if (value === null) return null;
  const text =
    format === 0 ? value.toString('utf8') : `\\x${value.subarray(0, parameterCharactersMax).toString('hex')}`;
  return text.slice(0, parameterCharactersMax).toWellFormed();
}

/** As records name it: that of what destroys is sealed as well follows from its effects. */
function classOfDurability({ durability }: Gate): StatementBody['dc'] {
  return durability === 'seal' ? 'disk' : durability;
}
