// Going on the air with one channel: its events, its key, and what arrives.
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { useSignal } from "@preact/signals";
import { channels, events, who } from "../api/clients";
import { describe } from "../api/errors";
import { channelPath, watchPath } from "../api/names";
import { dayName, millis, timeOfDay } from "../format/time";
import { uuid } from "../format/uuid";
import { type Event, EventState } from "../gen/marquee/events/v1/events_pb";
import { LiveBadge } from "../parts/cards";
import { Field } from "../parts/field";
import { useForm } from "../parts/form";
import { Trouble, useLoad, useTitle } from "../parts/loading";
import { SignInFirst } from "../parts/sign-in-first";
import { say } from "../parts/toasts";
import { EncoderPanel } from "./studio-encoder";
import { FiguresPanel } from "./studio-figures";

export function StudioChannelPage({ name }: { name: string }) {
  const account = who.value;
  const channel = useLoad(() => channels.getChannel({ name }).then((answer) => answer.channel ?? null), [name]);
  useTitle(channel.data === null ? "Studio" : `${channel.data.displayName} · Studio`);
  if (account === null) return <SignInFirst why="The studio is for the channel's owner." />;
  if (channel.fault !== null) return <Trouble fault={channel.fault} again={channel.again} />;
  if (channel.data === null) return <div class="watch-loading" aria-busy="true" />;
  if (channel.data.owner !== account.name) {
    return (
      <section class="welcome">
        <h1 class="section-title">This isn't your channel</h1>
        <p>The studio of a channel is for its owner.</p>
        <a class="button button-lit" href="/studio">
          Your channels
        </a>
      </section>
    );
  }
  return (
    <>
      <div class="page-head">
        <div>
          <p class="quiet small">
            <a href="/studio">Studio</a>
          </p>
          <h1 class="page-title">{channel.data.displayName}</h1>
        </div>
        <a class="button" href={channelPath(channel.data)}>
          See the channel
        </a>
      </div>
      <div class="studio">
        <Programme channel={name} />
        <EncoderPanel channel={name} />
        <FiguresPanel channel={name} />
      </div>
    </>
  );
}

function Programme({ channel }: { channel: string }) {
  const list = useLoad(
    () => events.listEvents({ parent: channel, pageSize: 20, orderBy: "scheduled_start_time desc" }),
    [channel],
    5_000,
  );
  const cancel = async (event: Event) => {
    if (!confirm(`Call off “${event.title}”?`)) return;
    try {
      await events.cancelEvent({ name: event.name, etag: event.etag });
      list.again();
    } catch (error) {
      say(describe(error).text);
    }
  };
  const all = list.data?.events ?? [];
  return (
    <section class="panel studio-programme" aria-labelledby="programme">
      <h2 id="programme">1. Programme</h2>
      {list.fault !== null && <Trouble fault={list.fault} again={list.again} />}
      {list.data !== null && all.length === 0 && (
        <p class="quiet">Schedule an event. It turns live by itself when your encoder starts to send.</p>
      )}
      <ul class="studio-events">
        {all.map((event) => (
          <li key={event.name}>
            <div>
              <a href={watchPath(event.name)}>{event.title}</a>
              <span class="quiet small">{stateOf(event)}</span>
            </div>
            {event.state === EventState.LIVE && <LiveBadge />}
            {event.state === EventState.SCHEDULED && (
              <button type="button" class="button button-small" onClick={() => void cancel(event)}>
                Cancel
              </button>
            )}
          </li>
        ))}
      </ul>
      <NewEvent channel={channel} open={list.data !== null && all.length === 0} done={list.again} />
    </section>
  );
}

function stateOf(event: Event): string {
  const at = millis(event.startTime) ?? millis(event.scheduledStartTime);
  const when = at === null ? "" : `${dayName(at, Date.now())}, ${timeOfDay(at)}`;
  switch (event.state) {
    case EventState.SCHEDULED:
      return event.overdue ? `${when} · overdue` : when;
    case EventState.CANCELLED:
      return `${when} · cancelled`;
    case EventState.ENDED:
      return `${when} · ended${event.recordingPath === "" ? "" : ", recorded"}`;
    default:
      return when;
  }
}

/** The value of a datetime-local input: local time without zone. */
function localInput(at: Date): string {
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function NewEvent({ channel, open, done }: { channel: string; open: boolean; done: () => void }) {
  const start = useSignal(localInput(new Date(Date.now() + 5 * 60_000)));
  const form = useForm(async (text) => {
    const tags = text("tags")
      .split(",")
      .map((tag) => tag.trim())
      .filter((tag) => tag !== "");
    const event = {
      title: text("title"),
      description: text("description"),
      genre: text("genre"),
      tags,
      scheduledStartTime: timestampFromDate(new Date(text("start"))),
    };
    await events.createEvent({ parent: channel, event, requestId: uuid() });
    say("Scheduled");
    done();
  });
  return (
    <details open={open}>
      <summary>Schedule an event</summary>
      <form class="form" onSubmit={form.onSubmit}>
        {form.fault !== null && (
          <p class="form-fault" role="alert">
            {form.fault.text}
          </p>
        )}
        <Field label="Title" name="title" required maxLength={200} fault={form.faultOf("title")} />
        <Field
          label="Starts"
          name="start"
          type="datetime-local"
          required
          value={start.value}
          onInput={(event) => {
            start.value = event.currentTarget.value;
          }}
          fault={form.faultOf("scheduled_start_time")}
        />
        <Field label="Genre" name="genre" maxLength={40} placeholder="music" fault={form.faultOf("genre")} />
        <Field label="Tags" name="tags" hint="Separated by commas." fault={form.faultOf("tags")} />
        <Field label="Description" name="description" rows={3} maxLength={5000} fault={form.faultOf("description")} />
        <button type="submit" class="button button-lit" disabled={form.busy}>
          Schedule
        </button>
      </form>
    </details>
  );
}
