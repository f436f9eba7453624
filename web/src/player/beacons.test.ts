import { describe, expect, it } from "vitest";
import { PlaybackState } from "../gen/marquee/analytics/v1/playback_pb";
import { BeaconSession, deviceOf, HEARTBEAT_MS } from "./beacons";

const FACTS = { sessionId: "s", event: "channels/c/events/e", viewerId: "v", device: "desktop" };
const T = 1_000_000;

function started(): BeaconSession {
  const session = new BeaconSession(FACTS);
  session.tell("start", T, 0);
  return session;
}

function playing(): BeaconSession {
  const session = started();
  session.tell("playing", T + 800, 0);
  return session;
}

describe("a playback session", () => {
  it("counts its beacons from one", () => {
    const session = new BeaconSession(FACTS);
    const numbers = (["start", "playing", "paused", "playing", "ended"] as const).map(
      (happening, at) => session.tell(happening, T + at, 0)?.sequenceNumber,
    );
    expect(numbers).toEqual([1n, 2n, 3n, 4n, 5n]);
  });

  it("says who watches what in each beacon", () => {
    expect(started().tell("playing", T + 1, 250)).toMatchObject({ ...FACTS, platform: "web", positionMs: 250n });
  });

  it("says nothing before it starts", () => {
    const session = new BeaconSession(FACTS);
    expect(session.tell("playing", T, 0)).toBeNull();
    expect(session.tell("left", T, 0)).toBeNull();
    expect(session.tick(T + HEARTBEAT_MS, 0)).toBeNull();
  });

  it("tells the startup time once, with the first picture", () => {
    const session = started();
    expect(session.tell("playing", T + 812, 0)?.startupMs).toBe(812n);
    session.tell("stalled", T + 2_000, 0);
    expect(session.tell("playing", T + 2_500, 0)?.startupMs).toBe(0n);
  });

  it("does not blame the platform for a pause before the first picture", () => {
    const session = started();
    session.tell("paused", T + 100, 0);
    expect(session.tell("start", T + 60_000, 0)?.state).toBe(PlaybackState.STARTING);
    expect(session.tell("playing", T + 60_300, 0)?.startupMs).toBe(300n);
  });

  it("calls a wait after the first picture a stall, and none before it or while paused", () => {
    expect(started().tell("stalled", T + 10, 0)).toBeNull();
    expect(playing().tell("stalled", T + 900, 0)?.state).toBe(PlaybackState.REBUFFERING);
    const paused = playing();
    paused.tell("paused", T + 900, 0);
    expect(paused.tell("stalled", T + 950, 0)).toBeNull();
  });

  it("does not repeat a state that goes on", () => {
    expect(playing().tell("playing", T + 900, 0)).toBeNull();
  });

  it("is over after the end or a failure", () => {
    for (const last of ["ended", "failed", "left"] as const) {
      const session = playing();
      expect(session.tell(last, T + 1_000, 0)).not.toBeNull();
      expect(session.over).toBe(true);
      expect(session.tell("playing", T + 2_000, 0)).toBeNull();
      expect(session.tick(T + 60_000, 0)).toBeNull();
    }
  });

  it("repeats its state every five seconds of silence, and no sooner", () => {
    const session = playing();
    expect(session.tick(T + 800 + HEARTBEAT_MS - 1, 0)).toBeNull();
    const beat = session.tick(T + 800 + HEARTBEAT_MS, 5_000);
    expect(beat).toMatchObject({ state: PlaybackState.PLAYING, sequenceNumber: 3n, positionMs: 5_000n, startupMs: 0n });
    expect(session.tick(T + 800 + HEARTBEAT_MS + 1, 0)).toBeNull();
  });

  it("counts any beacon as a sign of life", () => {
    const session = playing();
    session.tell("stalled", T + 4_000, 0);
    expect(session.tick(T + 800 + HEARTBEAT_MS, 0)).toBeNull();
  });
});

describe("the kind of device", () => {
  it("is read from what the browser says of itself", () => {
    expect(deviceOf("Mozilla/5.0 (X11; Linux x86_64) Chrome/140 Safari/537.36", false)).toBe("desktop");
    expect(deviceOf("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Mobile/15E148", true)).toBe("mobile");
    expect(deviceOf("Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/140 Mobile", true)).toBe("mobile");
    expect(deviceOf("Mozilla/5.0 (Linux; Android 15; SM-X910) Chrome/140 Safari", true)).toBe("tablet");
    expect(deviceOf("Mozilla/5.0 (SMART-TV; Linux; Tizen 8.0) Chrome/120", false)).toBe("tv");
  });

  it("knows the tablet that says it is a Macintosh", () => {
    expect(deviceOf("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Safari/605", true)).toBe("tablet");
  });
});
