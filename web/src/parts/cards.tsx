// Events as cards and as lines of a schedule.
import type { Showing } from "../api/catalogue";
import { isLive } from "../api/catalogue";
import { channelOf, channelPath, watchPath } from "../api/names";
import { millis, relative, timeOfDay, viewers } from "../format/time";
import { RemindButton } from "./buttons";
import { Avatar, Poster } from "./poster";

export function EventCard({ showing, now, count }: { showing: Showing; now: number; count?: number | null }) {
  const { event, channel } = showing;
  const live = isLive(event);
  const at = millis(event.startTime) ?? millis(event.scheduledStartTime);
  return (
    <li class="card">
      <a class="card-link" href={watchPath(event.name)}>
        <div class="card-picture">
          <Poster title={event.title} of={channelOf(event.name)} kicker={event.genre} />
          {live && <LiveBadge />}
          {live && count !== undefined && count !== null && count > 0 && (
            <span class="card-count">{viewers(count)}</span>
          )}
        </div>
        <h3 class="card-title">{event.title}</h3>
      </a>
      <p class="card-line">
        {channel !== null && <a href={channelPath(channel)}>{channel.displayName}</a>}
        {at !== null && <span class="quiet"> · {live ? `started ${relative(at, now)}` : relative(at, now)}</span>}
      </p>
    </li>
  );
}

export function LiveBadge() {
  return (
    <span class="live-badge">
      <i aria-hidden="true" /> Live
    </span>
  );
}

/** One line of the schedule. */
export function ScheduleLine({ showing }: { showing: Showing }) {
  const { event, channel } = showing;
  const at = millis(event.scheduledStartTime);
  return (
    <li class="line">
      <time class="line-time" dateTime={at === null ? undefined : new Date(at).toISOString()}>
        {at === null ? "" : timeOfDay(at)}
      </time>
      <Avatar name={channel?.displayName ?? event.title} of={channelOf(event.name)} />
      <div class="line-text">
        <h3>
          <a href={watchPath(event.name)}>{event.title}</a>
        </h3>
        <p class="quiet">
          {[channel?.displayName, event.genre].filter(Boolean).join(" · ")}
          {event.overdue && <span class="overdue"> · starts any moment</span>}
        </p>
      </div>
      <RemindButton event={event.name} title={event.title} small />
    </li>
  );
}
