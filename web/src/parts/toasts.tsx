// Short messages at the edge of the page.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { fresh } from "../api/inbox";
import { pageOf } from "../api/names";
import { route } from "../router";

interface Toast {
  id: number;
  text: string;
  detail?: string;
  href?: string;
}

const toasts = signal<readonly Toast[]>([]);
const STAY_MS = 5_000;
let made = 0;

/** Shows a message for a moment. */
export function say(text: string, more: { detail?: string; href?: string } = {}): void {
  made += 1;
  const id = made;
  // A plain message replaces the one before; those with somewhere to go stay until their time is over.
  toasts.value = [...toasts.value.filter(({ href }) => href !== undefined).slice(-2), { id, text, ...more }];
  setTimeout(() => dismiss(id), more.href === undefined ? STAY_MS : 2 * STAY_MS);
}

function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

export function Toasts() {
  useEffect(
    () =>
      fresh.subscribe((notification) => {
        if (notification === null) return;
        const about = notification.event || notification.channel;
        // Whoever looks at the event sees it for themselves; the inbox keeps the note.
        if (route.peek().page === "watch" && about !== "" && location.pathname === pageOf(about)) return;
        say(notification.title, { detail: notification.body, ...(about === "" ? {} : { href: pageOf(about) }) });
      }),
    [],
  );
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((toast) => (
        <div class="toast" key={toast.id}>
          <p>
            <strong>{toast.text}</strong>
            {toast.detail !== undefined && toast.detail !== "" && <span>{toast.detail}</span>}
          </p>
          {toast.href !== undefined && (
            <a class="button button-small button-lit" href={toast.href} onClick={() => dismiss(toast.id)}>
              Watch
            </a>
          )}
        </div>
      ))}
    </div>
  );
}
