// The page of fakelens serve: uploads, the queue, results. No framework, no build step.

import { act, fillJobRow, fillRow, isOver, makeRow, megabytes, verdicts } from "./rows.js";
import { MISSED, keepBlind, read, readBlind } from "./rows.js";

const PAGE = 50; // jobs asked for at first, and for each "Show older results"
const LARGEST_PAGE = 200; // that the server gives

const $ = (id) => document.getElementById(id);
const jobs = new Map();
const rows = new Map(); // of jobs and of uploads
const gone = new Set(); // ids of deleted jobs: an answer on its way may still have them
const waiting = []; // uploads
let sending = null; // the upload on its way: its file and request
let limits = null;
let oldest = ""; // when the last job listed was created: all since then are known

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (answer.status === 401) location.reload(); // it asks for the token
  return answer.status === 204 ? null : read(answer.status, await answer.text());
}

function say(text) {
  $("said").textContent = text;
}

function isBlind() {
  return $("blind").checked;
}

function showJob(job) {
  const row = rows.get(job.id) ?? makeJobRow(job);
  fillJobRow(row, job, isBlind());
  place(row, job);
}

function keep(key, row) {
  rows.set(key, row);
  return row;
}

function makeJobRow(job) {
  const row = keep(job.id, makeRow(job.name));
  const path = `/api/jobs/${job.id}`;
  act(row, "cancel", { question: "cancel", complain }, async () => {
    take(await ask(`${path}/cancel`, { method: "POST" }));
  });
  act(row, "retry", { complain }, async () => {
    take(await ask(`${path}/retry`, { method: "POST" }));
  });
  act(row, "delete", { question: "delete", complain }, async () => {
    await ask(path, { method: "DELETE" });
    forget(job.id);
    say(`${job.name} was deleted`);
    $("results-title").focus();
  });
  row.dataset.created = job.created;
  return row;
}

function place(row, job) {
  const over = isOver(job);
  const list = over ? $("results") : $("work");
  if (row.parentElement === list) return;
  const later = [...list.children].find((other) => {
    const isNewer = (other.dataset.created ?? "") > job.created;
    return over ? !isNewer : isNewer;
  });
  list.insertBefore(row, later ?? null);
  tidy();
}

function tidy() {
  $("work-section").hidden = !$("work").children.length;
  $("empty").hidden = $("results").children.length > 0 || !$("older").hidden;
}

function take(job) {
  if (gone.has(job.id)) return;
  const before = jobs.get(job.id);
  jobs.set(job.id, job);
  showJob(job);
  if (before && before.state !== job.state) {
    const answers = verdicts(job, isBlind()).map(([text]) => text).join(", ");
    say(`${job.name}: ${job.error ?? job.state}${answers && `, ${answers}`}`);
  }
}

function drop(key) {
  rows.get(key)?.remove();
  rows.delete(key);
  jobs.delete(key);
  tidy();
}

function forget(id) {
  gone.add(id);
  drop(id);
}

function complain(error) {
  say(error.message);
  const row = keep(error, makeRow("That did not work"));
  fillRow(row, { meta: "", problem: error.message, actions: ["delete"] });
  row.querySelector(".delete").textContent = "Dismiss";
  row.querySelector(".delete").setAttribute("aria-label", "Dismiss this message");
  row.querySelector(".delete").addEventListener("click", () => drop(error));
  $("work").prepend(row);
  tidy();
}

function enqueue(files) {
  for (const file of files) {
    const row = keep(file, makeRow(file.name));
    fillRow(row, { meta: "Waiting to be uploaded", actions: ["cancel"] });
    act(row, "cancel", { question: "stop", complain }, () => stop(file));
    $("work").append(row);
    waiting.push(file);
  }
  tidy();
  sendNext();
}

function stop(file) {
  if (sending?.file === file) {
    sending.request.abort();
  } else if (waiting.includes(file)) {
    waiting.splice(waiting.indexOf(file), 1);
    drop(file);
  } else {
    throw new Error(`${file.name} was there before it could be stopped: cancel it below`);
  }
}

