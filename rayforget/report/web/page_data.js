"use strict";
// What the page was given: the figure, its dark colours, the points' descriptions.

function readJson(id) { return JSON.parse(document.getElementById(id).textContent); }

const page = { figure: readJson("figure"), dark: readJson("dark"), table: readJson("hovers"), off: new Set([":test"]),
  shapes: [], printing: false, chart: document.getElementById("frontier") };
page.columns = unpackColumns(page.table);
expandHovers(page.table, page.columns).forEach((texts, k) => {
  page.figure.data[page.table.places[k]].customdata = texts;
});
