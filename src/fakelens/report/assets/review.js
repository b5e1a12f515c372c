"use strict";
// The review form: marks and an opinion, given before or after seeing the result, and notes.

class ReviewForm {
  constructor(player, onReveal) {
    const stored = JSON.parse(byId("review").textContent);
    this.player = player;
    this.saveTo = stored.save_to;
    this.saving = Promise.resolve();
    this.onReveal = onReveal;
    this.aside = readAside();
    this.keepConflict(stored);
    this.review = latest(stored, readDraft()) ?? fresh();
    if (!this.covered) this.recordSeen();
    this.wire();
    this.show();
    this.offerAside();
  }

  // Another browser has saved the review since this draft was begun. The page shows what is saved,
  // so the draft is kept elsewhere, where later changes do not overwrite it.
  keepConflict({ review: saved, save_to: saveTo }) {
    const draft = readDraft();
    if (!saveTo || !saved || !draft || (draft.revision ?? 0) === saved.revision) return;
    const isNew = !this.aside.some((other) => content(other) === content(draft));
    if (content(draft) !== content(saved) && isNew) this.storeAside([...this.aside, draft]);
    removeStored(DRAFT_KEY);
  }

  storeAside(reviews) {
    this.aside = reviews;
    if (reviews.length) store(ASIDE_KEY, JSON.stringify(reviews));
    else removeStored(ASIDE_KEY);
  }

  // Shows buttons for what was kept, one draft at a time.
  offerAside() {
    byId("kept-draft")?.remove();
    const draft = this.aside[0];
    if (!draft) return;
    const status = byId("review-status");
    status.textContent =
      "Another browser saved this review after you began, so the page shows that one. What you had not saved is kept in this browser:";
    const offer = element("p", "", { id: "kept-draft", class: "actions" });
    const actions = {
      "Add it to the notes": () => this.addToNotes(draft),
      "Save it as JSON": () => this.saveJson(draft),
      "Discard it": () => this.dropAside("Discarded."),
    };
    for (const [name, action] of Object.entries(actions)) {
      const button = element("button", name, { type: "button" });
      button.addEventListener("click", action);
      offer.append(button, " ");
    }
    status.after(offer);
  }

  // Only the notes can still be changed if the result has been revealed.
  addToNotes(draft) {
    const field = byId("review-notes");
    const notes = [this.review.notes, missing(draft, this.review)].filter(Boolean).join("\n\n");
    if (notes.length > field.maxLength) {
      byId("review-status").textContent = "Not added: the notes would become too long. Save it as JSON instead.";
      return;
    }
    field.value = notes;
    this.change(() => (this.review.notes = notes));
    this.dropAside("Added to the notes. Not saved yet.");
    field.focus();
  }

  dropAside(message) {
    this.storeAside(this.aside.slice(1));
    byId("review-status").textContent = message;
    this.offerAside();
  }

  get covered() {
    return isBlind() && this.review.uncovered === null;
  }

  // The result is visible: marks made from now on are not blind.
  recordSeen() {
    if (this.review.uncovered !== null) return;
    this.review.blind = false;
    store(SEEN_KEY, now());
    if (readDraft()) store(DRAFT_KEY, JSON.stringify(this.review));
  }

  wire() {
    const changes = {
      reviewer: (field) => (this.review.reviewer = field.value),
      "review-notes": (field) => (this.review.notes = field.value),
    };
    for (const [id, change] of Object.entries(changes))
      byId(id).addEventListener("input", (event) => this.change(() => change(event.target)));
    for (const button of document.querySelectorAll("input[name=opinion]"))
      button.addEventListener("change", () =>
        this.change(() => (this.review.opinion = button.value)),
      );
    byId("start-now")?.addEventListener("click", () => this.takeTime("mark-start"));
    byId("end-now")?.addEventListener("click", () => this.takeTime("mark-end"));
    byId("add-mark").addEventListener("click", () => this.addMark());
    byId("uncover").addEventListener("click", () => this.reveal());
    byId("save-review").addEventListener("click", () => this.save());
    byId("save-page").addEventListener("click", () => this.savePage());
    byId("save-json").addEventListener("click", () => this.saveJson());
    byId("new-review").addEventListener("click", () => this.startNewReview());
    byId("review-form").addEventListener("submit", (event) => event.preventDefault());
    byId("save-review").hidden = !this.saveTo;
    byId("new-review").hidden = Boolean(this.saveTo); // a server keeps one review only
  }

  takeTime(field) {
    byId(field).value = (this.player?.place ?? 0).toFixed(2);
  }

  change(edit) {
    edit();
    this.review.saved = now();
    byId("review-status").textContent = "Not saved yet.";
    store(DRAFT_KEY, JSON.stringify(this.review));
    this.updatePrintout();
  }

