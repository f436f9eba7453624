// Reading what there is to watch, with the channels that belong to it.
import type { Channel } from "../gen/marquee/events/v1/channels_pb";
import { type Event, EventState } from "../gen/marquee/events/v1/events_pb";
import { audience, channels, events } from "./clients";
import { channelOf } from "./names";

/** An event with its channel, where that could be read. */
export interface Showing {
  event: Event;
  channel: Channel | null;
}

const known = new Map<string, Promise<Channel | null>>();

/** A channel by name, read once per visit. */
export function channelByName(name: string): Promise<Channel | null> {
  const reading =
    known.get(name) ??
    channels.getChannel({ name }).then(
      (answer) => answer.channel ?? null,
      () => {
        known.delete(name);
        return null;
      },
    );
  known.set(name, reading);
  return reading;
}

/** Forgets a channel that was changed. */
export function forgetChannel(name: string): void {
  known.delete(name);
}

async function withChannels(list: readonly Event[]): Promise<Showing[]> {
  return Promise.all(list.map(async (event) => ({ event, channel: await channelByName(channelOf(event.name)) })));
}

async function list(parent: string, filter: string, orderBy: string, pageSize: number): Promise<Showing[]> {
  return withChannels((await events.listEvents({ parent, filter, orderBy, pageSize })).events);
}

/** What is on the air, newest first. */
export function liveNow(parent = "channels/-"): Promise<Showing[]> {
  return list(parent, "state = LIVE", "create_time desc", 24);
}

/** What is announced, soonest first; what is long overdue is left out. */
export function comingUp(now: number, parent = "channels/-", pageSize = 40): Promise<Showing[]> {
  const since = new Date(now - 2 * 3_600_000).toISOString();
  return list(parent, `state = SCHEDULED AND scheduled_start_time >= "${since}"`, "scheduled_start_time", pageSize);
}

/** What was broadcast and can be watched now, newest first. */
export async function recorded(parent = "channels/-", pageSize = 48): Promise<Showing[]> {
  const ended = await list(parent, "state = ENDED", "scheduled_start_time desc", pageSize);
  return ended.filter(({ event }) => event.recordingPath !== "");
}

/** How many watch an event now; null when nobody can say. */
export async function viewersOf(event: string): Promise<number | null> {
  try {
    return Number((await audience.getAudience({ event })).audience?.concurrentViewers ?? 0n);
  } catch {
    return null;
  }
}

export function isLive(event: Event): boolean {
  return event.state === EventState.LIVE;
}
