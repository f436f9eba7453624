// The head of every page.
import { useSignal } from "@preact/signals";
import { signOut, who } from "../api/clients";
import { go, route } from "../router";
import { Bell } from "./bell";
import { CameraIcon } from "./icons";
import { useMenu } from "./menu";
import { Avatar } from "./poster";
import { SearchBox } from "./search-box";
import { askToSignIn } from "./sign-in";
import { say } from "./toasts";

export function Header() {
  const page = route.value.page;
  return (
    <header class="header">
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <a class="logo" href="/" aria-label="Marquee, home" aria-current={page === "home" ? "page" : undefined}>
        <span class="logo-bulbs" aria-hidden="true">
          <i />
          <i />
          <i />
        </span>
        Marquee
      </a>
      <SearchBox />
      <nav class="header-right" aria-label="You">
        <a
          class="button button-plain header-studio"
          href="/studio"
          aria-current={page === "studio" ? "page" : undefined}
        >
          <CameraIcon /> <span>Studio</span>
        </a>
        {who.value === null ? (
          <button type="button" class="button button-lit" onClick={() => askToSignIn()}>
            Sign in
          </button>
        ) : (
          <>
            <Bell />
            <AccountMenu />
          </>
        )}
      </nav>
    </header>
  );
}

function AccountMenu() {
  const open = useSignal(false);
  const { box, button } = useMenu(open);
  const account = who.value;
  if (account === null) return null;
  const leave = async () => {
    open.value = false;
    await signOut();
    say("You're signed out");
    if (route.value.page.startsWith("studio") || route.value.page === "inbox") go("/");
  };
  return (
    <div class="menu" ref={box}>
      <button
        type="button"
        class="icon-button"
        ref={button}
        aria-label={`Account of ${account.displayName}`}
        aria-expanded={open.value}
        aria-controls="account-menu"
        onClick={() => {
          open.value = !open.value;
        }}
      >
        <Avatar name={account.displayName} of={account.name} />
      </button>
      {open.value && (
        <div class="menu-panel" id="account-menu">
          <p class="menu-head">
            <strong>{account.displayName}</strong>
            <span class="quiet">{account.email}</span>
          </p>
          <a class="menu-item" href="/studio">
            Studio
          </a>
          <a class="menu-item" href="/inbox">
            Inbox
          </a>
          <button type="button" class="menu-item" onClick={() => void leave()}>
            Sign out
          </button>
        </div>
      )}
    </div>
  );
}