  // Another person starts a review, with the result hidden.
  startNewReview() {
    removeStored(SEEN_KEY);
    store(DRAFT_KEY, JSON.stringify({ ...fresh(), blind: true }));
    location.hash = "blind";
  }

  addMark() {
    const person = byId("mark-person").value;
    const start = Number(byId("mark-start")?.value ?? 0), end = Number(byId("mark-end")?.value ?? 0);
    const good = start >= 0 && end >= start && end <= facts.duration + 1;
    byId("mark-problem").textContent = good ? "" : "The mark must end after it starts, and within the video.";
    if (!good) return;
    const mark = { person: person ? Number(person) : null, start, end, note: byId("mark-note").value };
    this.change(() => this.review.suspicions.push(mark));
    byId("mark-note").value = "";
    this.show();
  }

  reveal() {
    this.change(() => (this.review.uncovered = now()));
    store(SEEN_KEY, now());
    if (this.saveTo) this.save();
    document.documentElement.classList.remove("blind");
    history.replaceState(null, "", location.href.split("#")[0]);
    this.show();
    this.onReveal();
    byId("verdicts").scrollIntoView();
  }

  show() {
    const review = this.review;
    if (!this.covered) document.documentElement.classList.remove("blind");
    byId("reviewer").value = review.reviewer;
    byId("review-notes").value = review.notes;
    for (const button of document.querySelectorAll("input[name=opinion]"))
      button.checked = button.value === review.opinion;
    const locked = review.uncovered !== null;
    byId("blind-part").disabled = locked;
    byId("blind-done").hidden = !locked;
    byId("blind-done").textContent = review.blind
      ? `Blind review: the marks below were made before this page showed the result in this browser, at ${review.uncovered}. They can no longer be changed.`
      : `Not a blind review: this page had shown the result before the marks below were made. They were closed at ${review.uncovered} and can no longer be changed.`;
    this.updatePrintout();
    byId("suspicions").replaceChildren(...review.suspicions.map((mark) => this.item(mark, locked)));
    byId("comparison").hidden = !locked;
    if (locked) byId("comparison").replaceChildren(...comparison(review));
  }

  // For print, where form fields would truncate long texts.
  updatePrintout() {
    const { blind, uncovered } = this.review;
    const lines = describe(this.review);
    byId("review-print").textContent = lines.join("\n");
    byId("your-review").classList.toggle("empty", !lines.length && !(blind && uncovered));
  }

  item(mark, locked) {
    const item = element("li", `${describeMark(mark)} `);
    if (this.player) {
      const go = element("button", "Go to");
      go.setAttribute("aria-label", `Go to: ${describeMark(mark)}`);
      go.type = "button";
      go.addEventListener("click", () => this.player.seek(mark.start));
      item.append(go, " ");
    }
    if (!locked) {
      const remove = element("button", "Remove");
      remove.type = "button";
      remove.setAttribute("aria-label", `Remove: ${describeMark(mark)}`);
      remove.addEventListener("click", () => {
        this.change(() => this.review.suspicions.splice(this.review.suspicions.indexOf(mark), 1));
        this.show();
      });
      item.append(remove);
    }
    return item;
  }

  // One at a time: each save must name the revision that the previous one made.
  save() {
    this.saving = this.saving.then(() => this.send());
  }

  async send() {
    const status = byId("review-status");
    const sent = JSON.stringify(this.review);
    try {
      const answer = await fetch(this.saveTo, {
        method: "PUT",
        headers: { "Content-Type": "application/json" },
        body: sent,
      });
      const answered = await answer.json();
      if (!answer.ok) {
        status.textContent = `Not saved: ${problemText(answered)}`;
        return;
      }
      const isCurrent = JSON.stringify(this.review) === sent;
      this.recordSaved(answered, isCurrent);
      status.textContent = isCurrent ? "Saved." : "Not saved yet.";
    } catch {
      status.textContent = "Not saved: the server cannot be reached.";
    }
  }

  // The times are those of the server's clock.
  recordSaved({ revision, uncovered, saved }, isCurrent) {
    const isRevealed = uncovered !== null;
    Object.assign(this.review, { revision, saved }, isRevealed && { uncovered });
    if (isCurrent) removeStored(DRAFT_KEY);
    else store(DRAFT_KEY, JSON.stringify(this.review));
    if (isRevealed) this.show();
  }

  savePage() {
    const block = JSON.stringify({ save_to: null, review: this.review }).replaceAll("<", "\\u003c");
    const page = originalHtml
      .replace(
        /(<script type="application\/json" id="review">)[^<]*(<\/script>)/,
        (_, open, close) => open + block + close,
      )
      .replace(/<p [^>]*id="home">.*?<\/p>\n?/, ""); // the link to the server's list
    download(page, "text/html", `${facts.name}-reviewed.html`);
    byId("review-status").textContent = "A copy of this page with the review was saved. Keep it in the same folder as this page.";
  }

