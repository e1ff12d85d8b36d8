"use strict";
// Where the chart's words stand: beside their marks, within the drawn area, and on no mark of a point.

function floats(array) {
  if (Array.isArray(array)) return array;
  return new Float32Array(Uint8Array.from(atob(array.bdata), letter => letter.charCodeAt(0)).buffer);
}

// All points of the figure: as many numbers across as up.
const points = page.figure.data.filter(trace => trace.meta === "cloud" || (trace.mode || "").includes("markers"))
  .map(trace => [floats(trace.x), floats(trace.y)]);

// The drawn area in pixels, and what turns the first ranges' values into places in it.
function areaOf({ margin, width, height, xaxis, yaxis }) {
  const wide = (width || page.chart.clientWidth) - margin.l - margin.r;
  const high = (height || page.chart.clientHeight) - margin.t - margin.b;
  return { wide, high, across: x => (x - xaxis.range[0]) / (xaxis.range[1] - xaxis.range[0]) * wide,
    up: y => (yaxis.range[1] - y) / (yaxis.range[1] - yaxis.range[0]) * high };
}

const letters = page.figure.layout.font.size * 0.56;  // the mean width of a letter

// A baseline's name stands at the corner of its mark where it hides the fewest others, right of it and below at best.
function placeName(trace, layout) {
  const narrow = page.chart.clientWidth < 560, { wide, high, across, up } = areaOf(layout);
  if (narrow) trace.textfont = { size: 10 };
  const width = 12 + trace.text[0].length * (narrow ? 5.6 : letters), height = 22;
  const [x, y] = [across(trace.x[0]), up(trace.y[0])];
  const hidden = place => {
    const left = place.includes("right") ? x : x - width, top = place.includes("bottom") ? y : y - height;
    let count = left < 0 || left + width > wide || top < 0 || top + height > high ? points.length * 1e6 : 0;
    for (const [xs, ys] of points) for (let i = 0; i < xs.length; i++) {
      const [dx, dy] = [across(xs[i]) - left, up(ys[i]) - top];
      if (dx > 0 && dx < width && dy > 0 && dy < height) count += 1;
    }
    return count;
  };
  const places = ["bottom right", "bottom left", "top right", "top left"];
  trace.textposition = places.reduce((best, place) => hidden(place) < hidden(best) ? place : best);
}

// The lowest mark-free place above all marks that it spans, as near to its own point as there is one.
function placeAnnotation(layout) {
  const label = (layout.annotations || [])[0];
  if (!label) return;
  const { wide, high, across, up } = areaOf(layout), lines = label.text.split("<br>");
  const width = 12 + Math.max(...lines.map(line => line.length)) * letters, height = 6 + 17 * lines.length;
  const own = [across(label.x), up(label.y)], step = 10, tops = new Array(Math.ceil(wide / step) + 1).fill(high);
  for (const [xs, ys] of points) for (let i = 0; i < xs.length; i++) {
    const column = Math.round(across(xs[i]) / step);
    if (column >= 0 && column < tops.length) tops[column] = Math.min(tops[column], up(ys[i]));
  }
  let best = null;
  for (const [anchor, share] of [["left", 0], ["center", 0.5], ["right", 1]])
    for (let tail = 0; tail <= wide; tail += step) {
      const left = tail - share * width, right = left + width;
      if (left < 0 || right > wide) continue;
      const spanned = tops.slice(Math.max(0, Math.floor(left / step) - 1), Math.ceil(right / step) + 2);
      const bottom = Math.min(...spanned, own[1]) - 16;
      const far = Math.hypot(tail - own[0], bottom - own[1]);
      if (bottom - height >= 0 && (best === null || far < best.far)) best = { anchor, tail, bottom, far };
    }
  if (best === null) { layout.annotations = []; return; }  // the walk starts at this point, and the headline names it
  Object.assign(label, { xanchor: best.anchor, yanchor: "bottom", ax: best.tail - own[0], ay: best.bottom - own[1] });
}
