"use strict";
// Reviews in words.

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const hasTimes = () => Boolean(facts.layer) && facts.duration > 0.01;

const describeSpan = ({ start, end }) => `${clock(start)} to ${clock(end)}`;

const isKnown = (who) => who === null || facts.findings.some(({ person }) => person === who);

function describeWho({ person }) {
  return person === null ? "the whole picture" : `person ${person}`;
}

function describeMark(mark) {
  const when = hasTimes() ? `, ${describeSpan(mark)}` : "";
  return `${describeWho(mark)}${when}${mark.note ? `: ${mark.note}` : ""}`;
}

function describeReview({ reviewer, opinion, suspicions, notes }) {
  const lines = suspicions.map((mark) => `Suspicious: ${describeMark(mark)}`);
  if (opinion) lines.unshift(`Opinion: ${opinion}`);
  if (reviewer) lines.unshift(`Reviewer: ${reviewer}`);
  if (notes) lines.push(`Notes: ${notes}`);
  return lines;
}

// What a review contains and another one does not, as text.
function missingLines(review, other) {
  const lines = describeReview(review), present = new Set(describeReview(other));
  return lines.filter((line) => !present.has(line)).join("\n");
}

function problemText(problem) {
  return typeof problem?.detail === "string" ? problem.detail : "the server rejected it.";
}

// A link that shows a moment of the video; text if there is no video.
function momentLink(text, seconds, player) {
  if (!player) return document.createTextNode(text);
  const link = element("a", text, { class: "jump", href: "#stage" });
  link.addEventListener("click", (event) => {
    event.preventDefault();
    jumpTo(player, seconds);
  });
  return link;
}

// A mark in words, as nodes; its times are a link.
function markNodes(mark, player) {
  const when = hasTimes() ? [", ", momentLink(describeSpan(mark), mark.start, player)] : [];
  return [describeWho(mark), ...when, ...noteNodes(mark)];
}

// Isolated, so that text from right to left does not reorder the times beside it.
function noteNodes({ note }) {
  return note ? [": ", element("bdi", note)] : [];
}

// The same without the person.
function shortMark(mark, player) {
  const when = hasTimes() ? [momentLink(describeSpan(mark), mark.start, player)] : ["marked"];
  return [...when, ...noteNodes(mark)];
}

// Nodes with a separator between each two lists.
function joined(lists, separator = "; ") {
  return lists.flatMap((nodes, index) => (index ? [separator, ...nodes] : nodes));
}
