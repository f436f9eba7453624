// The stream key, shown once, and what to enter into an encoder.
import { useSignal } from "@preact/signals";
import { streamKeys } from "../api/clients";
import { describe } from "../api/errors";
import { millis, relative } from "../format/time";
import { uuid } from "../format/uuid";
import { CopyButton } from "../parts/copy-button";
import { Trouble, useLoad } from "../parts/loading";
import { say } from "../parts/toasts";

interface Shown {
  secret: string;
  server: string;
}

export function EncoderPanel({ channel }: { channel: string }) {
  const keys = useLoad(() => streamKeys.listStreamKeys({ parent: channel, pageSize: 50 }), [channel]);
  const shown = useSignal<Shown | null>(null);
  const busy = useSignal(false);

  const attempt = async (work: () => Promise<void>) => {
    busy.value = true;
    try {
      await work();
      keys.again();
    } catch (error) {
      say(describe(error).text);
    } finally {
      busy.value = false;
    }
  };
  const create = () =>
    attempt(async () => {
      const request = { parent: channel, streamKey: { displayName: "Studio" }, requestId: uuid() };
      const { secret, publishUrl } = await streamKeys.createStreamKey(request);
      shown.value = { secret, server: publishUrl };
    });
  const revoke = (name: string) =>
    attempt(async () => {
      if (!confirm("Revoke this key? An encoder that uses it is disconnected.")) return;
      await streamKeys.revokeStreamKey({ name });
    });

  const active = keys.data?.streamKeys.filter(({ revoked }) => !revoked) ?? [];
  return (
    <section class="panel" aria-labelledby="encoder">
      <h2 id="encoder">2. Encoder</h2>
      {keys.fault !== null && <Trouble fault={keys.fault} again={keys.again} />}
      {shown.value === null ? (
        <p class="quiet">A stream key lets OBS, ffmpeg or a hardware encoder send to this channel.</p>
      ) : (
        <NewKey shown={shown.value} />
      )}
      {active.length > 0 && (
        <ul class="studio-events" aria-label="Stream keys">
          {active.map((key) => {
            const used = millis(key.lastUsedTime);
            return (
              <li key={key.name}>
                <div>
                  <span>
                    {key.displayName || "Key"} <code>…{key.hint}</code>
                  </span>
                  <span class="quiet small">{used === null ? "never used" : `used ${relative(used, Date.now())}`}</span>
                </div>
                <button type="button" class="button button-small" onClick={() => void revoke(key.name)}>
                  Revoke
                </button>
              </li>
            );
          })}
        </ul>
      )}
      <button
        type="button"
        class={`button ${active.length === 0 ? "button-lit" : ""}`}
        disabled={busy.value}
        onClick={() => void create()}
      >
        {active.length === 0 ? "Create a stream key" : "Create another key"}
      </button>
      <dl class="settings">
        <div>
          <dt>Video</dt>
          <dd>H.264, 1280×720 at 30 fps, 2,500 kbit/s</dd>
        </div>
        <div>
          <dt>Keyframe interval</dt>
          <dd>2 s</dd>
        </div>
        <div>
          <dt>Audio</dt>
          <dd>AAC, 48 kHz, 128 kbit/s</dd>
        </div>
      </dl>
    </section>
  );
}

function NewKey({ shown: { secret, server } }: { shown: Shown }) {
  const command =
    "ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000 " +
    `-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 60 -b:v 2500k -c:a aac -b:a 128k -f flv ${server}/${secret}`;
  return (
    <div class="new-key">
      <p>
        <strong>Copy the key now.</strong> It is shown this once and can't be read again.
      </p>
      <Setting label="Server" value={server} />
      <Setting label="Stream key" value={secret} />
      <details>
        <summary>No encoder at hand? Send a test picture with ffmpeg</summary>
        <div class="command">
          <code>{command}</code>
          <CopyButton text={command} what="command" />
        </div>
      </details>
    </div>
  );
}

function Setting({ label, value }: { label: string; value: string }) {
  return (
    <div class="setting">
      <span class="quiet small">{label}</span>
      <code>{value}</code>
      <CopyButton text={value} what={label.toLowerCase()} />
    </div>
  );
}
