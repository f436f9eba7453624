// The player's keys.

export type Command =
  | { do: "toggle" }
  | { do: "mute" }
  | { do: "fullscreen" }
  | { do: "live" }
  | { do: "seek"; by: number }
  | { do: "volume"; by: number };

/** What a key press means for the player; null is nothing of the player's business. */
export function commandFor(press: {
  key: string;
  /** Tag name of the element that has the focus, upper case. */
  tag: string;
  /** Its input type, if any. */
  type?: string;
  modified: boolean;
  editable?: boolean;
}): Command | null {
  if (press.modified || press.editable) return null;
  const { key, tag } = press;
  const typing = tag === "TEXTAREA" || tag === "SELECT" || (tag === "INPUT" && press.type !== "range");
  if (typing) return null;
  // Buttons and links keep the space bar, sliders keep the arrows.
  if (key === " " && (tag === "BUTTON" || tag === "A" || tag === "SUMMARY")) return null;
  if (key.startsWith("Arrow") && tag === "INPUT") return null;
  switch (key.toLowerCase()) {
    case " ":
    case "k":
      return { do: "toggle" };
    case "m":
      return { do: "mute" };
    case "f":
      return { do: "fullscreen" };
    case "l":
      return { do: "live" };
    case "arrowleft":
      return { do: "seek", by: -10 };
    case "arrowright":
      return { do: "seek", by: 10 };
    case "arrowup":
      return { do: "volume", by: 0.1 };
    case "arrowdown":
      return { do: "volume", by: -0.1 };
    default:
      return null;
  }
}
