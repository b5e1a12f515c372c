"use strict";
// What the browser keeps of reviews, which of them are valid, and which one this page edits.

const DRAFT_KEY = `fakelens-review-${facts.report}`; // unsaved work
const MINE_KEY = `fakelens-mine-${facts.report}`; // id of the review that was begun in this browser
const OTHERS_KEY = `fakelens-others-${facts.report}`; // reviews of others that are not in the page
const ASIDE_KEY = `fakelens-unsaved-${facts.report}`; // unsaved work in conflict with what was saved
const FILED_KEY = `fakelens-filed-${facts.report}`; // content of the review last saved as a file
const SEEN_KEY = `fakelens-seen-${facts.report}`; // when the result was seen

const OPINIONS = ["manipulated", "genuine", "cannot tell"];
const MAX_MARKS = 500; // of a review

const isBlind = () => document.documentElement.classList.contains("blind");
const now = () => new Date().toISOString().replace(/\.\d+Z$/, "Z");

// Browser storage may be blocked; then drafts are lost on reload, but saving still works. Returns
// whether the value is stored.
function store(key, value) {
  try {
    localStorage.setItem(key, value);
    return true;
  } catch {
    return false;
  }
}

function readStored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function removeStored(...keys) {
  try {
    for (const key of keys) localStorage.removeItem(key);
  } catch {
    // See above.
  }
}

function readJson(key) {
  try {
    return JSON.parse(readStored(key));
  } catch {
    return null;
  }
}

function readReviews(key) {
  const found = readJson(key);
  return Array.isArray(found) ? found.filter(isReview) : [];
}

// An empty list is not stored.
function storeReviews(key, reviews) {
  if (reviews.length) store(key, JSON.stringify(reviews));
  else removeStored(key);
}

// Unsaved work from an earlier visit.
function readDraft() {
  return [readJson(DRAFT_KEY)].find(isReview) ?? null;
}

// Whether this is a review of this video, as report/review.py defines it.
function isReview(found) {
  const isText = (value, limit) => typeof value === "string" && value.length <= limit;
  const isMoment = (value) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(value);
  const isMark = (mark) =>
    (mark?.person === null || (Number.isInteger(mark?.person) && mark.person > 0)) &&
    Number.isFinite(mark.start) && Number.isFinite(mark.end) && mark.start >= 0 && mark.end >= mark.start &&
    isText(mark.note, 2000);
  return (
    found?.version === 1 && found.video_sha256 === facts.sha256 && typeof found.blind === "boolean" &&
    (found.id == null || /^[0-9a-f]{32}$/.test(found.id)) &&
    isText(found.reviewer, 200) && isText(found.notes, 20000) && isMoment(found.saved) &&
    (found.opinion === null || OPINIONS.includes(found.opinion)) &&
    (found.uncovered === null || isMoment(found.uncovered)) &&
    Array.isArray(found.suspicions) && found.suspicions.length <= MAX_MARKS && found.suspicions.every(isMark)
  );
}

function freshReview() {
  // randomUUID is missing on pages that a server sends without TLS.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return {
    version: 1,
    id: Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(""),
    revision: 0,
    video_sha256: facts.sha256,
    reviewer: "",
    blind: isBlind() && readStored(SEEN_KEY) === null,
    opinion: null,
    suspicions: [],
    uncovered: null,
    notes: "",
    saved: now(),
  };
}

// What the reviewer wrote, to compare reviews.
function contentOf({ reviewer, opinion, suspicions, uncovered, notes }) {
  return JSON.stringify([reviewer, opinion, suspicions.map(describeMark), uncovered !== null, notes]);
}

const hasContent = ({ opinion, suspicions, uncovered, notes, reviewer }) =>
  Boolean(opinion || suspicions.length || uncovered || notes || reviewer);

// A blind review whose reviewer has not seen the result; nobody else may see it.
const isUnfinished = ({ blind, uncovered }) => blind && uncovered === null;

const isSame = (one, other) =>
  one.id || other.id ? one.id === other.id : contentOf(one) === contentOf(other);

// The saved review that this page goes on with, or null: the one that was begun in this browser, or
// else the page's own. Who asks for a blind review does not get the finished one of another person.
function findOwn({ review: first, others }, draft) {
  const id = draft ? (draft.id ?? null) : readStored(MINE_KEY);
  if (draft || id) return [first, ...others].find((one) => one && (one.id ?? null) === id) ?? null;
  return location.hash === "#blind" && first?.uncovered ? null : first;
}

// Returns the review that is newer: by time in a file; on a server, whose clock is another one, the
// draft if it was made from the saved revision.
function latest(saved, draft, saveTo) {
  if (!saved || !draft) return saved ?? draft;
  const isNewer = saveTo
    ? (draft.revision ?? 0) === saved.revision
    : Date.parse(draft.saved) > Date.parse(saved.saved);
  return isNewer ? draft : saved;
}
