"use strict";
// Draws heatmaps over the video, and boxes with labels, from the data packed by report/heatmap_layer.py.

const byId = (id) => document.getElementById(id);
const facts = JSON.parse(byId("facts").textContent);
const originalHtml = serializePage(); // before scripts change the page: copies are saved from it

const TICKS = 10000; // per second
const LEVELS = 63; // of strength, for each sign
const MIDDLE = 127.5; // index of strength 0 in the table of colours
const USABLE = 1, JOINED = 2, HAS_MAP = 4; // flags of a row
const FACE_LINE = 1.5; // width of isolines on a face, of 320
const UPSAMPLING = 6; // pixels drawn along a cell's side, before the browser scales the heatmap
const COLOURS = { "likely fake": "#d55e00", "likely real": "#009e73", inconclusive: "#aaaaaa" };

function serializePage() {
  const root = document.documentElement;
  const classes = root.className;
  root.removeAttribute("class");
  const html = "<!doctype html>\n" + root.outerHTML;
  root.className = classes;
  return html;
}

// The people of the layer, with their columns as typed arrays and their heatmaps.
async function loadPersons() {
  if (!facts.layer) return [];
  const bytes = Uint8Array.from(atob(byId("layer-data").textContent), (c) => c.charCodeAt(0));
  const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return readPersons(await new Response(inflated).arrayBuffer(), facts.layer);
}

function readPersons(buffer, layer) {
  const cells = layer.cells[0] * layer.cells[1];
  let at = 0;
  const take = (Kind, length) => {
    const end = at + length * Kind.BYTES_PER_ELEMENT;
    const column = new Kind(buffer.slice(at, end));
    at = end;
    return column;
  };
  // Columns hold differences from the row before; typed arrays overflow as the packer's did.
  const summed = (column, width = 1) => {
    for (let i = width; i < column.length; i++) column[i] += column[i - width];
    return column;
  };
  return layer.persons.map((entry) => {
    const takeSummed = (Kind, count) =>
      Array.from({ length: count }, () => summed(take(Kind, entry.rows)));
    const [time] = takeSummed(Int32Array, 1);
    const [frame] = takeSummed(Int32Array, 1);
    const person = {
      ...entry,
      time,
      frame,
      box: takeSummed(Int16Array, 4),
      area: takeSummed(Int16Array, 3),
      score: take(Uint8Array, entry.rows),
      smoothed: take(Uint8Array, entry.rows),
      flags: take(Uint8Array, entry.rows),
      maps: summed(take(Int8Array, entry.maps * cells), cells),
      baseline: entry.baseline ? take(Int16Array, cells) : null,
    };
    person.mapOf = new Int32Array(entry.rows).fill(-1); // index of the row's heatmap
    let count = 0;
    for (let row = 0; row < entry.rows; row++)
      if (person.flags[row] & HAS_MAP) person.mapOf[row] = count++;
    return person;
  });
}

