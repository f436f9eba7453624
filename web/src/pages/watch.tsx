// One event: before, while and after it is live.

import { Code } from "@connectrpc/connect";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { channelByName, comingUp, liveNow, recorded, type Showing } from "../api/catalogue";
import { audience, events, streams } from "../api/clients";
import { codeOf, describe, type Fault } from "../api/errors";
import { channelOf, channelPath } from "../api/names";
import { keepWatching } from "../api/watching";
import { countdown, dayName, millis, relative, timeOfDay, viewers } from "../format/time";
import type { Audience } from "../gen/marquee/analytics/v1/audience_pb";
import type { Channel } from "../gen/marquee/events/v1/channels_pb";
import { type Event, EventState } from "../gen/marquee/events/v1/events_pb";
import { FollowButton, RemindButton } from "../parts/buttons";
import { EventCard, LiveBadge } from "../parts/cards";
import { EyeIcon } from "../parts/icons";
import { Trouble, useLoad, useNow, useTitle } from "../parts/loading";
import { Avatar, Poster } from "../parts/poster";
import type { Item } from "../player/playback";
import { Player } from "../player/player";
import { NotFoundPage } from "./not-found";

export function WatchPage({ name }: { name: string }) {
  const { event, fault } = useEvent(name);
  const channel = useLoad(() => channelByName(channelOf(name)), [name]).data;
  useTitle(event === null ? "" : event.title);
  if (fault !== null) return fault.missing ? <NotFoundPage what="event" /> : <Trouble fault={fault} />;
  if (event === null) return <div class="watch watch-loading" aria-busy="true" />;
  return (
    <div class="watch" data-event-state={EventState[event.state]?.toLowerCase()}>
      <div class="watch-stage">
        <Stage event={event} channel={channel} />
      </div>
      <div class="watch-about">
        <About event={event} channel={channel} />
      </div>
      <aside class="watch-more" aria-label="More to watch">
        <More event={event} />
      </aside>
    </div>
  );
}

function useEvent(name: string) {
  const event = useSignal<Event | null>(null);
  const fault = useSignal<(Fault & { missing: boolean }) | null>(null);
  useEffect(() => {
    event.value = null;
    fault.value = null;
    const stop = new AbortController();
    const message = (answer: { event?: Event | undefined }) => {
      fault.value = null;
      if (answer.event !== undefined) event.value = answer.event;
    };
    // Asked first, so that the page does not wait for a stream to open.
    events.getEvent({ name }, { signal: stop.signal }).then(
      (answer) => event.peek() === null && message(answer),
      () => undefined,
    );
    void keepWatching(
      {
        open: (signal) => streams.events.watchEvent({ name }, { signal }),
        ask: (signal) => events.getEvent({ name }, { signal }),
        message,
        failed: (error) => {
          const missing = [Code.NotFound, Code.InvalidArgument].includes(codeOf(error));
          if (event.peek() === null || missing) fault.value = { ...describe(error), missing };
          return !missing;
        },
      },
      stop.signal,
    );
    return () => stop.abort();
  }, [name]);
  return { event: event.value, fault: fault.value };
}

/** What the big rectangle shows. */
function Stage({ event, channel }: { event: Event; channel: Channel | null }) {
  // The player stays on the live playlist when the event ends under it, until its last picture was shown.
  const live = useSignal<Item | null>(null);
  const again = useSignal(false);
  useEffect(() => {
    if (event.state === EventState.LIVE && event.playbackPath !== "") {
      const item = { event: event.name, address: event.playbackPath, live: true };
      if (live.peek()?.address !== item.address || live.peek()?.event !== item.event) live.value = item;
    } else if (event.state !== EventState.ENDED || live.peek()?.event !== event.name) {
      live.value = null;
    }
    again.value = false;
  }, [event.name, event.state, event.playbackPath]);

  const afterwards = (
    <>
      <h2>That was {event.title}</h2>
      {event.recordingPath === "" ? (
        <p>The recording will be here in a moment.</p>
      ) : (
        <button
          type="button"
          class="button button-lit"
          onClick={() => {
            again.value = true;
          }}
        >
          Watch it from the start
        </button>
      )}
    </>
  );
  if (live.value !== null && !again.value) {
    return <Player key={live.value.address} item={live.value} title={event.title} after={afterwards} />;
  }
  if (event.state === EventState.ENDED && event.recordingPath !== "") {
    const item = { event: event.name, address: event.recordingPath, live: false };
    return <Player key={item.address} item={item} title={event.title} after={<h2>The end</h2>} />;
  }
  return <Curtain event={event} channel={channel} />;
}

/** The curtain before the start, and when there is nothing to show. */
function Curtain({ event, channel }: { event: Event; channel: Channel | null }) {
  const now = useNow(1_000);
  const at = millis(event.scheduledStartTime);
  const left = at === null ? null : countdown(at - now);
  return (
    <div class="curtain">
      <Poster title={event.title} of={channelOf(event.name)} />
      <div class="curtain-text">
        {event.state === EventState.SCHEDULED && (
          <>
            <p class="curtain-kicker">{left === null ? "Starting any moment" : "Starts in"}</p>
            {left !== null && (
              <p
                class="countdown"
                role="timer"
                aria-label={left.map(({ value, unit }) => `${value} ${unit}`).join(" ")}
              >
                {left.map(({ value, unit }) => (
                  <span key={unit}>
                    <b>{value}</b> {unit}
                  </span>
                ))}
              </p>
            )}
            <p>This page turns live by itself.</p>
          </>
        )}
        {event.state === EventState.LIVE && <p class="curtain-kicker">The first pictures are on their way</p>}
        {event.state === EventState.CANCELLED && (
          <>
            <p class="curtain-kicker">Called off</p>
            <p>{channel?.displayName ?? "The channel"} cancelled this event.</p>
          </>
        )}
        {event.state === EventState.ENDED && (
          <>
            <p class="curtain-kicker">This event is over</p>
            <p>A recording appears here as soon as it is ready.</p>
          </>
        )}
      </div>
    </div>
  );
}

