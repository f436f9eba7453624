import { beforeEach, describe, expect, it } from "vitest";
import { type Grant, Session, type Who } from "./session";

const WHO: Who = { name: "accounts/a", displayName: "Ada", email: "ada@example.org" };
const MINUTE = 60_000;

class Refused extends Error {}

/** A server that takes each refresh token once, as Marquee's does. */
class Server {
  private made = 0;
  good = "";
  refreshes = 0;
  down = false;

  grant(): Grant {
    this.made += 1;
    this.good = `refresh-${this.made}`;
    return { accessToken: `access-${this.made}`, refreshToken: this.good, expiresInMs: 15 * MINUTE };
  }

  async refresh(token: string): Promise<Grant> {
    this.refreshes += 1;
    if (this.down) throw new TypeError("fetch failed");
    if (token !== this.good) throw new Refused();
    return this.grant();
  }
}

function storage() {
  const values = new Map<string, string>();
  return {
    getItem: (key: string) => values.get(key) ?? null,
    setItem: (key: string, value: string) => void values.set(key, value),
    removeItem: (key: string) => void values.delete(key),
  };
}

/** Lets one at a time through, as a Web Lock does. */
function turnstile() {
  let last: Promise<unknown> = Promise.resolve();
  return <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work, work);
    last = turn.catch(() => undefined);
    return turn;
  };
}

describe("a session", () => {
  let server: Server;
  let now: number;
  let shared: ReturnType<typeof storage>;
  let exclusively: ReturnType<typeof turnstile>;
  let seen: (Who | null)[];

  const tab = () =>
    new Session({
      refresh: (token) => server.refresh(token),
      isRefused: (error) => error instanceof Refused,
      storage: shared,
      exclusively,
      now: () => now,
      changed: (who) => seen.push(who),
    });

  beforeEach(() => {
    server = new Server();
    now = 1_000_000;
    shared = storage();
    exclusively = turnstile();
    seen = [];
  });

  it("has no token for a stranger", async () => {
    expect(await tab().token()).toBeNull();
    expect(server.refreshes).toBe(0);
  });

  it("uses the access token of the login while it is good", async () => {
    const session = tab();
    session.begin(server.grant(), WHO);
    now += 14 * MINUTE;
    expect(await session.token()).toBe("access-1");
    expect(server.refreshes).toBe(0);
  });

  it("refreshes before the access token expires", async () => {
    const session = tab();
    session.begin(server.grant(), WHO);
    now += 15 * MINUTE - 1_000;
    expect(await session.token()).toBe("access-2");
  });

  it("asks once for callers that come together", async () => {
    const session = tab();
    session.begin(server.grant(), WHO);
    now += 20 * MINUTE;
    expect(await Promise.all([session.token(), session.token(), session.token()])).toEqual(Array(3).fill("access-2"));
    expect(server.refreshes).toBe(1);
  });

  it("survives a reload with the refresh token alone", async () => {
    tab().begin(server.grant(), WHO);
    const reloaded = tab();
    expect(reloaded.who()).toEqual(WHO);
    expect(await reloaded.token()).toBe("access-2");
  });

  it("never sends a used refresh token, though two tabs refresh at once", async () => {
    tab().begin(server.grant(), WHO);
    const tokens = await Promise.all([tab().token(), tab().token()]);
    expect(tokens).toEqual(["access-2", "access-3"]);
    expect(seen).not.toContain(null);
  });

  it("replaces a token that the server refused", async () => {
    const session = tab();
    session.begin(server.grant(), WHO);
    expect(await session.tokenAfter("access-1")).toBe("access-2");
  });

  it("is over when its refresh token is refused", async () => {
    const session = tab();
    session.begin(server.grant(), WHO);
    server.good = "another";
    now += 20 * MINUTE;
    expect(await session.token()).toBeNull();
    expect(session.who()).toBeNull();
    expect(seen).toEqual([WHO, null]);
  });

  it("goes on when the network was only away", async () => {
    const session = tab();
    session.begin(server.grant(), WHO);
    now += 20 * MINUTE;
    server.down = true;
    await expect(session.token()).rejects.toThrow(TypeError);
    server.down = false;
    expect(await session.token()).toBe("access-2");
  });

  it("ends with sign-out, and hands out the token to be ended on the server", async () => {
    const session = tab();
    session.begin(server.grant(), WHO);
    expect(session.end()).toBe("refresh-1");
    expect(session.who()).toBeNull();
    expect(await session.token()).toBeNull();
  });

  it("ends in this tab too when another tab signs out", async () => {
    const session = tab();
    session.begin(server.grant(), WHO);
    tab().end();
    expect(await session.token()).toBeNull();
  });

  it("takes what is stored in a wrong shape for nobody", () => {
    shared.setItem("marquee.refresh-token", "refresh-1");
    shared.setItem("marquee.account", '{"name":1}');
    expect(tab().who()).toBeNull();
    shared.setItem("marquee.account", "{");
    expect(tab().who()).toBeNull();
  });
});
