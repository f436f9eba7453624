// One labelled input with its hint and its fault.
import type { JSX } from "preact";
import { useId } from "preact/hooks";

interface FieldProps {
  label: string;
  name: string;
  type?: "text" | "email" | "password" | "datetime-local";
  /** More than one line. */
  rows?: number;
  hint?: string | undefined;
  fault?: string | undefined;
  required?: boolean;
  autofocus?: boolean;
  autocomplete?: "name" | "email" | "new-password" | "current-password";
  autocapitalize?: "none";
  maxLength?: number;
  placeholder?: string;
  value?: string;
  onInput?: (event: InputEvent & { currentTarget: HTMLInputElement }) => void;
}

export function Field({ label, hint, fault, rows, ...rest }: FieldProps) {
  const id = useId();
  const about = fault !== undefined || hint !== undefined ? `${id}-about` : undefined;
  const shared = { id, "aria-describedby": about, "aria-invalid": fault !== undefined };
  return (
    <div class={`field ${fault === undefined ? "" : "field-wrong"}`}>
      <label for={id}>{label}</label>
      {rows === undefined ? (
        // The type of <input> is a union by `type`, which a variable `type` can't pick from.
        <input {...({ ...rest, ...shared } as JSX.IntrinsicElements["input"])} />
      ) : (
        <textarea {...shared} name={rest.name} rows={rows} maxLength={rest.maxLength} />
      )}
      {about !== undefined && <p id={about}>{fault ?? hint}</p>}
    </div>
  );
}
