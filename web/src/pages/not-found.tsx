// For addresses that lead nowhere.
import { useTitle } from "../parts/loading";

export function NotFoundPage({ what = "page" }: { what?: "page" | "event" | "channel" }) {
  useTitle("Not found");
  return (
    <section class="sign sign-dark" aria-labelledby="not-found">
      <div class="sign-board">
        <span class="sign-kicker">404</span>
        <h1 class="sign-title" id="not-found">
          No such {what}
        </h1>
        <span class="sign-by">The show you're looking for isn't playing here</span>
      </div>
      <div class="sign-foot">
        <p>The address may be mistyped, or the {what} was removed.</p>
        <a class="button button-lit" href="/">
          See what's on
        </a>
      </div>
    </section>
  );
}
