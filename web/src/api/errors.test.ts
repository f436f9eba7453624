import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../gen/google/rpc/error_details_pb";
import { describe as inWords, sentence } from "./errors";

function refused(code: Code, reason: string, message = "no"): ConnectError {
  return new ConnectError(message, code, undefined, [
    { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason, domain: "marquee.dev" }) },
  ]);
}

describe("an error in words", () => {
  it("follows the server's reason", () => {
    const fault = inWords(refused(Code.Unauthenticated, "BAD_CREDENTIALS"));
    expect(fault.reason).toBe("BAD_CREDENTIALS");
    expect(fault.text).toBe("That e-mail and password don't match. Check both and try again.");
  });

  it("follows the code when the reason has no words of its own", () => {
    expect(inWords(refused(Code.PermissionDenied, "SOMETHING_NEW")).text).toBe("You're not allowed to do this.");
  });

  it("lets the server speak where only it knows the condition", () => {
    const fault = inWords(refused(Code.FailedPrecondition, "SOMETHING_NEW", "the channel has no stream"));
    expect(fault.text).toBe("The channel has no stream.");
  });

  it("puts what is wrong beside the fields it is about", () => {
    const value = create(BadRequestSchema, {
      fieldViolations: [
        { field: "event.title", description: "must have 1 to 200 characters" },
        { field: "password", description: "must have 8 to 200 characters" },
      ],
    });
    const fault = inWords(
      new ConnectError("invalid", Code.InvalidArgument, undefined, [{ desc: BadRequestSchema, value }]),
    );
    expect(fault.fields.get("title")).toBe("Must have 1 to 200 characters.");
    expect(fault.fields.get("password")).toBe("Must have 8 to 200 characters.");
  });

  it("says so when nobody answers", () => {
    expect(inWords(new TypeError("Failed to fetch")).text).toContain("can't be reached");
  });

  it("never shows what an unknown error says", () => {
    expect(inWords(new Error("stack overflow at 0x1234")).text).toBe("Something went wrong on our side. Try again.");
  });

  it("is a sentence", () => {
    expect(sentence("must be set")).toBe("Must be set.");
    expect(sentence("really?")).toBe("Really?");
    expect(sentence(" ")).toBe("");
  });
});
