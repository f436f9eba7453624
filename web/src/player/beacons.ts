// What the player reports of one play attempt, as a state machine without a clock or a network. The rules are those of
// marquee.analytics.v1.Beacon: sequence numbers from 1, startup once with the first PLAYING, each beacon says what the
// player does from its time on, and nothing follows ENDED or FAILED.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Beacon, BeaconSchema, PlaybackState } from "../gen/marquee/analytics/v1/playback_pb";

/** What can happen to a player. */
export type Happening = "start" | "playing" | "stalled" | "paused" | "ended" | "failed" | "left";

/** Who watches what, the same in every beacon of a session. */
export type Facts = Required<
  Pick<MessageInitShape<typeof BeaconSchema>, "sessionId" | "event" | "viewerId" | "device">
>;

/** A session that says nothing for 15 s is taken for gone; three times as often is safe. */
export const HEARTBEAT_MS = 5_000;

export class BeaconSession {
  private state = PlaybackState.UNSPECIFIED;
  private sequence = 0n;
  private lastAt = 0;
  /** When the wait for the first frame began; null once it was shown. */
  private requestedAt: number | null = null;
  private shown = false;

  constructor(private readonly facts: Facts) {}

  /** True after ENDED or FAILED: the next play needs a new session. */
  get over(): boolean {
    return this.state === PlaybackState.ENDED || this.state === PlaybackState.FAILED;
  }

  /** True once anything was reported. */
  get begun(): boolean {
    return this.sequence > 0n;
  }

  /** Tells what happened at `now` (ms); returns the beacon to send, or null when nothing new is to be said. */
  tell(happening: Happening, now: number, positionMs: number): Beacon | null {
    if (this.over) return null;
    const next = this.next(happening);
    if (next === null || next === this.state) return null;
    if (!this.begun && next !== PlaybackState.STARTING) return null;
    // A pause before the first frame is the viewer's, not the platform's: the wait begins again with the next start.
    if (next === PlaybackState.STARTING) this.requestedAt = now;
    let startupMs = 0n;
    if (next === PlaybackState.PLAYING && !this.shown) {
      this.shown = true;
      startupMs = BigInt(Math.max(1, Math.round(now - (this.requestedAt ?? now))));
    }
    this.state = next;
    return this.beacon(now, positionMs, startupMs);
  }

  /** Repeats the state when a heartbeat is due. */
  tick(now: number, positionMs: number): Beacon | null {
    if (!this.begun || this.over || now - this.lastAt < HEARTBEAT_MS) return null;
    return this.beacon(now, positionMs, 0n);
  }

  private next(happening: Happening): PlaybackState | null {
    switch (happening) {
      case "start":
        return this.shown ? null : PlaybackState.STARTING;
      case "playing":
        return PlaybackState.PLAYING;
      case "stalled":
        // Waiting for the first frame is startup; a stall is what follows playing. Paused players don't stall.
        return this.state === PlaybackState.PLAYING ? PlaybackState.REBUFFERING : null;
      case "paused":
        return PlaybackState.PAUSED;
      case "ended":
      case "left":
        return PlaybackState.ENDED;
      case "failed":
        return PlaybackState.FAILED;
    }
  }

  private beacon(now: number, positionMs: number, startupMs: bigint): Beacon {
    this.sequence += 1n;
    this.lastAt = now;
    return create(BeaconSchema, {
      ...this.facts,
      sequenceNumber: this.sequence,
      time: timestampFromMs(now),
      state: this.state,
      positionMs: BigInt(Math.max(0, Math.round(positionMs))),
      startupMs,
      platform: "web",
    });
  }
}

/** The kind of device, by what the browser says of itself. */
export function deviceOf(userAgent: string, coarsePointer: boolean): string {
  if (/smart-?tv|tizen|web0s|appletv|bravia|aft[a-z]/i.test(userAgent)) return "tv";
  if (/ipad|tablet|android(?!.*mobile)/i.test(userAgent)) return "tablet";
  if (/mobi|iphone|ipod/i.test(userAgent)) return "mobile";
  return coarsePointer && /macintosh/i.test(userAgent) ? "tablet" : "desktop";
}