function About({ event, channel }: { event: Event; channel: Channel | null }) {
  const channelTitle = channel?.displayName ?? "this channel";
  return (
    <>
      <div class="watch-line">
        <StateBadge event={event} />
        <When event={event} />
        {event.state === EventState.LIVE && <AudienceNow event={event.name} />}
      </div>
      <h1 class="watch-title">{event.title}</h1>
      <div class="watch-channel">
        <a href={channel === null ? `/${channelOf(event.name)}` : channelPath(channel)} class="channel-link">
          <Avatar name={channel?.displayName ?? "?"} of={channelOf(event.name)} />
          <span>
            <strong>{channel?.displayName ?? "…"}</strong>
            <span class="quiet small">{channel === null ? "" : `@${channel.handle}`}</span>
          </span>
        </a>
        <div class="watch-actions">
          {event.state === EventState.SCHEDULED && <RemindButton event={event.name} title={event.title} />}
          <FollowButton channel={channelOf(event.name)} title={channelTitle} />
        </div>
      </div>
      {(event.description !== "" || event.tags.length > 0 || event.genre !== "") && (
        <div class="watch-text">
          {event.description !== "" && <p class="prose">{event.description}</p>}
          <ul class="tags" aria-label="Tags">
            {[event.genre, event.maturityRating, ...event.tags]
              .filter((tag) => tag !== "")
              .map((tag) => (
                <li key={tag}>
                  <a href={`/search?q=${encodeURIComponent(tag)}`}>{tag}</a>
                </li>
              ))}
          </ul>
        </div>
      )}
    </>
  );
}

function StateBadge({ event }: { event: Event }) {
  switch (event.state) {
    case EventState.LIVE:
      return <LiveBadge />;
    case EventState.SCHEDULED:
      return <span class="state-badge">{event.overdue ? "Starting soon" : "Upcoming"}</span>;
    case EventState.CANCELLED:
      return <span class="state-badge">Cancelled</span>;
    case EventState.ENDED:
      return <span class="state-badge">{event.recordingPath === "" ? "Ended" : "Recording"}</span>;
    default:
      return null;
  }
}

function When({ event }: { event: Event }) {
  const now = useNow(30_000);
  const announced = millis(event.scheduledStartTime);
  const started = millis(event.startTime);
  const at = started ?? announced;
  if (at === null) return null;
  const words =
    event.state === EventState.LIVE
      ? `Started ${relative(at, now)}`
      : event.state === EventState.ENDED
        ? `Streamed ${relative(at, now)}`
        : `${dayName(at, now)}, ${timeOfDay(at)}`;
  return <time dateTime={new Date(at).toISOString()}>{words}</time>;
}

function AudienceNow({ event }: { event: string }) {
  const now = useSignal<Audience | null>(null);
  useEffect(() => {
    now.value = null;
    const stop = new AbortController();
    void keepWatching(
      {
        open: (signal) => streams.audience.watchAudience({ event }, { signal }),
        ask: (signal) => audience.getAudience({ event }, { signal }),
        message: (answer) => {
          if (answer.audience !== undefined) now.value = answer.audience;
        },
      },
      stop.signal,
    );
    return () => stop.abort();
  }, [event]);
  if (now.value === null) return null;
  const count = Number(now.value.concurrentViewers);
  return (
    <span class="audience" data-audience={count} title={`At most ${viewers(now.value.peakConcurrentViewers)} at once`}>
      <EyeIcon /> {viewers(count)}
    </span>
  );
}

async function readMore(name: string): Promise<Showing[]> {
  const channel = channelOf(name);
  const [live, next, past, others] = await Promise.all([
    liveNow(),
    comingUp(Date.now(), channel, 4),
    recorded(channel, 4),
    comingUp(Date.now(), "channels/-", 8),
  ]);
  const all = [...live, ...next, ...past, ...others].filter(({ event }) => event.name !== name);
  return all.filter((one, at) => all.findIndex(({ event }) => event.name === one.event.name) === at).slice(0, 8);
}

function More({ event }: { event: Event }) {
  const more = useLoad(() => readMore(event.name), [event.name, event.state], 30_000);
  const now = useNow(30_000);
  if (more.data === null) return null;
  return (
    <>
      <h2 class="side-title">{more.data.length > 0 ? "More to watch" : "That's all for now"}</h2>
      {more.data.length === 0 && (
        <p class="quiet">Follow the channel and you'll hear of its next event, or see what else is on.</p>
      )}
      <ul class="cards cards-side">
        {more.data.map((one) => (
          <EventCard key={one.event.name} showing={one} now={now} />
        ))}
      </ul>
      <a class="text-link" href="/">
        See the whole programme
      </a>
    </>
  );
}
