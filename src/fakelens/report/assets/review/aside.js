"use strict";
// Unsaved work that was made from a review which another browser has replaced since. It is kept in
// this browser until the reviewer decides.

class AsideDrafts {
  constructor(form) {
    this.form = form;
    this.drafts = readReviews(ASIDE_KEY);
  }

  // The page shows what is saved, so that the draft is kept elsewhere, where later changes do not
  // overwrite it.
  keep(draft, saved) {
    const isNew = !this.drafts.some((other) => contentOf(other) === contentOf(draft));
    if (contentOf(draft) !== contentOf(saved) && isNew) this.set([...this.drafts, draft]);
    removeStored(DRAFT_KEY);
  }

  set(drafts) {
    this.drafts = drafts;
    storeReviews(ASIDE_KEY, drafts);
  }

  // Shows buttons for what was kept, one draft at a time.
  offer() {
    byId("kept-draft")?.remove();
    const [draft] = this.drafts;
    if (!draft) return;
    this.form.say(
      "Another browser saved this review after you began, so the page shows that one. What you had not saved is kept in this browser:",
    );
    const offer = element("p", "", { id: "kept-draft", class: "actions" });
    const actions = {
      "Add it to the notes": () => this.addToNotes(draft),
      "Save it as JSON": () => saveJson(draft),
      "Discard it": () => this.drop("Discarded."),
    };
    for (const [name, action] of Object.entries(actions)) {
      const button = element("button", name, { type: "button" });
      button.addEventListener("click", action);
      offer.append(button, " ");
    }
    byId("review-status").after(offer);
  }

  // Only the notes can still be changed if the result has been revealed.
  addToNotes(draft) {
    const field = byId("review-notes"), { form } = this;
    const notes = [form.review.notes, missingLines(draft, form.review)].filter(Boolean).join("\n\n");
    if (notes.length > field.maxLength) {
      form.say("Not added: the notes would become too long. Save it as JSON instead.");
      return;
    }
    field.value = notes;
    form.change(() => (form.review.notes = notes));
    this.drop("Added to the notes.");
    field.focus();
  }

  drop(message) {
    this.set(this.drafts.slice(1));
    this.form.say(message);
    this.offer();
  }
}
