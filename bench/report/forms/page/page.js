// Draws the figures when they come into view, filters, sorts, and saves what the page carries. Nothing is fetched.

function unpack(name) {
  const packed = Uint8Array.from(atob(document.getElementById(name).textContent), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate")));
}

const content = await unpack("content").json();
const form = document.querySelector("form.bar");
const panels = [...document.querySelectorAll("[data-figure]")].map((element) => ({
  element,
  plot: element.querySelector(".plot"),
  figure: content.figures[Number(element.dataset.figure)],
  stale: true, // what is drawn, if anything, is not what the filter asks for
  near: false, // in view, or soon
}));
const of = new Map([...document.querySelectorAll("[data-facets]")].map((one) => [one, JSON.parse(one.dataset.facets)]));

function chosen() {
  return Object.entries(Object.fromEntries(new FormData(form))).filter(([, value]) => value !== "");
}

function matches(facets, choice) {
  return choice.every(([name, value]) => !(name in facets) || facets[name] === value);
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(["text", "line", "card"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

// Plotly sets a horizontal legend in columns as wide as the longest name, and takes the room from the picture.
function legendHeight(data, width) {
  const names = data.filter((trace) => trace.showlegend !== false && trace.name).map((trace) => trace.name);
  const longest = Math.max(0, ...names.map((name) => 6.2 * name.length + 48));
  return 19 * Math.ceil(names.length / Math.max(1, Math.floor((width - 66) / longest))) + 5;
}

// On a logarithmic axis over more than a factor of three the ticks 1, 2 and 5 of each decade are enough.
function ticks(axis, data, name) {
  if (axis?.type !== "log" || axis.tickvals) return axis;
  const ends = (trace) => {
    const { array = [], arrayminus = [] } = trace[`error_${name}`] ?? {};
    return trace[name].flatMap((value, at) => [value, value + (array[at] ?? 0), value - (arrayminus[at] ?? 0)]);
  };
  const values = data.flatMap(ends).filter((value) => value > 0);
  const span = Math.max(...values) / Math.min(...values);
  return span > 3 && span < 1000 ? { ...axis, dtick: "D2" } : axis;
}

function draw(panel) {
  const { figure, plot } = panel;
  const choice = chosen();
  const data = figure.traces.filter((trace) => matches(trace.meta, choice));
  const { text, line, card } = colours();
  for (const trace of data) if (trace.type === "bar" && trace.error_y) trace.error_y.color = text;
  const rows = new Set(data.flatMap((trace) => trace.y ?? [])).size;
  const legend = figure.layout.showlegend === false ? 0 : legendHeight(data, plot.clientWidth);
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true };
  const layout = {
    height: (figure.rows ? 100 + 30 * rows : 310) + legend,
    margin: { l: 50, r: 16, t: 10 + legend, b: 44 },
    font: { color: text, size: 12, family: "system-ui, 'DejaVu Sans', sans-serif" },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: { bgcolor: card, font: { color: text } },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
    ...figure.layout,
    xaxis: { ...axis, ...ticks(figure.layout.xaxis, data, "x"), showgrid: figure.layout.barmode === undefined },
    yaxis: {
      ...axis,
      ...ticks(figure.layout.yaxis, data, "y"),
      ...(figure.rows ? { range: [rows - 0.5, -0.5], type: "category" } : {}),
    },
  };
  plot.style.minHeight = `${layout.height}px`;
  Plotly.react(plot, structuredClone(data), layout, { responsive: true, displayModeBar: false, displaylogo: false });
  panel.stale = false;
}

function drawNear() {
  if (!globalThis.Plotly) return; // not yet
  for (const panel of panels) if (panel.near && panel.stale && !panel.element.hidden) draw(panel);
}

function filter() {
  const choice = chosen();
  for (const [element, facets] of of) element.hidden = !matches(facets, choice);
  for (const panel of panels) {
    panel.stale = true;
    panel.element.hidden = !panel.figure.traces.some((trace) => matches(trace.meta, choice));
  }
  for (const block of document.querySelectorAll(".block")) {
    const rows = [...block.querySelectorAll("tbody tr")];
    block.hidden = rows.length > 0 && rows.every((row) => row.hidden);
  }
  drawNear();
}

// By the first number of a cell, where every cell of the column has one or says that there is none; else as text.
function sort(header) {
  const table = header.closest("table");
  const index = header.cellIndex;
  const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const rows = [...table.tBodies[0].rows];
  const texts = rows.map((row) => row.cells[index].textContent.trim());
  const values = texts.map((text) => (/^[-+]?[\d.,]/.test(text) ? Number.parseFloat(text.replaceAll(",", "")) : NaN));
  const numeric = values.some((value) => !Number.isNaN(value)) && texts.every((text, at) => text === "–" || text === "" || !Number.isNaN(values[at]));
  const order = rows.map((row, at) => at);
  order.sort((one, other) => {
    if (!numeric) return direction * texts[one].localeCompare(texts[other]) || one - other;
    if (Number.isNaN(values[one]) || Number.isNaN(values[other])) return Number.isNaN(values[one]) - Number.isNaN(values[other]) || one - other;
    return direction * (values[one] - values[other]) || one - other;
  });
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  table.tBodies[0].append(...order.map((at) => rows[at]));
}

function save(name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content.files[name]], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  for (const panel of panels) panel.stale = true;
  drawNear();
}

const observer = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) panels[Number(entry.target.dataset.figure)].near = entry.isIntersecting;
    drawNear();
  },
  { rootMargin: "300px" },
);
const dark = matchMedia("(prefers-color-scheme: dark)");
theme(dark.matches ? "dark" : "light");
dark.addEventListener("change", () => theme(dark.matches ? "dark" : "light"));
document.getElementById("theme").addEventListener("click", () =>
  theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"),
);
form.addEventListener("change", filter);
form.addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.file) save(button.dataset.file);
  else if (button?.closest(".sortable th")) sort(button.closest("th"));
  else if (button?.classList.contains("copy")) {
    navigator.clipboard?.writeText(button.nextElementSibling.textContent).then(() => (button.textContent = "copied"));
  }
});
addEventListener("beforeprint", () => panels.filter((panel) => !panel.element.hidden).forEach(draw));
for (const panel of panels) observer.observe(panel.element);

// Reading Plotly takes a browser longer than all the rest, so the words are there first.
await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
const library = document.createElement("script");
library.textContent = await unpack("library").text();
document.head.append(library);
drawNear();
