// The search and the order of the results. Both are part of the page's address, so that reloading
// the page and going back to it keep them.

const WAIT = 250; // milliseconds without a key press before the server is asked

const $ = (id) => document.getElementById(id);
let timer = null;

// Returns what is searched for, and the order.
export function readView() {
  return { query: $("query").value.trim(), sort: $("sort").value };
}

// Whether this view is all results, newest first.
export function isPlain({ query, sort }) {
  return !query && sort === "newest";
}

// Shows the view in the page's address in the form, and calls a function when the view changes.
export function listenForView(onChange) {
  const address = new URLSearchParams(location.search);
  $("query").value = address.get("query") ?? "";
  if (address.get("sort")) $("sort").value = address.get("sort");
  if ($("sort").selectedIndex < 0) $("sort").value = "newest";
  const change = () => {
    clearTimeout(timer);
    timer = null;
    const changed = Object.entries(readView()).filter(([, value]) => value && value !== "newest");
    const query = new URLSearchParams(changed).toString();
    history.replaceState(null, "", query ? `?${query}` : location.pathname);
    onChange();
  };
  $("query").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(change, WAIT);
  });
  $("sort").addEventListener("change", change);
  $("find").addEventListener("submit", (event) => {
    event.preventDefault();
    change();
  });
}

// In a blind review, the order must not show the result.
export function hideSuspicion(isBlind) {
  const option = $("sort").querySelector("[value=suspicious]");
  option.disabled = option.hidden = isBlind;
  if (isBlind && option.selected) $("sort").value = "newest";
}

// Shows exactly these rows in a list, and moves only those that are not in their place.
export function arrange(list, rows) {
  const wanted = new Set(rows);
  [...list.children].filter((row) => !wanted.has(row)).forEach((row) => row.remove());
  rows.forEach((row, place) => {
    if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
  });
}
