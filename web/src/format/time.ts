// Times and lengths for people, in their own time zone and language.
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";

/** The pages speak English, so that their dates do too; whose English is the viewer's choice. */
export const LOCALE = globalThis.navigator?.languages?.find((language) => /^en\b/.test(language)) ?? "en-GB";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Milliseconds since 1970; null when the field is not set. */
export function millis(time: Timestamp | undefined): number | null {
  return time === undefined ? null : Number(time.seconds) * 1000 + Math.floor(time.nanos / 1e6);
}

/** A duration in milliseconds; null when the field is not set. */
export function durationMillis(duration: Duration | undefined): number | null {
  return duration === undefined ? null : Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

/** A position in media: `0:07`, `12:34`, `1:02:03`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(Number.isFinite(seconds) ? seconds : 0));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const pad = (n: number) => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}

/** What is left until a start, in the two units that matter. Zero and less is null: it could start any moment. */
export function countdown(leftMs: number): readonly { value: number; unit: string }[] | null {
  if (leftMs <= 0) return null;
  const units = [
    { value: Math.floor(leftMs / DAY), unit: "day" },
    { value: Math.floor(leftMs / HOUR) % 24, unit: "hour" },
    { value: Math.floor(leftMs / MINUTE) % 60, unit: "minute" },
    { value: Math.floor(leftMs / 1000) % 60, unit: "second" },
  ];
  const first = Math.min(
    units.findIndex(({ value }) => value > 0),
    units.length - 2,
  );
  const from = first < 0 ? units.length - 2 : first;
  return units.slice(from, from + 2).map(({ value, unit }) => ({ value, unit: value === 1 ? unit : `${unit}s` }));
}

/** The time of day: `19:30` or `7:30 PM`. */
export function timeOfDay(at: number, locale = LOCALE, timeZone?: string): string {
  return new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit", ...zone(timeZone) }).format(at);
}

/** The day as people say it: today, tomorrow, or `Friday 4 Dec`. */
export function dayName(at: number, now: number, locale = LOCALE, timeZone?: string): string {
  const key = dayKey(at, timeZone);
  const words = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  for (const days of [-1, 0, 1]) {
    if (key === dayKey(now + days * DAY, timeZone)) {
      const word = words.format(days, "day");
      return word.charAt(0).toUpperCase() + word.slice(1);
    }
  }
  const options: Intl.DateTimeFormatOptions = { weekday: "long", day: "numeric", month: "short", ...zone(timeZone) };
  return new Intl.DateTimeFormat(locale, options).format(at);
}

/** `2026-11-23`: equal for times of one local day, and sorts. */
export function dayKey(at: number, timeZone?: string): string {
  const options: Intl.DateTimeFormatOptions = { year: "numeric", month: "2-digit", day: "2-digit", ...zone(timeZone) };
  return new Intl.DateTimeFormat("en-CA", options).format(at);
}

/** `5 minutes ago`, `in 2 hours`, `3 days ago`. */
export function relative(at: number, now: number, locale = LOCALE): string {
  const words = new Intl.RelativeTimeFormat(locale, { numeric: "always" });
  const apart = at - now;
  const size = Math.abs(apart);
  if (size < 45_000) return apart > 0 ? "any moment" : "just now";
  if (size < HOUR) return words.format(Math.round(apart / MINUTE), "minute");
  if (size < DAY) return words.format(Math.round(apart / HOUR), "hour");
  return words.format(Math.round(apart / DAY), "day");
}

/** Groups what has a time by local day; days and what is in them keep their order. */
export function byDay<T>(items: readonly T[], timeOf: (item: T) => number | null, timeZone?: string) {
  const days = new Map<string, { at: number; items: T[] }>();
  for (const item of items) {
    const at = timeOf(item);
    if (at === null) continue;
    const key = dayKey(at, timeZone);
    const day = days.get(key) ?? { at, items: [] };
    day.items.push(item);
    days.set(key, day);
  }
  return [...days.values()];
}

/** `1 viewer`, `2.4K viewers`. */
export function viewers(count: bigint | number, locale = LOCALE): string {
  const n = Number(count);
  const figure = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 }).format(n);
  return `${figure} ${n === 1 ? "viewer" : "viewers"}`;
}

/** `2.7 Mbit/s`, `640 kbit/s`. */
export function bitrate(bitsPerSecond: bigint | number): string {
  const n = Number(bitsPerSecond);
  return n >= 1e6 ? `${(n / 1e6).toFixed(1)} Mbit/s` : `${Math.round(n / 1e3)} kbit/s`;
}

function zone(timeZone: string | undefined): Intl.DateTimeFormatOptions {
  return timeZone === undefined ? {} : { timeZone };
}
