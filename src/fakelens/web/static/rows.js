// The rows of the page: their content and their buttons. Names are set as text, never as HTML.
// Also helpers to parse responses and to store the switch for blind reviews.

const MAX_PEOPLE = 3; // shown per video, as on the report page
const MAX_REVIEWS = 4; // shown per video
const CLASSES = { "likely fake": "fake", "likely real": "real" };

const STAGES = { examining: "Analysing", drawing: "Drawing" };

const ACTIONS = {
  queued: ["cancel"],
  running: ["cancel"],
  done: ["open", "bundle", "examiner", "delete"],
  failed: ["retry", "delete"],
  cancelled: ["delete"],
  damaged: ["retry", "delete"],
};

export const BLIND_KEY = "blind"; // in the browser's storage

const QUESTIONS = { // title, consequence, label of the confirming button
  delete: [
    "Delete this result?",
    (name) => `The upload, the results and the reviews of ${name} will be deleted. This cannot be undone.`,
    "Delete",
  ],
  cancel: [
    "Cancel this job?",
    (name) => `${name} will not be analysed, and its upload will be deleted. This cannot be undone.`,
    "Cancel job",
  ],
  stop: ["Stop this upload?", (name) => `${name} will not be analysed.`, "Stop upload"],
};

export function isOver(job) {
  return !["queued", "running"].includes(job.state);
}

