// The page for uploads, running jobs and results. No framework, no build step.

import { listenForExample, showExample } from "./example.js";
import { describeVerdicts, fillJobRow, fillRow, formatSize, isOver, makeRow, onClick } from "./rows.js";
import { arrange, hideSuspicion, isPlain, listenForView, readView } from "./search.js";
import { BLIND_KEY, listenForAnswers, parseResponse, readBlind, storeBlind } from "./rows.js";

const PAGE = 50; // jobs requested at first, and for each "Show older results"
const MAX_PAGE = 200; // most jobs that the server returns

const $ = (id) => document.getElementById(id);
const jobs = new Map(); // by id
const rows = new Map(); // by job id, by file for uploads, and by error for messages
const deleted = new Set(); // ids of deleted jobs, which late responses may still contain
const waiting = []; // files to upload
let current = null; // the upload in progress: its file and request
let limits = null;
let oldest = ""; // creation time of the last job listed; all newer jobs are known
let total = 0; // number of all jobs
let found = null; // ids that a search returned, in order; null without a search
let searches = 0; // number of searches, to recognise late responses
let refresh = null; // timer of the next search

async function callApi(path, options) {
  const response = await fetch(path, options);
  if (response.status === 401) location.reload(); // shows the token form
  return response.status === 204 ? null : parseResponse(response.status, await response.text());
}

// For screen readers.
function announce(text) {
  $("announcement").textContent = text;
}

function isBlind() {
  return $("blind").checked;
}

function showJob(job) {
  const row = rows.get(job.id) ?? makeJobRow(job);
  fillJobRow(row, job, isBlind());
  placeRow(row, job);
}

function addRow(key, row) {
  rows.set(key, row);
  return row;
}

function makeJobRow(job) {
  const row = addRow(job.id, makeRow(job.name));
  const path = `/api/jobs/${job.id}`;
  onClick(row, "cancel", { question: "cancel", showError }, async () => {
    updateJob(await callApi(`${path}/cancel`, { method: "POST" }));
  });
  onClick(row, "retry", { showError }, async () => {
    updateJob(await callApi(`${path}/retry`, { method: "POST" }));
  });
  onClick(row, "delete", { question: "delete", showError }, async () => {
    await callApi(path, { method: "DELETE" });
    removeDeleted(job.id);
    announce(`${job.name} was deleted`);
    $("results-title").focus();
  });
  row.dataset.created = job.created;
  return row;
}

function placeRow(row, job) {
  const over = isOver(job);
  if (over && found) {
    if (row.parentElement === $("work")) row.remove();
    showFound();
    return;
  }
  const list = over ? $("results") : $("work");
  if (row.parentElement === list) return;
  const later = [...list.children].find((other) => {
    const isNewer = (other.dataset.created ?? "") > job.created;
    return over ? !isNewer : isNewer;
  });
  list.insertBefore(row, later ?? null);
  updateSections();
}

function showFound() {
  const over = found.filter((id) => rows.has(id) && isOver(jobs.get(id)));
  arrange($("results"), over.map((id) => rows.get(id)));
  updateSections();
}

function updateSections() {
  $("work-section").hidden = !$("work").children.length;
  const isEmpty = !$("results").children.length && $("older").hidden;
  $("none").hidden = !isEmpty || !found;
  $("empty").hidden = !isEmpty || Boolean(found);
  $("find").hidden = isEmpty && !found;
  showExample({ isEmpty, isIdle: !$("work").children.length });
  $("older").textContent = found ? "Show more results" : "Show older results";
}

function updateJob(job) {
  if (deleted.has(job.id)) return;
  const before = jobs.get(job.id);
  jobs.set(job.id, job);
  showJob(job);
  if (found && isOver(job) && before?.state !== job.state) {
    clearTimeout(refresh);
    refresh = setTimeout(() => search().catch(showError), 300);
  }
  if (before && before.state !== job.state) {
    const results = describeVerdicts(job, isBlind());
    announce(`${job.name}: ${job.error ?? job.state}${results && `, ${results}`}`);
  }
}

