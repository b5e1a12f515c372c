"use strict";
// Undo and redo: earlier and later states of a review's marks and opinion.

class ReviewHistory {
  constructor() {
    this.clear();
  }

  clear() {
    this.past = [];
    this.future = [];
    this.key = null;
  }

  // Called before a change. Consecutive changes of one key, such as typing, are undone together.
  record(state, key = null) {
    if (key === null || key !== this.key) this.past.push(JSON.stringify(state));
    this.key = key;
    this.future = [];
  }

  // Ends a series of changes of one key.
  separate() {
    this.key = null;
  }

  // Both return the state to go to, or null.
  undo(state) {
    return this.move(this.past, this.future, state);
  }

  redo(state) {
    return this.move(this.future, this.past, state);
  }

  move(from, to, state) {
    if (!from.length) return null;
    to.push(JSON.stringify(state));
    this.key = null;
    return JSON.parse(from.pop());
  }
}
