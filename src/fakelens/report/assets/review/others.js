"use strict";
// The reviews of other people: which the page has, and what it shows of them.

class OtherReviews {
  // `embedded` are those that the page contains, or that a server has.
  constructor(form, embedded) {
    this.form = form;
    this.list = embedded;
    this.embedded = [...embedded];
    this.add(readReviews(OTHERS_KEY));
  }

  // Takes the newer one of two with the same id. Those that are saved elsewhere are not stored.
  // Returns how many were taken.
  add(reviews, isSaved = false) {
    const { review: own } = this.form;
    let taken = 0;
    for (const review of reviews) {
      const known = this.list.find((other) => isSame(other, review));
      if (own !== review && isSame(own, review)) continue;
      if (known && known.saved >= review.saved) continue;
      this.list = [...this.list.filter((other) => other !== known), review];
      if (isSaved) this.embedded.push(review);
      taken++;
    }
    storeReviews(OTHERS_KEY, this.list.filter((other) => !this.embedded.includes(other)));
    return taken;
  }

  // Goes on with a review of the server that was begun in another browser.
  goOn({ id }) {
    const { form } = this;
    if (form.saver.unsaved) form.say("Save your review first.");
    else if (!store(MINE_KEY, id)) form.say("This browser stores nothing, so the page cannot go on with this review.");
    else {
      removeStored(DRAFT_KEY);
      location.reload();
    }
  }

  // While the result is hidden, so is all of this, as answers are, except that somebody began a review.
  show() {
    const { review, player, covered, saver } = this.form;
    const goOn = saver.url ? (one) => this.goOn(one) : null;
    const all = hasContent(review) ? [review, ...this.list] : this.list;
    const shown = this.list.length ? agreement(all, { own: review, player, goOn }) : [];
    byId("agreement").replaceChildren(...shown);
    byId("agreement").hidden = !shown.length;
    const canGoOn = goOn && covered && !hasContent(review);
    const begun = canGoOn ? this.list.filter((other) => other.id && isUnfinished(other)) : [];
    const nodes = begun.flatMap((one) => [...reviewerNodes(one), " ", goOnButton(one, goOn), " "]);
    byId("begun").hidden = !begun.length;
    byId("begun").replaceChildren("Begun in another browser: ", ...nodes);
    this.showTop();
  }

  showTop() {
    const lines = reviewLines([this.form.review, ...this.list]);
    byId("human-verdicts").replaceChildren(...lines);
    byId("human-verdicts").hidden = !lines.length;
  }
}
