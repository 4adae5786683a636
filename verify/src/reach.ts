// Reach: how far the approvals of one request were used, against how far they were signed for: a text once, the statements
// of a plan each once and in their order, statements of one shape so often, with so many rows, until then. Part of the
// offline verifier: pure, and nothing of the proxy. audit-approval §16.6, §19.

type Members = Readonly<Record<string, unknown>>;

/** What one decision says of it, as signed. */
export interface Signed {
  readonly rowsMax: number | undefined;
  /** Of a scope that covers further statements; undefined for any other. */
  readonly grant: { readonly until: number; readonly usesMax: number; readonly rowsMax: number } | undefined;
}

export function signedReach(decision: Members): Signed {
  const scope = (decision.scope ?? {}) as Members;
  const rowsMax = typeof decision.rowsMax === 'number' ? decision.rowsMax : undefined;
  if (scope.kind !== 'fingerprint') return { rowsMax, grant: undefined };
  const [until, usesMax, grantRows] = [scope.until, scope.usesMax, scope.rowsMax].map(Number);
  return { rowsMax, grant: { until: until!, usesMax: usesMax!, rowsMax: grantRows! } };
}

interface Count {
  uses: number;
  /** Rows that uses are known to have changed. */
  rows: number;
}

/** The clock of a log may be set back a little between a check and its record. */
const slackMicros = 1_000_000;

/** Counts the uses in one log. Every method returns what is wrong, in words, or undefined. */
export class Reaches {
  readonly #counts = new Map<string, Count>();

  /** A use of the request. `plan`: its statements, if it is a plan. `members` are those of the `grant_use` record. */
  use(
    rid: string,
    plan: number | undefined,
    signed: readonly Signed[],
    members: Members,
  ): string | undefined {
    const count = this.#counts.get(rid) ?? { uses: 0, rows: 0 };
    this.#counts.set(rid, count);
    if (plan !== undefined) return planUse(rid, plan, count, members);
    const grants = signed.flatMap(({ grant }) => grant ?? []);
    const bounds = [
      ...signed.flatMap(({ rowsMax }) => rowsMax ?? []),
      ...grants.map(({ rowsMax }) => rowsMax),
    ];
    const smallest = bounds.length === 0 ? undefined : Math.min(...bounds);
    const first = members.use === undefined;
    count.uses += 1;
    if (first && smallest !== members.rowsMax)
      return `the release of request ${rid} has another bound of rows than its approvals`;
    if (first && count.uses === 1) return undefined;
    if (grants.length === 0 || grants.length < signed.length || first)
      return `request ${rid} is used a second time`;
    const usesMax = Math.min(...grants.map((grant) => grant.usesMax));
    const rowsMax = Math.min(...grants.map((grant) => grant.rowsMax));
    const until = Math.min(...grants.map((grant) => grant.until));
    const times = Math.max(count.uses, Number(members.use));
    if (!(times <= usesMax)) return `request ${rid} is used ${times} times; its approvals allow ${usesMax}`;
    if (!(Number(members.ts) <= until * 1000 + slackMicros))
      return `request ${rid} is used after the end that its approvals set`;
    if (!(count.rows + Number(members.rowsMax) <= rowsMax))
      return `request ${rid} is used for more than the ${rowsMax} rows that its approvals allow in all`;
    return undefined;
  }

  /** The request can be used no more. */
  forget(rid: string): void {
    this.#counts.delete(rid);
  }

  /** A use changed so many rows. */
  changed(rid: string, rows: number): void {
    const count = this.#counts.get(rid);
    if (count !== undefined) count.rows += rows;
  }
}

function planUse(rid: string, plan: number, count: Count, { steps }: Members): string | undefined {
  const these = Array.isArray(steps) ? (steps as unknown[]) : [];
  const inOrder = these.length > 0 && these.every((step, at) => step === count.uses + at + 1);
  if (!inOrder || count.uses + these.length > plan)
    return `the plan ${rid} of ${plan} statements is used for statement ${these} behind ${count.uses}`;
  count.uses += these.length;
  return undefined;
}
