// One play of one item: the video element, the engine that feeds it, and the beacons that tell of it. What the controls
// show is in signals.
import { batch, signal } from "@preact/signals";
import { uuid } from "../format/uuid";
import { BeaconPost, viewerId } from "./beacon-post";
import { BeaconSession, deviceOf, type Happening } from "./beacons";
import { type Engine, openEngine } from "./engine";

export type Status = "loading" | "waiting" | "playing" | "paused" | "stalled" | "ended" | "failed";

export interface Item {
  /** `channels/{channel}/events/{event}`. */
  event: string;
  /** Address of the playlist. */
  address: string;
  live: boolean;
}

/** Further behind than this and the viewer is no longer "live". */
const BEHIND_S = 3;
const SOUND = "marquee.sound";

export class Playback {
  readonly status = signal<Status>("loading");
  readonly muted = signal(true);
  readonly volume = signal(1);
  readonly position = signal(0);
  /** What can be sought in, seconds. */
  readonly range = signal<readonly [number, number]>([0, 0]);
  readonly latency = signal<number | null>(null);
  readonly atLiveEdge = signal(true);
  /** True once a frame was shown. */
  readonly shown = signal(false);
  readonly failure = signal("");

  private engine: Engine | null = null;
  private beacons: BeaconSession;
  private readonly post = new BeaconPost();
  private readonly closing = new AbortController();
  private timer: ReturnType<typeof setInterval> | undefined;
  private seeking = false;

  constructor(
    private readonly video: HTMLVideoElement,
    readonly item: Item,
  ) {
    this.beacons = this.newSession();
    this.listen();
    const sound = savedSound();
    video.volume = sound.volume;
    video.muted = sound.muted;
    this.timer = setInterval(() => this.tick(), 500);
    void this.open();
  }

  private newSession(): BeaconSession {
    const device = deviceOf(navigator.userAgent, matchMedia("(pointer: coarse)").matches);
    return new BeaconSession({ sessionId: uuid(), event: this.item.event, viewerId: viewerId(), device });
  }

  private async open(): Promise<void> {
    this.tell("start");
    try {
      const engine = await openEngine(this.video, this.item.address, this.item.live, {
        waiting: () => this.status.peek() === "loading" && this.enter("waiting"),
        dead: (reason) => this.die(reason),
      });
      if (this.closing.signal.aborted) return engine.destroy();
      this.engine = engine;
    } catch (error) {
      return this.die(error instanceof Error ? error.message : "unknown");
    }
    await this.play();
  }

  /** Plays; without sound when the browser allows no more. */
  async play(): Promise<void> {
    if (this.status.peek() === "ended" || this.beacons.over) this.restart();
    try {
      await this.video.play();
    } catch (error) {
      const refused = error instanceof DOMException && error.name === "NotAllowedError";
      if (!refused) return;
      if (this.video.muted) return this.enter("paused");
      this.video.muted = true;
      await this.video.play().catch(() => this.enter("paused"));
    }
  }

  private restart(): void {
    this.beacons = this.newSession();
    this.tell("start");
    this.enter("loading");
  }

  toggle(): void {
    if (this.video.paused) void this.play();
    else this.video.pause();
  }

  toggleMute(): void {
    this.video.muted = !this.video.muted;
    if (!this.video.muted && this.video.volume === 0) this.video.volume = 0.5;
    saveSound(this.video);
  }

  setVolume(volume: number): void {
    this.video.volume = Math.min(1, Math.max(0, volume));
    this.video.muted = this.video.volume === 0;
    saveSound(this.video);
  }

  seekTo(seconds: number): void {
    const [from, to] = this.range.peek();
    if (to <= from) return;
    const edge = this.engine?.liveEdge() ?? to;
    this.video.currentTime = Math.min(Math.max(seconds, from), Math.max(from, edge));
  }

  seekBy(seconds: number): void {
    this.seekTo(this.video.currentTime + seconds);
  }

