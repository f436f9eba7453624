// Who is signed in. The access token lives in memory, the refresh token in the browser's storage; each refresh token is
// good for one use, so that tabs take turns under a lock and read the newest one from the storage.

/** What the server gives at login and at each refresh. */
export interface Grant {
  accessToken: string;
  refreshToken: string;
  /** How long the access token is good for, milliseconds. */
  expiresInMs: number;
}

/** The part of the signed-in account that the pages show. */
export interface Who {
  /** `accounts/{account}`. */
  name: string;
  displayName: string;
  email: string;
}

/** The outside world of a session. */
export interface Surroundings {
  /** Trades a refresh token for a new grant. Throws what the server says. */
  refresh(refreshToken: string): Promise<Grant>;
  /** True when the error means that the refresh token is no good any more (and not that the network is down). */
  isRefused(error: unknown): boolean;
  storage: Pick<Storage, "getItem" | "setItem" | "removeItem">;
  /** Runs one tab's work at a time. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
  /** Now, milliseconds. */
  now(): number;
  /** Called when somebody signs in or out, or the session is found to be over. */
  changed(who: Who | null): void;
}

const REFRESH_TOKEN = "marquee.refresh-token";
const WHO = "marquee.account";
/** Refresh this long before the access token expires, so that no call is sent with one that expires on its way. */
const MARGIN_MS = 30_000;

export class Session {
  private access: { token: string; goodUntil: number } | null = null;
  private refreshing: Promise<string | null> | null = null;

  constructor(private readonly around: Surroundings) {}

  /** Who is signed in, as far as this browser remembers. */
  who(): Who | null {
    if (this.around.storage.getItem(REFRESH_TOKEN) === null) return null;
    const stored = this.around.storage.getItem(WHO);
    return stored === null ? null : parseWho(stored);
  }

  /** Begins a session after login. */
  begin(grant: Grant, who: Who): void {
    this.keep(grant);
    this.around.storage.setItem(WHO, JSON.stringify(who));
    this.around.changed(who);
  }

  /** Forgets the session and returns its refresh token, to be ended on the server too. */
  end(): string | null {
    const token = this.around.storage.getItem(REFRESH_TOKEN);
    this.access = null;
    this.around.storage.removeItem(REFRESH_TOKEN);
    this.around.storage.removeItem(WHO);
    this.around.changed(null);
    return token;
  }

  /** The access token without asking anybody; null when there is none that is good. */
  current(): string | null {
    return this.access !== null && this.access.goodUntil > this.around.now() ? this.access.token : null;
  }

  /** A good access token, refreshed if need be; null when nobody is signed in. */
  async token(): Promise<string | null> {
    const stored = this.around.storage.getItem(REFRESH_TOKEN);
    if (stored === null) {
      this.access = null;
      return null;
    }
    return this.current() ?? this.renew();
  }

  /** A token other than the one that was refused. */
  async tokenAfter(refused: string): Promise<string | null> {
    if (this.access?.token === refused) this.access = null;
    return this.token();
  }

  private renew(): Promise<string | null> {
    this.refreshing ??= this.around
      .exclusively(() => this.trade())
      .finally(() => {
        this.refreshing = null;
      });
    return this.refreshing;
  }

  private async trade(): Promise<string | null> {
    const refreshToken = this.around.storage.getItem(REFRESH_TOKEN);
    if (refreshToken === null) return null;
    try {
      const grant = await this.around.refresh(refreshToken);
      this.keep(grant);
      return grant.accessToken;
    } catch (error) {
      if (!this.around.isRefused(error)) throw error;
      this.end();
      return null;
    }
  }

  private keep(grant: Grant): void {
    const goodUntil = this.around.now() + Math.max(0, grant.expiresInMs - MARGIN_MS);
    this.access = { token: grant.accessToken, goodUntil };
    this.around.storage.setItem(REFRESH_TOKEN, grant.refreshToken);
  }
}

function parseWho(text: string): Who | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return null;
    const { name, displayName, email } = value as Partial<Record<keyof Who, unknown>>;
    if (typeof name !== "string" || typeof displayName !== "string" || typeof email !== "string") return null;
    return { name, displayName, email };
  } catch {
    return null;
  }
}
