// The player: picture, what is going on, controls, keys.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { MutedIcon, PlayIcon } from "../parts/icons";
import { Controls } from "./controls";
import { type Command, commandFor } from "./keys";
import { type Item, Playback, type Status } from "./playback";

/** Controls leave this long after the last movement. */
const IDLE_MS = 3_000;

export function Player(props: { item: Item; title: string; onEnded?: () => void; after?: ComponentChildren }) {
  const { item, title, onEnded, after } = props;
  const frame = useRef<HTMLDivElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const playback = useSignal<Playback | null>(null);
  const idle = useSignal(false);

  useEffect(() => {
    if (video.current === null) return;
    const opened = new Playback(video.current, item);
    playback.value = opened;
    const stop = opened.status.subscribe((status) => status === "ended" && onEnded?.());
    return () => {
      stop();
      opened.close();
      playback.value = null;
    };
  }, [item.address, item.event, item.live]);

  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const at = event.target instanceof HTMLElement ? event.target : document.body;
      if (playback.value === null || document.querySelector("dialog[open]") !== null) return;
      const command = commandFor({
        key: event.key,
        tag: at.tagName,
        ...(at instanceof HTMLInputElement ? { type: at.type } : {}),
        modified: event.ctrlKey || event.metaKey || event.altKey,
        editable: at.isContentEditable,
      });
      if (command === null) return;
      event.preventDefault();
      obey(command, playback.value, frame.current);
      wake();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);

  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const wake = () => {
    idle.value = false;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      idle.value = true;
    }, IDLE_MS);
  };
  useEffect(() => {
    wake();
    return () => clearTimeout(timer.current);
  }, []);

  // A mouse click plays and pauses; a finger only asks for the controls, or sends them away.
  const tap = () => {
    if (!matchMedia("(hover: none)").matches) playback.value?.toggle();
    else if (idle.value) wake();
    else idle.value = true;
  };

  const now = playback.value;
  const status = now?.status.value ?? "loading";
  const quiet = idle.value && status === "playing";
  return (
    <section
      class={`player ${quiet ? "player-quiet" : ""}`}
      ref={frame}
      aria-label={`Player: ${title}`}
      data-status={status}
      data-failure={now?.failure.value ?? ""}
      data-live={item.live}
      onPointerMove={(event) => event.pointerType === "mouse" && wake()}
      onFocusCapture={wake}
    >
      {/* biome-ignore lint/a11y/useMediaCaption: live streams carry no captions yet */}
      <video
        ref={video}
        playsInline
        aria-label={title}
        onClick={() => tap()}
        onDblClick={() => frame.current && toggleFullscreen(frame.current)}
      />
      <p class="sr-only" role="status">
        {spoken(status, item.live)}
      </p>
      <Overlay status={status} playback={now} live={item.live} after={after} />
      {now !== null && status !== "failed" && !(status === "ended" && item.live) && (
        <Controls playback={now} onFullscreen={() => frame.current && toggleFullscreen(frame.current)} />
      )}
    </section>
  );
}

function Overlay(props: { status: Status; playback: Playback | null; live: boolean; after?: ComponentChildren }) {
  const { status, playback, live, after } = props;
  if (status === "failed") {
    return (
      <div class="player-message" role="alert">
        <h2>This stream can't be played</h2>
        <p>The connection or the stream itself has a problem.</p>
        <button type="button" class="button button-lit" onClick={() => location.reload()}>
          Try again
        </button>
      </div>
    );
  }
  if (status === "ended") return <div class="player-message">{after ?? <h2>The end</h2>}</div>;
  if (status === "loading" || status === "waiting" || status === "stalled") {
    return (
      <div class="player-wait">
        <span class="chaser" aria-hidden="true">
          <i />
          <i />
          <i />
          <i />
          <i />
        </span>
        {status === "waiting" && <p>{live ? "The first pictures are on their way…" : "Getting the recording…"}</p>}
      </div>
    );
  }
  if (status === "paused") {
    return (
      <button type="button" class="player-big" aria-label="Play" onClick={() => void playback?.play()}>
        <PlayIcon />
      </button>
    );
  }
  if (playback?.muted.value) {
    return (
      <button type="button" class="player-unmute" onClick={() => playback.toggleMute()}>
        <MutedIcon /> Turn on sound
      </button>
    );
  }
  return null;
}

function spoken(status: Status, live: boolean): string {
  switch (status) {
    case "loading":
      return "Loading";
    case "waiting":
      return live ? "Waiting for the stream to start" : "Waiting for the recording";
    case "playing":
      return live ? "Playing live" : "Playing";
    case "paused":
      return "Paused";
    case "stalled":
      return "Waiting for more of the stream";
    case "ended":
      return "Ended";
    case "failed":
      return "Playback failed";
  }
}

function obey(command: Command, playback: Playback, frame: HTMLElement | null): void {
  switch (command.do) {
    case "toggle":
      return playback.toggle();
    case "mute":
      return playback.toggleMute();
    case "fullscreen":
      return frame === null ? undefined : toggleFullscreen(frame);
    case "live":
      return playback.goLive();
    case "seek":
      return playback.seekBy(command.by);
    case "volume":
      return playback.setVolume(playback.volume.value + command.by);
  }
}

/** Fills the screen with the player; an iPhone can only do that with the video alone. */
function toggleFullscreen(frame: HTMLElement): void {
  if (document.fullscreenElement !== null) {
    void document.exitFullscreen();
  } else if (typeof frame.requestFullscreen === "function") {
    void frame.requestFullscreen().catch(() => undefined);
  } else {
    const video = frame.querySelector("video") as (HTMLVideoElement & { webkitEnterFullscreen?: () => void }) | null;
    video?.webkitEnterFullscreen?.();
  }
}
