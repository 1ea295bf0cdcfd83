// The page works without this file: it adds sorting by keyboard, filters, and sliders over the anomaly maps.
"use strict";

// The vendored sorter listens to clicks on a head; a button inside makes that click one of the keyboard, too.
for (const head of document.querySelectorAll("table.sortable thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
}

for (const controls of document.querySelectorAll(".filters")) {
  const table = document.getElementById(controls.dataset.table);
  const status = controls.querySelector("[role=status]");
  const selects = [...controls.querySelectorAll("select")];
  const apply = () => {
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) {
      row.hidden = selects.some((select, group) => select.value && select.value !== row.dataset[`group${group}`]);
    }
    status.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  };
  selects.forEach((select) => select.addEventListener("change", apply));
  controls.hidden = false;
  apply();
}

for (const gallery of document.querySelectorAll(".gallery-box")) {
  const [opacity, threshold] = gallery.querySelectorAll("input[type=range]");
  const [opacityText, thresholdText] = gallery.querySelectorAll("output");
  const matrix = gallery.querySelector("feColorMatrix.threshold");
  const { low, high, shares } = JSON.parse(gallery.dataset.scale);
  for (const map of gallery.querySelectorAll("img.levels")) {
    const marked = map.cloneNode();
    marked.className = "marked";
    marked.alt = "";
    marked.style.filter = map.dataset.marked;
    map.after(marked);
  }
  const show = () => {
    const level = Number(threshold.value);
    gallery.style.setProperty("--opacity", opacity.value / 100);
    opacityText.textContent = `${opacity.value} %`;
    // Gray levels become opacity: nothing up to the threshold, everything above it.
    matrix.setAttribute("values", `0 0 0 0 0.49  0 0 0 0 1  0 0 0 0 0.42  255 0 0 0 ${-level}`);
    const value = (low + (level / 255) * (high - low)).toPrecision(3);
    thresholdText.textContent = `${value}, marks ${(100 * shares[level]).toFixed(1)} % of all test pixels`;
  };
  opacity.addEventListener("input", show);
  threshold.addEventListener("input", show);
  gallery.querySelector(".sliders").hidden = false;
  show();
}

// Paper has no buttons: what is folded is printed in full.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));
