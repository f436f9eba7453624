// All notifications of the signed-in account.
import { who } from "../api/clients";
import { describe } from "../api/errors";
import { markRead, unread } from "../api/inbox";
import { NotificationList } from "../parts/bell";
import { useTitle } from "../parts/loading";
import { SignInFirst } from "../parts/sign-in-first";
import { say } from "../parts/toasts";

export function InboxPage() {
  useTitle("Inbox");
  if (who.value === null) return <SignInFirst why="Your inbox tells you when channels you follow go live." />;
  return (
    <section class="narrow">
      <div class="page-head">
        <h1 class="page-title">Inbox</h1>
        {unread.value > 0 && (
          <button
            type="button"
            class="button"
            onClick={() => void markRead("all").catch((error: unknown) => say(describe(error).text))}
          >
            Mark all as read
          </button>
        )}
      </div>
      <div class="panel">
        <NotificationList />
      </div>
    </section>
  );
}
