"use strict";
// All points, drawn on a canvas below the chart: thousands of marks as elements of the page would make a pan lag.

const cloud = { canvas: document.getElementById("cloud"), marks: readJson("marks"), sprites: new Map(),
  traces: page.figure.data.filter(trace => trace.meta === "cloud") };

cloud.places = cloud.traces.map(trace => [floats(trace.x), floats(trace.y)]);

// A method's mark, drawn once and then copied to each of its points.
function sprite(color, symbol, scale) {
  const name = `${color} ${symbol} ${scale}`, side = Math.ceil(10 * scale);
  if (cloud.sprites.has(name)) return cloud.sprites.get(name);
  const drawn = Object.assign(document.createElement("canvas"), { width: side, height: side });
  const pen = drawn.getContext("2d");
  pen.globalAlpha = 0.45;
  pen.fillStyle = color;
  pen.translate(side / 2, side / 2);
  pen.scale(0.72 * scale, 0.72 * scale);
  pen.fill(new Path2D(cloud.marks[symbol]));
  cloud.sprites.set(name, drawn);
  return drawn;
}

function limitsOf(moved = {}) {
  const { xaxis, yaxis } = page.chart._fullLayout;
  const limits = (axis, name) => [0, 1].map(end => moved[`${name}.range[${end}]`] ?? axis.range[end]);
  const [left, right] = limits(xaxis, "xaxis"), [bottom, top] = limits(yaxis, "yaxis");
  return { left, right, bottom, top };
}

// Draws the chart's area, and half as much again on each side, so that a pan finds something there.
function drawCloud() {
  const { l, t, w, h } = page.chart._fullLayout._size, scale = devicePixelRatio || 1, { canvas } = cloud;
  const { left, right, bottom, top } = cloud.drawn = limitsOf(), over = [w / 2, h / 2];
  Object.assign(canvas.parentElement.style, { left: `${l}px`, top: `${t}px`, width: `${w}px`, height: `${h}px` });
  Object.assign(canvas, { width: Math.round(2 * w * scale), height: Math.round(2 * h * scale) });
  Object.assign(canvas.style, { left: `${-over[0]}px`, top: `${-over[1]}px`, width: `${2 * w}px`, height: `${2 * h}px`,
    transformOrigin: `${over[0]}px ${over[1]}px`, transform: "none" });
  const pen = canvas.getContext("2d"), across = w * scale / (right - left), up = h * scale / (top - bottom);
  cloud.traces.forEach((trace, k) => {
    if (page.off.has(trace.legendgroup)) return;
    const mark = sprite(painted(trace.marker.color), trace.marker.symbol, scale), [xs, ys] = cloud.places[k];
    const x0 = over[0] * scale - mark.width / 2, y0 = over[1] * scale - mark.height / 2;
    for (let i = 0; i < xs.length; i++)
      pen.drawImage(mark, x0 + (xs[i] - left) * across, y0 + (top - ys[i]) * up);
  });
}

// While a pan goes on, what was drawn is moved and not drawn anew.
function moveCloud(moved) {
  const { w, h } = page.chart._fullLayout._size, now = limitsOf(moved), was = cloud.drawn;
  const x = (was.left - now.left) / (now.right - now.left) * w, y = (now.top - was.top) / (now.top - now.bottom) * h;
  const across = (was.right - was.left) / (now.right - now.left), up = (was.top - was.bottom) / (now.top - now.bottom);
  cloud.canvas.style.transform = `translate(${x}px, ${y}px) scale(${across}, ${up})`;
}

page.chart.on("plotly_afterplot", drawCloud);
page.chart.on("plotly_relayouting", moveCloud);
drawCloud();
