// What the signed-in account follows and wants to be reminded of, shared by all buttons that show it.
import { effect, signal } from "@preact/signals";
import { follows, reminders, who } from "./clients";
import { lastId } from "./names";

/** Names of the followed channels, `channels/{channel}`; null while it is not known. */
export const followed = signal<ReadonlySet<string> | null>(null);
/** The reminder of each event, by the event's name; null while it is not known. */
export const reminded = signal<ReadonlyMap<string, string> | null>(null);

const MINE = "accounts/me";

effect(() => {
  const account = who.value?.name ?? null;
  followed.value = null;
  reminded.value = null;
  if (account !== null) void load(account);
});

async function load(account: string): Promise<void> {
  const stale = () => who.peek()?.name !== account;
  await Promise.all([
    allPages((pageToken) => follows.listFollows({ parent: MINE, pageSize: 200, pageToken })).then((pages) => {
      if (!stale()) followed.value = new Set(pages.flatMap((page) => page.follows.map((follow) => follow.channel)));
    }),
    allPages((pageToken) => reminders.listReminders({ parent: MINE, pageSize: 200, pageToken })).then((pages) => {
      const all = pages.flatMap((page) => page.reminders);
      if (!stale()) reminded.value = new Map(all.map((reminder) => [reminder.event, reminder.name]));
    }),
  ]).catch(() => undefined); // the buttons stay as for a stranger; pressing one says what is wrong
}

async function allPages<T extends { nextPageToken: string }>(page: (token: string) => Promise<T>): Promise<T[]> {
  const pages: T[] = [];
  let token = "";
  do {
    const next = await page(token);
    pages.push(next);
    token = next.nextPageToken;
  } while (token !== "" && pages.length < 50);
  return pages;
}

/** Follows a channel or stops following it. */
export async function toggleFollow(channel: string): Promise<void> {
  const now = new Set(followed.peek());
  if (now.has(channel)) {
    await follows.deleteFollow({ name: `${MINE}/follows/${lastId(channel)}` });
    now.delete(channel);
  } else {
    await follows.createFollow({ parent: MINE, channel });
    now.add(channel);
  }
  followed.value = now;
}

/** Sets or removes the reminder of an event, ten minutes before its start. */
export async function toggleReminder(event: string): Promise<void> {
  const now = new Map(reminded.peek());
  const name = now.get(event);
  if (name !== undefined) {
    await reminders.deleteReminder({ name });
    now.delete(event);
  } else {
    const { reminder } = await reminders.createReminder({ parent: MINE, event });
    now.set(event, reminder?.name ?? "");
  }
  reminded.value = now;
}
