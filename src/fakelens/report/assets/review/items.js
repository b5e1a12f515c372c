"use strict";
// The list of marks: their times as links, why they were made, and a button that removes them.

function markItem(mark, form) {
  const item = element("li", "");
  if (form.isClosed) {
    item.append(...markNodes(mark, form.player));
    return item;
  }
  const bare = { ...mark, note: "" };
  const note = element("input", "", { maxlength: 2000, "aria-label": `Why: ${describeMark(bare)}`, placeholder: "why", dir: "auto" });
  note.value = mark.note;
  note.addEventListener("focus", () => form.history.separate());
  note.addEventListener("input", () => form.edit(() => (mark.note = note.value), "note"));
  const remove = element("button", "Remove", { type: "button", class: "remove", "aria-label": `Remove: ${describeMark(mark)}` });
  remove.addEventListener("click", () => form.removeMark(mark));
  item.append(...markNodes(bare, form.player), " ", note, " ", remove);
  return item;
}
