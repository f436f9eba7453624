// The dialog in which one signs in or registers.
import { signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { register, signIn } from "../api/clients";
import { describe, type Fault } from "../api/errors";
import { Field } from "./field";
import { CloseIcon } from "./icons";

interface Asked {
  why: string;
  then?: (() => void) | undefined;
  mode: "sign-in" | "register";
}

const asked = signal<Asked | null>(null);

/** Opens the dialog; `then` runs once somebody is signed in. */
export function askToSignIn(why = "", then?: () => void, mode: Asked["mode"] = "sign-in"): void {
  asked.value = { why, then, mode };
}

export function SignInDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = asked.value !== null;
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <dialog
      class="dialog"
      ref={dialog}
      aria-labelledby="sign-in-title"
      onClose={() => {
        asked.value = null;
      }}
    >
      {asked.value !== null && <SignInForm asked={asked.value} />}
    </dialog>
  );
}

function SignInForm({ asked: { why, then, mode: first } }: { asked: Asked }) {
  const mode = useSignal(first);
  const fault = useSignal<Fault | null>(null);
  const busy = useSignal(false);
  const registering = mode.value === "register";

  const submit = async (event: SubmitEvent & { currentTarget: HTMLFormElement }) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? "");
    busy.value = true;
    fault.value = null;
    try {
      if (registering) await register(text("display_name"), text("email"), text("password"));
      else await signIn(text("email"), text("password"));
      asked.value = null;
      then?.();
    } catch (error) {
      fault.value = describe(error);
    } finally {
      busy.value = false;
    }
  };
  const fieldFault = (name: string) => fault.value?.fields.get(name);
  return (
    <form class="form" onSubmit={submit}>
      <div class="dialog-head">
        <h2 id="sign-in-title">{registering ? "Create your account" : "Sign in"}</h2>
        <button
          type="button"
          class="icon-button"
          aria-label="Close"
          onClick={() => {
            asked.value = null;
          }}
        >
          <CloseIcon />
        </button>
      </div>
      {why !== "" && <p class="quiet">{why}</p>}
      {fault.value !== null && (
        <p class="form-fault" role="alert">
          {fault.value.text}
        </p>
      )}
      {registering && (
        <Field label="Name" name="display_name" autocomplete="name" required fault={fieldFault("display_name")} />
      )}
      <Field
        label="E-mail"
        name="email"
        type="email"
        autocomplete="email"
        required
        autofocus
        fault={fieldFault("email")}
      />
      <Field
        label="Password"
        name="password"
        type="password"
        autocomplete={registering ? "new-password" : "current-password"}
        required
        hint={registering ? "At least 8 characters." : undefined}
        fault={fieldFault("password")}
      />
      <button type="submit" class="button button-lit button-wide" disabled={busy.value}>
        {registering ? "Create account" : "Sign in"}
      </button>
      <p class="quiet form-foot">
        {registering ? "Have an account already?" : "New here?"}{" "}
        <button
          type="button"
          class="text-button"
          onClick={() => {
            mode.value = registering ? "sign-in" : "register";
            fault.value = null;
          }}
        >
          {registering ? "Sign in" : "Create an account"}
        </button>
      </p>
    </form>
  );
}
