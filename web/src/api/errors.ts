// Errors in words. The server says why as ErrorInfo.reason and BadRequest; people get a sentence.
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../gen/google/rpc/error_details_pb";

/** What went wrong, ready to be shown. */
export interface Fault {
  /** One sentence for people. */
  text: string;
  /** Reason of the server's ErrorInfo; empty when there was none. */
  reason: string;
  /** What is wrong with single fields, by the last part of their path: `title`, `password`. */
  fields: ReadonlyMap<string, string>;
}

const REASONS: Readonly<Record<string, string>> = {
  BAD_CREDENTIALS: "That e-mail and password don't match. Check both and try again.",
  EMAIL_TAKEN: "There is already an account with this e-mail. Sign in instead.",
  HANDLE_TAKEN: "This handle is taken. Try another one.",
  REFRESH_TOKEN_REUSED: "You were signed out because this session was used somewhere else. Sign in again.",
  EVENT_NOT_FOUND: "This event doesn't exist, or it was removed.",
  CHANNEL_NOT_FOUND: "This channel doesn't exist.",
  EVENT_NOT_SCHEDULED: "This can only be done while the event is still scheduled.",
  ETAG_MISMATCH: "Somebody changed this at the same time. Reload and try again.",
};

const CODES: Readonly<Partial<Record<Code, string>>> = {
  [Code.InvalidArgument]: "Something in this form isn't right.",
  [Code.Unauthenticated]: "Please sign in first.",
  [Code.PermissionDenied]: "You're not allowed to do this.",
  [Code.NotFound]: "This doesn't exist, or it was removed.",
  [Code.AlreadyExists]: "This already exists.",
  [Code.Aborted]: "Somebody changed this at the same time. Reload and try again.",
  [Code.ResourceExhausted]: "That's too much at once. Wait a moment and try again.",
  [Code.DeadlineExceeded]: "The server took too long to answer. Try again.",
  [Code.Unavailable]: "The server can't be reached. Check your connection and try again.",
  [Code.Unimplemented]: "This server can't do that yet.",
};

/** The code of anything that was thrown. */
export function codeOf(error: unknown): Code {
  return ConnectError.from(error).code;
}

/** True when the call was called off by the page itself. */
export function wasCancelled(error: unknown): boolean {
  return codeOf(error) === Code.Canceled;
}

/** Puts anything that was thrown into words. */
export function describe(error: unknown): Fault {
  const failure = ConnectError.from(error);
  const reason = failure.findDetails(ErrorInfoSchema)[0]?.reason ?? "";
  const fields = new Map<string, string>();
  for (const { fieldViolations } of failure.findDetails(BadRequestSchema)) {
    for (const { field, description } of fieldViolations) {
      const name = field.slice(field.lastIndexOf(".") + 1);
      if (!fields.has(name)) fields.set(name, sentence(description));
    }
  }
  return { text: REASONS[reason] ?? plain(failure), reason, fields };
}

function plain(failure: ConnectError): string {
  // fetch() rejects with a TypeError when nobody answers; connect calls that Unknown.
  if (failure.cause instanceof TypeError) return CODES[Code.Unavailable] ?? "";
  if (failure.code === Code.FailedPrecondition && failure.rawMessage) return sentence(failure.rawMessage);
  return CODES[failure.code] ?? "Something went wrong on our side. Try again.";
}

/** Makes the server's lower-case message a sentence. */
export function sentence(message: string): string {
  const text = message.trim();
  if (text === "") return "";
  const start = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}
