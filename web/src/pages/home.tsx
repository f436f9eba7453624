// What is live, what is coming, what can be watched again.
import { comingUp, liveNow, recorded, type Showing, viewersOf } from "../api/catalogue";
import { channelPath, watchPath } from "../api/names";
import { byDay, dayName, millis, relative, viewers } from "../format/time";
import { EventCard, LiveBadge, ScheduleLine } from "../parts/cards";
import { CardSkeletons, Trouble, useLoad, useNow, useTitle } from "../parts/loading";
import { Preview } from "../player/preview";

/** Events turn live by themselves: the page looks again this often. */
const LOOK_EVERY_MS = 10_000;

interface Live extends Showing {
  viewers: number | null;
}

async function readLive(): Promise<Live[]> {
  const showings = await liveNow();
  const live = await Promise.all(
    showings.map(async (showing) => ({ ...showing, viewers: await viewersOf(showing.event.name) })),
  );
  // The most watched comes first; sort is stable, so that equals stay newest first.
  return live.sort((a, b) => (b.viewers ?? 0) - (a.viewers ?? 0));
}

export function HomePage() {
  useTitle("");
  const now = useNow(15_000);
  const live = useLoad(readLive, [], LOOK_EVERY_MS);
  const upcoming = useLoad(() => comingUp(Date.now(), "channels/-", 12), [], 3 * LOOK_EVERY_MS);
  const past = useLoad(() => recorded(), [], 6 * LOOK_EVERY_MS);
  const [first, ...others] = live.data ?? [];
  const nothing = live.data?.length === 0 && upcoming.data?.length === 0 && past.data?.length === 0;
  return (
    <>
      {first === undefined ? <DarkSign upcoming={upcoming.data?.[0]} now={now} /> : <LitSign live={first} now={now} />}
      {live.fault !== null && <Trouble fault={live.fault} again={live.again} />}
      {others.length > 0 && (
        <section aria-labelledby="live-now">
          <h2 id="live-now" class="section-title">
            Also live
          </h2>
          <ul class="cards">
            {others.map((one) => (
              <EventCard key={one.event.name} showing={one} now={now} count={one.viewers} />
            ))}
          </ul>
        </section>
      )}
      {nothing && <Welcome />}
      <div class="home-columns">
        {(upcoming.data?.length ?? 0) > 0 && (
          <section aria-labelledby="coming-up">
            <h2 id="coming-up" class="section-title">
              Coming up
            </h2>
            <Schedule showings={upcoming.data ?? []} now={now} />
          </section>
        )}
        {past.data === null && past.fault === null && <CardSkeletons count={4} />}
        {(past.data?.length ?? 0) > 0 && (
          <section aria-labelledby="watch-again">
            <h2 id="watch-again" class="section-title">
              Watch again
            </h2>
            <ul class="cards">
              {past.data?.map((one) => (
                <EventCard key={one.event.name} showing={one} now={now} />
              ))}
            </ul>
          </section>
        )}
      </div>
    </>
  );
}

/** The sign over the door: lit, with what is on. */
function LitSign({ live: { event, channel, viewers: count }, now }: { live: Live; now: number }) {
  const at = millis(event.startTime);
  return (
    <section class="sign sign-lit" aria-label="Live now">
      <a class="sign-board" href={watchPath(event.name)}>
        <span class="sign-kicker">Now showing</span>
        <span class={`sign-title ${event.title.length > 36 ? "sign-title-long" : ""}`}>{event.title}</span>
      </a>
      <div class="sign-picture" aria-hidden="true">
        <Preview key={event.playbackPath} address={event.playbackPath} title={event.title} of={event.name} />
        <LiveBadge />
        {count !== null && count > 0 && <span class="card-count">{viewers(count)}</span>}
      </div>
      <div class="sign-foot">
        <p>
          {channel !== null && <a href={channelPath(channel)}>{channel.displayName}</a>}
          {at !== null && <span> · started {relative(at, now)}</span>}
          {event.genre !== "" && <span> · {event.genre}</span>}
        </p>
        <a class="button button-lit" href={watchPath(event.name)}>
          Watch live
        </a>
      </div>
    </section>
  );
}

/** The sign with its lights off. */
function DarkSign({ upcoming, now }: { upcoming: Showing | undefined; now: number }) {
  const at = upcoming === undefined ? null : millis(upcoming.event.scheduledStartTime);
  return (
    <section class="sign sign-dark" aria-label="Nothing is live">
      <div class="sign-board">
        <span class="sign-kicker">{upcoming === undefined ? "Intermission" : "Next on the programme"}</span>
        <span class="sign-title">{upcoming?.event.title ?? "Nothing is live right now"}</span>
        {at !== null && <span class="sign-by">{relative(at, now)}</span>}
      </div>
      {upcoming !== undefined && (
        <div class="sign-foot">
          <p>{upcoming.channel?.displayName}</p>
          <a class="button button-lit" href={watchPath(upcoming.event.name)}>
            See the event
          </a>
        </div>
      )}
    </section>
  );
}

function Welcome() {
  return (
    <section class="welcome">
      <h2 class="section-title">Be the first on this stage</h2>
      <p>
        Create a channel, schedule an event and point OBS or ffmpeg at it. You'll be live a few seconds after you press
        start.
      </p>
      <a class="button button-lit" href="/studio">
        Open the studio
      </a>
    </section>
  );
}

export function Schedule({ showings, now }: { showings: readonly Showing[]; now: number }) {
  return (
    <div class="schedule">
      {byDay(showings, ({ event }) => millis(event.scheduledStartTime)).map(({ at, items }) => (
        <div class="day" key={at}>
          <h3 class="day-name">{dayName(at, now)}</h3>
          <ul>
            {items.map((one) => (
              <ScheduleLine key={one.event.name} showing={one} />
            ))}
          </ul>
        </div>
      ))}
    </div>
  );
}
