// Sending a form: busy while it is on its way, the fault in words when it is refused.
import { useSignal } from "@preact/signals";
import { describe, type Fault } from "../api/errors";

export function useForm(send: (text: (name: string) => string) => Promise<void>) {
  const fault = useSignal<Fault | null>(null);
  const busy = useSignal(false);
  const onSubmit = async (event: SubmitEvent & { currentTarget: HTMLFormElement }) => {
    event.preventDefault();
    const form = event.currentTarget;
    const values = new FormData(form);
    busy.value = true;
    fault.value = null;
    try {
      await send((name) => String(values.get(name) ?? "").trim());
      form.reset();
    } catch (error) {
      fault.value = describe(error);
    } finally {
      busy.value = false;
    }
  };
  return { onSubmit, busy: busy.value, fault: fault.value, faultOf: (name: string) => fault.value?.fields.get(name) };
}
