// Plays a playlist with hls.js in Chromium and counts.
//
//   node tests/hls.mjs <playlist url> <seconds> [--live] [--timeout <seconds>]
//
// Plays from the start of what the playlist has (with --live: where hls.js joins, with low latency) for that many seconds of
// media, or to its end, and prints one line:
// {"frames","dropped","currentTime","started","fatalErrors","errors","levels","wentBack","discontinuities","ended","atEnd",
// "latency","stalls"}. `latency` is how many seconds the picture is behind its PROGRAM-DATE-TIME, the median of the last
// three seconds.
// `ended` is the video's event; `atEnd` says that it stands within half a second of the end of a playlist with ENDLIST
// (hls.js 1.7 raises no event when the last segment has hardly any sound to its pictures).
// `frames` and `dropped` are the browser's own count (VideoPlaybackQuality). A stream that does not play is a result,
// not a failure of the script; it exits with 1 only when it could not run.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { launch, run, words } from "./chromium.mjs";

const HLS_JS = readFileSync(createRequire(import.meta.url).resolve("hls.js/dist/hls.min.js"));

const PAGE = `<!doctype html><meta charset="utf-8"><title>hls</title>
<video id="video" muted playsinline width="640" height="360"></video><script src="/hls.js"></script>`;

/** Serves the page, and the playlist's folder as if it were ours: the server under test need not allow other origins. */
async function serve(target) {
  const server = createServer((request, response) => {
    if (request.url === "/") {
      response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
    } else if (request.url === "/hls.js") {
      response.writeHead(200, { "content-type": "text/javascript" }).end(HLS_JS);
    } else {
      fetch(new URL(request.url, target), { headers: { range: request.headers.range ?? "" } }).then(
        async (answer) => {
          const body = Buffer.from(await answer.arrayBuffer());
          const type = answer.headers.get("content-type") ?? "application/octet-stream";
          response.writeHead(answer.status, { "content-type": type }).end(body);
        },
        () => response.writeHead(502).end(),
      );
    }
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return { server, origin: `http://127.0.0.1:${server.address().port}` };
}

/** In the page: plays and keeps the record. */
function play([address, live]) {
  const record = { fatal: [], errors: [], wentBack: false, discontinuities: 0, levels: 0, ended: false, started: null };
  record.latencies = [];
  record.stalls = 0;
  window.record = record;
  const video = document.getElementById("video");
  const hls = new window.Hls(live ? { lowLatencyMode: true } : { startPosition: 0, liveSyncDurationCount: 2 });
  window.hls = hls;
  const { Events, ErrorTypes } = window.Hls;
  hls.on(Events.MANIFEST_PARSED, (_, data) => {
    record.levels = data.levels.length;
    video.play().catch((error) => record.errors.push(String(error)));
  });
  const seen = new Set();
  hls.on(Events.FRAG_CHANGED, (_, { frag }) => {
    if (seen.size > 0 && !seen.has(frag.cc)) record.discontinuities += 1;
    seen.add(frag.cc);
  });
  hls.on(Events.ERROR, (_, data) => {
    (data.fatal ? record.fatal : record.errors).push(data.details);
    if (!data.fatal) return;
    if (data.type === ErrorTypes.NETWORK_ERROR) setTimeout(() => hls.loadSource(address), 1000);
    else if (data.type === ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
  });
  let last = 0;
  video.addEventListener("timeupdate", () => {
    record.started ??= video.currentTime;
    if (hls.playingDate) record.latencies.push([Date.now(), (Date.now() - hls.playingDate.getTime()) / 1000]);
    // A jump ahead (a gap that is skipped) is not going back; a twentieth of a second is rounding.
    if (video.currentTime < last - 0.05) record.wentBack = true;
    last = video.currentTime;
  });
  video.addEventListener("ended", () => {
    record.ended = true;
  });
  video.addEventListener("waiting", () => {
    if (record.started !== null) record.stalls += 1;
  });
  hls.attachMedia(video);
  hls.loadSource(address);
}

function look() {
  const video = document.getElementById("video");
  const quality = video.getVideoPlaybackQuality();
  const playlist = window.hls.latestLevelDetails;
  const edge = playlist !== null && !playlist.live ? playlist.edge : null;
  const { latencies, ...record } = window.record;
  const last = latencies.filter(([at]) => Date.now() - at < 3_000).map(([, latency]) => latency);
  last.sort((a, b) => a - b);
  return {
    ...record,
    latency: last[Math.floor(last.length / 2)] ?? null,
    atEnd: edge !== null && video.currentTime > edge - 0.5,
    currentTime: video.currentTime,
    frames: quality.totalVideoFrames,
    dropped: quality.droppedVideoFrames,
  };
}

run(async () => {
  const { places, options } = words(process.argv.slice(2), ["timeout"]);
  const [address, seconds] = places;
  if (address === undefined || !(Number(seconds) > 0)) {
    throw new Error("usage: node tests/hls.mjs <playlist url> <seconds> [--live] [--timeout <seconds>]");
  }
  const target = new URL(address);
  const limit = Number(options.timeout ?? Number(seconds) + 30) * 1000;
  const { server, origin } = await serve(target);
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.goto(origin);
    await page.evaluate(play, [origin + target.pathname + target.search, options.live === true]);
    const end = Date.now() + limit;
    let seen = await page.evaluate(look);
    let atEndSince = null;
    const over = () => seen.ended || (atEndSince !== null && Date.now() - atEndSince > 3_000);
    const played = () => (seen.started === null ? 0 : seen.currentTime - seen.started);
    while (!over() && Date.now() < end && played() < Number(seconds)) {
      await page.waitForTimeout(100);
      seen = await page.evaluate(look);
      if (seen.atEnd) atEndSince ??= Date.now();
    }
    const { fatal, ...rest } = seen;
    return { ...rest, fatalErrors: fatal };
  } finally {
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
});
