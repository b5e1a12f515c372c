// What a row of the page says, and what can be done with it. Names are set as text, never as HTML.
// And what the page needs of the browser: answers read, a switch kept.

const CHIPS = 8; // verdicts shown of one video
const CLASSES = { "likely fake": "fake", "likely real": "real" };

const ACTIONS = {
  queued: ["cancel"],
  running: ["cancel"],
  done: ["open", "bundle", "delete"],
  failed: ["retry", "delete"],
  cancelled: ["delete"],
};

export const MISSED = "blind"; // kept under this name

const QUESTIONS = { // title, what will happen, the button that does it
  delete: [
    "Delete this result?",
    (name) => `The upload, the results and the review of ${name} will be deleted. This cannot be undone.`,
    "Delete it",
  ],
  cancel: [
    "Cancel this job?",
    (name) => `${name} will not be examined, and its upload will be deleted. This cannot be undone.`,
    "Cancel it",
  ],
  stop: ["Stop this upload?", (name) => `${name} will not be examined.`, "Stop it"],
};

export function isOver(job) {
  return !["queued", "running"].includes(job.state);
}

export function megabytes(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function left(seconds) {
  if (seconds === null) return "";
  if (seconds < 60) return `, about ${Math.max(1, Math.round(seconds))} s left`;
  return `, about ${Math.round(seconds / 60)} min left`;
}

function frames(job) {
  if (job.frames_done === job.frames_total) return "all frames seen, finishing";
  const total = job.frames_total === null ? "" : ` of ${job.frames_total}`;
  return `${job.frames_done}${total} frames${left(job.eta)}`;
}

function describe(job) {
  const day = { dateStyle: "medium", timeStyle: "short" };
  const when = new Date(job.created).toLocaleString(undefined, day);
  if (job.state === "queued") return `Waiting · ${megabytes(job.bytes)}`;
  if (job.state === "running") return job.stage ? `Now ${job.stage}: ${frames(job)}` : "Starting";
  const ended = { done: "", failed: " · failed", cancelled: " · cancelled" };
  return `${when} · ${megabytes(job.bytes)}${ended[job.state]}`;
}

export function verdicts(job, isBlind) {
  if (job.state !== "done") return [];
  if (isBlind) return [["answers hidden", "plain"]];
  const { persons, faces_found: found } = job.summary;
  if (!found) return [["no face found", "plain"]];
  if (!persons.length) return [["no face was good enough to judge", "plain"]];
  const chips = persons.slice(0, CHIPS).map((person) => [
    `Person ${person.person}: ${person.verdict} ${person.score.toFixed(2)}`,
    CLASSES[person.verdict] ?? "unsure",
  ]);
  if (persons.length > CHIPS) chips.push([`and ${persons.length - CHIPS} more`, "plain"]);
  return chips;
}

export function makeRow(name) {
  const row = document.getElementById("row").content.firstElementChild.cloneNode(true);
  const part = (selector) => row.querySelector(selector);
  part(".name").textContent = name;
  part("progress").setAttribute("aria-label", `Progress of ${name}`);
  for (const action of row.querySelectorAll(".actions > *")) {
    action.setAttribute("aria-label", `${action.textContent} ${name}`);
    action.hidden = true;
  }
  return row;
}

export function fillRow(row, { meta, chips = [], progress, problem, actions }) {
  row.querySelector(".meta").textContent = meta;
  const list = row.querySelector(".chips");
  list.replaceChildren(...chips.map(([text, kind]) => {
    const chip = document.createElement("li");
    chip.textContent = text;
    chip.className = kind;
    return chip;
  }));
  list.hidden = !chips.length;
  const bar = row.querySelector("progress");
  bar.hidden = progress === undefined;
  if (progress) [bar.value, bar.max] = progress;
  else bar.removeAttribute("value");
  row.querySelector(".problem").textContent = problem ?? "";
  row.querySelector(".problem").hidden = !problem;
  for (const action of row.querySelectorAll(".actions > *")) {
    action.hidden = !actions.includes(action.classList.item(action.classList.length - 1));
  }
}

export function fillJobRow(row, job, isBlind) {
  const known = job.frames_total !== null;
  fillRow(row, {
    meta: describe(job),
    chips: verdicts(job, isBlind),
    progress: job.state === "running" ? known && [job.frames_done, job.frames_total] : undefined,
    problem: job.error,
    actions: ACTIONS[job.state],
  });
  if (job.state !== "done") return;
  row.querySelector(".open").href = job.summary.links.page + (isBlind ? "#blind" : "");
  row.querySelector(".bundle").href = job.summary.links.bundle;
}

// Rows move up under the pointer, so that a second click hits another one: it only asks.
function confirmed(question, row) {
  const part = (name) => document.getElementById(`confirm${name}`);
  const [title, text, yes] = QUESTIONS[question];
  part("-title").textContent = title;
  part("-text").textContent = text(row.querySelector(".name").textContent);
  part("-yes").textContent = yes;
  const dialog = part("");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

// What a button of a row does, after a question if need be; not again until it is done.
export function act(row, name, { question, complain }, work) {
  const button = row.querySelector(`.${name}`);
  button.addEventListener("click", async () => {
    if (question && !(await confirmed(question, row))) return;
    button.disabled = true; // only now: a disabled button could not get the focus back
    try {
      await work();
    } catch (error) {
      complain(error);
    } finally {
      button.disabled = false;
    }
  });
}

// What the server said, or the sentence with which it refused.
export function read(status, text) {
  let told = null;
  try {
    told = JSON.parse(text);
  } catch {
    // Not from the server, but from a proxy in front of it.
  }
  if (told && status < 300) return told;
  throw new Error(told?.detail ?? `the server answered ${status}`);
}

// Storage may be blocked: then the switch is not kept, but works.
export function readBlind() {
  try {
    return localStorage.getItem(MISSED) === "yes";
  } catch {
    return false;
  }
}

export function keepBlind(is) {
  try {
    localStorage.setItem(MISSED, is ? "yes" : "no");
  } catch {
    // See above.
  }
}
