import { describe, expect, it } from "vitest";
import { backoff, pause } from "./watching";

describe("coming back after an error", () => {
  it("waits twice as long each time, up to fifteen seconds", () => {
    expect([0, 1, 2, 3, 10].map((attempt) => backoff(attempt, 1))).toEqual([500, 1_000, 2_000, 4_000, 15_000]);
  });

  it("spreads the crowd over half of the wait", () => {
    expect(backoff(2, 0)).toBe(1_000);
  });

  it("ends at once when the page goes elsewhere", async () => {
    const stop = new AbortController();
    const waiting = pause(60_000, stop.signal);
    stop.abort();
    await expect(waiting).resolves.toBeUndefined();
  });
});
