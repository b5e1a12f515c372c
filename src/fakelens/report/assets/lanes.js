"use strict";
// The lanes: one chart per person, with a playhead, a tip at the pointer, and click to seek.

function wireLanes(player, persons) {
  for (const label of document.querySelectorAll(".axis-labels span"))
    label.style.left = `${label.dataset.place}%`;
  for (const plot of document.querySelectorAll(".lane-plot")) {
    const person = persons.find((one) => one.person === Number(plot.dataset.person));
    if (person) wireLane(plot, person, player);
  }
}

function wireLane(plot, person, player) {
  const head = plot.appendChild(document.createElement("div"));
  head.className = "playhead";
  const tip = plot.appendChild(document.createElement("div"));
  tip.className = "tip";
  tip.hidden = true;
  const timeAt = (event) => {
    const box = plot.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    return share * facts.duration;
  };
  plot.addEventListener("pointermove", (event) => {
    const time = timeAt(event);
    tip.hidden = false;
    tip.textContent = describeRow(person, time);
    const share = time / facts.duration;
    tip.style.left = `${share * 100}%`;
    tip.style.transform = `translateX(${-share * 100}%)`;
    if (plot.hasPointerCapture(event.pointerId)) player?.drag(snapped(person, time));
  });
  plot.addEventListener("pointerleave", () => {
    tip.hidden = true;
  });
  if (!player) return;
  plot.classList.add("live");
  plot.tabIndex = 0;
  plot.setAttribute("role", "slider");
  plot.setAttribute("aria-label", `Person ${person.person}: position in the video`);
  plot.setAttribute("aria-describedby", plot.querySelector("svg").getAttribute("aria-labelledby"));
  plot.setAttribute("aria-valuemin", "0");
  plot.setAttribute("aria-valuemax", facts.duration.toFixed(1));
  plot.addEventListener("pointerdown", (event) => {
    plot.setPointerCapture(event.pointerId);
    player.seek(snapped(person, timeAt(event)));
  });
  const update = () => {
    head.style.left = `${(100 * player.place) / facts.duration}%`;
    if (player.playing) return; // a screen reader would announce it continuously
    plot.setAttribute("aria-valuenow", player.place.toFixed(1));
    plot.setAttribute("aria-valuetext", describeRow(person, player.place));
  };
  player.addEventListener("frame", update);
  player.addEventListener("change", update);
  update();
}

// The row nearest to a time; null if the person is not in the picture then.
function nearestRow(person, seconds) {
  const before = rowAt(person, seconds);
  const after = Math.min(before + 1, person.rows - 1);
  const row =
    before < 0 || person.time[after] - seconds * TICKS < seconds * TICKS - person.time[before]
      ? after
      : before;
  const distance = Math.abs(person.time[row] / TICKS - seconds);
  const isBetween = before >= 0 && before < after && person.flags[before] & JOINED;
  return isBetween || distance <= facts.duration / 200 ? row : null;
}

function snapped(person, seconds) {
  const row = nearestRow(person, seconds);
  return row === null ? seconds : person.time[row] / TICKS;
}

function describeRow(person, seconds) {
  const row = nearestRow(person, seconds);
  if (row === null) return `${clock(seconds)}: person ${person.person} not in the picture`;
  const suffix = person.flags[row] & USABLE ? "" : ", not counted";
  const score = (person.score[row] / 255).toFixed(2);
  return `${clock(person.time[row] / TICKS)}, frame ${person.frame[row]}: ${score}${suffix}`;
}
