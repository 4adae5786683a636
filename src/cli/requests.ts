// `holdpoint requests list | show | approve | reject`: an approver's desk on the command line, and the path that needs no
// JavaScript. What is printed is drawn from the request that the digest covers, digested here again, never from what
// the server says about it; what is signed is that digest.

import { type Command, InvalidArgumentError } from 'commander';
import type { Decision } from '../approval/decision.ts';
import { parameterText } from '../approval/parameter.ts';
import { commitment, type Level, type Request, readRequestText, requestDigest } from '../approval/request.ts';
import { readReview } from '../approval/review.ts';
import { emergencyMsMax, readScope, type Scope } from '../approval/scope.ts';
import { visible, visibleLine, visibleText } from '../approval/visible.ts';
import { HoldpointError } from '../errors.ts';
import type { FullView, Summary } from '../http/view.ts';
import { effectLines } from './effect-text.ts';
import { ended, type Found, type Output, terminal } from './outcome.ts';
import { identityOptions, type RemoteOptions, remote, requestId } from './remote.ts';

interface Options extends RemoteOptions {
  readonly json?: boolean;
}

interface DecideOptions extends Options {
  readonly reason?: string;
  readonly digest?: string;
  readonly for?: string;
  readonly rowsMax?: number;
  readonly similar?: number;
  readonly usesMax?: number;
  readonly breakGlass?: boolean;
}

/** Adds the `requests` commands. Their exit codes go to process.exitCode. */
export function register(program: Command): void {
  const requests = program.command('requests').description('see and decide held statements');
  const finish = async (code: Promise<number>): Promise<void> => {
    process.exitCode = await code;
  };

  identityOptions(requests.command('list').description('requests waiting for a decision'))
    .option('--all', 'also those that have ended')
    .action((options: Options & { all?: boolean }) => finish(listRequests(options, terminal)));
  identityOptions(
    requests.command('show').description('one request, as it will run').argument('<id>'),
  ).action((id: string, options: Options) => finish(showRequest(id, options, terminal)));
  for (const verdict of ['approve', 'reject'] as const) {
    const command = identityOptions(
      requests.command(verdict).description(`${verdict} a held statement`).argument('<id>'),
    )
      .option('--reason <text>', 'told to the agent and kept in the log', '')
      .option('--digest <digest>', 'only if the request has this digest, as show printed it')
      .option('--for <name>', 'in the name of an approver who has delegated to you');
    if (verdict === 'approve') {
      command
        .option('--rows-max <count>', 'undo it and hold it again if it changes more rows', wholeNumber)
        .option('--similar <minutes>', 'also what differs in literal values alone, for so long', wholeNumber)
        .option('--break-glass', 'alone, in an emergency, if you are enrolled for that; to be reviewed')
        .option('--uses-max <count>', 'with --similar: statements in all, this one included', wholeNumber);
    }
    command.action((id: string, options: DecideOptions) =>
      finish(decideRequest(verdict, id, options, terminal)),
    );
  }
  identityOptions(
    requests.command('review').description('look at a release in an emergency').argument('<id>'),
  )
    .requiredOption('--finding <word>', 'justified or unjustified')
    .option('--reason <text>', 'kept in the log', '')
    .action((id: string, options: Options & { finding: string; reason?: string }) =>
      finish(reviewRequest(id, options, terminal)),
    );
  identityOptions(
    requests.command('revoke').description('end what an approval still covers').argument('<id>'),
  )
    .option('--reason <text>', 'kept in the log', '')
    .action((id: string, options: Options & { reason?: string }) =>
      finish(revokeGrant(id, options, terminal)),
    );
}

function wholeNumber(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('it must be a whole number.');
}

/** `requests list`. */
export function listRequests(options: Options & { all?: boolean }, output: Output): Promise<number> {
  return ended(options, output, async () => {
    const server = await remote(options);
    const path = options.all === true ? '/api/requests' : '/api/requests?state=pending';
    const { requests } = (await server.get(path)) as { requests: Summary[] };
    if (requests.length === 0) return { text: 'Nothing is waiting for a decision.\n', json: [] };
    const rows = requests.map((one) => listed(one, server.now()));
    return { text: `${rows.join('\n')}\n`, json: requests };
  });
}

/** `requests show`. */
export function showRequest(id: string, options: Options, output: Output): Promise<number> {
  return ended(options, output, async () => {
    const server = await remote(options);
    const { view, request } = await loaded(server, id);
    return { text: drawn(view, request, server.now()), json: view };
  });
}