// The last row at or before a time in seconds, -1 before the first.
function rowAt(person, seconds) {
  const ticks = seconds * TICKS + 5; // timestamps are rounded
  let low = 0, high = person.rows;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (person.time[middle] <= ticks) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// The row of a time and the share of the way to the next row; null if the person is not in the
// picture then.
function placeAt(person, seconds) {
  const row = rowAt(person, seconds);
  if (row < 0) return null;
  const since = seconds - person.time[row] / TICKS;
  if (!(person.flags[row] & JOINED)) return since < facts.step / 2 ? { row, share: 0 } : null;
  const gap = (person.time[row + 1] - person.time[row]) / TICKS;
  return { row, share: Math.min(Math.max(since / gap, 0), 1) };
}

function interpolate(column, { row, share }) {
  return share ? column[row] + share * (column[row + 1] - column[row]) : column[row];
}

// Returns a function of a time in seconds: the people who may be visible then.
function indexByTime(persons) {
  const seconds = new Map(); // people by whole second
  for (const person of persons) {
    const last = person.time.at(-1) / TICKS + facts.step;
    for (let second = Math.floor(person.time[0] / TICKS); second <= last; second++)
      if (seconds.has(second)) seconds.get(second).push(person);
      else seconds.set(second, [person]);
  }
  return (time) => seconds.get(Math.floor(time + 5 / TICKS)) ?? []; // timestamps are rounded
}

// What to draw of a person at a time: boxes in video pixels, score 0..1; null if not visible.
function markAt(person, seconds) {
  const row = placeAt(person, seconds);
  if (!row) return null;
  const step = facts.layer.step;
  return {
    person,
    row,
    box: person.box.map((column) => interpolate(column, row) * step),
    area: person.area.map((column) => interpolate(column, row) * step),
    score: interpolate(person.smoothed, row) / 255,
    frame: person.frame[row.row],
  };
}

// The marks of all people at a time; the most suspicious ones are in full.
function marksAt(index, seconds) {
  const marks = index(seconds).map((person) => markAt(person, seconds)).filter(Boolean);
  const ranked = [...marks].sort((one, other) => one.person.rank - other.person.rank);
  ranked.forEach((mark, place) => (mark.inFull = place < facts.layer.most));
  return marks;
}

// Strengths -1..1 of the cells, interpolated between the two nearest heatmaps of a stretch without a
// gap; null if the stretch has no heatmap.
function mapAt(person, { row, share }, whole) {
  let before = row, after = share ? row + 1 : row;
  while (person.mapOf[before] < 0 && person.flags[before - 1] & JOINED) before--;
  while (person.mapOf[after] < 0 && person.flags[after] & JOINED) after++;
  if (person.mapOf[before] < 0) before = after;
  if (person.mapOf[after] < 0) after = before;
  if (person.mapOf[before] < 0) return null;
  const cells = facts.layer.cells[0] * facts.layer.cells[1];
  const first = person.mapOf[before] * cells, second = person.mapOf[after] * cells;
  const span = person.time[after] - person.time[before];
  const time = person.time[row] + (share ? share * (person.time[row + 1] - person.time[row]) : 0);
  const part = span ? (time - person.time[before]) / span : 0;
  const map = new Float32Array(cells);
  for (let cell = 0; cell < cells; cell++)
    map[cell] =
      (1 - part) * strengthOf(person, first, cell, whole) +
      part * strengthOf(person, second, cell, whole);
  return map;
}

// Strength -1..1 of one cell of the heatmap that starts at an index of the person's heatmaps.
function strengthOf(person, start, cell, whole) {
  let code = person.maps[start + cell];
  if (whole) code = (code + (person.baseline?.[cell] ?? 0)) * facts.layer.whole;
  return Math.min(Math.max(code / LEVELS, -1), 1);
}

// RGBA for each strength from -1 to 1.
const heatColours =
  facts.layer && Uint8Array.from(atob(facts.layer.colours), (c) => c.charCodeAt(0));
const scratch = document.createElement("canvas");

// Draws one heatmap of a person into a rectangle of a canvas, with isolines of a width.
// View: {opacity 0..1, evidence}.
function paintMap(context, map, [x, y, width, height], view, person, line) {
  const { hatched } = person;
  // Hatching stays as visible as it is: it is a warning.
  const faded = hatched ? 1 : opacityOf(person, view);
  const [rows, columns] = facts.layer.cells;
  scratch.width = columns * UPSAMPLING;
  scratch.height = rows * UPSAMPLING;
  const brush = scratch.getContext("2d");
  const image = brush.createImageData(scratch.width, scratch.height);
  const shown = new Float32Array(scratch.width * scratch.height); // strengths of the evidence shown
  const along = neighbours(scratch.width, columns), down = neighbours(scratch.height, rows);
  for (let j = 0, pixel = 0; j < scratch.height; j++) {
    const [top, bottom, weightBelow] = down[j];
    for (let i = 0; i < scratch.width; i++, pixel++) {
      const [left, right, weight] = along[i];
      const upper = map[top * columns + left] * (1 - weight) + map[top * columns + right] * weight;
      const lower =
        map[bottom * columns + left] * (1 - weight) + map[bottom * columns + right] * weight;
      const strength = upper * (1 - weightBelow) + lower * weightBelow;
      if (view.evidence === "fake" ? strength <= 0 : view.evidence === "real" && strength >= 0)
        continue;
      shown[pixel] = Math.abs(strength);
      if (hatched && ((i + j) >> 2) % 3 > 0) continue;
      const entry = 4 * Math.round(MIDDLE + MIDDLE * Math.min(Math.max(strength, -1), 1));
      for (let channel = 0; channel < 3; channel++)
        image.data[4 * pixel + channel] = hatched ? 190 : heatColours[entry + channel];
      image.data[4 * pixel + 3] = heatColours[entry + 3] * view.opacity * faded;
    }
  }
  brush.putImageData(image, 0, 0);
  context.drawImage(scratch, x, y, width, height);
  if (hatched) return;
  const opacity = Math.sqrt(view.opacity) * faded; // they are thin
  context.strokeStyle = `rgb(255 255 255 / ${opacity})`;
  context.lineWidth = line;
  const grid = [scratch.width, scratch.height];
  paintIsolines(context, shown, grid, [x, y, width, height], facts.layer.isolines);
}

// The heatmap of an undecided model says little about a place.
function opacityOf(person, view) {
  const faded = view.fade && person.verdict === "inconclusive" ? facts.layer.faded : 1;
  return Math.min(person.opacity, faded);
}

// For every drawn pixel the two cells it lies between, and the weight of the second.
function neighbours(pixels, cells) {
  return Array.from({ length: pixels }, (_, pixel) => {
    const place = Math.min(Math.max(((pixel + 0.5) * cells) / pixels - 0.5, 0), cells - 1);
    const first = Math.floor(place);
    return [first, Math.min(first + 1, cells - 1), place - first];
  });
}

// Draws the people at a time onto a canvas, where the video's picture fills [x, y, width, height].
// index: see indexByTime. unit: canvas pixels per CSS pixel. Returns what was drawn, each with
// whether its score was shown.
function paintScene(context, index, seconds, [x, y, width, height], unit, view) {
  const across = width / facts.layer.width, down = height / facts.layer.height;
  const seen = marksAt(index, seconds);
  const scale = unit * Math.max(1, width / unit / 960);
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  if (view.show && !view.blind)
    for (const mark of seen.filter(({ inFull }) => inFull)) {
      const map = mapAt(mark.person, mark.row, view.whole);
      const [left, top, side] = mark.area;
      const place = [x + left * across, y + top * down, side * across, side * down];
      if (map) paintMap(context, map, place, view, mark.person, scale);
    }
  if (view.boxes) {
    for (const mark of seen) {
      mark.place = mark.box.map((value, n) => (n % 2 ? y + value * down : x + value * across));
      mark.pointed = !view.blind && contains(mark.place, view.pointer);
      mark.detailed = !view.blind && (mark.inFull || mark.pointed); // the rank is a result
      mark.scored = mark.pointed || (mark.inFull && !view.blind && view.scores);
    }
    for (const mark of seen) paintBox(context, mark, scale, view);
    paintLabels(context, seen, [x, y, width, height], scale, view);
  }
  context.restore();
  return seen;
}

function contains([x1, y1, x2, y2], point) {
  return Boolean(point) && point[0] >= x1 && point[0] < x2 && point[1] >= y1 && point[1] < y2;
}

// Draws the heatmap over the picture of a face crop.
function paintFace(holder, persons, view) {
  const canvas = holder.querySelector("canvas");
  const person = persons.find((one) => one.person === Number(holder.dataset.person));
  const row = person && placeAt(person, Number(holder.dataset.time));
  const map = row && mapAt(person, row, view.whole);
  canvas.width = canvas.height = 320;
  if (map) paintMap(canvas.getContext("2d"), map, [0, 0, 320, 320], view, person, FACE_LINE);
}
