// The bar under the picture.
import { clock } from "../format/time";
import { FullscreenIcon, MutedIcon, PauseIcon, PlayIcon, SoundIcon } from "../parts/icons";
import type { Playback } from "./playback";

export function Controls({ playback, onFullscreen }: { playback: Playback; onFullscreen: () => void }) {
  const status = playback.status.value;
  const playing = status === "playing" || status === "stalled";
  const muted = playback.muted.value;
  return (
    <div class="controls">
      <Timeline playback={playback} />
      <div class="controls-row">
        <button
          type="button"
          class="control"
          aria-label={playing ? "Pause" : "Play"}
          title={playing ? "Pause (space)" : "Play (space)"}
          onClick={() => playback.toggle()}
        >
          {playing ? <PauseIcon /> : <PlayIcon />}
        </button>
        <button
          type="button"
          class="control"
          aria-label={muted ? "Turn on sound" : "Mute"}
          title={muted ? "Turn on sound (m)" : "Mute (m)"}
          onClick={() => playback.toggleMute()}
        >
          {muted ? <MutedIcon /> : <SoundIcon />}
        </button>
        <input
          class="volume"
          type="range"
          min="0"
          max="1"
          step="0.05"
          aria-label="Volume"
          value={muted ? 0 : playback.volume.value}
          style={{ "--filled": `${(muted ? 0 : playback.volume.value) * 100}%` }}
          onInput={(event) => playback.setVolume(Number(event.currentTarget.value))}
        />
        {playback.item.live ? <LiveButton playback={playback} /> : <Position playback={playback} />}
        <span class="controls-gap" />
        <button
          type="button"
          class="control"
          aria-label="Full screen"
          title="Full screen (f)"
          onClick={() => onFullscreen()}
        >
          <FullscreenIcon />
        </button>
      </div>
    </div>
  );
}

function Timeline({ playback }: { playback: Playback }) {
  const [from, to] = playback.range.value;
  const at = Math.min(Math.max(playback.position.value, from), to);
  const filled = to > from ? ((at - from) / (to - from)) * 100 : playback.item.live ? 100 : 0;
  const live = playback.item.live;
  return (
    <input
      class={`timeline ${live ? "timeline-live" : ""}`}
      type="range"
      min={from}
      max={Math.max(to, from + 1)}
      step="0.1"
      value={at}
      disabled={to <= from}
      aria-label={live ? "Go back in the live stream" : "Position"}
      aria-valuetext={live ? `${clock(to - at)} behind the newest` : `${clock(at)} of ${clock(to)}`}
      style={{ "--filled": `${filled}%` }}
      onInput={(event) => playback.seekTo(Number(event.currentTarget.value))}
    />
  );
}

function LiveButton({ playback }: { playback: Playback }) {
  const latency = playback.latency.value;
  const atEdge = playback.atLiveEdge.value && playback.status.value !== "paused";
  return (
    <>
      <button
        type="button"
        class={`live-edge ${atEdge ? "live-edge-on" : ""}`}
        aria-label={atEdge ? "Live: you are at the newest picture" : "Go to the newest picture"}
        title={atEdge ? "You are live" : "Go live (l)"}
        onClick={() => playback.goLive()}
      >
        <i aria-hidden="true" /> {atEdge ? "Live" : "Go live"}
      </button>
      {latency !== null && (
        <span class="latency" title="How long ago this was broadcast">
          {latency.toFixed(1)} s behind
        </span>
      )}
    </>
  );
}

function Position({ playback }: { playback: Playback }) {
  return (
    <span class="latency">
      {clock(playback.position.value)} / {clock(playback.range.value[1])}
    </span>
  );
}
