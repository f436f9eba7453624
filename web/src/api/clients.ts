// The clients of Marquee's services over grpc-web, on the address the pages came from.
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { signal } from "@preact/signals";
import { uuid } from "../format/uuid";
import { AudienceService } from "../gen/marquee/analytics/v1/audience_pb";
import { ChannelService } from "../gen/marquee/events/v1/channels_pb";
import { EventService } from "../gen/marquee/events/v1/events_pb";
import { InboxService } from "../gen/marquee/notifications/v1/inbox_pb";
import { SearchService } from "../gen/marquee/search/v1/search_pb";
import { AccountService, SessionService, type Tokens } from "../gen/marquee/subscriptions/v1/accounts_pb";
import { FollowService, ReminderService } from "../gen/marquee/subscriptions/v1/follows_pb";
import { LiveStreamService } from "../gen/marquee/video_ingest/v1/live_streams_pb";
import { StreamKeyService } from "../gen/marquee/video_ingest/v1/stream_keys_pb";
import { codeOf } from "./errors";
import { type Grant, Session, type Who } from "./session";

/** Unary calls give up after this long; streams have no limit. */
const DEADLINE_MS = 10_000;

const REFUSALS: readonly Code[] = [Code.Unauthenticated, Code.InvalidArgument, Code.NotFound, Code.PermissionDenied];

/** Adds the access token; a unary call that is refused for an expired one is sent once more with a new one. */
const authorise: Interceptor = (next) => async (request) => {
  const token = await session.token();
  if (token === null) return next(request);
  request.header.set("authorization", `Bearer ${token}`);
  try {
    return await next(request);
  } catch (error) {
    if (request.stream || codeOf(error) !== Code.Unauthenticated) throw error;
    const fresh = await session.tokenAfter(token);
    if (fresh === null) throw error;
    request.header.set("authorization", `Bearer ${fresh}`);
    return next(request);
  }
};

const baseUrl = globalThis.location?.origin ?? "http://127.0.0.1";
/** Signing in needs no token, and asking for one here would go in circles. */
const open = createGrpcWebTransport({ baseUrl, defaultTimeoutMs: DEADLINE_MS });
const signed = createGrpcWebTransport({ baseUrl, defaultTimeoutMs: DEADLINE_MS, interceptors: [authorise] });
/** Streams stay open as long as the page wants them, so that they have no deadline. */
const endless = createGrpcWebTransport({ baseUrl, interceptors: [authorise] });

const sessions = createClient(SessionService, open);
const registration = createClient(AccountService, open);

export const audience = createClient(AudienceService, signed);
export const channels = createClient(ChannelService, signed);
export const events = createClient(EventService, signed);
export const follows = createClient(FollowService, signed);
export const inbox = createClient(InboxService, signed);
export const liveStreams = createClient(LiveStreamService, signed);
export const reminders = createClient(ReminderService, signed);
export const search = createClient(SearchService, signed);
export const streamKeys = createClient(StreamKeyService, signed);

/** The same services for their Watch calls. */
export const streams = {
  audience: createClient(AudienceService, endless),
  events: createClient(EventService, endless),
  inbox: createClient(InboxService, endless),
  liveStreams: createClient(LiveStreamService, endless),
};

/** Who is signed in; null is nobody. */
export const who = signal<Who | null>(null);

export const session = new Session({
  refresh: async (refreshToken) => granted((await sessions.refresh({ refreshToken })).tokens),
  isRefused: (error) => REFUSALS.includes(codeOf(error)),
  storage: globalThis.localStorage,
  exclusively: (work) => (navigator.locks ? navigator.locks.request("marquee.refresh", work) : work()),
  now: () => Date.now(),
  changed: (now) => {
    who.value = now;
  },
});
who.value = session.who();

// Another tab signed in or out.
globalThis.addEventListener?.("storage", (event) => {
  if (event.key?.startsWith("marquee.")) who.value = session.who();
});

function granted(tokens: Tokens | undefined): Grant {
  if (tokens === undefined) throw new ConnectError("the server sent no tokens", Code.Internal);
  return {
    accessToken: tokens.accessToken,
    refreshToken: tokens.refreshToken,
    expiresInMs: Number(tokens.expiresIn?.seconds ?? 0n) * 1000,
  };
}

/** Signs in. */
export async function signIn(email: string, password: string): Promise<void> {
  const { tokens, account } = await sessions.login({ email, password });
  if (account === undefined) throw new ConnectError("the server sent no account", Code.Internal);
  session.begin(granted(tokens), { name: account.name, displayName: account.displayName, email: account.email });
}

/** Registers an account and signs in to it. */
export async function register(displayName: string, email: string, password: string): Promise<void> {
  await registration.createAccount({ account: { displayName, email }, password, requestId: uuid() });
  await signIn(email, password);
}

/** Signs out, here at once and on the server as soon as it answers. */
export async function signOut(): Promise<void> {
  const refreshToken = session.end();
  if (refreshToken !== null) await sessions.logout({ refreshToken }).catch(() => undefined);
}