function removeRow(key) {
  rows.get(key)?.remove();
  rows.delete(key);
  jobs.delete(key);
  if (found) found = found.filter((id) => id !== key);
  updateSections();
}

function removeDeleted(id) {
  deleted.add(id);
  removeRow(id);
}

function showError(error) {
  announce(error.message);
  const row = addRow(error, makeRow("Error"));
  fillRow(row, { meta: "", problem: error.message, actions: ["delete"] });
  row.querySelector(".delete").textContent = "Dismiss";
  row.querySelector(".delete").setAttribute("aria-label", "Dismiss this message");
  row.querySelector(".delete").addEventListener("click", () => removeRow(error));
  $("work").prepend(row);
  updateSections();
}

function enqueue(files) {
  for (const file of files) {
    const row = addRow(file, makeRow(file.name));
    fillRow(row, { meta: "Waiting to be uploaded", actions: ["cancel"] });
    onClick(row, "cancel", { question: "stop", showError }, () => stopUpload(file));
    $("work").append(row);
    waiting.push(file);
  }
  updateSections();
  uploadNext();
}

function stopUpload(file) {
  if (current?.file === file) {
    current.request.abort();
  } else if (waiting.includes(file)) {
    waiting.splice(waiting.indexOf(file), 1);
    removeRow(file);
  } else {
    throw new Error(`the upload of ${file.name} is already complete: cancel its job instead`);
  }
}

function uploadNext() {
  if (current || !waiting.length) return;
  const file = waiting.shift();
  current = { file, request: new XMLHttpRequest() };
  const finish = (problem) => {
    current = null;
    removeRow(file);
    if (problem) showError(new Error(`${file.name}: ${problem}`));
    uploadNext();
  };
  if (limits && file.size > limits.upload_bytes) {
    const limit = formatSize(limits.upload_bytes);
    finish(`the file is larger than the ${limit} that this server accepts`);
  } else {
    upload(current, finish);
  }
}

