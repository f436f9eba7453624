// Resource names (AIP-122) and the page addresses that show them.

/** The last id of a name: `channels/c1/events/e1` -> `e1`. */
export function lastId(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}

/** The channel a name is under: `channels/c1/events/e1` -> `channels/c1`. */
export function channelOf(name: string): string {
  return name.split("/").slice(0, 2).join("/");
}

/** The page of an event. */
export function watchPath(event: string): string {
  return `/watch/${event}`;
}

/** The page of a channel, by its handle where it is known. */
export function channelPath(channel: { name: string; handle?: string }): string {
  return channel.handle ? `/channels/@${channel.handle}` : `/${channel.name}`;
}

/** The studio of a channel. */
export function studioPath(channel: string): string {
  return `/studio/${channel}`;
}

/** The page of a search result, a suggestion or a notification. */
export function pageOf(name: string): string {
  return name.includes("/events/") ? watchPath(name) : `/${name}`;
}

/** The channel name for what stands in the address bar: an id or `@handle`. */
export function channelName(idOrHandle: string): string {
  return `channels/${idOrHandle}`;
}