  saveJson(review = this.review) {
    download(JSON.stringify(review, null, 1), "application/json", `${facts.name}-review.json`);
    byId("review-status").textContent = "The review was saved as JSON.";
  }
}

const DRAFT_KEY = `fakelens-review-${facts.report}`;
const ASIDE_KEY = `fakelens-unsaved-${facts.report}`;
const SEEN_KEY = `fakelens-seen-${facts.report}`;

// Browser storage may be blocked; then drafts are lost on reload, but saving still works.
function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // See above.
  }
}

function readStored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function removeStored(key) {
  try {
    localStorage.removeItem(key);
  } catch {
    // See above.
  }
}

// Unsaved work from an earlier visit.
function readDraft() {
  return [readJson(DRAFT_KEY)].find(isReview) ?? null;
}

// Unsaved work that was made from a review which another browser has replaced.
function readAside() {
  const reviews = readJson(ASIDE_KEY);
  return Array.isArray(reviews) ? reviews.filter(isReview) : [];
}

function readJson(key) {
  try {
    return JSON.parse(readStored(key));
  } catch {
    return null;
  }
}

function isReview(found) {
  return found?.version === 1 && Array.isArray(found.suspicions);
}

// What the reviewer wrote, to compare reviews.
function content({ reviewer, opinion, suspicions, notes }) {
  return JSON.stringify([reviewer, opinion, suspicions.map(describeMark), notes]);
}

// What a review contains and another one does not, as text.
function missing(review, other) {
  const lines = describe(review), present = new Set(describe(other));
  return lines.filter((line) => !present.has(line)).join("\n");
}

function describe({ reviewer, opinion, suspicions, notes }) {
  const lines = suspicions.map((mark) => `Suspicious: ${describeMark(mark)}`);
  if (opinion) lines.unshift(`Opinion: ${opinion}`);
  if (reviewer) lines.unshift(`Reviewer: ${reviewer}`);
  if (notes) lines.push(`Notes: ${notes}`);
  return lines;
}

// Returns the review that is newer: by time in a file; on a server, whose clock is another one, the
// draft if it was made from the saved revision.
function latest({ review: saved, save_to: saveTo }, draft) {
  if (!saved || !draft) return saved ?? draft;
  const isNewer = saveTo
    ? (draft.revision ?? 0) === saved.revision
    : Date.parse(draft.saved) > Date.parse(saved.saved);
  return isNewer ? draft : saved;
}

const fresh = () => ({
  version: 1, revision: 0, video_sha256: facts.sha256, reviewer: "", blind: isBlind() && readStored(SEEN_KEY) === null,
  opinion: null, suspicions: [], uncovered: null, notes: "", saved: now(),
});
const isBlind = () => document.documentElement.classList.contains("blind");
const now = () => new Date().toISOString().replace(/\.\d+Z$/, "Z");

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function describeMark({ person, start, end, note }) {
  const who = person === null ? "the whole picture" : `person ${person}`;
  const when = facts.layer && facts.duration > 0.01 ? `, ${clock(start)} to ${clock(end)}` : "";
  return `${who}${when}${note ? `: ${note}` : ""}`;
}

function problemText(problem) {
  return typeof problem?.detail === "string" ? problem.detail : "the server rejected it.";
}

// A table of the reviewer's marks and the result, person by person.
function comparison(review) {
  const table = element("table", "", { class: "facts" });
  const head = table.createTHead().insertRow();
  for (const title of ["", review.blind ? "You (blind)" : "You", "fakelens"]) head.append(element("th", title, { scope: "col" }));
  const body = table.createTBody();
  const row = (name, yours, its) => {
    const line = body.insertRow();
    line.append(element("th", name, { scope: "row" }), element("td", yours), element("td", its));
  };
  for (const finding of facts.findings) {
    const marks = review.suspicions.filter((mark) => mark.person === finding.person);
    const score = finding.score === null ? "not judged" : `${finding.verdict}, ${finding.score.toFixed(2)}`;
    const spans = finding.spans.map(([start, end]) => `${clock(start)} to ${clock(end)}`).join(", ");
    const yours = marks.map(describeMark).join("; ") || "nothing marked";
    row(`Person ${finding.person}`, yours, spans ? `${score}; suspicious ${spans}` : score);
  }
  const whole = review.suspicions.filter((mark) => mark.person === null).map(describeMark);
  row("The video", [review.opinion ?? "no opinion", ...whole].join("; "), "verdicts are per person");
  return [element("h3", "Your review and the result"), table];
}

function download(text, type, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
