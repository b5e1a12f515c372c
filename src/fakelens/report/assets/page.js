"use strict";
// Puts the parts together.

function viewOf() {
  const checked = document.querySelector("input[name=evidence]:checked");
  return {
    show: byId("show")?.checked ?? true,
    opacity: Number(byId("opacity")?.value ?? 60) / 100,
    // Without a choice the method shows one kind of evidence only, as positive cells.
    evidence: checked?.value ?? "fake",
    boxes: byId("boxes")?.checked ?? true,
    blind: isBlind(),
  };
}

function startScene(persons, player) {
  const shown = byId("video"), canvas = byId("layer"), said = byId("now");
  let seen = [];
  const say = () => {
    if (!said || player?.playing || player?.moving) return;
    const words = sayScene(seen, player);
    if (words !== said.textContent) said.textContent = words; // it is read out
  };
  const draw = () => {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(shown.clientWidth * ratio), height = Math.round(shown.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    const place = pictureIn(shown).map((value) => value * ratio);
    seen = paintScene(context, persons, player?.time ?? 0, place, ratio, viewOf());
    say();
  };
  new ResizeObserver(draw).observe(shown);
  window.addEventListener("resize", draw); // also when the page is enlarged
  shown.addEventListener("load", draw);
  player?.addEventListener("frame", draw);
  player?.addEventListener("change", say);
  draw();
  return draw;
}

function sayScene(seen, player) {
  const when = player ? `${clock(player.time)}: ` : "";
  if (!seen.length) return `${when}nobody who was examined is in the picture`;
  return `${when}${seen.map((mark) => `person ${sayScore(mark)}`).join(", ")}`;
}

// On a lane, as on other sliders.
const SLIDER_KEYS = { ArrowUp: "ArrowRight", ArrowDown: "ArrowLeft" };

// Keys work where the video is looked at, and are the page's own everywhere else.
function wireKeys(player, persons) {
  const toggle = (id) => isBlind() || byId(id)?.click();
  const keys = {
    " ": () => player.toggle(),
    home: () => player.seek(0),
    end: () => player.seek(player.length),
    arrowleft: (event) => (event.shiftKey ? player.seek(player.place - 1) : player.stepBy(-1)),
    arrowright: (event) => (event.shiftKey ? player.seek(player.place + 1) : player.stepBy(1)),
    h: () => toggle("show"),
    b: () => toggle("boxes"),
    f: () => toggleFullScreen(),
  };
  for (const number of "123456789") {
    const person = persons.find((one) => one.person === Number(number));
    if (person) keys[number] = () => isBlind() || player.seek(strongest(person));
  }
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    const lane = target.matches(".lane-plot");
    const key = (lane && SLIDER_KEYS[event.key]) || event.key;
    const pointed = target === document.body && document.querySelector("#stage:hover, .lane-plot:hover");
    const here = lane || target.closest("#stage") || pointed;
    if (!here || byId("screen").hidden) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.closest("select, input:not([type=checkbox], #seek)")) return;
    if (key === " " && target.closest("button, summary, a, input[type=checkbox]")) return;
    const act = keys[key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act(event);
  });
}

// When a person's score is highest.
function strongest(person) {
  let best = 0;
  for (let row = 1; row < person.rows; row++) if (person.score[row] > person.score[best]) best = row;
  return person.time[best] / TICKS;
}

function wireJumps(player) {
  for (const link of document.querySelectorAll("a.jump"))
    link.addEventListener("click", (event) => {
      event.preventDefault();
      player.video.pause();
      player.seek(Number(link.dataset.time));
      byId("stage").scrollIntoView();
      byId("screen").focus({ preventScroll: true });
    });
}

// The layer's persons; none, with a word to the reader, where they cannot be unpacked.
async function personsOrTrouble() {
  try {
    return await loadPersons();
  } catch {
    byId("trouble").hidden = false;
    return [];
  }
}

function wirePage() {
  for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address may say that this review is blind
    byId("main").focus();
  });
  byId("print").addEventListener("click", () => window.print());
  byId("start-blind").addEventListener("click", () => {
    location.hash = "blind";
  });
  window.addEventListener("hashchange", () => {
    if (location.hash === "#blind") location.reload();
  });
  // The picture under a heatmap is the untouched one beside it; the page holds it once.
  for (const picture of document.querySelectorAll(".pair > img")) {
    const copy = picture.cloneNode();
    copy.alt = "The same with its heatmap";
    picture.nextElementSibling.prepend(copy);
  }
}

async function main() {
  wirePage();
  const persons = await personsOrTrouble();
  const shown = byId("video");
  const player = shown instanceof HTMLVideoElement ? new Player(shown) : null;
  const draw = shown && facts.layer ? startScene(persons, player) : () => {};
  const first = viewOf(); // the pictures keep it, as their captions and the printed page do
  for (const face of document.querySelectorAll(".face")) paintFace(face, persons, first);
  for (const control of document.querySelectorAll("#tools input"))
    control.addEventListener("input", draw);
  wireLanes(player, persons);
  if (player) {
    wirePlayer(player);
    wireKeys(player, persons);
    wireJumps(player);
    const giveUp = () => {
      byId("unplayable").hidden = false;
      byId("screen").hidden = byId("player").hidden = true;
    };
    if (shown.error) giveUp();
    else shown.addEventListener("error", giveUp);
  }
  new ReviewForm(player, draw);
  document.documentElement.dataset.ready = "yes";
}

main();
