"use strict";
// The page's table of points -> columns of numbers, and the description of every point.

// The first letter says how many bytes a number takes.
function unpackNumbers(text) {
  const bytes = Number(text[0]), raw = atob(text.slice(1)), found = [];
  for (let i = 0; i < raw.length; i += bytes) {
    let value = 0;
    for (let j = bytes - 1; j >= 0; j--) value = value * 256 + raw.charCodeAt(i + j);
    found.push(value);
  }
  return found;
}

// One entry per point in each column; scores in tenths of a percent: speciality, generality, then the tasks.
function unpackColumns(table) {
  return {
    checkpoint: unpackNumbers(table.checkpoint),
    alpha: unpackNumbers(table.alpha),
    scores: table.scores.map(text => unpackNumbers(text)),
    traces: table.traces.map(text => unpackNumbers(text)),
  };
}

// For each trace of the table the descriptions of its points.
function expandHovers(table, columns = unpackColumns(table)) {
  const share = (column, i) => (columns.scores[column][i] / 10).toFixed(1);
  function describe(i) {
    if (table.whole[i] !== undefined) return table.whole[i];
    const [title, training, recipe] = table.checkpoints[columns.checkpoint[i]];
    const lines = [`<b>${title}${table.alphas[columns.alpha[i]][0]}</b>`, training,
      `val: speciality ${share(0, i)}, generality ${share(1, i)}`];
    for (let start = 0; start < table.tasks.length; start += table.perRow) {
      const some = table.tasks.slice(start, start + table.perRow);
      lines.push("  " + some.map((task, place) => task + share(2 + start + place, i)).join(" · "));
    }
    return lines.concat(table.recipes[recipe]).join("<br>");
  }
  return columns.traces.map(points => points.map(describe));
}
