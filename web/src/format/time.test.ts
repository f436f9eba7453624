import { create } from "@bufbuild/protobuf";
import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import {
  bitrate,
  byDay,
  clock,
  countdown,
  dayName,
  durationMillis,
  millis,
  relative,
  timeOfDay,
  viewers,
} from "./time";

const NOON = Date.UTC(2026, 10, 23, 12, 0, 0);
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

describe("a position in media", () => {
  it("has hours only when there are some", () => {
    expect(clock(7)).toBe("0:07");
    expect(clock(754.9)).toBe("12:34");
    expect(clock(3_723)).toBe("1:02:03");
  });

  it("is zero for what is no position", () => {
    expect(clock(Number.NaN)).toBe("0:00");
    expect(clock(-3)).toBe("0:00");
  });
});

describe("a countdown", () => {
  it("shows the two units that matter", () => {
    expect(countdown(2 * DAY + 3 * HOUR + 59_000)).toEqual([
      { value: 2, unit: "days" },
      { value: 3, unit: "hours" },
    ]);
    expect(countdown(61_000)).toEqual([
      { value: 1, unit: "minute" },
      { value: 1, unit: "second" },
    ]);
  });

  it("keeps the minutes in the last one", () => {
    expect(countdown(5_000)).toEqual([
      { value: 0, unit: "minutes" },
      { value: 5, unit: "seconds" },
    ]);
  });

  it("is over when nothing is left", () => {
    expect(countdown(0)).toBeNull();
    expect(countdown(-1)).toBeNull();
  });
});

describe("a day", () => {
  it("is today or tomorrow where the viewer is, not in Greenwich", () => {
    const late = Date.UTC(2026, 10, 23, 23, 30);
    expect(dayName(late, NOON, "en-GB", "UTC")).toBe("Today");
    expect(dayName(late, NOON, "en-GB", "Europe/Amsterdam")).toBe("Tomorrow");
  });

  it("has its name and date when it is further away", () => {
    expect(dayName(NOON + 4 * DAY, NOON, "en-GB", "UTC")).toBe("Friday 27 Nov");
  });

  it("gathers what happens on it, in order", () => {
    const times = [NOON, NOON + HOUR, NOON + DAY, null];
    const days = byDay(times, (time) => time, "UTC");
    expect(days.map(({ items }) => items)).toEqual([[NOON, NOON + HOUR], [NOON + DAY]]);
  });
});

describe("times and figures", () => {
  it("are in the viewer's zone and way of writing", () => {
    expect(timeOfDay(NOON, "en-GB", "Asia/Tokyo")).toBe("21:00");
    expect(timeOfDay(NOON, "en-US", "America/New_York").replace(/\s/, " ")).toBe("7:00 AM");
  });

  it("say how long ago", () => {
    expect(relative(NOON - 10_000, NOON, "en-GB")).toBe("just now");
    expect(relative(NOON - 5 * 60_000, NOON, "en-GB")).toBe("5 minutes ago");
    expect(relative(NOON + 2 * HOUR, NOON, "en-GB")).toBe("in 2 hours");
    expect(relative(NOON - 3 * DAY, NOON, "en-GB")).toBe("3 days ago");
  });

  it("count viewers one and many", () => {
    expect(viewers(1n, "en-GB")).toBe("1 viewer");
    expect(viewers(0, "en-GB")).toBe("0 viewers");
    expect(viewers(2_430, "en-US")).toBe("2.4K viewers");
  });

  it("round bitrates to what one compares", () => {
    expect(bitrate(2_671_000n)).toBe("2.7 Mbit/s");
    expect(bitrate(640_400)).toBe("640 kbit/s");
  });

  it("read protobuf times and lengths to the millisecond", () => {
    expect(millis(create(TimestampSchema, { seconds: 2n, nanos: 345_678_901 }))).toBe(2_345);
    expect(durationMillis(create(DurationSchema, { seconds: 1n, nanos: 500_000_000 }))).toBe(1_500);
    expect(millis(undefined)).toBeNull();
    expect(durationMillis(undefined)).toBeNull();
  });
});
