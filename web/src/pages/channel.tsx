// A channel: what it is about, what is on, what comes, what was.

import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { comingUp, liveNow, recorded } from "../api/catalogue";
import { channels, who } from "../api/clients";
import { codeOf } from "../api/errors";
import { studioPath } from "../api/names";
import { type Channel, ChannelSchema } from "../gen/marquee/events/v1/channels_pb";
import { FollowButton } from "../parts/buttons";
import { EventCard } from "../parts/cards";
import { Trouble, useLoad, useNow, useTitle } from "../parts/loading";
import { Avatar } from "../parts/poster";
import { Schedule } from "./home";
import { NotFoundPage } from "./not-found";

/** Null stands for "there is none". */
async function readChannel(name: string): Promise<{ channel: Channel | null }> {
  try {
    const { channel } = await channels.getChannel({ name });
    return { channel: channel ?? create(ChannelSchema) };
  } catch (error) {
    if ([Code.NotFound, Code.InvalidArgument].includes(codeOf(error))) return { channel: null };
    throw error;
  }
}

async function readShows(name: string) {
  const [live, next, past] = await Promise.all([liveNow(name), comingUp(Date.now(), name), recorded(name)]);
  return { live, next, past };
}

export function ChannelPage({ name }: { name: string }) {
  const { data, fault, again } = useLoad(() => readChannel(name), [name]);
  useTitle(data?.channel?.displayName ?? "");
  if (fault !== null) return <Trouble fault={fault} again={again} />;
  if (data === null) return <div class="watch-loading" aria-busy="true" />;
  if (data.channel === null) return <NotFoundPage what="channel" />;
  return <Shown channel={data.channel} />;
}

function Shown({ channel }: { channel: Channel }) {
  const shows = useLoad(() => readShows(channel.name), [channel.name], 15_000);
  const now = useNow(15_000);
  const mine = who.value?.name === channel.owner;
  const { live = [], next = [], past = [] } = shows.data ?? {};
  return (
    <>
      <section class="channel-head">
        <Avatar name={channel.displayName} of={channel.name} large />
        <div class="channel-text">
          <h1 class="page-title">{channel.displayName}</h1>
          <p class="quiet">@{channel.handle}</p>
          {channel.description !== "" && <p class="prose">{channel.description}</p>}
          {channel.tags.length > 0 && (
            <ul class="tags" aria-label="Tags">
              {channel.tags.map((tag) => (
                <li key={tag}>
                  <a href={`/search?q=${encodeURIComponent(tag)}`}>{tag}</a>
                </li>
              ))}
            </ul>
          )}
        </div>
        {mine ? (
          <a class="button button-lit" href={studioPath(channel.name)}>
            Open in the studio
          </a>
        ) : (
          <FollowButton channel={channel.name} title={channel.displayName} />
        )}
      </section>
      {shows.fault !== null && <Trouble fault={shows.fault} again={shows.again} />}
      {live.length > 0 && (
        <section aria-labelledby="live">
          <h2 class="section-title" id="live">
            On now
          </h2>
          <ul class="cards">
            {live.map((one) => (
              <EventCard key={one.event.name} showing={one} now={now} />
            ))}
          </ul>
        </section>
      )}
      {next.length > 0 && (
        <section aria-labelledby="next">
          <h2 class="section-title" id="next">
            Coming up
          </h2>
          <Schedule showings={next} now={now} />
        </section>
      )}
      {past.length > 0 && (
        <section aria-labelledby="past">
          <h2 class="section-title" id="past">
            Watch again
          </h2>
          <ul class="cards">
            {past.map((one) => (
              <EventCard key={one.event.name} showing={one} now={now} />
            ))}
          </ul>
        </section>
      )}
      {shows.data !== null && live.length + next.length + past.length === 0 && (
        <div class="empty">
          <h2>Nothing on the programme yet</h2>
          <p class="quiet">Follow {channel.displayName} to hear when something is scheduled.</p>
        </div>
      )}
    </>
  );
}
