"use strict";
const body = document.getElementById("rows");
const rows = [...body.rows];
const find = document.getElementById("find"), kind = document.getElementById("kind"), order = document.getElementById("order");
const boxes = [...document.querySelectorAll("[data-mark]")];

function show() {
  const wanted = boxes.filter((box) => box.checked).map((box) => box.dataset.mark);
  const text = find.value.trim();
  let count = 0;
  for (const row of rows) {
    const marks = row.dataset.marks.split(" ");
    const seen = (!text || row.textContent.includes(text)) && (!kind || !kind.value || row.dataset.kind === kind.value)
      && wanted.every((mark) => marks.includes(mark));
    row.hidden = !seen;
    count += seen;
  }
  document.getElementById("count").textContent = `${count} / ${rows.length} 题`;
}
function sort() {
  const by = order.value;
  const sign = by === "place" ? 1 : -1;
  rows.sort((one, other) => sign * (Number(one.dataset[by]) - Number(other.dataset[by])) || one.dataset.place - other.dataset.place);
  body.append(...rows);
}
find.addEventListener("input", show);
if (kind) kind.addEventListener("change", show);
for (const box of boxes) box.addEventListener("change", show);
order.addEventListener("change", sort);
show();
