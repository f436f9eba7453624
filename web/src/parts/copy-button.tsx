// Copies a text.
import { useSignal } from "@preact/signals";
import { CheckIcon, CopyIcon } from "./icons";

export function CopyButton({ text, what }: { text: string; what: string }) {
  const done = useSignal(false);
  const copy = async () => {
    done.value = await write(text);
    setTimeout(() => {
      done.value = false;
    }, 2_000);
  };
  return (
    <button type="button" class="icon-button" aria-label={`Copy the ${what}`} title="Copy" onClick={() => void copy()}>
      {done.value ? <CheckIcon /> : <CopyIcon />}
      <span class="sr-only" role="status">
        {done.value ? "Copied" : ""}
      </span>
    </button>
  );
}

/** navigator.clipboard is missing on plain http addresses other than localhost; the old command still works there. */
async function write(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}
