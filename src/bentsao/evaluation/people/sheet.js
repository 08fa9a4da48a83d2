"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const place = `bentsao-${data.sheet}-${data.rater}`;
let kept = {};
try { kept = JSON.parse(localStorage.getItem(place) || "{}"); } catch { /* a private window keeps nothing */ }

const make = (tag, text, kind) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
};
const rating = (code) => (kept[code] ??= {});
const whole = (code) => data.aspects.every((aspect) => rating(code)[aspect.name] !== undefined);

function keep() {
  try { localStorage.setItem(place, JSON.stringify(kept)); } catch {
    document.getElementById("progress").textContent = "这个浏览器不能保存，请评完后马上导出。";
    return;
  }
  tell();
}
function tell() {
  const done = data.rows.filter((row) => whole(row.code)).length;
  document.getElementById("progress").textContent = `已评完 ${done} / ${data.rows.length}`;
  for (const row of data.rows) document.getElementById(row.code).classList.toggle("done", whole(row.code));
}
function choices(row, aspect) {
  const field = make("fieldset");
  field.append(make("legend", aspect.title));
  aspect.levels.forEach((meaning, step) => {
    const label = make("label");
    const input = make("input");
    input.type = "radio";
    input.name = `${row.code}-${aspect.name}`;
    input.checked = rating(row.code)[aspect.name] === aspect.low + step;
    input.addEventListener("change", () => { rating(row.code)[aspect.name] = aspect.low + step; keep(); });
    label.title = meaning;
    label.append(input, ` ${aspect.low + step}`);
    field.append(label);
  });
  return field;
}
function card(row) {
  const article = make("article");
  article.id = row.code;
  article.append(make("div", `回答 ${row.code}`, "code"), make("div", row.answer, "answer"));
  for (const aspect of data.aspects) article.append(choices(row, aspect));
  const note = make("textarea");
  note.placeholder = "备注（可不填）";
  note.rows = 1;
  note.value = rating(row.code).note || "";
  note.addEventListener("input", () => { rating(row.code).note = note.value; keep(); });
  article.append(note);
  return article;
}
function show() {
  const levels = document.getElementById("levels");
  for (const aspect of data.aspects) {
    levels.append(make("b", `${aspect.title}：`), make("span", aspect.asks));
    const list = make("ul");
    aspect.levels.forEach((meaning, step) => list.append(make("li", `${aspect.low + step} 分：${meaning}`)));
    levels.append(list);
  }
  const rows = document.getElementById("rows");
  let section = null, question = null;
  for (const row of data.rows) {
    if (!section || row.question !== question) {
      section = make("section");
      section.append(make("div", row.question, "question"));
      if (row.reference) section.append(make("div", `参考答案：${row.reference}`, "reference"));
      rows.append(section);
      question = row.question;
    }
    section.append(card(row));
  }
  tell();
}
function csv() {
  const cell = (value) => `"${String(value ?? "").replaceAll('"', '""')}"`;
  const lines = [["编号", ...data.aspects.map((aspect) => aspect.title), "备注"]];
  for (const row of data.rows) {
    const own = rating(row.code);
    lines.push([row.code, ...data.aspects.map((aspect) => own[aspect.name]), own.note]);
  }
  return "\ufeff" + lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
}
document.getElementById("save").addEventListener("click", () => {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = `rater-${data.rater}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
});
document.getElementById("next").addEventListener("click", () => {
  const row = data.rows.find((one) => !whole(one.code));
  if (row) document.getElementById(row.code).scrollIntoView({ behavior: "smooth", block: "center" });
});
show();
