"use strict";
// Runs before the first paint, so that the result does not flash up in a blind review. A review is
// blind if the address ends in #blind, or if it was started blind and the result was not revealed.
{
  const root = document.documentElement;
  const { review, others } = JSON.parse(document.getElementById("review").textContent);
  let draft = null, mine = null;
  try {
    mine = localStorage.getItem(`fakelens-mine-${root.dataset.report}`);
    draft = JSON.parse(localStorage.getItem(`fakelens-review-${root.dataset.report}`));
  } catch {
    // Storage is blocked.
  }
  // As findOwn in review/store.js.
  const saved = mine ? [review, ...others].find((one) => one?.id === mine) : review;
  const isCovered = (review) => review?.blind === true && review.uncovered === null;
  const isBlind = location.hash === "#blind" || isCovered(saved) || isCovered(draft);
  if (isBlind) root.classList.add("blind");
}
