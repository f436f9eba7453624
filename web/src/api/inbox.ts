// The signed-in account's notifications, as they come.
import { effect, signal } from "@preact/signals";
import type { Notification } from "../gen/marquee/notifications/v1/inbox_pb";
import { inbox, streams, who } from "./clients";
import { keepWatching } from "./watching";

export const unread = signal(0);
/** Newest first; null while they are not known. */
export const notifications = signal<readonly Notification[] | null>(null);
/** The one that came just now, to be shown for a moment. */
export const fresh = signal<Notification | null>(null);

const MINE = "accounts/me";

effect(() => {
  const account = who.value?.name;
  unread.value = 0;
  notifications.value = null;
  fresh.value = null;
  if (account === undefined) return;
  const stop = new AbortController();
  void watch(stop.signal);
  return () => stop.abort();
});

async function watch(signal: AbortSignal): Promise<void> {
  // The cursor of the last message: with it the server leaves nothing out and sends nothing twice.
  let cursor = "";
  await keepWatching(
    {
      open: (leave) => streams.inbox.watchNotifications({ parent: MINE, cursor }, { signal: leave }),
      ask: async () => {
        const [{ unreadCount }] = await Promise.all([inbox.getUnreadCount({ parent: MINE }), loadNotifications()]);
        return { unreadCount, notification: undefined, cursor };
      },
      message: (message) => {
        cursor = message.cursor;
        unread.value = Number(message.unreadCount);
        if (message.notification !== undefined) arrived(message.notification);
        else if (notifications.peek() === null) void loadNotifications().catch(() => undefined);
      },
    },
    signal,
  );
}

function arrived(notification: Notification): void {
  const known = notifications.peek() ?? [];
  if (known.some(({ name }) => name === notification.name)) return;
  notifications.value = [notification, ...known];
  fresh.value = notification;
}

/** Loads the newest notifications. */
export async function loadNotifications(): Promise<void> {
  const account = who.peek()?.name;
  const page = await inbox.listNotifications({ parent: MINE, pageSize: 50 });
  if (who.peek()?.name !== account) return;
  const loaded = new Set(page.notifications.map(({ name }) => name));
  const newer = (notifications.peek() ?? []).filter(({ name }) => !loaded.has(name));
  notifications.value = [...newer, ...page.notifications];
}

/** Marks some as read, or all. */
export async function markRead(names: readonly string[] | "all"): Promise<void> {
  const request = names === "all" ? { parent: MINE, all: true } : { parent: MINE, names: [...names] };
  const { unreadCount } = await inbox.markRead(request);
  unread.value = Number(unreadCount);
  notifications.value = (notifications.peek() ?? []).map((one) =>
    names === "all" || names.includes(one.name) ? { ...one, read: true } : one,
  );
}
