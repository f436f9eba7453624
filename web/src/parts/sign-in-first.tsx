// Stands in the place of a page that needs an account.
import { askToSignIn } from "./sign-in";

export function SignInFirst({ why }: { why: string }) {
  return (
    <section class="welcome">
      <h1 class="section-title">Sign in first</h1>
      <p>{why}</p>
      <div class="row">
        <button type="button" class="button button-lit" onClick={() => askToSignIn()}>
          Sign in
        </button>
        <button type="button" class="button" onClick={() => askToSignIn("", undefined, "register")}>
          Create an account
        </button>
      </div>
    </section>
  );
}
