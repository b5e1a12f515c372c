"use strict";
// Draws boxes around faces, with labels that do not cover each other; as render/labels.py does.

const SMALL = 0.75; // size of a number alone, of the size of a label

// The places for a label of a size near a box: around it, then in it, then further away.
function placesFor(wide, tall, [x1, y1, x2, y2]) {
  return [
    [x1, y1 - tall], [x2 - wide, y1 - tall],
    [x1, y2], [x2 - wide, y2],
    [x2, y1], [x1 - wide, y1],
    [x1, y1], [x1, y2 - tall],
    [x1, y1 - 2 * tall], [x1, y2 + tall],
  ];
}

// The first of these places, moved into the picture, that is free: [x1, y1, x2, y2] or undefined.
function findPlace(wide, tall, box, [x, y, width, height], taken) {
  for (const [left, top] of placesFor(wide, tall, box)) {
    const x1 = Math.max(x, Math.min(left, x + width - wide));
    const y1 = Math.max(y, Math.min(top, y + height - tall));
    const place = [x1, y1, x1 + wide, y1 + tall];
    if (!taken.some((other) => overlap(place, other))) return place;
  }
  return undefined;
}

function overlap(one, other) {
  return one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];
}

function paintBox(context, mark, scale, view) {
  const [x1, y1, x2, y2] = mark.place;
  context.lineWidth = (mark.detailed || view.blind ? 2 : 1) * scale;
  context.strokeStyle = colourOf(mark, view);
  context.setLineDash(view.blind ? [6 * scale, 4 * scale] : []);
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  context.setLineDash([]);
}

// A label that does not fit beside the others is shortened to a line, then to the number, then left
// out.
function paintLabels(context, marks, picture, scale, view) {
  const ordered = [...marks].sort((a, b) => b.pointed - a.pointed || b.detailed - a.detailed);
  const faces = marks.filter((mark) => mark.inFull && !view.blind).map((mark) => mark.place);
  const taken = [];
  for (const mark of ordered)
    for (const lines of versionsOf(mark, view)) {
      const { wide, tall, size } = measure(context, lines, mark, picture, scale, view);
      const others = faces.filter((face) => face !== mark.place);
      const place =
        (mark.detailed && findPlace(wide, tall, mark.place, picture, [...taken, ...others])) ||
        findPlace(wide, tall, mark.place, picture, taken);
      if (!place) continue;
      taken.push(place);
      paintLabel(context, lines, place, size, scale, colourOf(mark, view));
      break;
    }
}

function colourOf(mark, view) {
  return view.blind ? "#ffffff" : COLOURS[mark.person.verdict];
}

// What a label says, then shorter versions of it.
function versionsOf(mark, view) {
  const number = [`#${mark.person.person}`];
  if (view.blind || !mark.detailed) return [number];
  const versions = [[`#${label(mark)}`], number];
  if (mark.person.hatched) versions.unshift([...versions[0], "heatmap not better than chance"]);
  else if (mark.person.opacity < 1) versions.unshift([...versions[0], "heatmap not specific"]);
  return versions;
}

// The size of a label and of its letters, on the canvas.
function measure(context, lines, mark, picture, scale, view) {
  let size = 13 * scale * (mark.detailed || view.blind ? 1 : SMALL), wide = 0;
  for (;;) {
    context.font = `600 ${size}px system-ui, sans-serif`;
    wide = Math.max(...lines.map((line) => context.measureText(line).width)) + size;
    if (wide <= picture[2] || size < 6 * scale) break;
    size *= 0.9; // a truncated label could be misread
  }
  return { wide, tall: lines.length * 1.35 * size + 0.3 * size, size };
}

function paintLabel(context, lines, [left, top, right, bottom], size, scale, colour) {
  context.fillStyle = "rgba(0, 0, 0, 0.78)";
  context.fillRect(left, top, right - left, bottom - top);
  context.fillStyle = colour;
  context.fillRect(left, top, 3 * scale, bottom - top);
  context.fillStyle = "#ffffff";
  context.textBaseline = "middle";
  context.font = `600 ${size}px system-ui, sans-serif`;
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
