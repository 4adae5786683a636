// Rounds: something that is done again and again, each time so long after the last one has ended. What fails is tried
// again in the next round. Refuses to know what is done, and the clock.

/** Begins after the first `ms`; `after` runs something once. Returns the way to stop. */
export function rounds(
  ms: number,
  look: () => Promise<void>,
  after: (ms: number, then: () => void) => () => void,
): () => void {
  let stopped = false;
  let stopTimer: () => void = () => {};
  const arm = (): void => {
    if (stopped) return;
    stopTimer = after(ms, () => {
      void look()
        .catch(() => {})
        .finally(arm);
    });
  };
  arm();
  return () => {
    stopped = true;
    stopTimer();
  };
}
