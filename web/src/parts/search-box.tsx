// The search box with suggestions while one types (ARIA combobox pattern).
import { useSignal } from "@preact/signals";
import { useEffect, useId, useRef } from "preact/hooks";
import { search } from "../api/clients";
import { pageOf } from "../api/names";
import { ResultKind, type Suggestion } from "../gen/marquee/search/v1/search_pb";
import { go, route } from "../router";
import { SearchIcon } from "./icons";

const PAUSE_MS = 120;

export function SearchBox() {
  const here = route.value;
  const query = here.page === "search" ? here.query : "";
  const text = useSignal(query);
  const suggestions = useSignal<readonly Suggestion[]>([]);
  const open = useSignal(false);
  const chosen = useSignal(-1);
  const asking = useRef<{ timer: ReturnType<typeof setTimeout>; stop: AbortController }>(undefined);
  const input = useRef<HTMLInputElement>(null);
  const id = useId();

  useEffect(() => {
    text.value = query;
    open.value = false;
  }, [query, here]);

  const quit = () => {
    clearTimeout(asking.current?.timer);
    asking.current?.stop.abort();
  };
  useEffect(() => quit, []);

  const typed = (value: string) => {
    text.value = value;
    chosen.value = -1;
    quit();
    const prefix = value.trim().slice(0, 100);
    if (prefix === "") {
      suggestions.value = [];
      open.value = false;
      return;
    }
    const stop = new AbortController();
    const ask = async () => {
      try {
        const answer = await search.suggest({ prefix, limit: 8 }, { signal: stop.signal });
        if (stop.signal.aborted) return;
        suggestions.value = answer.suggestions;
        open.value = answer.suggestions.length > 0 && document.activeElement === input.current;
      } catch {
        // Searching works without suggestions.
      }
    };
    asking.current = { timer: setTimeout(() => void ask(), PAUSE_MS), stop };
  };

  const submit = () => {
    const suggestion = suggestions.value[chosen.value];
    quit();
    open.value = false;
    if (suggestion !== undefined) go(pageOf(suggestion.name));
    else if (text.value.trim() !== "") go(`/search?q=${encodeURIComponent(text.value.trim())}`);
  };

  const pressed = (event: KeyboardEvent) => {
    const count = suggestions.value.length;
    if (event.key === "Escape") {
      open.value = false;
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (count === 0) return;
      event.preventDefault();
      open.value = true;
      const step = event.key === "ArrowDown" ? 1 : -1;
      // One place before the first is "what I typed".
      chosen.value = ((chosen.value + 1 + step + count + 1) % (count + 1)) - 1;
    }
  };

  return (
    <search class="search">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <SearchIcon />
        <input
          ref={input}
          type="search"
          name="q"
          placeholder="Search events and channels"
          aria-label="Search events and channels"
          // biome-ignore lint/a11y/noRedundantRoles: there is no list attribute, so that the role is not implied
          role="combobox"
          list={undefined}
          aria-expanded={open.value}
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          aria-activedescendant={chosen.value >= 0 ? `${id}-${chosen.value}` : undefined}
          autocomplete="off"
          maxLength={200}
          value={text.value}
          onInput={(event) => typed(event.currentTarget.value)}
          onKeyDown={pressed}
          onFocus={() => {
            open.value = suggestions.value.length > 0;
          }}
          onBlur={() => {
            open.value = false;
          }}
        />
      </form>
      <div class="suggestions" id={`${id}-list`} role="listbox" aria-label="Suggestions" hidden={!open.value}>
        {suggestions.value.map((suggestion, at) => (
          <div
            key={suggestion.name}
            id={`${id}-${at}`}
            class="suggestion"
            role="option"
            tabIndex={-1}
            aria-selected={at === chosen.value}
            onPointerDown={(event) => {
              event.preventDefault();
              open.value = false;
              go(pageOf(suggestion.name));
            }}
          >
            <span>{suggestion.text}</span>
            <span class="quiet small">{suggestion.kind === ResultKind.CHANNEL ? "Channel" : "Event"}</span>
          </div>
        ))}
      </div>
    </search>
  );
}
