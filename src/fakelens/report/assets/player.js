"use strict";
// Plays the untouched video and tells everybody which moment is shown.

function clock(seconds) {
  const tenths = Math.round(Math.max(seconds, 0) * 10);
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(tenths / 36000), minutes = Math.floor((tenths % 36000) / 600);
  const rest = tenths % 600;
  const start = hours ? `${hours}:${two(minutes)}` : `${minutes}`;
  return `${start}:${two(Math.floor(rest / 10))}.${rest % 10}`;
}

const REST = 150; // milliseconds without a movement

// The last picture at or before a time that was stored whole, not as a change of others.
function keyBefore(seconds) {
  const keys = facts.keys.filter((key) => key <= seconds);
  return keys.length ? keys.at(-1) : seconds;
}

// When the frame that is n further on is shown; the grid is even where frames are not listed.
function frameTime(seconds, further = 0) {
  const grid = facts.frames;
  if (!grid.length)
    return (Math.floor(seconds / facts.step + 0.05) + further) * facts.step;
  let here = grid.findLastIndex((time) => time <= seconds + 0.001);
  here = Math.min(Math.max(here + further, 0), grid.length - 1);
  return grid[here];
}

// Times are seconds since the first frame; the browser's own count from the file's zero.
class Player extends EventTarget {
  constructor(video) {
    super();
    this.video = video;
    this.time = 0; // of the frame that is shown
    this.goal = null; // where the reader means to go
    this.heading = null; // where the browser was told to go
    this.moving = false; // the goal is being dragged
    this.length = facts.duration;
    video.removeAttribute("controls");
    if (video.requestVideoFrameCallback) this.follow();
    else this.followRoughly();
    video.addEventListener("seeked", () => this.arrive());
    for (const kind of ["play", "pause", "ended", "volumechange"])
      video.addEventListener(kind, () => this.tell("change"));
  }

  follow() {
    this.video.requestVideoFrameCallback((_, frame) => {
      this.show(frame.mediaTime - facts.start);
      this.follow();
    });
  }

  followRoughly() {
    const time = frameTime(this.video.currentTime - facts.start);
    if (this.video.readyState >= 2 && !this.video.seeking && time !== this.time) this.show(time);
    requestAnimationFrame(() => this.followRoughly());
  }

  show(time) {
    this.time = time;
    this.tell("frame");
  }

  tell(kind) {
    this.dispatchEvent(new Event(kind));
  }

  get playing() {
    return !this.video.paused && !this.video.ended;
  }

  // Where the reader means to be: there already, or on the way.
  get place() {
    return this.goal ?? this.time;
  }

  toggle() {
    if (this.playing) this.video.pause();
    else this.video.play().catch(() => this.tell("change"));
  }

  // Seeks that come faster than the browser can follow are passed over but for the last.
  seek(seconds) {
    clearTimeout(this.rest);
    this.moving = false;
    this.head(seconds);
  }

  // A goal that is being dragged: pictures that need no others are shown, which is quick however
  // far apart they are, and the exact one when the reader pauses.
  drag(seconds) {
    clearTimeout(this.rest);
    this.moving = true;
    this.rest = setTimeout(() => this.seek(seconds), REST);
    this.head(seconds);
  }

  head(seconds) {
    this.goal = Math.min(Math.max(seconds, 0), Math.max(this.length - facts.step / 2, 0));
    if (!this.video.seeking) this.depart();
    this.tell("change");
  }

  get target() {
    return this.moving ? keyBefore(this.goal) : this.goal;
  }

  depart() {
    if (this.heading === this.target) {
      this.arrive(); // it is there already
      return;
    }
    this.heading = this.target;
    // A little beyond the timestamp: rounded down, it would lie in the frame before.
    this.video.currentTime = facts.start + this.heading + 0.0005;
  }

  arrive() {
    if (this.goal === null) return;
    if (this.heading !== this.target) {
      this.depart();
    } else if (!this.moving) {
      this.goal = this.heading = null;
      this.tell("change");
    }
  }

  stepBy(frames) {
    this.video.pause();
    this.seek(frameTime(this.place, frames));
  }
}

// Where the picture lies in its element, in pixels of the element: it may have bars beside it.
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
    // A screen reader would read it out all the time.
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
