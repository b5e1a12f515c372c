"use strict";
// Heatmaps, boxes and scores are data, packed by report/layer.py, and drawn over the picture here.

const byId = (id) => document.getElementById(id);
const facts = JSON.parse(byId("facts").textContent);
const pristine = pristinePage(); // before anything is changed, to save copies of

const TICKS = 10000; // a second
const LEVELS = 63; // of a strength, each sign
const MIDDLE = 127.5; // of the table of inks: strength 0
const USABLE = 1, JOINED = 2, HAS_MAP = 4; // flags of a row
const FINE = 6; // drawn pixels for a cell's side, before the browser smooths
const COLOURS = { "likely fake": "#d55e00", "likely real": "#009e73", inconclusive: "#aaaaaa" };

function pristinePage() {
  const root = document.documentElement;
  const classes = root.className;
  root.removeAttribute("class");
  const html = "<!doctype html>\n" + root.outerHTML;
  root.className = classes;
  return html;
}

// The persons of the layer, each with columns of typed arrays and all of its heatmaps.
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
  // Differences to the row before; typed arrays wrap round as the writer's did.
  const summed = (column, width = 1) => {
    for (let i = width; i < column.length; i++) column[i] += column[i - width];
    return column;
  };
  return layer.persons.map((told) => {
    const several = (Kind, count) =>
      Array.from({ length: count }, () => summed(take(Kind, told.rows)));
    const [time] = several(Int32Array, 1);
    const [frame] = several(Int32Array, 1);
    const person = {
      ...told,
      time,
      frame,
      box: several(Int16Array, 4),
      area: several(Int16Array, 3),
      score: take(Uint8Array, told.rows),
      steady: take(Uint8Array, told.rows),
      flags: take(Uint8Array, told.rows),
      maps: summed(take(Int8Array, told.maps * cells), cells),
    };
    person.mapOf = new Int32Array(told.rows).fill(-1); // which heatmap a row has
    let count = 0;
    for (let row = 0; row < told.rows; row++)
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

// Where in a person's rows a time lies; null where the person is not in the picture.
function placeAt(person, seconds) {
  const row = rowAt(person, seconds);
  if (row < 0) return null;
  const since = seconds - person.time[row] / TICKS;
  if (!(person.flags[row] & JOINED)) return since < facts.step / 2 ? { row, share: 0 } : null;
  const gap = (person.time[row + 1] - person.time[row]) / TICKS;
  return { row, share: Math.min(Math.max(since / gap, 0), 1) };
}

function between(column, { row, share }) {
  return share ? column[row] + share * (column[row + 1] - column[row]) : column[row];
}

// What is seen of a person at a time: pixels of the video, scores 0..1; null if nothing.
function lookAt(person, seconds) {
  const place = placeAt(person, seconds);
  if (!place) return null;
  const step = facts.layer.step;
  return {
    person,
    box: person.box.map((column) => between(column, place) * step),
    area: person.area.map((column) => between(column, place) * step),
    score: between(person.steady, place) / 255,
    frame: person.frame[place.row],
    map: mapAt(person, place),
  };
}

// Strengths -1..1 of the cells, between the two nearest heatmaps that are kept of a stretch without
// a gap; null if there is none.
function mapAt(person, { row, share }) {
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
      ((1 - part) * person.maps[first + cell] + part * person.maps[second + cell]) / LEVELS;
  return map;
}

const inks = facts.layer && Uint8Array.from(atob(facts.layer.inks), (c) => c.charCodeAt(0));
const pad = document.createElement("canvas");

// One heatmap into a rectangle of a canvas. View: {opacity 0..1, evidence}.
function paintMap(context, map, [x, y, width, height], view, hatched) {
  const [rows, columns] = facts.layer.cells;
  pad.width = columns * FINE;
  pad.height = rows * FINE;
  const brush = pad.getContext("2d");
  const image = brush.createImageData(pad.width, pad.height);
  const along = spots(pad.width, columns), down = spots(pad.height, rows);
  for (let j = 0, at = 0; j < pad.height; j++) {
    const [top, bottom, low] = down[j];
    for (let i = 0; i < pad.width; i++, at += 4) {
      const [left, right, late] = along[i];
      const upper = map[top * columns + left] * (1 - late) + map[top * columns + right] * late;
      const lower = map[bottom * columns + left] * (1 - late) + map[bottom * columns + right] * late;
      const strength = upper * (1 - low) + lower * low;
      if (view.evidence === "fake" ? strength <= 0 : view.evidence === "real" && strength >= 0)
        continue;
      if (hatched && ((i + j) >> 2) % 3 > 0) continue;
      const ink = 4 * Math.round(MIDDLE + MIDDLE * Math.min(Math.max(strength, -1), 1));
      for (let channel = 0; channel < 3; channel++)
        image.data[at + channel] = hatched ? 190 : inks[ink + channel];
      image.data[at + 3] = inks[ink + 3] * view.opacity;
    }
  }
  brush.putImageData(image, 0, 0);
  context.drawImage(pad, x, y, width, height);
}

// For every drawn pixel the two cells it lies between, and how near it is to the second.
function spots(pixels, cells) {
  return Array.from({ length: pixels }, (_, pixel) => {
    const place = Math.min(Math.max(((pixel + 0.5) * cells) / pixels - 0.5, 0), cells - 1);
    const first = Math.floor(place);
    return [first, Math.min(first + 1, cells - 1), place - first];
  });
}

// Everybody at a time, onto a canvas that shows the video's picture in [x, y, width, height]; unit
// is the canvas's pixels in one of the page's.
function paintScene(context, persons, seconds, [x, y, width, height], unit, view) {
  const across = width / facts.layer.width, down = height / facts.layer.height;
  const seen = persons.map((person) => lookAt(person, seconds)).filter(Boolean);
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  if (view.show && !view.blind)
    for (const mark of seen.filter(({ map }) => map)) {
      const [left, top, side] = mark.area;
      const place = [x + left * across, y + top * down, side * across, side * down];
      paintMap(context, mark.map, place, view, mark.person.hatched);
    }
  const scale = unit * Math.max(1, width / unit / 960);
  if (view.boxes)
    for (const mark of seen) {
      const box = mark.box.map((value, side) => (side % 2 ? y + value * down : x + value * across));
      paintBox(context, mark, box, [x, y, width], scale, view);
    }
  context.restore();
  return seen;
}

function paintBox(context, mark, [x1, y1, x2, y2], [x, y, width], scale, view) {
  const colour = view.blind ? "#ffffff" : COLOURS[mark.person.verdict];
  context.lineWidth = 2 * scale;
  context.strokeStyle = colour;
  context.setLineDash(view.blind ? [6 * scale, 4 * scale] : []);
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  context.setLineDash([]);
  const lines = view.blind ? [`#${mark.person.person}`] : [`#${sayScore(mark)}`];
  if (!view.blind && mark.person.hatched) lines.push("heatmap not better than chance");
  let size = 13 * scale, wide = 0;
  for (;;) {
    context.font = `600 ${size}px system-ui, sans-serif`;
    wide = Math.max(...lines.map((line) => context.measureText(line).width)) + size;
    if (wide <= width || size < 6 * scale) break;
    size *= 0.9; // a label that is cut off would say something else
  }
  const tall = lines.length * 1.35 * size + 0.3 * size;
  const left = Math.max(x, Math.min(x1, x + width - wide)), top = Math.max(y, y1 - tall);
  context.fillStyle = "rgba(0, 0, 0, 0.78)";
  context.fillRect(left, top, wide, tall);
  context.fillStyle = colour;
  context.fillRect(left, top, 3 * scale, tall);
  context.fillStyle = "#ffffff";
  context.textBaseline = "middle";
  lines.forEach((line, number) =>
    context.fillText(line, left + 0.6 * size, top + (0.8 + 1.35 * number) * size),
  );
}

function sayScore({ person, score }) {
  const said = person.judged ? `${score.toFixed(2)} ${person.verdict}` : "not judged";
  return `${person.person} ${said}`;
}

// The heatmap over a picture of what the model saw of a person.
function paintFace(holder, persons, view) {
  const canvas = holder.querySelector("canvas");
  const person = persons.find((one) => one.person === Number(holder.dataset.person));
  const mark = person && lookAt(person, Number(holder.dataset.time));
  canvas.width = canvas.height = 320;
  if (mark?.map)
    paintMap(canvas.getContext("2d"), mark.map, [0, 0, 320, 320], view, person.hatched);
}
