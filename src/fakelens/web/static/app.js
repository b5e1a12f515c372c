// The page of fakelens serve: uploads, the queue, results. No framework, no build step.

import { fillJobRow, fillRow, makeRow, megabytes, verdicts } from "./rows.js";

const PAGE = 50; // jobs asked for at a time

const $ = (id) => document.getElementById(id);
const jobs = new Map();
const rows = new Map(); // of jobs and of uploads
const waiting = []; // uploads
let sending = false;
let limits = null;
let listed = 0; // jobs that the server was asked for

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (answer.status === 401) location.reload(); // it asks for the token
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  throw new Error((await answer.json()).detail);
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
  const act = (name, work) => {
    row.querySelector(`.${name}`).addEventListener("click", () => work().catch(complain));
  };
  const path = `/api/jobs/${job.id}`;
  act("cancel", async () => take(await ask(`${path}/cancel`, { method: "POST" })));
  act("retry", async () => take(await ask(`${path}/retry`, { method: "POST" })));
  act("delete", async () => {
    if (!(await confirmed(job.name))) return;
    await ask(path, { method: "DELETE" });
    drop(job.id);
    say(`${job.name} was deleted`);
    $("results-title").focus();
  });
  row.dataset.created = job.created;
  return row;
}

function place(row, job) {
  const over = !["queued", "running"].includes(job.state);
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
  $("empty").hidden = $("results").children.length > 0;
}

function take(job) {
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

function confirmed(name) {
  $("confirm-text").textContent =
    `The upload, the results and the review of ${name} will be deleted. This cannot be undone.`;
  const dialog = $("confirm");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

function enqueue(files) {
  for (const file of files) {
    const row = keep(file, makeRow(file.name));
    fillRow(row, { meta: "Waiting to be uploaded", actions: ["cancel"] });
    row.querySelector(".cancel").addEventListener("click", () => {
      if (!waiting.includes(file)) return; // it is being sent
      waiting.splice(waiting.indexOf(file), 1);
      drop(file);
    });
    $("work").append(row);
    waiting.push(file);
  }
  tidy();
  sendNext();
}

function sendNext() {
  if (sending || !waiting.length) return;
  sending = true;
  const file = waiting.shift();
  const end = (problem) => {
    sending = false;
    drop(file);
    if (problem) complain(new Error(`${file.name}: ${problem}`));
    sendNext();
  };
  if (limits && file.size > limits.upload_bytes) {
    end(`is larger than the ${megabytes(limits.upload_bytes)} that this server takes`);
  } else {
    send(file, end);
  }
}

function send(file, end) {
  const options = { name: file.name, every: $("every").value, trust: $("trust").checked };
  const request = new XMLHttpRequest();
  const row = rows.get(file);
  const show = (sent) => fillRow(row, {
    meta: `Uploading: ${megabytes(sent)} of ${megabytes(file.size)}`,
    progress: [sent, file.size || 1],
    actions: ["cancel"],
  });
  row.querySelector(".cancel").addEventListener("click", () => request.abort());
  request.upload.addEventListener("progress", (event) => show(event.loaded));
  request.addEventListener("load", () => {
    const answer = JSON.parse(request.responseText);
    if (request.status === 201) take(answer);
    end(request.status === 201 ? null : answer.detail);
  });
  request.addEventListener("error", () => end("the upload was broken off; is the server there?"));
  request.addEventListener("abort", () => end(null));
  request.open("POST", `/api/jobs?${new URLSearchParams(options)}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  show(0);
  request.send(file);
}

async function list(offset) {
  const found = await ask(`/api/jobs?limit=${PAGE}&offset=${offset}`);
  listed = Math.max(listed, offset + found.jobs.length);
  found.jobs.forEach(take);
  $("older").hidden = listed >= found.total;
  tidy();
}

function follow() {
  const events = new EventSource("/api/events");
  events.addEventListener("open", () => list(0).catch(complain)); // also what was missed
  events.addEventListener("job", (event) => take(JSON.parse(event.data)));
  events.addEventListener("deleted", (event) => drop(JSON.parse(event.data).id));
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

function start() {
  $("blind").checked = localStorage.getItem("blind") === "yes";
  $("blind").addEventListener("change", () => {
    localStorage.setItem("blind", isBlind() ? "yes" : "no");
    jobs.forEach(showJob);
  });
  $("confirm-yes").addEventListener("click", () => $("confirm").close("yes"));
  $("confirm-no").addEventListener("click", () => $("confirm").close(""));
  $("older").addEventListener("click", () => list(listed).catch(complain));
  listenForFiles();
  ask("/api/health").then((health) => { limits = health.limits; }).catch(complain);
  follow();
}

start();
