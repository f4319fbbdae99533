"use strict";
(() => {
  const body = document.body;
  const button = document.getElementById("theme");
  const dark = () => (body.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => { button.textContent = dark() ? "Light" : "Dark"; };
  const remember = (theme) => { try { localStorage.setItem("concordant-theme", theme); } catch { /* a page from a mail may not store */ } };
  try { const kept = localStorage.getItem("concordant-theme"); if (kept === "dark" || kept === "light") body.dataset.theme = kept; } catch { /* as above */ }
  button.hidden = false;
  label();
  button.addEventListener("click", () => { body.dataset.theme = dark() ? "light" : "dark"; remember(body.dataset.theme); label(); });

  for (const table of document.querySelectorAll("table.sortable")) {
    table.querySelectorAll("thead th").forEach((head, column) => {
      const sorter = document.createElement("button");
      sorter.type = "button";
      sorter.className = "sorter";
      sorter.append(...head.childNodes);
      head.append(sorter);
      sorter.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = (row) => { const cell = row.cells[column]; return cell.dataset.sort ?? cell.textContent; };
        const number = (text) => Number.parseFloat(text.replace("\u2212", "-").replaceAll(",", ""));
        const rows = [...table.tBodies[0].rows].sort((a, b) => {
          const [x, y] = [key(a), key(b)];
          const [p, q] = [number(x), number(y)];
          const order = Number.isNaN(p) || Number.isNaN(q) ? Number.isNaN(p) - Number.isNaN(q) || x.localeCompare(y) : p - q;
          return up ? order : -order;
        });
        table.tBodies[0].append(...rows);
      });
    });
  }

  for (const section of document.querySelectorAll("section.relation")) {
    const cards = [...section.querySelectorAll(".card")];
    if (cards.length < 4) continue;
    const tools = document.createElement("div");
    tools.className = "tools";
    const search = document.createElement("input");
    search.type = "search";
    search.placeholder = "Find in these items";
    search.setAttribute("aria-label", "Find in these items");
    const all = document.createElement("button");
    all.type = "button";
    all.textContent = "Open all";
    all.addEventListener("click", () => {
      const open = !cards.every((card) => card.open);
      cards.forEach((card) => { card.open = open; });
      all.textContent = open ? "Close all" : "Open all";
    });
    search.addEventListener("input", () => {
      const wanted = search.value.trim().toLowerCase();
      cards.forEach((card) => { card.hidden = wanted !== "" && !card.textContent.toLowerCase().includes(wanted); });
    });
    tools.append(search, all);
    cards[0].before(tools);
  }
})();
