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
    if (said && !player?.playing && !player?.moving) said.textContent = sayScene(seen, player);
  };
  const draw = () => {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(shown.clientWidth * ratio), height = Math.round(shown.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    const place = pictureIn(shown).map((value) => value * ratio);
    seen = paintScene(context, persons, player?.time ?? 0, place, viewOf());
    say();
  };
  new ResizeObserver(draw).observe(shown);
  shown.addEventListener("load", draw);
  player?.addEventListener("frame", draw);
  player?.addEventListener("change", say);
  draw();
  return draw;
}

function sayScene(seen, player) {
  const when = player ? `${clock(player.time)}: ` : "";
  if (!seen.length) return `${when}nobody who was examined is in the picture`;
  const people = seen.map(({ person, score }) => `person ${person.person} ${score.toFixed(2)}`);
  return `${when}${people.join(", ")}`;
}

function wireKeys(player, persons) {
  const toggle = (id) => byId(id)?.click();
  const keys = {
    " ": () => player.toggle(),
    Home: () => player.seek(0),
    End: () => player.seek(player.length),
    ArrowLeft: (event) => (event.shiftKey ? player.seek(player.place - 1) : player.stepBy(-1)),
    ArrowRight: (event) => (event.shiftKey ? player.seek(player.place + 1) : player.stepBy(1)),
    h: () => toggle("show"),
    b: () => toggle("boxes"),
    f: () => toggleFullScreen(),
  };
  document.addEventListener("keydown", (event) => {
    const onControl = event.target.closest("input, select, textarea, button, summary, a");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (onControl && !(event.target.id === "seek" && event.key.startsWith("Arrow"))) return;
    const person = /^[1-9]$/.test(event.key) && persons.find((one) => one.person === Number(event.key));
    const act = person && !isBlind() ? () => player.seek(strongest(person)) : keys[event.key];
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
      byId("play").focus({ preventScroll: true });
    });
}

async function main() {
  for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
  // The picture under a heatmap is the untouched one beside it; the page holds it once.
  for (const picture of document.querySelectorAll(".pair > img")) {
    const copy = picture.cloneNode();
    copy.alt = "The same with its heatmap";
    picture.nextElementSibling.prepend(copy);
  }
  const able = "DecompressionStream" in window;
  byId("too-old").hidden = able;
  const persons = able ? await loadPersons() : [];
  const shown = byId("video");
  const player = shown instanceof HTMLVideoElement ? new Player(shown) : null;
  const draw = shown && facts.layer ? startScene(persons, player) : () => {};
  const redraw = () => {
    draw();
    for (const face of document.querySelectorAll(".face")) paintFace(face, persons, viewOf());
  };
  for (const control of document.querySelectorAll("#tools input"))
    control.addEventListener("input", redraw);
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
  new ReviewForm(player, redraw);
  byId("print").addEventListener("click", () => window.print());
  byId("start-blind").addEventListener("click", () => {
    location.hash = "blind";
    location.reload();
  });
  redraw();
  document.documentElement.dataset.ready = "yes";
}

main();
