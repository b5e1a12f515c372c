"use strict";
// A review beside the result: a table person by person, and a line at the top of the page.

const MAX_ROWS = 12; // people in the table; of more, only those who are marked or suspicious
const MAX_LINES = 6; // reviews at the top of the page

// Nodes: a heading and a table of the reviewer's marks and the result.
function comparison(review, player) {
  const table = element("table", "", { class: "facts" });
  const head = table.createTHead().insertRow();
  for (const title of ["", review.blind ? "You (blind)" : "You", "fakelens"]) head.append(element("th", title, { scope: "col" }));
  const body = table.createTBody();
  const row = (name, yours, its) => {
    const line = body.insertRow();
    for (const [kind, nodes] of [["th", name], ["td", yours], ["td", its]]) {
      const cell = element(kind, "", kind === "th" ? { scope: "row" } : {});
      cell.append(...nodes);
      line.append(cell);
    }
  };
  const marksOf = (person, describe) =>
    review.suspicions.filter((mark) => mark.person === person).map((mark) => describe(mark, player));
  const isMarked = ({ person }) => review.suspicions.some((mark) => mark.person === person);
  const isNotable = (finding) => isMarked(finding) || (finding.score !== null && finding.verdict !== "likely real");
  const { findings } = facts;
  const listed = findings.length > MAX_ROWS ? findings.filter(isNotable) : findings;
  for (const finding of listed) {
    const marks = marksOf(finding.person, shortMark);
    row([personLink(finding)], marks.length ? joined(marks) : ["nothing marked"], describeFinding(finding, player));
  }
  const left = findings.length - listed.length;
  if (left) row([`${left} others`], ["nothing marked"], ["likely real, or not judged"]);
  row(["The video"], joined([[review.opinion ?? "no opinion"], ...marksOf(null, markNodes)]), [machineAnswer()]);
  const title = element("h3", "Your review and the result", { id: "comparison-title", tabindex: "-1" });
  return [title, wideTable(table, "Your review and the result")];
}

function wideTable(table, name) {
  const holder = element("div", "", { class: "wide", role: "region", tabindex: "0", "aria-label": name });
  holder.append(table);
  return holder;
}

function personLink({ person }) {
  const name = `Person ${person}`;
  return byId(`person-${person}`) ? element("a", name, { href: `#person-${person}` }) : name;
}

function describeFinding(finding, player) {
  if (finding.score === null) return ["not judged"];
  const spans = (hasTimes() ? finding.spans : []).map(([start, end]) => [momentLink(describeSpan({ start, end }), start, player)]);
  const score = `${finding.verdict}, ${finding.score.toFixed(2)}`;
  return spans.length ? [`${score}; suspicious `, ...joined(spans, ", ")] : [score];
}

const decisiveFinding = () => facts.findings.find(({ person }) => person === facts.decisive);

function machineAnswer() {
  const finding = decisiveFinding();
  if (!finding) return "nobody judged";
  return facts.findings.length > 1 ? `${finding.verdict} (person ${finding.person})` : finding.verdict;
}

// How an opinion compares with the verdict on the most suspicious person.
function describeAgreement(opinion) {
  const answer = `fakelens: ${machineAnswer()}`;
  const expected = { manipulated: "likely fake", genuine: "likely real" };
  const verdict = decisiveFinding()?.verdict;
  if (!expected[opinion] || !Object.values(expected).includes(verdict)) return `${answer}.`;
  return `${expected[opinion] === verdict ? "Agrees with" : "Differs from"} ${answer}.`;
}

// Nodes; the name is isolated from what follows it, as it may be written from right to left.
function reviewerNodes({ reviewer, blind }) {
  return [element("bdi", reviewer || "a person without a name"), ` (${blind ? "blind" : "not blind"})`];
}

// The lines of the reviews at the top of the page.
function reviewLines(reviews) {
  const given = reviews.filter((review) => !isUnfinished(review) && (review.opinion || review.uncovered));
  const lines = given.slice(0, MAX_LINES).map((review) => {
    const line = element("p", "Reviewed by ");
    line.append(...reviewerNodes(review), `, ${(review.uncovered ?? review.saved).slice(0, 10)}: `);
    line.append(element("strong", review.opinion ?? "no opinion"), `. ${describeAgreement(review.opinion)}`);
    return line;
  });
  if (given.length > MAX_LINES) {
    lines.push(element("p", ""));
    lines.at(-1).append(element("a", `All ${given.length} reviews`, { href: "#agreement-title" }));
  }
  return lines;
}
