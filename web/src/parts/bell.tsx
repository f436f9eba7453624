// The inbox: a bell in the header and the list that it opens.
import { useSignal } from "@preact/signals";
import { describe } from "../api/errors";
import { markRead, notifications, unread } from "../api/inbox";
import { pageOf } from "../api/names";
import { millis, relative } from "../format/time";
import { type Notification, NotificationKind } from "../gen/marquee/notifications/v1/inbox_pb";
import { BellIcon } from "./icons";
import { useNow } from "./loading";
import { useMenu } from "./menu";
import { say } from "./toasts";

const mark = (names: readonly string[] | "all") => markRead(names).catch((error: unknown) => say(describe(error).text));

export function Bell() {
  const open = useSignal(false);
  const { box, button } = useMenu(open);
  const count = unread.value;
  return (
    <div class="menu" ref={box}>
      <button
        type="button"
        class="icon-button bell"
        ref={button}
        aria-label={count === 0 ? "Inbox" : `Inbox, ${count} unread`}
        aria-expanded={open.value}
        aria-controls="inbox-panel"
        onClick={() => {
          open.value = !open.value;
        }}
      >
        <BellIcon />
        {count > 0 && <span class="bell-count">{count > 99 ? "99+" : count}</span>}
      </button>
      {open.value && (
        <div class="menu-panel menu-panel-wide" id="inbox-panel">
          <div class="menu-head menu-head-row">
            <strong>Inbox</strong>
            {count > 0 && (
              <button type="button" class="text-button" onClick={() => void mark("all")}>
                Mark all as read
              </button>
            )}
          </div>
          <NotificationList most={8} />
          <a class="menu-item menu-foot" href="/inbox">
            See everything
          </a>
        </div>
      )}
    </div>
  );
}

export function NotificationList({ most = Number.POSITIVE_INFINITY }: { most?: number }) {
  const now = useNow(30_000);
  const all = notifications.value;
  if (all === null) return <p class="inbox-empty quiet">Loading…</p>;
  if (all.length === 0) {
    return (
      <p class="inbox-empty quiet">
        Nothing yet. Follow a channel and you'll hear here when it schedules something or goes live.
      </p>
    );
  }
  return (
    <ul class="inbox">
      {all.slice(0, most).map((notification) => (
        <Line key={notification.name} notification={notification} now={now} />
      ))}
    </ul>
  );
}

function Line({ notification, now }: { notification: Notification; now: number }) {
  const { name, title, body, read, kind } = notification;
  const about = notification.event || notification.channel;
  const at = millis(notification.createTime);
  return (
    <li class={`inbox-line ${read ? "" : "inbox-unread"} ${kind === NotificationKind.EVENT_LIVE ? "inbox-live" : ""}`}>
      <a
        class="inbox-link"
        href={about === "" ? "/inbox" : pageOf(about)}
        onClick={() => {
          if (!read) void mark([name]);
        }}
      >
        <strong>{title}</strong>
        {body !== "" && <span class="quiet">{body}</span>}
        {at !== null && <time class="quiet small">{relative(at, now)}</time>}
      </a>
      {!read && (
        <button
          type="button"
          class="inbox-dot"
          aria-label={`Mark as read: ${title}`}
          title="Mark as read"
          onClick={() => void mark([name])}
        />
      )}
    </li>
  );
}
