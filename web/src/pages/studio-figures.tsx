// What arrives from the encoder, as it arrives.
import { Code } from "@connectrpc/connect";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { liveStreams, streams } from "../api/clients";
import { codeOf, describe } from "../api/errors";
import { keepWatching } from "../api/watching";
import { bitrate, clock, durationMillis } from "../format/time";
import {
  type LiveStream,
  type LiveStreamFigures,
  LiveStreamState,
} from "../gen/marquee/video_ingest/v1/live_streams_pb";
import { LiveBadge } from "../parts/cards";
import { say } from "../parts/toasts";

/** The current stream is looked for this often while there is none. */
const LOOK_EVERY_MS = 2_000;

function useCurrentStream(channel: string): LiveStream | null {
  const stream = useSignal<LiveStream | null>(null);
  const watched = useSignal<string | null>(null);
  useEffect(() => {
    stream.value = null;
    watched.value = null;
    const look = async () => {
      if (watched.peek() !== null || document.visibilityState === "hidden") return;
      try {
        const { liveStream } = await liveStreams.getLiveStream({ name: `${channel}/liveStreams/-` });
        if (liveStream !== undefined && liveStream.state !== LiveStreamState.ENDED) watched.value = liveStream.name;
      } catch {
        // Not on the air, or not reachable: the next look will tell.
      }
    };
    void look();
    const timer = setInterval(() => void look(), LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, [channel]);
  useEffect(() => {
    const name = watched.value;
    if (name === null) return;
    const stop = new AbortController();
    const over = () => {
      stream.value = null;
      watched.value = null;
    };
    void keepWatching(
      {
        open: (signal) => streams.liveStreams.watchLiveStream({ name }, { signal }),
        ask: (signal) => liveStreams.getLiveStream({ name }, { signal }),
        message: ({ liveStream }) => {
          if (liveStream === undefined || liveStream.state === LiveStreamState.ENDED) over();
          else stream.value = liveStream;
        },
        failed: (error) => {
          if (codeOf(error) !== Code.NotFound) return true;
          over();
          return false;
        },
      },
      stop.signal,
    );
    return () => stop.abort();
  }, [watched.value]);
  return stream.value;
}

export function FiguresPanel({ channel }: { channel: string }) {
  const stream = useCurrentStream(channel);
  const end = async () => {
    if (stream === null || !confirm("End the stream now? The event ends with it.")) return;
    try {
      await liveStreams.stopLiveStream({ name: stream.name });
    } catch (error) {
      say(describe(error).text);
    }
  };
  return (
    <section class="panel" aria-labelledby="on-air">
      <h2 id="on-air">3. On the air</h2>
      {stream === null ? (
        <p class="quiet">Start your encoder. What it sends shows here within seconds.</p>
      ) : (
        <>
          <p class="on-air-line">
            {stream.state === LiveStreamState.LIVE ? (
              <LiveBadge />
            ) : (
              <span class="state-badge">Interrupted: waiting for your encoder</span>
            )}
            {stream.reconnects > 0 && (
              <span class="quiet small">
                {stream.reconnects} {stream.reconnects === 1 ? "reconnect" : "reconnects"}
              </span>
            )}
          </p>
          {stream.figures !== undefined && <Figures figures={stream.figures} />}
          <button type="button" class="button" onClick={() => void end()}>
            End the stream
          </button>
        </>
      )}
    </section>
  );
}

function Figures({ figures }: { figures: LiveStreamFigures }) {
  const keyframes = durationMillis(figures.keyframeInterval);
  const seconds = (durationMillis(figures.mediaDuration) ?? 0) / 1000;
  const slow = keyframes !== null && keyframes > 4_500;
  return (
    <dl class="figures">
      <Figure label="Bitrate" value={bitrate(figures.bitrate)} />
      <Figure label="Frames" value={figures.frameRate > 0 ? `${figures.frameRate.toFixed(1)} fps` : "–"} />
      <Figure label="Picture" value={figures.width > 0 ? `${figures.width}×${figures.height}` : "–"} />
      <Figure
        label="Keyframes"
        value={keyframes === null || keyframes === 0 ? "–" : `every ${(keyframes / 1000).toFixed(1)} s`}
        {...(slow ? { advice: "Set your encoder's keyframe interval to 2 s for less delay." } : {})}
      />
      <Figure label="Sent" value={clock(seconds)} />
      <Figure label="Codecs" value={[figures.videoCodec, figures.audioCodec].filter(Boolean).join(", ") || "–"} />
    </dl>
  );
}

function Figure({ label, value, advice }: { label: string; value: string; advice?: string }) {
  return (
    <div class={advice === undefined ? "" : "figure-odd"}>
      <dt>{label}</dt>
      <dd>{value}</dd>
      {advice !== undefined && <dd class="small">{advice}</dd>}
    </div>
  );
}
