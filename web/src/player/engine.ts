// Plays an HLS address in a video element: with hls.js where the browser has Media Source Extensions, else with the
// browser's own HLS. It outlives what live streams do: a playlist that is not there yet, a publisher that reconnects, a
// network that goes away for a while.
import type Hls from "hls.js";
import type { BufferEOSData, ErrorData, HlsConfig } from "hls.js";

export interface EngineEvents {
  /** There is nothing to play yet; it is tried again. */
  waiting(): void;
  /** Nothing more can be done. */
  dead(reason: string): void;
}

export interface Engine {
  /** Seconds between what is shown and what the broadcaster sends; null when it is not known or not live. */
  latency(): number | null;
  /** The position that live viewers should be at; null when not live. */
  liveEdge(): number | null;
  /** Where there is something to see; null when that is all of it. */
  beginning(): number | null;
  destroy(): void;
}

/** Wait before the next try of a playlist that is not there, and how long it is tried. */
const RETRY_MS = 1_000;
const PATIENCE_MS = { live: 90_000, recording: 10_000 };
/** This many decoder errors within ten seconds are not survivable. */
const MOST_MEDIA_ERRORS = 4;

const CONFIG: Partial<HlsConfig> = {
  // As far behind the edge as the playlist asks (PART-HOLD-BACK), in parts, each asked for before it is there. A target of
  // our own (liveSyncDurationCount) would come before it.
  lowLatencyMode: true,
  // Whoever fell behind catches up without being pushed; a tenth faster is not heard.
  maxLiveSyncPlaybackRate: 1.1,
  backBufferLength: 60,
  startFragPrefetch: true,
  // A playlist that is waited for is refused with 503 while a broadcaster is away; it is no reason to give up.
  playlistLoadPolicy: {
    default: {
      maxTimeToFirstByteMs: 12_000,
      maxLoadTimeMs: 20_000,
      timeoutRetry: { maxNumRetry: 4, retryDelayMs: 0, maxRetryDelayMs: 0 },
      errorRetry: { maxNumRetry: 30, retryDelayMs: 500, maxRetryDelayMs: 2_000 },
    },
  },
};

export async function openEngine(
  video: HTMLVideoElement,
  address: string,
  live: boolean,
  events: EngineEvents,
): Promise<Engine> {
  const { default: Player } = await import("hls.js/light");
  if (Player.isSupported()) return new MediaSourceEngine(Player, video, address, live, events);
  if (video.canPlayType("application/vnd.apple.mpegurl")) return new NativeEngine(video, address, live, events);
  throw new Error("this browser can't play HLS");
}

class MediaSourceEngine implements Engine {
  private readonly hls: Hls;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private troubleSince: number | null = null;
  private mediaErrors: number[] = [];

  constructor(
    private readonly Player: typeof Hls,
    private readonly video: HTMLVideoElement,
    private readonly address: string,
    private readonly live: boolean,
    private readonly events: EngineEvents,
  ) {
    this.hls = new Player(CONFIG);
    this.hls.on(Player.Events.ERROR, (_, data) => this.failed(data));
    this.hls.on(Player.Events.FRAG_BUFFERED, () => {
      this.troubleSince = null;
    });
    this.hls.attachMedia(video);
    this.hls.loadSource(address);
  }

  private failed(data: ErrorData): void {
    if (data.details === this.Player.ErrorDetails.BUFFER_STALLED_ERROR) this.finish();
    if (!data.fatal) return;
    const { ErrorTypes, ErrorDetails } = this.Player;
    if (data.type === ErrorTypes.MEDIA_ERROR) return this.recoverMedia(data);
    if (data.type !== ErrorTypes.NETWORK_ERROR) return this.die(data.details);
    const now = Date.now();
    this.troubleSince ??= now;
    if (now - this.troubleSince > PATIENCE_MS[this.live ? "live" : "recording"]) return this.die(data.details);
    this.events.waiting();
    clearTimeout(this.timer);
    // An empty playlist stands for one that is not there: the first segment is not finished.
    const details: string[] = [
      ErrorDetails.MANIFEST_LOAD_ERROR,
      ErrorDetails.MANIFEST_LOAD_TIMEOUT,
      ErrorDetails.MANIFEST_PARSING_ERROR,
      ErrorDetails.LEVEL_EMPTY_ERROR,
    ];
    const anew = details.includes(data.details) || this.hls.levels.length === 0;
    this.timer = setTimeout(() => (anew ? this.hls.loadSource(this.address) : this.hls.startLoad()), RETRY_MS);
  }

