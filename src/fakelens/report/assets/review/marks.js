"use strict";
// Marks on lanes: drawn as outlines, made by dragging, and changed by dragging their ends. The
// marking lanes show when a person is visible, but no scores, so that a blind review can use them.

const CLICK = 4; // pixels; less movement than this is a click

const plotTime = (plot, event) => {
  const { left, width } = plot.getBoundingClientRect();
  return Math.min(Math.max((event.clientX - left) / width, 0), 1) * facts.duration;
};

const roundTime = (seconds) => Math.round(seconds * 1000) / 1000;

// A box over a stretch of a lane.
function spanBox({ start, end }, name) {
  const box = element("div", "", { class: name });
  // A review from a file or a server may go beyond the video.
  const [from, to] = [start, end].map((time) => Math.min(time / facts.duration, 1));
  box.style.left = `${100 * from}%`;
  box.style.width = `${100 * (to - from)}%`;
  return box;
}

function markBox(mark, isOpen) {
  const box = spanBox(mark, mark.person === null ? "mark whole" : "mark");
  if (isOpen)
    for (const end of ["start", "end"]) {
      const handle = box.appendChild(element("i", "", { class: `grip ${end}` }));
      handle.drag = { mark, fixed: end === "start" ? mark.end : mark.start };
    }
  return box;
}

// The stretches in which a person is detected.
function visibleSpans(person) {
  const spans = [];
  for (let row = 0; row < person.rows; row++) {
    const time = person.time[row] / TICKS;
    if (row && person.flags[row - 1] & JOINED) spans.at(-1).end = time;
    else spans.push({ start: time, end: time });
  }
  return spans;
}

class MarkLanes {
  constructor(form, player, persons) {
    this.form = form;
    this.player = player;
    this.plots = [];
    if (!player) return;
    for (const plot of document.querySelectorAll(".lane-plot"))
      this.wire(plot, Number(plot.dataset.person), (event) => event.shiftKey);
    byId("player").after(byId("marking")); // also in full screen
    for (const number of [null, ...facts.findings.map(({ person }) => person)])
      byId("mark-lanes").append(this.makeRow(number, persons.find((one) => one.person === number)));
    byId("marking").hidden = false;
    byId("marking").open = isBlind();
  }

  makeRow(number, person) {
    const row = element("div", "", { class: "mark-row" });
    const name = number === null ? "Whole picture" : `Person ${number}`;
    const plot = element("div", "", {
      class: "mark-lane",
      role: "slider",
      tabindex: "0",
      "aria-label": `Mark ${number === null ? "the whole picture" : `person ${number}`}: position in the video`,
      "aria-describedby": "mark-hint",
      "aria-valuemin": "0",
      "aria-valuemax": facts.duration.toFixed(1),
    });
    if (person) plot.append(...visibleSpans(person).map((span) => spanBox(span, "visible")));
    const head = plot.appendChild(element("div", "", { class: "playhead" }));
    row.append(element("span", name, { class: "mark-name", "aria-hidden": "true" }), plot);
    plot.addEventListener("focus", () => {
      byId("mark-person").value = number ?? "";
    });
    const update = () => {
      head.style.left = `${(100 * this.player.place) / facts.duration}%`;
      if (this.player.playing) return; // a screen reader would announce it continuously
      plot.setAttribute("aria-valuenow", this.player.place.toFixed(1));
      plot.setAttribute("aria-valuetext", clock(this.player.place));
    };
    this.player.addEventListener("frame", update);
    this.player.addEventListener("change", update);
    update();
    this.wire(plot, number, () => true);
    return row;
  }

  // Dragging on a lane makes a mark; dragging the end of a mark moves it; a click seeks.
  wire(plot, person, isMarking) {
    let drag = null;
    this.plots.push({ plot, person });
    const finish = (isDone) => {
      const done = drag;
      drag = null;
      this.draw();
      if (!done || !isDone) return;
      if (!done.span) this.player.seek(done.time);
      else if (done.mark) this.form.moveMark(done.mark, done.span);
      else this.form.addMark({ person, ...done.span, note: "" });
    };
    plot.addEventListener("pointerdown", (event) => {
      const { drag: grip } = event.target;
      if (event.button || this.form.isClosed || !(grip || isMarking(event))) return;
      if (grip) event.stopPropagation();
      plot.setPointerCapture(event.pointerId);
      const time = roundTime(frameTime(plotTime(plot, event)));
      drag = { fixed: time, ...grip, time, from: event.clientX };
      byId("mark-person").value = person ?? "";
    });
    plot.addEventListener("pointermove", (event) => {
      if (!drag || (!drag.span && Math.abs(event.clientX - drag.from) < CLICK)) return;
      const time = roundTime(frameTime(plotTime(plot, event)));
      drag.span = { start: Math.min(drag.fixed, time), end: Math.max(drag.fixed, time) };
      this.player.drag(time);
      this.form.showSpan(drag.span);
      this.drawPending(plot, drag.span);
    });
    plot.addEventListener("pointerup", () => finish(true));
    plot.addEventListener("pointercancel", () => finish(false));
    plot.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && drag) finish(false);
    });
  }

  drawPending(plot, span) {
    for (const old of document.querySelectorAll(".mark.pending")) old.remove();
    const box = plot.appendChild(spanBox(span, "mark pending"));
    const isLate = span.start > facts.duration / 2;
    box.append(element("span", describeSpan(span), { class: isLate ? "tip late" : "tip" }));
  }

  // Shows the span that is about to be added on the lane of its person.
  showPending(person, span) {
    const found = this.plots.find((one) => one.person === person && one.plot.matches(".mark-lane"));
    if (found) this.drawPending(found.plot, span);
  }

  draw() {
    const { review, isClosed } = this.form;
    for (const { plot, person } of this.plots) {
      for (const old of plot.querySelectorAll(".mark")) old.remove();
      const isScore = plot.matches(".lane-plot");
      const marks = review.suspicions.filter((mark) => mark.person === person || (isScore && mark.person === null));
      plot.append(...marks.map((mark) => markBox(mark, !isClosed && mark.person === person)));
    }
    byId("marking").classList.toggle("closed", isClosed);
  }
}