  goLive(): void {
    const edge = this.engine?.liveEdge();
    if (edge !== undefined && edge !== null) this.video.currentTime = edge;
    if (this.video.paused) void this.play();
  }

  close(): void {
    if (this.closing.signal.aborted) return;
    this.tell("left");
    this.closing.abort();
    clearInterval(this.timer);
    this.engine?.destroy();
    this.engine = null;
  }

  private listen(): void {
    const on = <K extends keyof HTMLVideoElementEventMap>(name: K, act: () => void) =>
      this.video.addEventListener(name, act, { signal: this.closing.signal });
    on("play", () => this.tell("start"));
    on("playing", () => {
      this.shown.value = true;
      this.enter("playing");
      this.tell("playing");
    });
    on("pause", () => {
      if (this.video.ended || this.status.peek() === "failed") return;
      this.enter("paused");
      this.tell("paused");
    });
    on("seeking", () => {
      this.seeking = true;
    });
    on("seeked", () => {
      this.seeking = false;
    });
    on("waiting", () => {
      if (this.video.paused || !this.shown.peek()) return;
      this.enter("stalled");
      // The gap after a seek is the viewer's own doing.
      if (!this.seeking) this.tell("stalled");
    });
    on("timeupdate", () => this.tick());
    on("ended", () => {
      this.enter("ended");
      this.tell("ended");
    });
    on("volumechange", () => {
      batch(() => {
        this.muted.value = this.video.muted;
        this.volume.value = this.video.volume;
      });
    });
    const { signal } = this.closing;
    addEventListener("pagehide", () => this.pageGoes(), { signal });
    addEventListener("pageshow", (event) => event.persisted && this.beacons.over && this.resume(), { signal });
  }

  /** The page came back out of the browser's cache: that is a new view. */
  private resume(): void {
    this.beacons = this.newSession();
    this.tell("start");
    if (!this.video.paused) this.tell("playing");
  }

  private pageGoes(): void {
    this.post.sendAsPageGoes(this.beacons.tell("left", Date.now(), this.video.currentTime * 1000));
  }

  private tick(): void {
    const beacon = this.beacons.tick(Date.now(), this.video.currentTime * 1000);
    if (beacon !== null) this.post.send(beacon);
    const { seekable } = this.video;
    const latency = this.engine?.latency() ?? null;
    const edge = this.engine?.liveEdge() ?? null;
    batch(() => {
      this.position.value = this.video.currentTime;
      if (seekable.length > 0) {
        // Live ends where viewers should be, not at the last byte: whoever is live stands at the end of the line.
        const end = edge === null ? seekable.end(seekable.length - 1) : Math.max(edge, this.video.currentTime);
        const start = Math.max(seekable.start(0), this.engine?.beginning() ?? 0);
        this.range.value = [Math.min(start, end), end];
      }
      this.latency.value = latency === null ? null : Math.round(latency * 10) / 10;
      this.atLiveEdge.value = edge === null || edge - this.video.currentTime < BEHIND_S;
    });
  }

  private enter(status: Status): void {
    this.status.value = status;
  }

  private tell(happening: Happening): void {
    const beacon = this.beacons.tell(happening, Date.now(), this.video.currentTime * 1000);
    if (beacon !== null) this.post.send(beacon);
  }

  private die(reason: string): void {
    this.failure.value = reason;
    this.enter("failed");
    this.tell("failed");
  }
}

function savedSound(): { muted: boolean; volume: number } {
  const [muted, volume] = (localStorage.getItem(SOUND) ?? "").split(" ");
  const level = Number(volume ?? "1");
  return { muted: muted !== "on", volume: level >= 0 && level <= 1 ? level : 1 };
}

function saveSound({ muted, volume }: HTMLVideoElement): void {
  localStorage.setItem(SOUND, `${muted ? "off" : "on"} ${volume.toFixed(2)}`);
}
