// Opens the watch page of an event in Chromium, as a viewer does.
//
//   node tests/watch.mjs <page url> <seconds> [--until-ended] [--screenshot FILE] [--timeout <seconds>]
//
// Waits until the video plays, stays for that many seconds of media (or until the end), and prints one line:
// {"title","state","status","frames","dropped","currentTime","audience","consoleErrors","fatalErrors","wentBack"}.
// `state` is the event's on the page, `status` the player's, `audience` the number shown (null when none is).
// It exits with 1 only when it could not run; a video that never plays is a result with 0 frames.
import { complaints, launch, run, words } from "./chromium.mjs";

/** In the page: keeps a record of the video that is shown, which the page may replace by another. */
function keepRecord() {
  const record = { wentBack: false, last: 0, of: null, ended: false };
  window.record = record;
  setInterval(() => {
    const video = document.querySelector(".player video");
    if (video === null) return;
    if (record.of !== video) {
      record.of = video;
      record.last = 0;
    }
    if (video.currentTime < record.last - 0.05) record.wentBack = true;
    record.last = video.currentTime;
    if (video.ended) record.ended = true;
  }, 100);
}

function look() {
  const video = document.querySelector(".player video");
  const player = document.querySelector(".player");
  const quality = video?.getVideoPlaybackQuality();
  const audience = document.querySelector("[data-audience]")?.getAttribute("data-audience") ?? null;
  const failure = player?.getAttribute("data-failure") ?? "";
  return {
    title: document.title,
    state: document.querySelector("[data-event-state]")?.getAttribute("data-event-state") ?? null,
    status: player?.getAttribute("data-status") ?? null,
    frames: quality?.totalVideoFrames ?? 0,
    dropped: quality?.droppedVideoFrames ?? 0,
    currentTime: video?.currentTime ?? 0,
    audience: audience === null ? null : Number(audience),
    fatalErrors: failure === "" ? [] : [failure],
    wentBack: window.record?.wentBack ?? false,
    ended: window.record?.ended ?? false,
  };
}

run(async () => {
  const { places, options } = words(process.argv.slice(2), ["screenshot", "timeout"]);
  const [address, seconds] = places;
  if (address === undefined || !(Number(seconds) >= 0)) {
    throw new Error("usage: node tests/watch.mjs <page url> <seconds> [--until-ended] [--screenshot FILE]");
  }
  const limit = Number(options.timeout ?? Number(seconds) + 30) * 1000;
  const browser = await launch();
  try {
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, colorScheme: "dark" });
    const consoleErrors = complaints(page);
    await page.addInitScript(keepRecord);
    await page.goto(address, { waitUntil: "domcontentloaded" });
    const end = Date.now() + limit;
    let seen = await page.evaluate(look);
    let from = null;
    const enough = () =>
      options["until-ended"] ? seen.ended : from !== null && seen.currentTime - from >= Number(seconds);
    while (!enough() && Date.now() < end) {
      await page.waitForTimeout(100);
      seen = await page.evaluate(look);
      if (from === null && seen.status === "playing" && seen.frames > 0) from = seen.currentTime;
    }
    // A moving mouse brings the controls into the picture.
    await page.mouse.move(600, 500);
    await page.mouse.move(620, 510);
    await page.waitForTimeout(400);
    if (options.screenshot !== undefined) await page.screenshot({ path: options.screenshot });
    // Leaving is part of watching: the page says good-bye, and the audience is one less at once.
    await page.goto("about:blank");
    return { ...seen, consoleErrors };
  } finally {
    await browser.close();
  }
});
