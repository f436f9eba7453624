// The frame around every page.
import { useEffect, useRef } from "preact/hooks";
import { ChannelPage } from "./pages/channel";
import { HomePage } from "./pages/home";
import { InboxPage } from "./pages/inbox";
import { NotFoundPage } from "./pages/not-found";
import { SearchPage } from "./pages/search";
import { StudioPage } from "./pages/studio";
import { StudioChannelPage } from "./pages/studio-channel";
import { WatchPage } from "./pages/watch";
import { Header } from "./parts/header";
import { SignInDialog } from "./parts/sign-in";
import { Toasts } from "./parts/toasts";
import { type Route, route } from "./router";

export function App() {
  const here = route.value;
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    // After going to another page the reader starts at its content, not where the link was.
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
  }, [here]);
  return (
    <>
      <Header />
      <main id="main" class={`page page-${here.page}`} tabIndex={-1} ref={main}>
        <Page route={here} />
      </main>
      <footer class="footer">
        <p>Marquee</p>
        <p>
          <a href="/openapi.json" target="_self">
            API
          </a>
        </p>
      </footer>
      <SignInDialog />
      <Toasts />
    </>
  );
}

function Page({ route: here }: { route: Route }) {
  switch (here.page) {
    case "home":
      return <HomePage />;
    case "search":
      return <SearchPage query={here.query} />;
    case "watch":
      return <WatchPage key={here.event} name={here.event} />;
    case "channel":
      return <ChannelPage key={here.channel} name={here.channel} />;
    case "studio":
      return <StudioPage />;
    case "studio-channel":
      return <StudioChannelPage key={here.channel} name={here.channel} />;
    case "inbox":
      return <InboxPage />;
    case "not-found":
      return <NotFoundPage />;
  }
}
