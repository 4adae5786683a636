// Waitlist: the sessions that wait for one request, in the order in which they asked, as the text that the store keeps
// as a row's holder. The first of them may use an approval; when it leaves, the next one is first. Pure; each change is
// one compare-and-set of the whole text in the store, which is what makes it safe across nodes. audit-approval §17.1.

/** Sessions that may wait for one request; all but one of them wait in vain. */
export const waitersMax = 64;

/** Names no session: the last one gave up, nobody may join any more, and the request is about to be canceled. */
export const withdrawn = '-';

/** The gates that wait, first first. */
export function waiters(holder: string): readonly string[] {
  return holder === '' || holder === withdrawn ? [] : holder.split(' ');
}

/** True if it is this gate that an approval would release. */
export function isFirst(holder: string, gate: string): boolean {
  return waiters(holder)[0] === gate;
}

/** The list with the gate at its end; undefined where nobody may join, or no more. */
export function joined(holder: string, gate: string): string | undefined {
  const list = waiters(holder);
  if (holder === withdrawn || list.length >= waitersMax) return undefined;
  return [...list, gate].join(' ');
}

/** The list without the gate; empty when it was the only one. */
export function left(holder: string, gate: string): string {
  return waiters(holder)
    .filter((each) => each !== gate)
    .join(' ');
}
