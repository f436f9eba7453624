// A playbill for an event without a picture: its title in marquee letters on a colour of its own.

/** Hues that go with the house colours; which one is a matter of the channel, so that a channel keeps its colour. */
const HUES = [12, 38, 82, 158, 196, 228, 268, 322] as const;

/** A number from a text, the same each time (FNV-1a). */
export function hash(text: string): number {
  let sum = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) sum = Math.imul(sum ^ text.charCodeAt(i), 0x01000193);
  return sum >>> 0;
}

export function hueOf(name: string): number {
  return HUES[hash(name) % HUES.length] ?? 38;
}

/** The first letters of a name, for a round picture. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const first = Array.from(words[0] ?? "?")[0] ?? "?";
  const last = words.length > 1 ? (Array.from(words.at(-1) ?? "")[0] ?? "") : "";
  return (first + last).toUpperCase();
}

export function Poster({ title, of, kicker }: { title: string; of: string; kicker?: string | undefined }) {
  const size = title.length > 42 ? "s" : title.length > 22 ? "m" : "l";
  return (
    <div class={`poster poster-${size} poster-${hash(title) % 3}`} style={{ "--hue": hueOf(of) }} aria-hidden="true">
      {kicker !== undefined && kicker !== "" && <span class="poster-kicker">{kicker}</span>}
      <span class="poster-title">{title}</span>
    </div>
  );
}

export function Avatar({ name, of, large = false }: { name: string; of: string; large?: boolean }) {
  return (
    <span class={`avatar ${large ? "avatar-large" : ""}`} style={{ "--hue": hueOf(of) }} aria-hidden="true">
      {initials(name)}
    </span>
  );
}
