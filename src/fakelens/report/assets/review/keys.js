"use strict";
// Shortcuts of the review. They never fire in text fields, where keys keep their usual meaning.

const TYPING = "textarea, select, input:not([type=checkbox], [type=radio], [type=range], [type=file])";
const REVIEW_PARTS = ["#your-review", "#stage", ".lane-plot"];

function wireReviewKeys(form, player) {
  const at = (end) => () => player && form.setEnd(end, player.place);
  const keys = {
    i: at("start"),
    "[": at("start"),
    o: at("end"),
    "]": at("end"),
    m: () => form.addSpan(),
    u: () => form.undo(),
  };
  const actionOf = (event) => {
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && !event.altKey) {
      if (key === "z") return () => (event.shiftKey ? form.redo() : form.undo());
      return key === "y" ? () => form.redo() : null;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return null;
    if (key === "enter" && event.target.matches(".mark-lane")) return keys.m;
    return keys[key] ?? null;
  };
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    if (form.isClosed || target.closest(TYPING)) return;
    const isPointed = () => REVIEW_PARTS.some((part) => document.querySelector(`${part}:hover`));
    const isHere =
      target === document.body
        ? event.ctrlKey || event.metaKey || isPointed()
        : target.closest(REVIEW_PARTS.join());
    const action = isHere && actionOf(event);
    if (!action) return;
    event.preventDefault();
    action();
  });
}
