"use strict";
// Draws heatmaps, boxes and scores over the video, from the data packed by report/heatmap_layer.py.

const byId = (id) => document.getElementById(id);
const facts = JSON.parse(byId("facts").textContent);
const originalHtml = serializePage(); // before scripts change the page: copies are saved from it

const TICKS = 10000; // per second
const LEVELS = 63; // of strength, for each sign
const MIDDLE = 127.5; // index of strength 0 in the table of colours
const USABLE = 1, JOINED = 2, HAS_MAP = 4; // flags of a row
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

// What to draw of a person at a time: boxes in video pixels, score 0..1; null if not visible.
// whole: with the whole heatmap instead of its difference from the baseline.
function markAt(person, seconds, whole) {
  const place = placeAt(person, seconds);
  if (!place) return null;
  const step = facts.layer.step;
  return {
    person,
    box: person.box.map((column) => interpolate(column, place) * step),
    area: person.area.map((column) => interpolate(column, place) * step),
    score: interpolate(person.smoothed, place) / 255,
    frame: person.frame[place.row],
    map: mapAt(person, place, whole),
  };
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

// Draws one heatmap of a person into a rectangle of a canvas. View: {opacity 0..1, evidence}.
function paintMap(context, map, [x, y, width, height], view, person) {
  const { hatched } = person;
  // Hatching stays as visible as it is: it is a warning.
  const opacity = view.opacity * (hatched ? 1 : opacityOf(person, view));
  const [rows, columns] = facts.layer.cells;
  scratch.width = columns * UPSAMPLING;
  scratch.height = rows * UPSAMPLING;
  const brush = scratch.getContext("2d");
  const image = brush.createImageData(scratch.width, scratch.height);
  const along = neighbours(scratch.width, columns), down = neighbours(scratch.height, rows);
  for (let j = 0, at = 0; j < scratch.height; j++) {
    const [top, bottom, weightBelow] = down[j];
    for (let i = 0; i < scratch.width; i++, at += 4) {
      const [left, right, weight] = along[i];
      const upper = map[top * columns + left] * (1 - weight) + map[top * columns + right] * weight;
      const lower =
        map[bottom * columns + left] * (1 - weight) + map[bottom * columns + right] * weight;
      const strength = upper * (1 - weightBelow) + lower * weightBelow;
      if (view.evidence === "fake" ? strength <= 0 : view.evidence === "real" && strength >= 0)
        continue;
      if (hatched && ((i + j) >> 2) % 3 > 0) continue;
      const entry = 4 * Math.round(MIDDLE + MIDDLE * Math.min(Math.max(strength, -1), 1));
      for (let channel = 0; channel < 3; channel++)
        image.data[at + channel] = hatched ? 190 : heatColours[entry + channel];
      image.data[at + 3] = heatColours[entry + 3] * opacity;
    }
  }
  brush.putImageData(image, 0, 0);
  context.drawImage(scratch, x, y, width, height);
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

// Draws all people at a time onto a canvas, where the video's picture fills [x, y, width, height].
// unit: canvas pixels per CSS pixel. Returns what was drawn, each with whether its score was shown.
function paintScene(context, persons, seconds, [x, y, width, height], unit, view) {
  const across = width / facts.layer.width, down = height / facts.layer.height;
  const seen = persons.map((person) => markAt(person, seconds, view.whole)).filter(Boolean);
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  if (view.show && !view.blind)
    for (const mark of seen.filter(({ map }) => map)) {
      const [left, top, side] = mark.area;
      const place = [x + left * across, y + top * down, side * across, side * down];
      paintMap(context, mark.map, place, view, mark.person);
    }
  const scale = unit * Math.max(1, width / unit / 960);
  if (view.boxes)
    for (const mark of seen) {
      const box = mark.box.map((value, side) => (side % 2 ? y + value * down : x + value * across));
      mark.scored = !view.blind && (view.scores || contains(box, view.pointer));
      paintBox(context, mark, box, [x, y, width], scale, view);
    }
  context.restore();
  return seen;
}

function contains([x1, y1, x2, y2], point) {
  return Boolean(point) && point[0] >= x1 && point[0] < x2 && point[1] >= y1 && point[1] < y2;
}

function paintBox(context, mark, [x1, y1, x2, y2], [x, y, width], scale, view) {
  const colour = view.blind ? "#ffffff" : COLOURS[mark.person.verdict];
  context.lineWidth = 2 * scale;
  context.strokeStyle = colour;
  context.setLineDash(view.blind ? [6 * scale, 4 * scale] : []);
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  context.setLineDash([]);
  const lines = view.blind ? [`#${mark.person.person}`] : [`#${label(mark)}`];
  if (!view.blind && mark.person.hatched) lines.push("heatmap not better than chance");
  else if (!view.blind && mark.person.opacity < 1) lines.push("heatmap not specific");
  let size = 13 * scale, wide = 0;
  for (;;) {
    context.font = `600 ${size}px system-ui, sans-serif`;
    wide = Math.max(...lines.map((line) => context.measureText(line).width)) + size;
    if (wide <= width || size < 6 * scale) break;
    size *= 0.9; // a truncated label could be misread
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

// The verdict on the person; the score of the frame only where it is asked for.
function label({ person, score, scored }) {
  if (!person.judged) return `${person.person} not judged`;
  const here = scored ? `, ${score.toFixed(2)} in this frame` : "";
  return `${person.person} ${person.verdict}${here}`;
}

// Draws the heatmap over the picture of a face crop.
function paintFace(holder, persons, view) {
  const canvas = holder.querySelector("canvas");
  const person = persons.find((one) => one.person === Number(holder.dataset.person));
  const mark = person && markAt(person, Number(holder.dataset.time), view.whole);
  canvas.width = canvas.height = 320;
  if (mark?.map)
    paintMap(canvas.getContext("2d"), mark.map, [0, 0, 320, 320], view, person);
}
