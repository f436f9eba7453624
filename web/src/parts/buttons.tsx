// Follow and remind. A stranger is asked to sign in first, and gets what they asked for afterwards.
import { useSignal } from "@preact/signals";
import { who } from "../api/clients";
import { describe } from "../api/errors";
import { followed, reminded, toggleFollow, toggleReminder } from "../api/following";
import { ClockIcon, HeartIcon } from "./icons";
import { askToSignIn } from "./sign-in";
import { say } from "./toasts";

function useToggle(toggle: () => Promise<void>) {
  const busy = useSignal(false);
  const press = async () => {
    busy.value = true;
    try {
      await toggle();
    } catch (error) {
      say(describe(error).text);
    } finally {
      busy.value = false;
    }
  };
  return { busy: busy.value, press };
}

export function FollowButton({ channel, title }: { channel: string; title: string }) {
  const on = followed.value?.has(channel) ?? false;
  const { busy, press } = useToggle(async () => {
    await toggleFollow(channel);
    say(on ? `You no longer follow ${title}` : `You'll hear when ${title} goes live`);
  });
  return (
    <button
      type="button"
      class={`button ${on ? "" : "button-lit"}`}
      aria-pressed={on}
      disabled={busy}
      onClick={() => (who.value === null ? askToSignIn(`Sign in to follow ${title}`, press) : void press())}
    >
      <HeartIcon filled={on} /> {on ? "Following" : "Follow"}
    </button>
  );
}

export function RemindButton({ event, title, small = false }: { event: string; title: string; small?: boolean }) {
  const on = reminded.value?.has(event) ?? false;
  const { busy, press } = useToggle(async () => {
    await toggleReminder(event);
    say(on ? "Reminder removed" : "We'll remind you 10 minutes before the start");
  });
  return (
    <button
      type="button"
      class={`button ${small ? "button-small" : ""} ${on ? "button-on" : ""}`}
      aria-pressed={on}
      aria-label={small ? `Remind me of ${title}` : undefined}
      disabled={busy}
      onClick={() => (who.value === null ? askToSignIn("Sign in to be reminded", press) : void press())}
    >
      <ClockIcon /> {on ? "Reminder set" : "Remind me"}
    </button>
  );
}
