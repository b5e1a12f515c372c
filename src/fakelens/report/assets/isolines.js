"use strict";
// Draws isolines on a heatmap: lines where its strength crosses a level.

// strengths: of `columns` x `rows` points, evenly spaced over a rectangle of the canvas, as counted
// for the evidence shown. Draws one line along each level.
function paintIsolines(context, strengths, [columns, rows], [x, y, width, height], levels) {
  const across = width / columns, down = height / rows;
  context.beginPath();
  for (const level of levels)
    for (let j = 0; j + 1 < rows; j++)
      for (let i = 0; i + 1 < columns; i++) {
        const ends = crossings(strengths, columns, i, j, level);
        for (let n = 0; n + 1 < ends.length; n += 2) {
          context.moveTo(x + (ends[n][0] + 0.5) * across, y + (ends[n][1] + 0.5) * down);
          context.lineTo(x + (ends[n + 1][0] + 0.5) * across, y + (ends[n + 1][1] + 0.5) * down);
        }
      }
  context.stroke();
}

const NONE = [];

// The points at which a level crosses the sides of a square of four neighbouring points.
function crossings(strengths, columns, i, j, level) {
  const at = j * columns + i;
  const upper = [strengths[at], strengths[at + 1]];
  const lower = [strengths[at + columns], strengths[at + columns + 1]];
  const inside = (upper[0] >= level) + (upper[1] >= level) + (lower[0] >= level) + (lower[1] >= level);
  if (inside === 0 || inside === 4) return NONE;
  const share = (from, to) => (from >= level) !== (to >= level) && (level - from) / (to - from);
  const ends = [];
  const add = (part, place) => part !== false && ends.push(place(part));
  add(share(upper[0], upper[1]), (part) => [i + part, j]);
  add(share(upper[1], lower[1]), (part) => [i + 1, j + part]);
  add(share(lower[0], lower[1]), (part) => [i + part, j + 1]);
  add(share(upper[0], lower[0]), (part) => [i, j + part]);
  return ends;
}
