"use strict";
// Connects the parts of the page.

// What the controls say or, with `initial`, what they said before the reader or the browser, which
// may restore the state of an earlier visit, changed them.
function viewOf(initial = false) {
  const isOn = (control) => (initial ? control?.defaultChecked : control?.checked);
  const opacity = byId("opacity");
  const evidence = [...document.querySelectorAll("input[name=evidence]")].find(isOn);
  return {
    show: isOn(byId("show")) ?? true,
    opacity: Number((initial ? opacity?.defaultValue : opacity?.value) ?? 60) / 100,
    // Without this choice, the heatmap shows one kind of evidence only, as positive cells.
    evidence: evidence?.value ?? "fake",
    whole: isOn(byId("compare")) === false,
    boxes: isOn(byId("boxes")) ?? true,
    fade: isOn(byId("fade")) ?? true,
    blind: isBlind(),
  };
}

function startScene(persons, player) {
  const shown = byId("video"), canvas = byId("layer"), status = byId("now"), screen = byId("screen");
  const index = indexByTime(persons);
  let marks = [], pointer = null;
  const updateStatus = () => {
    if (!status || player?.playing || player?.dragging) return;
    const text = describeScene(marks, player);
    if (text !== status.textContent) status.textContent = text; // screen readers announce changes
  };
  const draw = () => {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(shown.clientWidth * ratio), height = Math.round(shown.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    const place = pictureIn(shown).map((value) => value * ratio);
    const view = {
      ...viewOf(),
      pointer: pointer?.map((value) => value * ratio),
      scores: screen.matches(":focus-visible"),
    };
    marks = paintScene(context, index, player?.time ?? 0, place, ratio, view);
    updateStatus();
  };
  // The score of a frame is shown where the pointer is, or with the focus on the video.
  const point = (event) => {
    const { left, top } = canvas.getBoundingClientRect();
    pointer = [event.clientX - left, event.clientY - top];
    draw();
  };
  for (const kind of ["pointermove", "pointerdown"]) screen.addEventListener(kind, point);
  screen.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "touch") return; // the finger leaves after each touch
    pointer = null;
    draw();
  });
  for (const kind of ["focus", "blur"]) screen.addEventListener(kind, draw);
  new ResizeObserver(draw).observe(shown);
  window.addEventListener("resize", draw); // also fires when the page is zoomed
  shown.addEventListener("load", draw);
  player?.addEventListener("frame", draw);
  player?.addEventListener("change", updateStatus);
  draw();
  return draw;
}

function describeScene(marks, player) {
  const when = player ? `${clock(player.time)}: ` : "";
  if (!marks.length) return `${when}nobody detected here`;
  const shown = marks.filter(({ inFull, pointed }) => inFull || pointed);
  const more = marks.length - shown.length;
  const rest = more ? ` and ${more} more` : "";
  return `${when}${shown.map((mark) => `person ${label(mark)}`).join(", ")}${rest}`;
}

// On a lane the vertical arrows work as on other sliders.
const SLIDER_KEYS = { ArrowUp: "ArrowRight", ArrowDown: "ArrowLeft" };

// Shortcuts work on the video and the lanes; elsewhere keys keep their usual meaning.
function wireKeys(player, persons) {
  const toggle = (id) => isBlind() || byId(id)?.click();
  const keys = {
    " ": () => player.toggle(),
    home: () => player.seek(0),
    end: () => player.seek(player.length),
    arrowleft: (event) => (event.shiftKey ? player.seek(player.place - 1) : player.stepBy(-1)),
    arrowright: (event) => (event.shiftKey ? player.seek(player.place + 1) : player.stepBy(1)),
    h: () => toggle("show"),
    c: () => toggle("compare"),
    b: () => toggle("boxes"),
    f: () => toggleFullScreen(),
  };
  for (const number of "123456789") {
    const person = persons.find((one) => one.person === Number(number));
    if (person) keys[number] = () => isBlind() || player.seek(timeOfHighestScore(person));
  }
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    const lane = target.matches(".lane-plot, .mark-lane");
    const key = (lane && SLIDER_KEYS[event.key]) || event.key;
    const pointed = target === document.body && document.querySelector("#stage:hover, .lane-plot:hover");
    const here = lane || target.closest("#stage") || pointed;
    if (!here || byId("screen").hidden) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.closest("select, input:not([type=checkbox], #seek)")) return;
    if (key === " " && target.closest("button, summary, a, input[type=checkbox]")) return;
    const action = keys[key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action(event);
  });
}

