// Starts the browser of this machine for the tests in this folder.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const PLACES = [
  process.env.CHROMIUM ?? "",
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome-stable",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--autoplay-policy=no-user-gesture-required",
];

/** A headless browser; the caller closes it. */
export async function launch() {
  const executablePath = PLACES.find((place) => place !== "" && existsSync(place));
  if (executablePath === undefined) throw new Error("no Chromium found; set CHROMIUM to its path");
  return chromium.launch({ executablePath, headless: true, args: FLAGS });
}

/** Collects what a page complains of. A missing favicon or a playlist that is not there yet (404) is no complaint. */
export function complaints(page) {
  const list = [];
  page.on("pageerror", (error) => list.push(`${error.name}: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    const text = message.text();
    if (!/Failed to load resource.*404/.test(text)) list.push(text);
  });
  return list;
}

/** Asks every `everyMs` until `ready` returns something true, or throws after `limitMs`. */
export async function until(ready, what, limitMs, everyMs = 200) {
  const end = Date.now() + limitMs;
  for (;;) {
    const value = await ready();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${limitMs / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** Splits `a b --flag --name value` into places and options; names in `withValue` take the next word. */
export function words(argv, withValue = []) {
  const places = [];
  const options = {};
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at];
    if (!word.startsWith("--")) places.push(word);
    else if (withValue.includes(word.slice(2))) {
      at += 1;
      options[word.slice(2)] = argv[at];
    } else options[word.slice(2)] = true;
  }
  return { places, options };
}

/** Runs a script: prints what it returns as one line of JSON, or says why it could not run and exits with 1. */
export function run(script) {
  script().then(
    (result) => process.stdout.write(`${JSON.stringify(result)}\n`),
    (error) => {
      process.stderr.write(`${error.stack ?? error}\n`);
      process.exitCode = 1;
    },
  );
}
