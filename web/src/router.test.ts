import { describe, expect, it } from "vitest";
import { isOurs, match } from "./router";

describe("an address", () => {
  it("leads to its page", () => {
    expect(match("/")).toEqual({ page: "home" });
    expect(match("/watch/channels/c1/events/e1")).toEqual({ page: "watch", event: "channels/c1/events/e1" });
    expect(match("/channels/c1")).toEqual({ page: "channel", channel: "channels/c1" });
    expect(match("/studio")).toEqual({ page: "studio" });
    expect(match("/studio/channels/c1")).toEqual({ page: "studio-channel", channel: "channels/c1" });
    expect(match("/inbox")).toEqual({ page: "inbox" });
  });

  it("may name a channel by its handle", () => {
    expect(match("/channels/@late-night")).toEqual({ page: "channel", channel: "channels/@late-night" });
  });

  it("may end with a slash", () => {
    expect(match("/inbox/")).toEqual({ page: "inbox" });
  });

  it("carries the search", () => {
    expect(match("/search", "?q=caf%C3%A9+jazz")).toEqual({ page: "search", query: "café jazz" });
    expect(match("/search")).toEqual({ page: "search", query: "" });
  });

  it("that leads nowhere is not found", () => {
    for (const path of ["/nope", "/watch/channels/c1", "/watch/channels/c1/events/e 1", "/channels/a/b", "/%E0%A4%A"]) {
      expect(match(path)).toEqual({ page: "not-found" });
    }
  });
});

describe("a click on a link", () => {
  const ORIGIN = "http://127.0.0.1:8080";
  const plain = { button: 0, metaKey: false, ctrlKey: false, shiftKey: false, altKey: false, defaultPrevented: false };
  const ours = { origin: ORIGIN, target: "", download: false };

  it("stays in the page when it is plain and the link is ours", () => {
    expect(isOurs(plain, ours, ORIGIN)).toBe(true);
  });

  it("is the browser's when it asks for a new tab, another site or a file", () => {
    expect(isOurs({ ...plain, ctrlKey: true }, ours, ORIGIN)).toBe(false);
    expect(isOurs({ ...plain, button: 1 }, ours, ORIGIN)).toBe(false);
    expect(isOurs(plain, { ...ours, origin: "https://elsewhere.example" }, ORIGIN)).toBe(false);
    expect(isOurs(plain, { ...ours, target: "_self" }, ORIGIN)).toBe(false);
    expect(isOurs(plain, { ...ours, download: true }, ORIGIN)).toBe(false);
  });
});
