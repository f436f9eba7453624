// What a search found.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { search } from "../api/clients";
import { describe } from "../api/errors";
import { channelOf, pageOf } from "../api/names";
import { dayName, millis, timeOfDay } from "../format/time";
import { type Result, ResultKind, type SearchResponse } from "../gen/marquee/search/v1/search_pb";
import { LiveBadge } from "../parts/cards";
import { SearchIcon } from "../parts/icons";
import { Trouble, useLoad, useTitle } from "../parts/loading";
import { Avatar, Poster } from "../parts/poster";
import { say } from "../parts/toasts";

const FILTERS = [
  { label: "Everything", request: {} },
  { label: "Live", request: { state: "live" } },
  { label: "Upcoming", request: { state: "scheduled" } },
  { label: "Past", request: { state: "ended" } },
  { label: "Channels", request: { kind: ResultKind.CHANNEL } },
] as const;

export function SearchPage({ query }: { query: string }) {
  useTitle(query === "" ? "Search" : query);
  const filter = useSignal(0);
  const request = { query: query.slice(0, 200), pageSize: 20, ...FILTERS[filter.value]?.request };
  const found = useLoad<SearchResponse>(() => search.search(request), [query, filter.value]);
  const more = useSignal<{ results: readonly Result[]; next: string } | null>(null);
  useEffect(() => {
    more.value = null;
  }, [query, filter.value]);

  const results = [...(found.data?.results ?? []), ...(more.value?.results ?? [])];
  const next = more.value?.next ?? found.data?.nextPageToken ?? "";
  const showMore = async () => {
    try {
      const page = await search.search({ ...request, pageToken: next });
      more.value = { results: [...(more.value?.results ?? []), ...page.results], next: page.nextPageToken };
    } catch (error) {
      say(describe(error).text);
    }
  };
  const total = Number(found.data?.totalSize ?? 0n);
  return (
    <section class="narrow">
      <h1 class="page-title">{query === "" ? "Search" : `“${query}”`}</h1>
      <fieldset class="filters">
        <legend class="sr-only">Show only</legend>
        {FILTERS.map(({ label }, at) => (
          <button
            type="button"
            key={label}
            class={`chip ${at === filter.value ? "chip-on" : ""}`}
            aria-pressed={at === filter.value}
            onClick={() => {
              filter.value = at;
            }}
          >
            {label}
          </button>
        ))}
      </fieldset>
      {found.fault !== null && <Trouble fault={found.fault} again={found.again} />}
      <p class="quiet small" role="status">
        {found.data === null ? "" : total === 1 ? "1 result" : `${total} results`}
      </p>
      {found.data !== null && results.length === 0 && (
        <div class="empty">
          <SearchIcon />
          <h2>Nothing found</h2>
          <p class="quiet">Try fewer or other words. Typing mistakes are fine: up to two in a word are forgiven.</p>
        </div>
      )}
      <ul class="results">
        {results.map((result) => (
          <ResultLine key={result.name} result={result} />
        ))}
      </ul>
      {next !== "" && (
        <button type="button" class="button" onClick={() => void showMore()}>
          Show more
        </button>
      )}
    </section>
  );
}

function ResultLine({ result }: { result: Result }) {
  const channel = result.kind === ResultKind.CHANNEL;
  const at = millis(result.scheduledStartTime);
  const facts = [
    channel ? "Channel" : result.channelDisplayName,
    at === null ? "" : `${dayName(at, Date.now())}, ${timeOfDay(at)}`,
    result.genre,
  ].filter((fact) => fact !== "");
  return (
    <li class="result">
      <div class="result-picture" aria-hidden="true">
        {channel ? (
          <Avatar name={result.title} of={result.name} large />
        ) : (
          <Poster title={result.title} of={channelOf(result.name)} />
        )}
      </div>
      <div class="result-text">
        <h2>
          <a href={pageOf(result.name)}>{result.title}</a>
        </h2>
        <p class="quiet">
          {result.state === "live" && <LiveBadge />} {facts.join(" · ")}
        </p>
        {result.snippet !== "" && <Snippet html={result.snippet} />}
      </div>
    </li>
  );
}

/** Shows a snippet: text that the server escaped, with matches in <em>. Only those two things are made of it. */
function Snippet({ html }: { html: string }) {
  const body = new DOMParser().parseFromString(html, "text/html").body;
  return (
    <p class="snippet">
      {Array.from(body.childNodes, (node, at) =>
        node.nodeName === "EM" ? <mark key={at}>{node.textContent}</mark> : (node.textContent ?? ""),
      )}
    </p>
  );
}
