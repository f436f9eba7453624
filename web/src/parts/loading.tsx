// Reading for a page: what came, or why not, and again every now and then while the page is seen.
import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { describe, type Fault } from "../api/errors";

export interface Loaded<T> {
  data: T | null;
  fault: Fault | null;
  again(): void;
}

export function useLoad<T>(read: () => Promise<T>, inputs: readonly unknown[], everyMs?: number): Loaded<T> {
  const data: Signal<T | null> = useSignal<T | null>(null);
  const fault: Signal<Fault | null> = useSignal<Fault | null>(null);
  const turn = useSignal(0);
  useEffect(() => {
    let gone = false;
    const attempt = () =>
      read().then(
        (value) => {
          if (gone) return;
          data.value = value;
          fault.value = null;
        },
        (error: unknown) => {
          // What was read before stays on the page; the next attempt may work again.
          if (!gone && data.value === null) fault.value = describe(error);
        },
      );
    void attempt();
    const timer =
      everyMs === undefined
        ? undefined
        : setInterval(() => document.visibilityState === "visible" && void attempt(), everyMs);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [...inputs, turn.value]);
  // A page that shows something else must not show the old thing meanwhile.
  useEffect(
    () => () => {
      data.value = null;
      fault.value = null;
    },
    [...inputs],
  );
  return {
    data: data.value,
    fault: fault.value,
    again: () => {
      turn.value += 1;
    },
  };
}

/** Says what went wrong, with a way on. */
export function Trouble({ fault, again }: { fault: Fault; again?: () => void }) {
  return (
    <div class="trouble" role="alert">
      <p>{fault.text}</p>
      {again !== undefined && (
        <button type="button" class="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Grey boxes in the places of the cards to come. */
export function CardSkeletons({ count }: { count: number }) {
  return (
    <ul class="cards" aria-label="Loading">
      {Array.from({ length: count }, (_, i) => (
        <li key={i} class="card card-skeleton" aria-hidden="true">
          <div class="poster" />
          <div class="bone" />
          <div class="bone bone-short" />
        </li>
      ))}
    </ul>
  );
}

/** The time now, renewed every `everyMs`. */
export function useNow(everyMs: number): number {
  const now = useSignal(Date.now());
  useEffect(() => {
    const timer = setInterval(() => {
      now.value = Date.now();
    }, everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now.value;
}

/** Sets the title of the browser's tab. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === "" ? "Marquee" : `${title} · Marquee`;
  }, [title]);
}
