// Keeps a Watch stream open: comes back after errors, pauses while the page is hidden, and asks now and then instead of
// streaming when too many streams are open. Browsers give one address six connections over HTTP/1.1 for all tabs
// together, and the player needs some of them.

/** One thing to be watched. */
export interface Watched<Message, Answer> {
  /** Opens the server stream. */
  open(signal: AbortSignal): AsyncIterable<Message>;
  /** Asks once; used while there is no room for a stream. */
  ask(signal: AbortSignal): Promise<Answer>;
  message(value: Message | Answer): void;
  /** Returns false to give up, for example when the thing does not exist. */
  failed?(error: unknown): boolean;
}

/** At most this many streams of all tabs together. */
const SLOTS = 4;
const ASK_EVERY_MS = 5_000;

/** The wait before attempt `n` (from 0), milliseconds: 0.5 s doubling to 15 s, with a jitter of up to a half. */
export function backoff(n: number, random: number): number {
  return Math.min(15_000, 500 * 2 ** n) * (0.5 + random / 2);
}

/** Watches until the signal is aborted. */
export async function keepWatching<Message, Answer>(
  watched: Watched<Message, Answer>,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    await visible(signal);
    if (signal.aborted) return;
    const leave = new AbortController();
    const hide = () => document.visibilityState === "hidden" && leave.abort();
    document.addEventListener("visibilitychange", hide);
    const either = AbortSignal.any([signal, leave.signal]);
    try {
      await withSlot(async (hasSlot) => {
        if (!hasSlot) {
          watched.message(await watched.ask(either));
          failures = 0;
          await pause(ASK_EVERY_MS, either);
          return;
        }
        for await (const value of watched.open(either)) {
          failures = 0;
          watched.message(value);
        }
      });
      await pause(backoff(0, Math.random()), either);
    } catch (error) {
      if (signal.aborted) return;
      if (!leave.signal.aborted) {
        if (watched.failed?.(error) === false) return;
        await pause(backoff(failures, Math.random()), either);
        failures += 1;
      }
    } finally {
      document.removeEventListener("visibilitychange", hide);
    }
  }
}

/** Runs `work` holding one of the slots, if one is free. */
async function withSlot(work: (hasSlot: boolean) => Promise<void>, slot = 0): Promise<void> {
  if (!navigator.locks) return work(true);
  if (slot === SLOTS) return work(false);
  let taken = true;
  await navigator.locks.request(`marquee.watching.${slot}`, { ifAvailable: true }, async (lock) => {
    if (lock === null) taken = false;
    else await work(true);
  });
  if (!taken) await withSlot(work, slot + 1);
}

/** Waits until the page can be seen. */
function visible(signal: AbortSignal): Promise<void> {
  if (document.visibilityState === "visible" || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      if (document.visibilityState === "hidden" && !signal.aborted) return;
      document.removeEventListener("visibilitychange", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    document.addEventListener("visibilitychange", done);
    signal.addEventListener("abort", done);
  });
}

/** Waits, or less when the signal is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
