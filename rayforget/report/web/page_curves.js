"use strict";
// Beside the walk's table: what each task does along the training's curve, and where on it the reader stands.

const curves = { drawing: document.getElementById("walk-curves"), width: 420, height: 250,
  left: 40, right: 96, top: 24, bottom: 34 };

function svgPart(name, attributes, text) {
  const part = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
  if (text !== undefined) part.textContent = text;
  return part;
}

function ticksOf(low, high) {
  const least = (high - low) / 5, power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map(by => by * power).find(each => each >= least), found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) found.push(Number(tick.toFixed(6)));
  return found;
}

// Changes from theta_0 in points, one line per task; speciality and generality are strong and named.
function drawCurves(curve, now) {
  const { drawing, width, height, left, right, top, bottom } = curves;
  const lines = start.names.map((_, i) => curve.map(point => (scoresAt(point.row)[i] - start.theta_0[i]) / 10));
  const all = lines.flat().concat(0), low = Math.min(...all, -1), high = Math.max(...all, 1);
  const first = curve[0].alpha, last = curve[curve.length - 1].alpha;
  const across = alpha => left + (alpha - first) / (last - first || 1) * (width - left - right);
  const up = change => height - bottom - (change - low) / (high - low) * (height - top - bottom);
  const parts = [svgPart("text", { class: "title", x: 0, y: 11 }, "points from θ0")];
  for (const tick of ticksOf(low, high)) {
    parts.push(svgPart("path", { class: tick === 0 ? "zero" : "grid", d: `M${left} ${up(tick)}H${width - right}` }),
      svgPart("text", { x: left - 6, y: up(tick) + 3.5, "text-anchor": "end" }, String(tick).replace("-", "−")));
  }
  for (const tick of ticksOf(first, last))
    parts.push(svgPart("text", { x: across(tick), y: height - bottom + 16, "text-anchor": "middle" }, String(tick)));
  parts.push(svgPart("text", { class: "title", x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, "α"));
  parts.push(svgPart("path", { class: "line walk", d: `M${across(now.alpha)} ${top}V${height - bottom}` }));
  lines.forEach((changes, i) => {
    const path = "M" + changes.map((change, k) => `${across(curve[k].alpha)} ${up(change)}`).join("L");
    const line = svgPart("path", { class: i === 0 ? "line strong c0" : i === 1 ? "line strong c1 dashed" : "line thin muted",
      d: path });
    line.append(svgPart("title", {}, start.names[i]));
    parts.push(line);
  });
  const ends = [0, 1].map(i => up(lines[i][lines[i].length - 1]));
  if (Math.abs(ends[0] - ends[1]) < 14) ends[0] = ends[1] + (ends[0] <= ends[1] ? -14 : 14);
  [["c0", "speciality"], ["c1", "generality"]].forEach(([color, name], i) =>
    parts.push(svgPart("text", { class: `named ${color}`, x: width - right + 8, y: ends[i] + 3.5 }, name)));
  drawing.replaceChildren(...parts);
  drawing.setAttribute("aria-label", `change of every task's score from θ0 along α, ${first} to ${last}`);
}
