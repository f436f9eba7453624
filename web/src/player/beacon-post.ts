// Brings beacons to the server: in batches over REST, kept while the server is away, and by sendBeacon when the page goes.
import { create, toJsonString } from "@bufbuild/protobuf";
import { session } from "../api/clients";
import { uuid } from "../format/uuid";
import { type Beacon, SendBeaconsRequestSchema } from "../gen/marquee/analytics/v1/playback_pb";

const ADDRESS = "/v1/beacons";
/** What is kept while the server is away; the oldest go first. The server takes 500 at once. */
const MOST_KEPT = 300;

export class BeaconPost {
  private waiting: Beacon[] = [];
  private sending = false;

  /** Sends a beacon soon; it comes again with the next one if the server does not answer. */
  send(beacon: Beacon): void {
    this.waiting.push(beacon);
    if (this.waiting.length > MOST_KEPT) this.waiting.splice(0, this.waiting.length - MOST_KEPT);
    if (!this.sending) void this.flush();
  }

  /** Hands everything to the browser, which delivers it though the page is going away. */
  sendAsPageGoes(beacon: Beacon | null): void {
    const batch = beacon === null ? this.waiting : [...this.waiting, beacon];
    this.waiting = [];
    if (batch.length === 0) return;
    navigator.sendBeacon(ADDRESS, new Blob([json(batch)], { type: "application/json" }));
  }

  private async flush(): Promise<void> {
    this.sending = true;
    try {
      while (this.waiting.length > 0) {
        const batch = this.waiting.slice();
        const token = session.current();
        const response = await fetch(ADDRESS, {
          method: "POST",
          keepalive: true,
          headers: {
            "content-type": "application/json",
            ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          },
          body: json(batch),
        });
        // A batch that the server refuses as such would be refused again: only its failures are worth a retry.
        if (response.status >= 500 || response.status === 429) return;
        this.waiting = this.waiting.filter((beacon) => !batch.includes(beacon));
      }
    } catch {
      // The network is away; what waits goes with the next beacon.
    } finally {
      this.sending = false;
    }
  }
}

function json(beacons: Beacon[]): string {
  return toJsonString(SendBeaconsRequestSchema, create(SendBeaconsRequestSchema, { beacons }));
}

const VIEWER = "marquee.viewer";

/** The viewer's stable id on this device; made at the first visit. */
export function viewerId(storage: Pick<Storage, "getItem" | "setItem"> = localStorage): string {
  const known = storage.getItem(VIEWER);
  if (known !== null && /^[\w-]{1,64}$/.test(known)) return known;
  const made = uuid();
  storage.setItem(VIEWER, made);
  return made;
}
