"use strict";
// The review form: marks and an opinion, given before or after seeing the result, and notes.

class ReviewForm {
  constructor(player, persons, onReveal) {
    const block = JSON.parse(byId("review").textContent);
    const draft = readDraft(), saved = findOwn(block, draft);
    this.player = player;
    this.onReveal = onReveal;
    this.history = new ReviewHistory();
    this.saver = new ReviewSaver(this, block.save_to);
    this.aside = new AsideDrafts(this);
    const isReplaced = block.save_to && saved && draft && (draft.revision ?? 0) !== saved.revision;
    if (isReplaced) this.aside.keep(draft, saved);
    this.review = latest(saved, draft, block.save_to) ?? freshReview();
    this.others = new OtherReviews(this, [block.review, ...block.others].filter((other) => other && other !== saved));
    if (!this.covered) this.recordSeen();
    this.lanes = new MarkLanes(this, player, persons);
    this.wire();
    const isUnsaved = this.review === draft && hasContent(draft) && contentOf(draft) !== readStored(FILED_KEY);
    this.saver.setUnsaved(isUnsaved);
    this.show();
    this.aside.offer();
  }

  get covered() {
    return isBlind() && this.review.uncovered === null;
  }

  // Only the notes can still be changed.
  get isClosed() {
    return this.review.uncovered !== null;
  }

  // The result is visible: marks made from now on are not blind.
  recordSeen() {
    store(SEEN_KEY, now());
    if (this.isClosed) return;
    this.review.blind = false;
    if (readDraft()) store(DRAFT_KEY, JSON.stringify(this.review));
  }

  wire() {
    const inputs = {
      reviewer: (field) => this.change(() => (this.review.reviewer = field.value)),
      "review-notes": (field) => this.change(() => (this.review.notes = field.value)),
    };
    for (const [id, react] of Object.entries(inputs)) byId(id).addEventListener("input", (event) => react(event.target));
    for (const button of document.querySelectorAll("input[name=opinion]"))
      button.addEventListener("change", () => this.edit(() => (this.review.opinion = button.value)));
    const clicks = {
      "start-now": () => this.setEnd("start", this.player?.place ?? 0),
      "end-now": () => this.setEnd("end", this.player?.place ?? 0),
      "add-mark": () => this.addSpan(),
      undo: () => this.undo(),
      redo: () => this.redo(),
      uncover: () => this.reveal(),
      "save-review": () => this.saver.save(),
      "save-page": () => this.saver.savePage(),
      "save-json": () => this.saver.saveJson(),
      "new-review": () => this.startNewReview(),
    };
    for (const [id, act] of Object.entries(clicks)) byId(id)?.addEventListener("click", act);
    byId("load-reviews").addEventListener("change", async ({ target }) => {
      await this.saver.load(target.files);
      target.value = "";
      this.show();
    });
    window.addEventListener("storage", ({ key, newValue }) => {
      if (key === DRAFT_KEY && newValue) this.say("A review of this video is open in another tab of this browser: go on in one of them only.");
    });
    byId("review-form").addEventListener("submit", (event) => event.preventDefault());
    byId("save-review").hidden = !this.saver.url;
    wireReviewKeys(this, this.player);
  }

  say(text) {
    byId("review-status").textContent = text;
  }

  change(apply) {
    if (this.covered && readStored(SEEN_KEY)) this.review.blind = false; // another tab has shown the result
    apply();
    this.review.saved = now();
    this.say("");
    this.saver.keepDraft(this.review);
    this.updatePrintout();
  }

  // A change of the marks or the opinion, which can be undone.
  edit(apply, key = null) {
    this.history.record(this.state, key);
    this.change(apply);
    if (key === null) this.show();
    this.updateUndo();
  }

  get state() {
    const { opinion, suspicions } = this.review;
    return { opinion, suspicions };
  }

  undo() {
    this.restore(this.history.undo(this.state), "Undone.");
  }

  redo() {
    this.restore(this.history.redo(this.state), "Redone.");
  }

  restore(state, message) {
    if (!state || this.isClosed) return;
    const { activeElement: focused } = document;
    this.change(() => Object.assign(this.review, state));
    this.show();
    this.say(message);
    if (focused?.disabled) byId(focused.id === "undo" ? "redo" : "undo").focus(); // or the focus is lost
  }

  showSpan({ start, end }) {
    byId("mark-start").value = start;
    byId("mark-end").value = end;
  }

  readSpan() {
    return { start: Number(byId("mark-start")?.value ?? 0), end: Number(byId("mark-end")?.value ?? 0) };
  }

  readPerson() {
    const { value } = byId("mark-person");
    return value ? Number(value) : null;
  }

