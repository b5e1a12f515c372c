"use strict";
// Saves reviews: on the server, in a copy of the page, or as JSON; and loads those of others.

class ReviewSaver {
  constructor(form, saveTo) {
    this.form = form;
    this.url = saveTo;
    this.queue = Promise.resolve();
    this.unsaved = false;
    window.addEventListener("beforeunload", (event) => {
      if (this.unsaved && !this.isDraftSafe) event.preventDefault(); // asks whether to leave
    });
  }

  // Keeps unsaved work in the browser. Chromium may open a page from disk with an empty storage.
  keepDraft(review) {
    this.isDraftSafe = store(DRAFT_KEY, JSON.stringify(review)) && location.protocol !== "file:";
    store(MINE_KEY, review.id ?? "");
    this.setUnsaved(true);
  }

  setUnsaved(isUnsaved) {
    this.unsaved = isUnsaved;
    const note = byId("unsaved");
    note.hidden = !isUnsaved;
    note.textContent = this.url
      ? "This review is not saved yet: press Save review."
      : "This review is not saved yet: save a copy of this page, or the review as JSON, before you close this page.";
  }

  // One at a time: each save must name the revision that the previous one made.
  save() {
    this.queue = this.queue.then(() => this.send());
    return this.queue;
  }

  async send() {
    const { form } = this;
    const sent = JSON.stringify(form.review);
    try {
      const answer = await fetch(this.url, {
        method: "PUT",
        headers: { "Content-Type": "application/json" },
        body: sent,
      });
      const answered = await answer.json();
      if (!answer.ok) {
        form.say(`Not saved: ${problemText(answered)}`);
        return;
      }
      const isCurrent = JSON.stringify(form.review) === sent;
      this.recordSaved(answered, isCurrent);
      form.say(isCurrent ? "Saved." : "");
    } catch {
      form.say("Not saved: the server cannot be reached.");
    }
  }

  // The times are those of the server's clock.
  recordSaved({ revision, uncovered, saved }, isCurrent) {
    const { review } = this.form;
    const isRevealed = uncovered !== null;
    Object.assign(review, { revision, saved }, isRevealed && { uncovered });
    if (isCurrent) {
      removeStored(DRAFT_KEY);
      this.setUnsaved(false);
    } else {
      this.keepDraft(review);
    }
    if (isRevealed) this.form.show();
  }

  // Reviews that others have saved on the server since this page was opened.
  async fetchOthers() {
    try {
      const answer = await fetch("reviews");
      if (answer.ok) this.form.others.add((await answer.json()).filter(isReview), true);
    } catch {
      // The page goes on with those that it had when it was opened.
    }
  }

  savePage() {
    const { review, others } = this.form;
    const content = { save_to: null, review, others: others.list };
    const block = JSON.stringify(content).replaceAll("<", "\\u003c");
    const page = originalHtml
      .replace(
        /(<script type="application\/json" id="review">)[^<]*(<\/script>)/,
        (_, open, close) => open + block + close,
      )
      .replace(/<p [^>]*id="home">.*?<\/p>\n?/, ""); // the link to the server's list
    download(page, "text/html", `${facts.name}-reviewed.html`);
    this.recordFiled();
    this.form.say("A copy of this page with the review was saved. Keep it in the same folder as this page.");
  }

  saveJson() {
    saveJson(this.form.review);
    this.recordFiled();
    this.form.say("The review was saved as JSON.");
  }

  // On a server, a file does not replace saving there.
  recordFiled() {
    if (this.url) return;
    store(FILED_KEY, contentOf(this.form.review));
    this.setUnsaved(false);
  }

  // Adds reviews of others from their JSON files.
  async load(files) {
    const loaded = [], problems = [];
    for (const file of files) {
      const review = parseReview(await file.text());
      const problem = reasonNotToLoad(review, this.form.review);
      if (problem) problems.push(`${file.name}: ${problem}`);
      else loaded.push(review);
    }
    const number = this.form.others.add(loaded), known = loaded.length - number;
    const added = number === 1 ? "1 review was" : `${number} reviews were`;
    const messages = [
      number ? `${added} added. A copy of this page contains them.` : "",
      known ? `The page already had ${known === 1 ? "1 review" : `${known} reviews`}.` : "",
    ];
    this.form.say([...messages, ...problems].filter(Boolean).join(" "));
  }
}

function parseReview(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// A sentence, or null if the review can be loaded beside the one that is open.
function reasonNotToLoad(review, open) {
  if (isReview(review)) {
    const unknown = review.suspicions.find(({ person }) => !isKnown(person));
    if (unknown) return `it marks person ${unknown.person}, who is not in this report: it was made with another report on this video.`;
    return isSame(review, open) ? "this is the review that is open." : null;
  }
  if (typeof review?.video_sha256 !== "string") return "this is not a review.";
  if (review.video_sha256 !== facts.sha256) return "this review is of another video: its SHA-256 differs.";
  return "this review is damaged, or of a newer version of fakelens.";
}

function saveJson(review) {
  download(JSON.stringify(review, null, 1), "application/json", `${facts.name}-review.json`);
}

function download(text, type, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
