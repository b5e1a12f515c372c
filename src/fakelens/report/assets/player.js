"use strict";
// Plays the original video and dispatches an event for every frame shown.

function clock(seconds) {
  const tenths = Math.round(Math.max(seconds, 0) * 10);
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(tenths / 36000), minutes = Math.floor((tenths % 36000) / 600);
  const rest = tenths % 600;
  const start = hours ? `${hours}:${two(minutes)}` : `${minutes}`;
  return `${start}:${two(Math.floor(rest / 10))}.${rest % 10}`;
}

const REST = 150; // milliseconds without movement that end a drag

// The last key frame at or before a time.
function keyBefore(seconds) {
  const keys = facts.keys.filter((key) => key <= seconds);
  return keys.length ? keys.at(-1) : seconds;
}

// The time of the frame that is some frames further on; frames not listed are evenly spaced.
function frameTime(seconds, further = 0) {
  const grid = facts.frames;
  if (!grid.length)
    return (Math.floor(seconds / facts.step + 0.05) + further) * facts.step;
  let here = grid.findLastIndex((time) => time <= seconds + 0.001);
  here = Math.min(Math.max(here + further, 0), grid.length - 1);
  return grid[here];
}

// All times are seconds since the first frame; the browser counts from the file's own zero.
// Dispatches "frame" when another frame is shown and "change" when the state changes.
class Player extends EventTarget {
  constructor(video) {
    super();
    this.video = video;
    this.time = 0; // of the frame shown
    this.goal = null; // where the user wants to go
    this.seeking = null; // where the browser was last told to go
    this.dragging = false; // whether the goal is being dragged
    this.length = facts.duration;
    video.removeAttribute("controls");
    if (video.requestVideoFrameCallback) this.watchFrames();
    else this.pollFrames();
    video.addEventListener("seeked", () => this.finishSeek());
    for (const kind of ["play", "pause", "ended", "volumechange"])
      video.addEventListener(kind, () => this.emit("change"));
  }

  watchFrames() {
    this.video.requestVideoFrameCallback((_, frame) => {
      this.show(frame.mediaTime - facts.start);
      this.watchFrames();
    });
  }

  // Less exact, for browsers without requestVideoFrameCallback.
  pollFrames() {
    const time = frameTime(this.video.currentTime - facts.start);
    if (this.video.readyState >= 2 && !this.video.seeking && time !== this.time) this.show(time);
    requestAnimationFrame(() => this.pollFrames());
  }

  show(time) {
    this.time = time;
    this.emit("frame");
  }

  emit(kind) {
    this.dispatchEvent(new Event(kind));
  }

  get playing() {
    return !this.video.paused && !this.video.ended;
  }

  // The time the user wants to see: the one shown, or the goal of a seek in progress.
  get place() {
    return this.goal ?? this.time;
  }

  toggle() {
    if (this.playing) this.video.pause();
    else this.video.play().catch(() => this.emit("change"));
  }

  // If seeks come faster than the browser can follow, only the last one is carried out.
  seek(seconds) {
    clearTimeout(this.rest);
    this.dragging = false;
    this.setGoal(seconds);
  }

  // While dragging, only key frames are shown, which is fast; the exact frame follows when the
  // pointer rests.
  drag(seconds) {
    clearTimeout(this.rest);
    this.dragging = true;
    this.rest = setTimeout(() => this.seek(seconds), REST);
    this.setGoal(seconds);
  }

  setGoal(seconds) {
    this.goal = Math.min(Math.max(seconds, 0), Math.max(this.length - facts.step / 2, 0));
    if (!this.video.seeking) this.startSeek();
    this.emit("change");
  }

  get target() {
    return this.dragging ? keyBefore(this.goal) : this.goal;
  }

  startSeek() {
    if (this.seeking === this.target) {
      this.finishSeek(); // already there
      return;
    }
    this.seeking = this.target;
    // Slightly after the timestamp: rounded down, it would show the frame before.
    this.video.currentTime = facts.start + this.seeking + 0.0005;
  }

  finishSeek() {
    if (this.goal === null) return;
    if (this.seeking !== this.target) {
      this.startSeek();
    } else if (!this.dragging) {
      this.goal = this.seeking = null;
      this.emit("change");
    }
  }

  stepBy(frames) {
    this.video.pause();
    this.seek(frameTime(this.place, frames));
  }
}

// The rectangle of the picture within its element, in CSS pixels: there may be bars on the sides.
function pictureIn(element) {
  const wide = element.videoWidth || element.naturalWidth || facts.layer?.width || 1;
  const tall = element.videoHeight || element.naturalHeight || facts.layer?.height || 1;
  const scale = Math.min(element.clientWidth / wide, element.clientHeight / tall);
  const width = wide * scale, height = tall * scale;
  return [(element.clientWidth - width) / 2, (element.clientHeight - height) / 2, width, height];
}

function wirePlayer(player) {
  const seek = byId("seek"), play = byId("play"), sound = byId("sound");
  play.addEventListener("click", () => player.toggle());
  byId("back").addEventListener("click", () => player.stepBy(-1));
  byId("forth").addEventListener("click", () => player.stepBy(1));
  seek.addEventListener("input", () => player.drag(Number(seek.value)));
  byId("speed").addEventListener("change", (event) => {
    player.video.playbackRate = Number(event.target.value);
  });
  sound?.addEventListener("click", () => {
    player.video.muted = !player.video.muted;
  });
  byId("full").addEventListener("click", () => toggleFullScreen());
  byId("full").hidden = !byId("stage").requestFullscreen;
  byId("screen").addEventListener("click", () => player.toggle());
  const update = () => {
    play.textContent = player.playing ? "Pause" : "Play";
    sound?.setAttribute("aria-pressed", String(!player.video.muted));
    seek.value = player.place;
    seek.setAttribute("aria-busy", String(player.goal !== null));
    // While playing, a screen reader would announce it continuously.
    if (!player.playing) seek.setAttribute("aria-valuetext", clock(player.place));
    byId("clock").textContent = `${clock(player.place)} / ${clock(player.length)}`;
  };
  player.addEventListener("frame", update);
  player.addEventListener("change", update);
  update();
}

function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else byId("stage").requestFullscreen?.();
}
