"use strict";
// Runs before the first paint, so that the result does not flash up in a blind review. A review is
// blind if the address ends in #blind, or if it was started blind and the result was not revealed.
{
  const root = document.documentElement;
  const saved = JSON.parse(document.getElementById("review").textContent).review;
  let draft = null;
  try {
    draft = JSON.parse(localStorage.getItem(`fakelens-review-${root.dataset.report}`));
  } catch {
    // Storage is blocked.
  }
  const isCovered = (review) => review?.blind === true && review.uncovered === null;
  const isBlind = location.hash === "#blind" || isCovered(saved) || isCovered(draft);
  if (isBlind) root.classList.add("blind");
}
