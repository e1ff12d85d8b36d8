"use strict";
// The chart: drawn in the colours of the day, the night or paper, with the groups that the legend leaves on.

function inTheDark() { return !page.printing && matchMedia("(prefers-color-scheme: dark)").matches; }

// A copy in dark colours where it is dark; descriptions are the same in every light.
function painted(node) {
  if (typeof node === "string") return inTheDark() && page.dark[node] || node;
  if (Array.isArray(node)) return node.length > 200 ? node : node.map(painted);
  if (node === null || typeof node !== "object") return node;
  return Object.fromEntries(Object.entries(node).map(([key, value]) =>
    [key, key === "customdata" ? value : painted(value)]));
}

function layoutNow() {
  const layout = painted(page.figure.layout), narrow = page.chart.clientWidth < 560;
  layout.uirevision = "kept";
  layout.shapes = page.off.has(":walk") ? [] : painted(page.shapes);
  if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;
  if (narrow) {
    Object.assign(layout.margin, { l: 54, r: 4 });
    layout.font.size = 11;
    layout.yaxis.nticks = layout.xaxis.nticks = 5;
    layout.annotations = [];
  }
  if (page.printing) Object.assign(layout, { width: 680, height: 540 });
  placeAnnotation(layout);
  return layout;
}

function drawChart() {
  const data = painted(page.figure.data);
  for (const trace of data) trace.visible = !page.off.has(trace.legendgroup);
  const layout = layoutNow();
  for (const trace of data) if (trace.mode === "markers+text") placeName(trace, layout);
  return Plotly.react(page.chart, data, layout, { displaylogo: false, responsive: true,
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "toImage"] });
}

const keys = [...document.querySelectorAll("#legend button[data-group]")];
function showGroups() {
  for (const key of keys) key.setAttribute("aria-pressed", String(!page.off.has(key.dataset.group)));
  drawChart();
}
for (const key of keys) key.addEventListener("click", () => {
  page.off.has(key.dataset.group) ? page.off.delete(key.dataset.group) : page.off.add(key.dataset.group);
  showGroups();
});
for (const all of document.querySelectorAll("#legend button[data-all]")) all.addEventListener("click", () => {
  for (const key of keys) if (key.dataset.method !== undefined)
    all.dataset.all === "on" ? page.off.delete(key.dataset.group) : page.off.add(key.dataset.group);
  showGroups();
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawChart);
addEventListener("beforeprint", () => { page.printing = true; drawChart(); });
addEventListener("afterprint", async () => {
  page.printing = false;
  await drawChart();
  Plotly.Plots.resize(page.chart);  // by itself it would keep the size it had on paper
});
for (const button of document.querySelectorAll("button.copy")) button.addEventListener("click", async () => {
  const code = button.parentElement.querySelector("code");
  getSelection().selectAllChildren(code);
  try { await navigator.clipboard.writeText(code.textContent); button.textContent = "copied"; }
  catch { button.textContent = "selected"; }  // without leave to write, the text is there to be copied by hand
  setTimeout(() => { button.textContent = "copy"; }, 1500);
});
showGroups();