export function formatSize(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function formatEta(seconds) {
  if (seconds === null) return "";
  if (seconds < 60) return `, about ${Math.max(1, Math.round(seconds))} s left`;
  return `, about ${Math.round(seconds / 60)} min left`;
}

function describeFrames(job) {
  if (job.frames_done === job.frames_total) return "all frames done, finishing";
  const total = job.frames_total === null ? "" : ` of ${job.frames_total}`;
  return `${job.frames_done}${total} frames${formatEta(job.eta)}`;
}

function describe(job) {
  const format = { dateStyle: "medium", timeStyle: "short" };
  const when = new Date(job.created).toLocaleString(undefined, format);
  if (job.state === "queued") return `Waiting · ${formatSize(job.bytes)}`;
  if (job.state === "running")
    return job.stage ? `${STAGES[job.stage]}: ${describeFrames(job)}` : "Starting";
  const suffix = job.state === "done" ? "" : ` · ${job.state}`;
  return `${when} · ${formatSize(job.bytes)}${suffix}`;
}

// Returns the people to show, the most suspicious first.
function people(job, isBlind) {
  return job.state === "done" && !isBlind ? job.summary.persons.slice(0, MAX_PEOPLE) : [];
}

// Returns what is said of the video as a whole.
function notes(job, isBlind) {
  if (job.state !== "done") return [];
  if (isBlind) return [["results hidden", "plain"]];
  const { persons, faces_found: found } = job.summary;
  if (!found) return [["no face found", "plain"]];
  const others = persons.length - MAX_PEOPLE;
  if (others <= 0) return [];
  return [[`${others} more ${others === 1 ? "person" : "people"}, less suspicious`, "plain"]];
}

// "answer" is empty in results of earlier versions.
function answer({ answer: words, verdict }) {
  return words || verdict;
}

// Says the verdicts in words, for screen readers.
export function describeVerdicts(job, isBlind) {
  const said = people(job, isBlind).map((one) => `person ${one.person}: ${answer(one)}`);
  return [...said, ...notes(job, isBlind).map(([text]) => text)].join(", ");
}

function showPeople(list, shown) {
  list.hidden = !shown.length;
  list.replaceChildren(...shown.map((one) => {
    const entry = document.getElementById("person").content.firstElementChild.cloneNode(true);
    const score = one.score === null ? "" : `, score ${one.score.toFixed(2)}`;
    entry.className = CLASSES[one.verdict] ?? "unsure";
    entry.querySelector(".answer").textContent = answer(one);
    entry.querySelector(".who").textContent = `person ${one.person}${score}`;
    entry.querySelector(".sure").textContent = one.sure;
    return entry;
  }));
}

// In a blind review, the opinions of other reviewers are hidden too.
function reviews(job, isBlind) {
  const { length } = job.reviews;
  if (isBlind) return length ? [[length === 1 ? "reviewed" : `${length} reviews`, "plain"]] : [];
  const chips = job.reviews.slice(0, MAX_REVIEWS).map((review) => [describeReview(review), "review"]);
  if (length > MAX_REVIEWS) chips.push([`${length - MAX_REVIEWS} more reviews`, "plain"]);
  return chips;
}

function describeReview({ reviewer, opinion, blind, revealed }) {
  const who = reviewer ? `Review by ${reviewer}` : "Review";
  if (blind && !revealed) return `${who}: in progress`;
  return `${who}: ${opinion ?? "no opinion"}${blind ? ", blind" : ""}`;
}

function showThumbnail(image, job, isBlind) {
  const address = isBlind ? null : job.summary?.links.thumbnail;
  image.hidden = !address || job.state !== "done";
  if (image.hidden || image.getAttribute("src") === address) return;
  image.src = address;
  image.alt = `Person ${job.summary.suspect}: the face, and the same face with its heatmap`;
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

export function fillRow(row, { meta, chips = [], rates = "", progress, problem, actions }) {
  row.querySelector(".meta").textContent = meta;
  row.querySelector(".rates").textContent = rates;
  row.querySelector(".rates").hidden = !rates;
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
  const shown = people(job, isBlind);
  fillRow(row, {
    meta: describe(job),
    chips: [...notes(job, isBlind), ...reviews(job, isBlind)],
    rates: shown.some((one) => one.score !== null) ? job.summary.error_rates : "",
    progress: job.state === "running" ? known && [job.frames_done, job.frames_total] : undefined,
    problem: job.error,
    actions: ACTIONS[job.state],
  });
  showPeople(row.querySelector(".people"), shown);
  showThumbnail(row.querySelector(".thumbnail"), job, isBlind);
  if (job.state !== "done") return;
  row.querySelector(".open").href = job.summary.links.page + (isBlind ? "#blind" : "");
  row.querySelector(".bundle").href = job.summary.links.bundle;
  row.querySelector(".examiner").href = `/results/${job.id}/examiner`;
}

let resolveQuestion = null; // takes the answer to the question in the dialog

// Asks for confirmation in a dialog: rows move up under the pointer, so that a second click may hit
// the button of another row.
function confirmAction(question, row) {
  const part = (name) => document.getElementById(`confirm${name}`);
  const [title, text, yes] = QUESTIONS[question];
  part("-title").textContent = title;
  part("-text").textContent = text(row.querySelector(".name").textContent);
  part("-yes").textContent = yes;
  part("").showModal();
  return new Promise((resolve) => {
    resolveQuestion = resolve;
  });
}

function answerQuestion(isConfirmed) {
  document.getElementById("confirm").close();
  resolveQuestion?.(isConfirmed);
  resolveQuestion = null;
}

export function listenForAnswers() {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-yes").addEventListener("click", () => answerQuestion(true));
  document.getElementById("confirm-no").addEventListener("click", () => answerQuestion(false));
  dialog.addEventListener("close", () => {
    // Escape closes the dialog without a click. The event comes late: by then the next question may
    // be open.
    if (!dialog.open) answerQuestion(false);
  });
}

// Sets what a button of a row does, after confirmation if there is a question. The button stays
// disabled until the action has finished.
export function onClick(row, name, { question, showError }, action) {
  const button = row.querySelector(`.${name}`);
  button.addEventListener("click", async () => {
    if (question && !(await confirmAction(question, row))) return;
    button.disabled = true; // after the dialog, which returns the focus to the button
    try {
      await action();
    } catch (error) {
      showError(error);
    } finally {
      button.disabled = false;
    }
  });
}

// Returns the content of a response, or throws the error message in it.
export function parseResponse(status, text) {
  let content = null;
  try {
    content = JSON.parse(text);
  } catch {
    // A response of a proxy in front of the server.
  }
  if (content && status < 300) return content;
  throw new Error(content?.detail ?? `the server returned status ${status}`);
}

// Storage may be blocked; then the switch works, but is reset on reload.
export function readBlind() {
  try {
    return localStorage.getItem(BLIND_KEY) === "yes";
  } catch {
    return false;
  }
}

export function storeBlind(isBlind) {
  try {
    localStorage.setItem(BLIND_KEY, isBlind ? "yes" : "no");
  } catch {
    // See above.
  }
}
