// A panel that opens from a button: it closes on Escape, on a click elsewhere, and when a link in it is followed.
import type { Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { route } from "../router";

export function useMenu(open: Signal<boolean>) {
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!open.value) return;
    const outside = (event: Event) => {
      if (event.target instanceof Node && !box.current?.contains(event.target)) open.value = false;
    };
    const pressed = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      open.value = false;
      button.current?.focus();
    };
    const stop = route.subscribe(
      (() => {
        let first = true;
        return () => {
          if (!first) open.value = false;
          first = false;
        };
      })(),
    );
    document.addEventListener("pointerdown", outside);
    document.addEventListener("keydown", pressed);
    return () => {
      stop();
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("keydown", pressed);
    };
  }, [open.value]);
  return { box, button };
}