  // Sets one end of the span that is about to be added; the other one moves if it must.
  setEnd(end, seconds) {
    const time = roundTime(seconds), span = { ...this.readSpan(), [end]: time };
    if (end === "start") span.end = Math.max(span.end, time);
    else span.start = Math.min(span.start, time);
    this.showSpan(span);
    this.lanes.showPending(this.readPerson(), span);
    this.say(`${end === "start" ? "From" : "To"} ${clock(time)}.`);
  }

  addSpan() {
    const { start, end } = this.readSpan();
    const isGood = start >= 0 && end >= start && end <= facts.duration + 1;
    byId("mark-problem").textContent = isGood ? "" : "The mark must end after it starts, and within the video.";
    if (!isGood) return;
    this.addMark({ person: this.readPerson(), start, end, note: byId("mark-note").value });
    byId("mark-note").value = "";
  }

  addMark(mark) {
    const isFull = this.review.suspicions.length >= MAX_MARKS;
    byId("mark-problem").textContent = isFull ? `A review has at most ${MAX_MARKS} marks.` : "";
    if (isFull) return;
    this.edit(() => this.review.suspicions.push(mark));
    this.say(`Marked ${describeMark(mark)}.`);
  }

  moveMark(mark, span) {
    this.edit(() => Object.assign(mark, span));
    this.say(`Changed to ${describeMark(mark)}.`);
  }

  removeMark(mark) {
    const place = this.review.suspicions.indexOf(mark);
    this.edit(() => this.review.suspicions.splice(place, 1));
    this.say(`Removed ${describeMark(mark)}.`);
    (document.querySelectorAll("#suspicions .remove")[place] ?? byId("undo")).focus();
  }

  async reveal() {
    this.change(() => (this.review.uncovered = now()));
    store(SEEN_KEY, now());
    const saving = this.saver.url && this.saver.save();
    this.show();
    this.onReveal();
    // At once, without an animation: the page has grown, so that it would be a long one.
    byId("comparison").scrollIntoView();
    byId("comparison-title").focus({ preventScroll: true });
    if (!saving) return;
    await saving;
    await this.saver.fetchOthers();
    this.others.show();
  }

  // Another person starts a review, with the result hidden. Finished reviews stay.
  async startNewReview() {
    if (this.saver.url && this.saver.unsaved) {
      await this.saver.save();
      if (this.saver.unsaved) return; // the status says why
    }
    const isLost = this.saver.unsaved;
    if (hasContent(this.review)) this.others.add([this.review], this.saver.url !== null);
    removeStored(SEEN_KEY, DRAFT_KEY, FILED_KEY);
    document.documentElement.classList.add("blind");
    history.replaceState(null, "", "#blind");
    this.review = { ...freshReview(), blind: true };
    this.history.clear();
    this.saver.keepDraft(this.review);
    this.saver.setUnsaved(isLost);
    // Nothing may hint at what the other person did.
    byId("review-form").reset();
    byId("mark-problem").textContent = "";
    this.say("");
    this.player?.video.pause();
    this.player?.seek(0);
    this.show();
    this.onReveal();
    byId("main").focus();
    window.scrollTo(0, 0);
  }

  show() {
    const { review, isClosed } = this;
    if (!this.covered) this.uncoverPage();
    byId("reviewer").value = review.reviewer;
    byId("review-notes").value = review.notes;
    for (const button of document.querySelectorAll("input[name=opinion]"))
      button.checked = button.value === review.opinion;
    byId("start-blind").hidden = byId("blind-part").disabled = isClosed;
    byId("blind-done").hidden = !isClosed;
    byId("blind-done").textContent = review.blind
      ? `Blind review: the marks below were made before this page showed the result in this browser, at ${review.uncovered}. They can no longer be changed.`
      : `Not a blind review: this page had shown the result before the marks below were made. They were closed at ${review.uncovered} and can no longer be changed.`;
    byId("suspicions").replaceChildren(...review.suspicions.map((mark) => markItem(mark, this)));
    byId("comparison").hidden = !isClosed;
    if (isClosed) byId("comparison").replaceChildren(...comparison(review, this.player));
    byId("marking").open ||= this.covered;
    this.lanes.draw();
    this.updateUndo();
    this.others.show();
    this.updatePrintout();
  }

  // The address must not hide the result again when the reader goes back or reloads the page.
  uncoverPage() {
    document.documentElement.classList.remove("blind");
    if (location.hash === "#blind") history.replaceState(null, "", location.href.split("#")[0]);
  }

  updateUndo() {
    byId("undo").disabled = this.isClosed || !this.history.past.length;
    byId("redo").disabled = this.isClosed || !this.history.future.length;
  }

  // For print, where form fields would truncate long texts.
  updatePrintout() {
    const { blind, uncovered } = this.review;
    const lines = describeReview(this.review);
    byId("review-print").textContent = lines.join("\n");
    const isEmpty = !lines.length && !(blind && uncovered) && (this.covered || !this.others.list.length);
    byId("your-review").classList.toggle("empty", isEmpty);
    this.others.showTop();
  }
}