function sendNext() {
  if (sending || !waiting.length) return;
  const file = waiting.shift();
  sending = { file, request: new XMLHttpRequest() };
  const end = (problem) => {
    sending = null;
    drop(file);
    if (problem) complain(new Error(`${file.name}: ${problem}`));
    sendNext();
  };
  if (limits && file.size > limits.upload_bytes) {
    end(`is larger than the ${megabytes(limits.upload_bytes)} that this server takes`);
  } else {
    send(sending, end);
  }
}

function send({ file, request }, end) {
  const options = { name: file.name, every: $("every").value, trust: $("trust").checked };
  const row = rows.get(file);
  const show = (sent) => fillRow(row, {
    meta: `Uploading: ${megabytes(sent)} of ${megabytes(file.size)}`,
    progress: [sent, file.size || 1],
    actions: ["cancel"],
  });
  request.upload.addEventListener("progress", (event) => show(event.loaded));
  request.addEventListener("load", () => {
    let problem = null;
    try {
      take(read(request.status, request.responseText));
    } catch (error) {
      problem = error.message;
    }
    end(problem);
  });
  request.addEventListener("error", () => end("the upload was broken off; is the server there?"));
  request.addEventListener("abort", () => end(null));
  request.open("POST", `/api/jobs?${new URLSearchParams(options)}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  show(0);
  request.send(file);
}

async function list(offset, limit) {
  const found = await ask(`/api/jobs?limit=${limit}&offset=${offset}`);
  found.jobs.forEach(take);
  oldest = found.jobs.at(-1)?.created ?? oldest;
  $("older").hidden = !found.jobs.length || countListed() >= found.total;
  tidy();
  return found;
}

// Without those before the oldest, which are known only since something happened to them.
function countListed() {
  return [...jobs.values()].filter((job) => job.created >= oldest).length;
}

// The newest first, as many as are shown, and on until those that wait, the oldest, are there.
async function listAll() {
  const shown = [...jobs.keys()];
  const fresh = new Set();
  let found;
  do {
    found = await list(fresh.size, fresh.size ? LARGEST_PAGE : PAGE);
    found.jobs.forEach((job) => fresh.add(job.id));
  } while (
    found.jobs.length && fresh.size < found.total
    && (fresh.size < shown.length || await isWorkMissing())
  );
  shown.filter((id) => !fresh.has(id)).forEach(drop); // deleted while nobody told us
}

async function isWorkMissing() {
  const { queued, running } = await ask("/api/health");
  return [...jobs.values()].filter((job) => !isOver(job)).length < queued + running;
}

function follow() {
  const events = new EventSource("/api/events");
  events.addEventListener("open", () => listAll().catch(complain)); // also what was missed
  events.addEventListener("job", (event) => take(JSON.parse(event.data)));
  events.addEventListener("deleted", (event) => forget(JSON.parse(event.data).id));
  events.addEventListener("error", () => {
    if (events.readyState !== EventSource.CLOSED) return; // the browser tries again
    $("lost").hidden = false;
  });
}

function listenForFiles() {
  $("files").addEventListener("change", () => {
    enqueue([...$("files").files]);
    $("files").value = "";
  });
  const over = (is) => (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", is);
  };
  document.addEventListener("dragover", over(true));
  document.addEventListener("dragleave", over(false));
  document.addEventListener("drop", (event) => {
    over(false)(event);
    enqueue([...event.dataTransfer.files]);
  });
}

function listenForBlind() {
  $("blind").checked = readBlind();
  $("blind").addEventListener("change", () => {
    keepBlind(isBlind());
    jobs.forEach(showJob);
  });
  window.addEventListener("storage", (event) => {
    if (![MISSED, null].includes(event.key)) return;
    $("blind").checked = readBlind();
    jobs.forEach(showJob);
  });
}

function start() {
  listenForBlind();
  listenForFiles();
  $("confirm-yes").addEventListener("click", () => $("confirm").close("yes"));
  $("confirm-no").addEventListener("click", () => $("confirm").close(""));
  $("older").addEventListener("click", () => list(countListed(), PAGE).catch(complain));
  window.addEventListener("beforeunload", (event) => {
    if (sending || waiting.length) event.preventDefault(); // uploads end with the page
  });
  ask("/api/health").then((health) => { limits = health.limits; }).catch(complain);
  follow();
}

start();