// The time of a person's highest score, in seconds.
function timeOfHighestScore(person) {
  let best = 0;
  for (let row = 1; row < person.rows; row++) if (person.score[row] > person.score[best]) best = row;
  return person.time[best] / TICKS;
}

function wireJumps(player) {
  for (const link of document.querySelectorAll("a.jump"))
    link.addEventListener("click", (event) => {
      event.preventDefault();
      jumpTo(player, Number(link.dataset.time));
    });
}

// Shows a moment of the video, also if the video is not in view.
function jumpTo(player, seconds) {
  player.video.pause();
  player.seek(seconds);
  const { top, bottom } = byId("screen").getBoundingClientRect();
  if (top < 0 || bottom > window.innerHeight) byId("workbench").scrollIntoView();
  byId("screen").focus({ preventScroll: true });
}

// The people of the layer; none, with a message on the page, if the browser cannot unpack them.
async function loadPersonsOrWarn() {
  try {
    return await loadPersons();
  } catch {
    byId("trouble").hidden = false;
    return [];
  }
}

// The legend says which heatmap is shown.
function updateLegend() {
  if (!byId("compare")) return;
  const { whole } = viewOf();
  byId("legend-compared").hidden = whole;
  byId("legend-whole").hidden = !whole;
}

function wirePage() {
  for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // keep the address, which may end in #blind
    byId("main").focus();
  });
  byId("print").addEventListener("click", () => window.print());
  byId("start-blind").addEventListener("click", () => {
    location.hash = "blind";
  });
  signOnPaper(byId("reviewer"), byId("examiner"));
  if (window.matchMedia("(max-width: 46rem)").matches)
    for (const part of document.querySelectorAll("details.roomy")) part.open = false;
  openOnPaper(document.querySelectorAll("details.experts, details.paper"));
  window.addEventListener("hashchange", () => {
    if (location.hash === "#blind") location.reload();
  });
  // The picture under a heatmap is the original one beside it, which the page contains once.
  for (const picture of document.querySelectorAll(".pair > img")) {
    const copy = picture.cloneNode();
    copy.alt = "The same face with its heatmap";
    picture.nextElementSibling.prepend(copy);
  }
}

// The reviewer signs the first page; without one there is a line to sign on.
function signOnPaper(reviewer, examiner) {
  const line = examiner.textContent;
  window.addEventListener("beforeprint", () => {
    examiner.textContent = reviewer.value.trim() || line;
  });
}

// A printout cannot be opened.
function openOnPaper(parts) {
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...parts].filter((part) => !part.open);
    for (const part of closed) part.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const part of closed) part.open = false;
  });
}

async function main() {
  wirePage();
  const persons = await loadPersonsOrWarn();
  const shown = byId("video");
  const player = shown instanceof HTMLVideoElement ? new Player(shown) : null;
  const draw = shown && facts.layer ? startScene(persons, player) : () => {};
  wireCards();
  const initial = viewOf(true); // faces keep the initial view, as their captions describe it
  paintFaces((face) => paintFace(face, persons, initial));
  for (const control of document.querySelectorAll("#tools input, #choices input"))
    control.addEventListener("input", draw);
  byId("compare")?.addEventListener("input", updateLegend);
  updateLegend(); // a browser may restore the state of the controls
  wireLanes(player, persons);
  if (player) {
    wirePlayer(player);
    wireKeys(player, persons);
    wireJumps(player);
    const hidePlayer = () => {
      byId("unplayable").hidden = false;
      byId("screen").hidden = byId("player").hidden = true;
    };
    if (shown.error) hidePlayer();
    else shown.addEventListener("error", hidePlayer);
  }
  new ReviewForm(player, persons, draw);
  document.documentElement.dataset.ready = "yes";
}

main();
