"use strict";
// A click on a column's name sorts its table; a second one turns the order; blocks of lines stay together.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const table = head.closest("table");
    const column = Number(button.dataset.column);
    const down = head.getAttribute("aria-sort") === "ascending" ||
      (head.getAttribute("aria-sort") === "none" && button.dataset.first === "descending");
    for (const other of table.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const value = (row) => row.cells[column].dataset.v ?? "";
    const rows = [...body.rows].map((row, place) => ({ row, place, v: value(row) }));
    const numeric = rows.every(({ v }) => v === "" || !Number.isNaN(Number(v)));
    rows.sort((a, b) => {
      if (a.v === "" || b.v === "") return (a.v === "") - (b.v === "") || a.place - b.place;
      const order = numeric ? Number(a.v) - Number(b.v) : a.v.localeCompare(b.v);
      return (down ? -order : order) || a.place - b.place;
    });
    body.append(...rows.map(({ row }) => row));
  });
}