/** `requests approve` and `requests reject`. */
export function decideRequest(
  verdict: Decision['verdict'],
  id: string,
  options: DecideOptions,
  output: Output,
): Promise<number> {
  return ended(options, output, async (): Promise<Found> => {
    const server = await remote(options);
    const { view, request, rd } = await loaded(server, id);
    if (options.digest !== undefined && options.digest !== rd) {
      throw new HoldpointError(
        'conflict',
        `request ${id} has the digest ${rd}, not ${options.digest}; nothing was signed`,
      );
    }
    if (view.draft === null) {
      throw new HoldpointError('conflict', `request ${id} is ${view.state}; there is nothing left to decide`);
    }
    if (view.draft.approver !== server.approver) {
      throw new HoldpointError(
        'unauthorized',
        `this key is ${view.draft.approver}'s, not ${server.approver}'s`,
      );
    }
    const scope = scopeOf(options, view.draft.nbf);
    const alone = scope?.kind === 'break-glass';
    if (options.json !== true) output.out(drawn(view, request, server.now()));
    // Of what the server proposes, only its nonce and its clock are taken over: neither says what is being approved.
    const result = await server.decide({
      typ: 'holdpoint.decision.v1',
      aud: request.aud,
      rid: request.rid,
      rd,
      verdict,
      approver: server.approver,
      level: alone ? 'key' : claimed(server.level, request.need.level),
      reason: options.reason ?? '',
      nonce: view.draft.nonce,
      nbf: view.draft.nbf,
      exp: alone ? Math.min(request.exp, request.created + emergencyMsMax) : request.exp,
      ...(options.for !== undefined && { for: options.for }),
      ...(scope !== undefined && { scope }),
      ...(scope?.kind !== 'fingerprint' && options.rowsMax !== undefined && { rowsMax: options.rowsMax }),
    });
    const missing = result.quorum - result.approvals;
    const words = result.state === 'pending' ? `approved; ${missing} more needed` : result.state;
    return { text: `\nrequest ${id}: ${words}\n`, json: { id, ...result } };
  });
}

/** What more than the statement itself is approved. Throws `bad-request` where a limit is missing. */
function scopeOf(options: DecideOptions, nbf: number): Scope | undefined {
  const { similar, usesMax, rowsMax, breakGlass } = options;
  if (breakGlass === true && similar === undefined) return { kind: 'break-glass' };
  if (similar === undefined && usesMax === undefined) return undefined;
  if (similar === undefined || usesMax === undefined || rowsMax === undefined)
    throw new HoldpointError(
      'bad-request',
      '--similar needs --uses-max and --rows-max: how many statements, and how many rows they may change in all',
    );
  return readScope({ kind: 'fingerprint', until: nbf + similar * 60_000, usesMax, rowsMax });
}

/** `requests revoke`: ends what an approval still covers. */
export function revokeGrant(
  id: string,
  options: Options & { reason?: string },
  output: Output,
): Promise<number> {
  return ended(options, output, async () => {
    const server = await remote(options);
    const path = `/api/requests/${requestId(id)}/revocations`;
    const json = await server.post(path, { reason: options.reason ?? '' });
    return { text: `request ${id}: nothing more is let through by it\n`, json };
  });
}

/** `requests review`: says of a release that one person made alone what another thinks of it. */
export function reviewRequest(
  id: string,
  options: Options & { finding: string; reason?: string },
  output: Output,
): Promise<number> {
  return ended(options, output, async () => {
    const server = await remote(options);
    const owed = (await server.get(`/api/requests/${requestId(id)}/reviews`)) as Record<
      'rd' | 'target' | 'agent' | 'by' | 'reason',
      string
    >;
    const review = readReview({
      typ: 'holdpoint.review.v1',
      aud: server.issuer,
      rid: id,
      rd: owed.rd,
      approver: server.approver,
      finding: options.finding,
      reason: options.reason ?? '',
      at: server.now(),
    });
    if (options.json !== true) {
      const said = `${owed.by} released it alone on ${owed.target}, for ${owed.agent}: ${owed.reason}`;
      output.out(`${visibleLine(said)}\ndigest: ${visibleLine(owed.rd)}\n`);
    }
    const json = await server.review(review);
    return { text: `request ${id}: reviewed, ${review.finding}\n`, json };
  });
}

/** What is claimed of the evidence: no more than is needed, which a security key might not prove in the end. */
function claimed(able: Level, needed: Level): Level {
  return able === 'passkey' && needed === 'passkey' ? 'passkey' : 'key';
}

