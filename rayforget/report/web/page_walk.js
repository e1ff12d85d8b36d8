"use strict";
// One training's curve, from the pretrained model to its end: choose it, move along it, read the scores there.

const walk = { training: document.getElementById("walk-training"), checkpoint: document.getElementById("walk-checkpoint"),
  path: document.getElementById("walk-path"), alpha: document.getElementById("walk-alpha"), curves: new Map() };
const start = readJson("start");  // theta_0's scores in tenths of a percent, the frontier, names of scores, the first point

// (trial, step, path) -> its points by alpha, each the number of a row of the table; null stands for theta_0
page.columns.checkpoint.forEach((at, row) => {
  const [, , , trial, step, fraction, method] = page.table.checkpoints[at];
  const [, alpha, path] = page.table.alphas[page.columns.alpha[row]];
  const steps = walk.curves.get(trial) || walk.curves.set(trial, { method, steps: new Map() }).get(trial);
  const paths = steps.steps.get(step) || steps.steps.set(step, { fraction, paths: new Map() }).get(step);
  const curve = paths.paths.get(path) || paths.paths.set(path, [{ alpha: 0, row: null }]).get(path);
  curve.push({ alpha, row });
});

function scoresAt(row) { return row === null ? start.theta_0 : page.columns.scores.map(column => column[row]); }

function fill(select, entries, wanted) {
  const groups = new Map();
  for (const [value, text, group] of entries) {
    const option = new Option(text, value);
    if (group === undefined) groups.set(option, option);
    else {
      const within = groups.get(group) || groups.set(group, Object.assign(document.createElement("optgroup"),
        { label: group })).get(group);
      within.append(option);
    }
  }
  select.replaceChildren(...groups.values());
  const values = entries.map(entry => String(entry[0]));
  select.value = values.includes(String(wanted)) ? wanted : values[values.length - 1];
  select.parentElement.hidden = entries.length < 2;
}

function curveNow() {
  return walk.curves.get(walk.training.value).steps.get(Number(walk.checkpoint.value)).paths.get(walk.path.value);
}

// Keeps checkpoint, path and alpha where the chosen training has them.
function chooseTraining(trial, step, path, alpha) {
  walk.training.value = trial;
  document.getElementById("walk-name").textContent = ` along ${trial}`;
  const { steps } = walk.curves.get(trial);
  fill(walk.checkpoint, [...steps].sort((a, b) => a[0] - b[0]).map(([at, { fraction }]) =>
    [at, `${Math.round(100 * fraction)} %`]), step);
  choosePath(path, alpha);
}

function choosePath(path, alpha) {
  const { paths } = walk.curves.get(walk.training.value).steps.get(Number(walk.checkpoint.value));
  const several = new Set([...paths.keys()].map(text => text.split("(")[0])).size < paths.size;
  fill(walk.path, [...paths.keys()].sort((a, b) => (b === "lerp") - (a === "lerp") || a.localeCompare(b)).map(text =>
    several && text.includes("(") ? [text, text, text.split("(")[0]] : [text, text]), paths.has(path) ? path : "lerp");
  const curve = curveNow().sort((a, b) => a.alpha - b.alpha);
  walk.alpha.min = Math.min(0, curve[0].alpha);
  walk.alpha.max = Math.max(1, curve[curve.length - 1].alpha);
  moveTo(alpha);
}

// The scored alpha nearest to the wanted one: nothing is known between two.
function moveTo(alpha) {
  const curve = curveNow(), far = point => Math.abs(point.alpha - alpha);
  walk.now = curve.reduce((best, point) => far(point) < far(best) ? point : best);
  walk.alpha.value = walk.now.alpha;
  tell(curve);
}

const shown = tenths => (tenths / 10).toFixed(1);
function signed(tenths) { return tenths > 0 ? `+${shown(tenths)}` : tenths < 0 ? `−${shown(-tenths)}` : "0.0"; }

function kept(special) {
  return Math.max(-Infinity, ...start.frontier.filter(([s]) => s >= special).map(([, g]) => g));
}

function tell(curve) {
  const scores = scoresAt(walk.now.row), end = scoresAt(curve[curve.length - 1].row), label = `α = ${walk.now.alpha}`;
  walk.alpha.setAttribute("aria-valuetext", label);
  document.getElementById("walk-value").textContent = label;
  document.getElementById("walk-here").textContent = label;
  document.getElementById("walk-end").textContent = `α = ${curve[curve.length - 1].alpha}`;
  [...document.querySelectorAll("#walk tbody tr")].forEach((line, i) => {
    const [, from, here, change, last] = line.children;
    from.textContent = shown(start.theta_0[i]);
    here.textContent = shown(scores[i]);
    change.textContent = signed(scores[i] - start.theta_0[i]);
    last.textContent = shown(end[i]);
  });
  const above = kept(scores[0]) - scores[1];
  document.getElementById("walk-said").textContent =
    `${label}: speciality ${shown(scores[0])} (${signed(scores[0] - start.theta_0[0])} from θ0), generality ` +
    `${shown(scores[1])} (${signed(scores[1] - start.theta_0[1])}); ` + (above < 0.5 ? "on the frontier." :
      `the frontier keeps ${shown(above)} points more generality at this speciality.`);
  mark(curve, scores, above);
  drawCurves(curve, walk.now);
}

function mark(curve, scores, above) {
  const places = curve.map(point => scoresAt(point.row)).map(s => [s[0] / 10, s[1] / 10]);
  const [x, y] = [scores[0] / 10, scores[1] / 10], color = "#7b2fd0";
  page.shapes = [{ type: "path", path: "M" + places.map(place => place.join(",")).join("L"), layer: "below",
    line: { color, width: 3 } },
    { type: "circle", xsizemode: "pixel", ysizemode: "pixel", xanchor: x, yanchor: y, x0: -9, x1: 9, y0: -9, y1: 9,
      line: { color, width: 3 } }];
  if (above >= 0.5) page.shapes.push({ type: "line", x0: x, x1: x, y0: y, y1: y + above / 10,
    layer: "below", line: { color, width: 1.5, dash: "dot" } });
  if (!page.off.has(":walk")) Plotly.relayout(page.chart, { shapes: painted(page.shapes) });
}

if (walk.curves.size) {
  fill(walk.training, [...walk.curves].sort((a, b) => a[0].localeCompare(b[0])).map(([trial, { method }]) =>
    [trial, trial, method]), start.point[0]);
  walk.training.parentElement.hidden = false;
  chooseTraining(walk.training.value, ...start.point.slice(1));
  walk.training.addEventListener("change", () =>
    chooseTraining(walk.training.value, Infinity, walk.path.value, walk.now.alpha));
  walk.checkpoint.addEventListener("change", () => choosePath(walk.path.value, walk.now.alpha));
  walk.path.addEventListener("change", () => choosePath(walk.path.value, walk.now.alpha));
  walk.alpha.addEventListener("input", () => moveTo(Number(walk.alpha.value)));
  walk.alpha.addEventListener("keydown", event => {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key], curve = curveNow();
    if (!by) return;
    event.preventDefault();
    moveTo(curve[Math.min(Math.max(curve.indexOf(walk.now) + by, 0), curve.length - 1)].alpha);
  });
  for (const button of document.querySelectorAll("button.to-walk")) button.addEventListener("click", () => {
    const [trial, step, ...rest] = button.dataset.point.split("/");
    chooseTraining(trial, Number(step), rest.slice(0, -1).join("/"), Number(rest[rest.length - 1]));
    document.getElementById("walk").scrollIntoView({ block: "center" });
    walk.alpha.focus({ preventScroll: true });
  });
}