  /**
   * Ends a stream that stalls on its last pictures. When a publisher vanishes, its last segment can hold pictures without
   * the sound to them; hls.js 1.7 then takes that segment for a gap and never says that the stream is over.
   */
  private finish(): void {
    const playlist = this.hls.latestLevelDetails;
    if (playlist === null || playlist.live || playlist.edge - this.video.currentTime > 1) return;
    // Without a type it means every track; hls.js itself triggers it so, though its types ask for one.
    this.hls.trigger(this.Player.Events.BUFFER_EOS, {} as BufferEOSData);
  }

  private recoverMedia(data: ErrorData): void {
    const now = Date.now();
    this.mediaErrors = [...this.mediaErrors.filter((at) => now - at < 10_000), now];
    if (this.mediaErrors.length > MOST_MEDIA_ERRORS) return this.die(data.details);
    if (this.mediaErrors.length === MOST_MEDIA_ERRORS) this.hls.swapAudioCodec();
    this.hls.recoverMediaError();
  }

  private die(details: string): void {
    this.hls.stopLoad();
    this.events.dead(details);
  }

  latency(): number | null {
    if (!this.live || this.hls.liveSyncPosition === null) return null;
    const behindEdge = this.hls.latency;
    // PROGRAM-DATE-TIME tells the true latency if the viewer's clock is right; a clock that is off shows at once.
    const shown = this.hls.playingDate?.getTime();
    const behindClock = shown === undefined ? Number.NaN : (Date.now() - shown) / 1000;
    return behindClock >= behindEdge - 1 && behindClock < behindEdge + 10 ? behindClock : behindEdge;
  }

  liveEdge(): number | null {
    return this.live ? this.hls.liveSyncPosition : null;
  }

  /** A stream that has just begun stands after gaps, which can be sought in and hold nothing. */
  beginning(): number | null {
    return this.hls.latestLevelDetails?.fragments.find((fragment) => !fragment.gap)?.start ?? null;
  }

  destroy(): void {
    clearTimeout(this.timer);
    this.hls.destroy();
  }
}

class NativeEngine implements Engine {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly since = Date.now();
  private readonly stop = new AbortController();

  constructor(
    private readonly video: HTMLVideoElement,
    address: string,
    private readonly live: boolean,
    events: EngineEvents,
  ) {
    video.src = address;
    video.addEventListener(
      "error",
      () => {
        if (Date.now() - this.since > PATIENCE_MS[live ? "live" : "recording"]) {
          events.dead(video.error?.message ?? "unknown");
          return;
        }
        events.waiting();
        this.timer = setTimeout(() => video.load(), RETRY_MS);
      },
      { signal: this.stop.signal },
    );
  }

  latency(): number | null {
    const edge = this.seekableEnd();
    return edge === null ? null : edge - this.video.currentTime;
  }

  liveEdge(): number | null {
    const edge = this.seekableEnd();
    return edge === null ? null : Math.max(0, edge - 4);
  }

  beginning(): number | null {
    return null;
  }

  private seekableEnd(): number | null {
    const { seekable } = this.video;
    return this.live && seekable.length > 0 ? seekable.end(seekable.length - 1) : null;
  }

  destroy(): void {
    clearTimeout(this.timer);
    this.stop.abort();
    this.video.removeAttribute("src");
    this.video.load();
  }
}
