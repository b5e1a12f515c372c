"use strict";
// Several reviews of one video: a table of them, and how far they agree.

// Stretches of the video as [start, end], sorted and without overlaps.
function mergedSpans(marks) {
  const merged = [];
  for (const { start, end } of [...marks].sort((one, other) => one.start - other.start)) {
    const last = merged.at(-1), limits = [start, end].map((time) => Math.min(time, facts.duration));
    if (last && limits[0] <= last[1]) last[1] = Math.max(last[1], limits[1]);
    else merged.push(limits);
  }
  return merged;
}

function commonSpans(one, other) {
  return one
    .flatMap(([a, b]) => other.map(([c, d]) => [Math.max(a, c), Math.min(b, d)]))
    .filter(([start, end]) => end > start);
}

const secondsIn = (spans) => spans.reduce((sum, [start, end]) => sum + end - start, 0);

function sayHowMany(number, total) {
  return total === 1 ? "The reviewer" : `${number} of ${total} reviewers`;
}

// "2 of 3 reviewers say manipulated, 1 of 3 reviewers cannot tell; fakelens: likely fake."
function agreementSentence(reviews) {
  const says = {
    manipulated: ["says manipulated", "say manipulated"],
    genuine: ["says genuine", "say genuine"],
    "cannot tell": ["cannot tell", "cannot tell"],
    null: ["has no opinion", "have no opinion"],
  };
  const parts = Object.entries(says).flatMap(([opinion, [one, several]]) => {
    const number = reviews.filter((review) => String(review.opinion) === opinion).length;
    return number ? [`${sayHowMany(number, reviews.length)} ${number === 1 ? one : several}`] : [];
  });
  return `${parts.join(", ")}; fakelens: ${machineAnswer()}.`;
}

// How far the marks of a person overlap; null if nobody marked this person.
function overlapSentence(reviews, person) {
  const marked = reviews
    .map(({ suspicions }) => suspicions.filter((mark) => mark.person === person))
    .filter((marks) => marks.length);
  if (!marked.length) return null;
  const who = describeWho({ person });
  const sentence = `${who[0].toUpperCase()}${who.slice(1)}: marked by ${marked.length} of ${reviews.length} reviewers`;
  const union = secondsIn(mergedSpans(marked.flat()));
  if (marked.length < 2 || !hasTimes() || !union) return `${sentence}.`;
  const common = secondsIn(marked.map(mergedSpans).reduce(commonSpans));
  const share = Math.round((100 * common) / union);
  return `${sentence}; ${common.toFixed(2)} of ${union.toFixed(2)} s marked by all of these (${share} %).`;
}

// Nodes: a heading, sentences and a table. `own` is the review that is open, `goOn` a function that
// goes on with a review of the server, or null.
function agreement(reviews, { own, player, goOn }) {
  const given = reviews.filter((review) => !isUnfinished(review));
  const persons = [null, ...facts.findings.map(({ person }) => person)];
  const columns = persons.filter((person) => given.some(({ suspicions }) => suspicions.some((mark) => mark.person === person)));
  const table = element("table", "", { class: "facts" });
  const head = table.createTHead().insertRow();
  const titles = ["Reviewer", "Opinion", ...columns.map((person) => (person === null ? "Whole picture" : `Person ${person}`)), "Notes"];
  head.append(...titles.map((title) => element("th", title, { scope: "col" })));
  const body = table.createTBody();
  for (const review of reviews) {
    const line = body.insertRow();
    const name = element("th", "", { scope: "row" });
    name.append(...reviewerNodes(review));
    if (review === own) name.append(", this review");
    else if (goOn && review.id) name.append(" ", goOnButton(review, goOn));
    line.append(name);
    if (isUnfinished(review)) {
      line.append(element("td", "in progress", { colspan: titles.length - 1 }));
      continue;
    }
    line.append(element("td", review.opinion ?? "no opinion"));
    for (const person of columns) {
      const marks = review.suspicions.filter((mark) => mark.person === person);
      const cell = element("td", marks.length ? "" : "nothing marked");
      cell.append(...joined(marks.map((mark) => shortMark(mark, player))));
      line.append(cell);
    }
    line.append(element("td", review.notes, { class: "review-notes", dir: "auto" }));
  }
  const overlaps = persons.map((person) => overlapSentence(given, person)).filter(Boolean);
  return [
    element("h3", given.length > 1 ? "Agreement of the reviewers" : "Reviews", { id: "agreement-title" }),
    ...(given.length ? [element("p", agreementSentence(given))] : []),
    ...(given.length > 1 ? overlaps.map((sentence) => element("p", sentence, { class: "small" })) : []),
    wideTable(table, "Reviews"),
  ];
}

function goOnButton(review, goOn) {
  const button = element("button", "Continue", {
    type: "button",
    "aria-label": `Continue the review of ${review.reviewer || "a person without a name"}`,
  });
  button.addEventListener("click", () => goOn(review));
  return button;
}
