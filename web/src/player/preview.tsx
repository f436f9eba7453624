// A live picture without sound or controls, for the sign on the home page. It is decoration: no beacons, and nothing for
// those who asked for less motion or less data.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Poster } from "../parts/poster";
import { type Engine, openEngine } from "./engine";

export function Preview({ address, title, of }: { address: string; title: string; of: string }) {
  const video = useRef<HTMLVideoElement>(null);
  const shown = useSignal(false);
  useEffect(() => {
    const element = video.current;
    if (element === null || address === "" || prefersStill()) return;
    let engine: Engine | null = null;
    let gone = false;
    const events = { waiting: () => undefined, dead: () => undefined };
    openEngine(element, address, true, events).then(
      (opened) => {
        if (gone) return opened.destroy();
        engine = opened;
        void element.play().catch(() => undefined);
      },
      () => undefined,
    );
    return () => {
      gone = true;
      engine?.destroy();
    };
  }, [address]);
  return (
    <div class={`preview ${shown.value ? "preview-shown" : ""}`}>
      <Poster title={title} of={of} />
      <video
        ref={video}
        muted
        playsInline
        tabIndex={-1}
        onPlaying={() => {
          shown.value = true;
        }}
      />
    </div>
  );
}

function prefersStill(): boolean {
  return matchMedia("(prefers-reduced-motion: reduce), (prefers-reduced-data: reduce)").matches;
}