function upload({ file, request }, finish) {
  const options = { name: file.name, every: $("every").value, trust: $("trust").checked };
  const row = rows.get(file);
  const show = (sent) => fillRow(row, {
    meta: `Uploading: ${formatSize(sent)} of ${formatSize(file.size)}`,
    progress: [sent, file.size || 1],
    actions: ["cancel"],
  });
  request.upload.addEventListener("progress", (event) => show(event.loaded));
  request.addEventListener("load", () => {
    let problem = null;
    try {
      updateJob(parseResponse(request.status, request.responseText));
    } catch (error) {
      problem = error.message;
    }
    finish(problem);
  });
  request.addEventListener("error", () => {
    finish("the upload was interrupted; check that the server is running");
  });
  request.addEventListener("abort", () => finish(null));
  request.open("POST", `/api/jobs?${new URLSearchParams(options)}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  show(0);
  request.send(file);
}

// Shows a row while the server makes the clip.
async function tryExample() {
  const row = makeRow("example");
  fillRow(row, { meta: "The server makes the clip", progress: null, actions: [] });
  $("work").append(row);
  updateSections();
  announce("The server makes the example clip");
  try {
    updateJob(await callApi("/api/example", { method: "POST" }));
  } finally {
    row.remove();
    updateSections();
  }
}

async function list(offset, limit) {
  const page = await callApi(`/api/jobs?limit=${limit}&offset=${offset}`);
  page.jobs.forEach(updateJob);
  oldest = page.jobs.at(-1)?.created ?? oldest;
  total = page.jobs.length ? page.total : countListed();
  if (!found) $("older").hidden = countListed() >= total;
  updateSections();
  return page;
}

// Lists what the form asks for: at least as many results as are shown, or more of them.
async function search({ more = false, isAsked = false } = {}) {
  const asked = ++searches;
  const view = readView();
  clearTimeout(refresh);
  if (isPlain(view)) {
    leaveSearch();
    return;
  }
  const before = more ? found : [];
  const wanted = more ? PAGE : Math.max(PAGE, found?.length ?? 0);
  const listed = [];
  let page;
  do {
    const limit = Math.min(MAX_PAGE, wanted - listed.length);
    const offset = before.length + listed.length;
    const query = new URLSearchParams({ ...view, blind: isBlind(), limit, offset });
    page = await callApi(`/api/jobs?${query}`);
    if (asked !== searches) return;
    listed.push(...page.jobs);
  } while (page.jobs.length && listed.length < wanted && before.length + listed.length < page.total);
  found = [...new Set([...before, ...listed.map((job) => job.id)])];
  $("older").hidden = !page.jobs.length || found.length >= page.total;
  listed.filter((job) => !deleted.has(job.id)).forEach((job) => {
    jobs.set(job.id, jobs.get(job.id) ?? job);
    fillJobRow(rows.get(job.id) ?? makeJobRow(job), jobs.get(job.id), isBlind());
  });
  showFound();
  if (isAsked) announce(page.total === 1 ? "1 result" : `${page.total} results`);
}

function leaveSearch() {
  if (!found) return;
  found = null;
  // Jobs older than the last one listed are not all known.
  [...jobs.values()].filter((job) => job.created < oldest && isOver(job)).forEach((job) => removeRow(job.id));
  $("results").replaceChildren();
  $("older").hidden = countListed() >= total;
  jobs.forEach(showJob);
  updateSections();
  announce("All results");
}

// Without jobs older than the last one listed, which are known only from events.
function countListed() {
  return [...jobs.values()].filter((job) => job.created >= oldest).length;
}

// Lists the newest jobs: at least as many as are shown, and all that are queued or running.
async function listAll() {
  const shown = [...jobs.keys()];
  const fresh = new Set();
  let page;
  do {
    page = await list(fresh.size, fresh.size ? MAX_PAGE : PAGE);
    page.jobs.forEach((job) => fresh.add(job.id));
  } while (
    page.jobs.length && fresh.size < page.total
    && (fresh.size < shown.length || await isWorkMissing())
  );
  shown.filter((id) => !fresh.has(id)).forEach(removeRow); // deleted without an event
  await search();
}

async function isWorkMissing() {
  const { queued, running } = await callApi("/api/health");
  return [...jobs.values()].filter((job) => !isOver(job)).length < queued + running;
}

function follow() {
  const events = new EventSource("/api/events");
  events.addEventListener("open", () => listAll().catch(showError)); // also after reconnecting
  events.addEventListener("job", (event) => updateJob(JSON.parse(event.data)));
  events.addEventListener("deleted", (event) => removeDeleted(JSON.parse(event.data).id));
  events.addEventListener("error", () => {
    if (events.readyState !== EventSource.CLOSED) return; // the browser reconnects
    $("lost").hidden = false;
  });
}

function listenForFiles() {
  $("files").addEventListener("change", () => {
    enqueue([...$("files").files]);
    $("files").value = "";
  });
  const highlight = (isOver) => (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", isOver);
  };
  document.addEventListener("dragover", highlight(true));
  document.addEventListener("dragleave", highlight(false));
  document.addEventListener("drop", (event) => {
    highlight(false)(event);
    enqueue([...event.dataTransfer.files]);
  });
}

function listenForBlind() {
  const show = () => {
    hideSuspicion(isBlind());
    jobs.forEach(showJob);
    search().catch(showError);
  };
  $("blind").checked = readBlind();
  hideSuspicion(isBlind());
  $("blind").addEventListener("change", () => {
    storeBlind(isBlind());
    show();
  });
  window.addEventListener("storage", (event) => {
    if (![BLIND_KEY, null].includes(event.key)) return;
    $("blind").checked = readBlind();
    show();
  });
}

function start() {
  listenForView(() => search({ isAsked: true }).catch(showError));
  listenForBlind();
  listenForFiles();
  listenForAnswers();
  listenForExample(() => tryExample().catch(showError));
  $("older").addEventListener("click", () => {
    const listed = found ? search({ more: true }) : list(countListed(), PAGE);
    listed.catch(showError);
  });
  window.addEventListener("beforeunload", (event) => {
    if (current || waiting.length) event.preventDefault(); // leaving the page aborts uploads
  });
  callApi("/api/health").then((health) => { limits = health.limits; }).catch(showError);
  follow();
}

start();