/** The request of a view, digested and compared here. */
async function loaded(
  server: { get(path: string): Promise<unknown> },
  id: string,
): Promise<{ view: FullView; request: Request; rd: string }> {
  const view = (await server.get(`/api/requests/${requestId(id)}`)) as FullView;
  // Shown is what the digest commits to, and nothing that it does not.
  const request = readRequestText(view.request, '', view.opening ?? undefined);
  const rd = requestDigest(request);
  if (rd !== view.digest || request.rid !== id) {
    throw new HoldpointError(
      'conflict',
      `request ${id} does not have the digest it was given; do not approve it`,
    );
  }
  if (request.open !== undefined && view.state === 'pending') {
    throw new HoldpointError(
      'conflict',
      `the texts shown of request ${id} are not those that its digest commits to; do not approve it`,
    );
  }
  return { view, request, rd };
}

function listed(one: Summary, nowMs: number): string {
  const what = [one.commands.join('; '), one.relations.join(', ')].filter(Boolean).join(' ');
  const left = one.state === 'pending' ? `${minutesLeft(Date.parse(one.expires), nowMs)} left` : one.state;
  return `${one.id}  ${visibleLine(what)}  ${one.agent} on ${one.target} (${one.environment})  ${left}`;
}

/** A request as a person must see it before signing. */
function drawn(view: FullView, request: Request, nowMs: number): string {
  const text = visible(request.sql);
  const left = view.state === 'pending' ? `, ${minutesLeft(request.exp, nowMs)} left` : '';
  const facts: [string, string][] = [
    ['request', request.rid],
    ['state', view.state + left],
    ['agent', request.agent.id],
    ['target', `${request.db.target} (${request.db.environment}), database ${request.db.name}`],
    ['server', `${request.db.addr}, system identifier ${request.db.systemId ?? 'not known'}`],
    ['role', `${request.role ?? 'not known'} (connected as ${request.user})`],
    ['search path', request.state.searchPath ?? 'not known'],
    [
      'transaction',
      request.tx.status === 'I' ? 'none open' : `open, ${request.tx.statements} statements so far`,
    ],
    ['rule', `${request.policy.rule}: ${request.policy.reason}`],
    ...request.statements.map((one): [string, string] => ['does', effectLine(one)]),
    ['counted', countsLine(request)],
    ...(request.shape === undefined
      ? []
      : [['similar', 'may be covered too; --similar'] as [string, string]]),
    ...(request.reason === undefined ? [] : [['agent says', request.reason] as [string, string]]),
    ['needs', `${request.need.quorum} of level ${request.need.level}`],
    ...view.approvals.map((one): [string, string] => ['approved by', `${one.by} (${one.level})`]),
    ...effectLines(request.effect),
    ['digest', view.digest],
  ];
  const lines = facts.map(([name, value]) => `${`${name}:`.padEnd(14)}${visibleLine(value)}`);
  const warnings = [
    text.hidden > 0 ? `! ${text.hidden} invisible characters, marked ⟨U+…⟩` : '',
    text.foreign > 0 ? `! ${text.foreign} characters beyond ASCII, which may look like others` : '',
    view.secret ? '! the statement carries a secret, which is not shown' : '',
    request.open === undefined ? '' : '! the values in the statement are no longer kept',
  ].filter(Boolean);
  const statement = visibleText(request.sql).replace(/^/gm, '    ');
  return [...lines, ...warnings, '', statement, ...parameterLines(view, request), ''].join('\n');
}

function countsLine({ counts }: Request): string {
  if (counts === undefined) return 'no; --rows-max cannot be enforced';
  if (counts === 'all') return 'yes; --rows-max bounds the rows that it changes';
  return 'yes, but for rows that cascades, triggers or functions change behind it';
}

function effectLine(one: Request['statements'][number]): string {
  const touches = one.relations.length > 0 ? ` on ${one.relations.join(', ')}` : '';
  return `${one.command}: ${one.effects.join(', ')}${touches}${one.why.map((why) => `; ${why}`).join('')}`;
}

function parameterLines(view: FullView, request: Request): string[] {
  return request.params.map((param, index) => {
    const given = view.values?.[index];
    if (given === undefined) return `    $${index + 1} = (no longer kept)`;
    const value = given.value === null ? null : Buffer.from(given.value, 'base64url');
    if (commitment({ oid: param.oid, format: param.format, salt: given.salt, value }) !== param.c) {
      throw new HoldpointError(
        'conflict',
        `the value shown for $${index + 1} is not the one that will run; do not approve it`,
      );
    }
    const { type, note, text } = parameterText(param.oid, param.format, value);
    return `    $${index + 1} = ${note === 'null' ? 'NULL' : visibleLine(text)}  (${type})`;
  });
}

function minutesLeft(untilMs: number, nowMs: number): string {
  const seconds = Math.max(0, Math.floor((untilMs - nowMs) / 1000));
  return seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
}
