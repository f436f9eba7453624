// Which page an address means, and going from one to the other without loading anew.
import { signal } from "@preact/signals";

export type Route =
  | { page: "home" }
  | { page: "search"; query: string }
  | { page: "watch"; event: string }
  | { page: "channel"; channel: string }
  | { page: "studio" }
  | { page: "studio-channel"; channel: string }
  | { page: "inbox" }
  | { page: "not-found" };

const ID = "[A-Za-z0-9_-]{1,64}";
const WATCH = new RegExp(`^/watch/(channels/${ID}/events/${ID})$`);
const CHANNEL = new RegExp(`^/(channels/@?${ID})$`);
const STUDIO = new RegExp(`^/studio/(channels/${ID})$`);

/** The route of an address. A slash at the end makes no difference. */
export function match(path: string, query = ""): Route {
  const address = decoded(path).replace(/(.)\/+$/, "$1");
  if (address === "/") return { page: "home" };
  if (address === "/search") return { page: "search", query: new URLSearchParams(query).get("q")?.trim() ?? "" };
  if (address === "/studio") return { page: "studio" };
  if (address === "/inbox") return { page: "inbox" };
  const event = WATCH.exec(address)?.[1];
  if (event !== undefined) return { page: "watch", event };
  const channel = CHANNEL.exec(address)?.[1];
  if (channel !== undefined) return { page: "channel", channel };
  const studio = STUDIO.exec(address)?.[1];
  if (studio !== undefined) return { page: "studio-channel", channel: studio };
  return { page: "not-found" };
}

function decoded(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}

/** True for a click that should stay in the page: plain, on a link of ours. */
export function isOurs(
  click: Pick<MouseEvent, "button" | "metaKey" | "ctrlKey" | "shiftKey" | "altKey" | "defaultPrevented">,
  link: { origin: string; target: string; download: boolean },
  origin: string,
): boolean {
  const plain = click.button === 0 && !click.metaKey && !click.ctrlKey && !click.shiftKey && !click.altKey;
  return plain && !click.defaultPrevented && !link.download && link.target === "" && link.origin === origin;
}

export const route = signal<Route>({ page: "home" });

/** Goes to an address of ours. */
export function go(address: string, options: { replace?: boolean } = {}): void {
  if (options.replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  arrive();
  scrollTo(0, 0);
}

function arrive(): void {
  route.value = match(location.pathname, location.search);
}

/** Listens to links and to the browser's back and forward. */
export function startRouting(): void {
  arrive();
  addEventListener("popstate", arrive);
  document.addEventListener("click", (click) => {
    const link = click.target instanceof Element ? click.target.closest("a") : null;
    if (link === null) return;
    const { origin, target } = link;
    if (!isOurs(click, { origin, target, download: link.hasAttribute("download") }, location.origin)) return;
    if (link.getAttribute("href")?.startsWith("#")) return;
    click.preventDefault();
    go(link.pathname + link.search);
  });
}
