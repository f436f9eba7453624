// Walks through the pages as a viewer and as a creator, with the keyboard and by the names that a screen reader hears.
//
//   node tests/story.mjs <base url> <ready file of `marquee up --demo`> [--screenshots FOLDER]
//
// Prints one line: {"steps":{name: true or what was seen},"consoleErrors","unnamed"}. `unnamed` lists controls without an
// accessible name. A step that does not work is a result; it exits with 1 only when it could not run.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { complaints, launch, run, until, words } from "./chromium.mjs";

const PATIENCE_MS = 8_000;

/** Controls and pictures that a screen reader could not name. */
function nameless() {
  const text = (element) =>
    element.getAttribute("aria-label") ??
    (element.getAttribute("aria-labelledby") || element.labels?.[0]?.textContent || element.textContent || "");
  const seen = (element) => element.getClientRects().length > 0 && element.closest("[aria-hidden='true']") === null;
  return [...document.querySelectorAll("a, button, input, textarea, video, dialog[open], section.player")]
    .filter((element) => seen(element) && text(element).trim() === "")
    .map((element) => element.outerHTML.slice(0, 120));
}

run(async () => {
  const { places, options } = words(process.argv.slice(2), ["screenshots"]);
  const [base, readyFile] = places;
  if (base === undefined || readyFile === undefined) {
    throw new Error("usage: node tests/story.mjs <base url> <ready file> [--screenshots FOLDER]");
  }
  const ready = JSON.parse(readFileSync(readyFile, "utf8"));
  const browser = await launch();
  const steps = {};
  const unnamed = new Set();
  try {
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, colorScheme: "dark" });
    page.setDefaultTimeout(PATIENCE_MS);
    const consoleErrors = complaints(page);
    page.on("dialog", (dialog) => void dialog.accept());
    const button = (name) => page.getByRole("button", { name });
    const shot = async (name) => {
      for (const control of await page.evaluate(nameless)) unnamed.add(control);
      if (options.screenshots !== undefined) await page.screenshot({ path: join(options.screenshots, `${name}.png`) });
    };
    const step = async (name, work) => {
      try {
        await work();
        steps[name] = true;
      } catch (error) {
        steps[name] = String(error.message).split("\n").slice(0, 3).join(" ");
        await shot(`failed-${name}`).catch(() => undefined);
      }
    };
    const signIn = async ({ email, password }) => {
      await button("Sign in").first().click();
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("E-mail").fill(email);
      await dialog.getByLabel("Password").fill(password);
      await dialog.getByRole("button", { name: "Sign in" }).click();
      return dialog;
    };

    await page.goto(base);
    await step("home", () =>
      page.getByRole("heading", { name: "Coming up" }).or(page.locator(".sign")).first().waitFor(),
    );
    await step("wrong password in words", async () => {
      const dialog = await signIn({ email: ready.viewer.email, password: "not the password" });
      await dialog.getByText("don't match").waitFor();
      await shot("sign-in");
      await page.keyboard.press("Escape");
    });
    await step("sign in", async () => {
      await signIn(ready.viewer);
      await page.getByRole("button", { name: /^Inbox/ }).waitFor();
    });
    await step("stays signed in after a reload", async () => {
      await page.reload();
      await page.getByRole("button", { name: /^Inbox/ }).waitFor();
    });
    await step("search with the keyboard", async () => {
      await page.goto(`${base}/watch/${ready.event}`);
      const title = await page.locator("h1").textContent();
      const box = page.getByRole("combobox");
      await box.pressSequentially(title.slice(0, 4), { delay: 40 });
      await page.getByRole("option").first().waitFor();
      await shot("suggestions");
      await box.press("ArrowDown");
      await box.press("Enter");
      await page.waitForURL(/\/(watch|channels)\//);
      const misspelt = title.split(" ").reduce((a, b) => (b.length > a.length ? b : a));
      await page.goto(`${base}/search?q=${misspelt.slice(0, 2)}${misspelt.slice(3)}`);
      await page.getByRole("heading", { name: title }).waitFor();
      await shot("search");
    });
    await step("follow and unfollow", async () => {
      await page.goto(`${base}/${ready.channel ?? ready.event.split("/").slice(0, 2).join("/")}`);
      const follow = page.locator("main button[aria-pressed]").first();
      await until(async () => (await follow.textContent()) !== "", "a follow button", PATIENCE_MS);
      if ((await follow.getAttribute("aria-pressed")) === "true") await follow.click();
      await page.locator("main button[aria-pressed=false]").first().click();
      await page.locator("main button[aria-pressed=true]").first().waitFor();
      await shot("channel");
    });
    await step("inbox", async () => {
      await page.getByRole("button", { name: /^Inbox/ }).click();
      await page.locator("#inbox-panel .inbox, #inbox-panel .inbox-empty").waitFor();
      await shot("inbox");
      await page.keyboard.press("Escape");
    });
    await step("sign out", async () => {
      await page.getByRole("button", { name: /^Account of/ }).click();
      await button("Sign out").click();
      await button("Sign in").first().waitFor();
    });
    await step("studio: open a channel", async () => {
      await signIn(ready.creator);
      await page.getByRole("button", { name: /^Account of/ }).waitFor();
      await page.getByRole("link", { name: "Studio" }).first().click();
      await page.getByText(/Open (your first|another) channel/).click();
      await page.getByLabel("Name").fill("Story Channel");
      await page.getByLabel("Handle").fill("NOT A HANDLE");
      await button("Create channel").click();
      await page.locator(".field-wrong").first().waitFor();
      await shot("studio-wrong");
      await page.getByLabel("Handle").fill(`story-${Date.now().toString(36)}`);
      await button("Create channel").click();
      await page.waitForURL(/\/studio\/channels\//);
    });
    await step("studio: schedule an event", async () => {
      await page.getByLabel("Title").fill("The story, told live");
      await button("Schedule").click();
      await page.getByRole("link", { name: "The story, told live" }).waitFor();
    });
    await step("studio: stream key", async () => {
      await button("Create a stream key").click();
      await page.getByText("Copy the key now.").waitFor();
      await shot("studio");
    });
    await step("event page with a countdown, set a reminder", async () => {
      await page.getByRole("link", { name: "The story, told live" }).click();
      await page.getByRole("timer").waitFor();
      await button("Remind me").first().click();
      await page.getByRole("button", { name: "Reminder set" }).waitFor();
      await shot("scheduled");
    });
    await step("unknown address", async () => {
      await page.goto(`${base}/no/such/page`);
      await page.getByRole("heading", { name: "No such page" }).waitFor();
      await shot("not-found");
    });
    await step("small screen without sideways scrolling", async () => {
      await page.setViewportSize({ width: 390, height: 844 });
      for (const path of ["/", `/watch/${ready.event}`, "/studio", "/search?q=a", "/inbox"]) {
        await page.goto(base + path);
        await page.locator("main > *").first().waitFor();
        const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        if (over > 0) throw new Error(`${path} is ${over} px too wide`);
      }
    });
    return { steps, consoleErrors, unnamed: [...unnamed] };
  } finally {
    await browser.close();
  }
});
