import { describe, expect, it } from "vitest";
import { commandFor } from "./keys";

const press = (key: string, tag = "BODY", type?: string) =>
  commandFor({ key, tag, modified: false, ...(type === undefined ? {} : { type }) });

describe("the player's keys", () => {
  it("play, mute, fill the screen and go live", () => {
    expect(press(" ")).toEqual({ do: "toggle" });
    expect(press("m")).toEqual({ do: "mute" });
    expect(press("F")).toEqual({ do: "fullscreen" });
    expect(press("l")).toEqual({ do: "live" });
  });

  it("seek and change the volume with the arrows", () => {
    expect(press("ArrowLeft")).toEqual({ do: "seek", by: -10 });
    expect(press("ArrowUp")).toEqual({ do: "volume", by: 0.1 });
  });

  it("leave alone who is typing", () => {
    expect(press("m", "INPUT", "search")).toBeNull();
    expect(press("f", "TEXTAREA")).toBeNull();
    expect(commandFor({ key: "m", tag: "DIV", modified: false, editable: true })).toBeNull();
  });

  it("leave the space bar to buttons and the arrows to sliders", () => {
    expect(press(" ", "BUTTON")).toBeNull();
    expect(press("m", "BUTTON")).toEqual({ do: "mute" });
    expect(press("ArrowRight", "INPUT", "range")).toBeNull();
    expect(press("m", "INPUT", "range")).toEqual({ do: "mute" });
  });

  it("leave the browser's own shortcuts alone", () => {
    expect(commandFor({ key: "f", tag: "BODY", modified: true })).toBeNull();
  });
});
