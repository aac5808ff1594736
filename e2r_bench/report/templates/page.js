const byId = (id) => document.getElementById(id);
const root = document.documentElement;

// Names of files and methods come from anywhere: they are only ever set as text.
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const choices = [...document.querySelectorAll("[data-theme-choice]")];
function setTheme(name) {
  if (name === "auto") delete root.dataset.theme;
  else root.dataset.theme = name;
  for (const button of choices) press(button, button.dataset.themeChoice === name);
}
function press(button, pressed) {
  button.setAttribute("aria-pressed", String(pressed));
}
for (const button of choices) {
  button.addEventListener("click", () => setTheme(button.dataset.themeChoice));
}

const data = JSON.parse(byId("gallery-data").textContent);
const sources = new Map();
function source(index) {
  if (!sources.has(index)) sources.set(index, byId(`p${index}`).textContent);
  return sources.get(index);
}
const scoreInfo = new Map(data.scores.map((score) => [score.key, score]));
const overlayInfo = new Map(data.overlays.map((overlay) => [overlay.key, overlay]));

function named(entry) {
  return entry.origin ? `${entry.origin}: ${entry.method}` : entry.method;
}
function shown(value, unit) {
  if (value === undefined) return "not measured";
  const number = Number(value);
  if (!Number.isFinite(number)) return number > 0 ? "∞" : "−∞";
  const digits = unit === "dB" || Math.abs(number) >= 10 ? 2 : Math.abs(number) >= 1 ? 3 : 4;
  return number.toFixed(digits).replace("-", "−");
}
function withUnit(key, value) {
  const unit = scoreInfo.get(key).unit;
  const text = shown(value, unit);
  if (value === undefined || unit === "map" || !unit) return text;
  return unit.startsWith("%") ? `${Number(value).toFixed(1)} %` : `${text} ${unit.replace("RMS ", "")}`;
}

// The gallery: filter, sort, and cards that are made as they come near.
const controls = byId("controls");
const cards = byId("cards");
const state = { task: "", method: "", sort: "", worst: true, list: [], made: 0 };
const CHUNK = 40;
const near = new IntersectionObserver((seen) => seen.some((s) => s.isIntersecting) && more(), {
  rootMargin: "600px",
});

function fill(select, entries) {
  select.replaceChildren(...entries.map(([value, text]) => element("option", { value, textContent: text })));
}
function distinct(values) {
  return [...new Set(values)];
}

function refresh() {
  const { task, method, sort, worst } = state;
  const kept = data.cases.filter((c) => (!task || c.task === task) && (!method || named(c) === method));
  const info = scoreInfo.get(sort);
  const sign = info && info.higher === worst ? 1 : -1;
  const value = (c) => (c.scores[sort] === undefined ? NaN : Number(c.scores[sort]));
  state.list = info
    ? kept.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
        return x === y ? 0 : x < y ? -sign : sign;
      })
    : kept;
  state.made = 0;
  cards.replaceChildren();
  byId("count").textContent = `${kept.length} of ${data.cases.length} pictures`;
  more();
}

function more() {
  const end = Math.min(state.made + CHUNK, state.list.length);
  for (; state.made < end; state.made += 1) cards.append(card(state.made));
  // Observing anew reports again where the end of the list is still near, as on tall screens.
  near.unobserve(byId("more"));
  if (state.made < state.list.length) near.observe(byId("more"));
}

function card(index) {
  const entry = state.list[index];
  const image = element("img", { alt: "", loading: "lazy", decoding: "async", src: source(entry.restored) });
  image.style.setProperty("--ratio", String(entry.size[0] / entry.size[1]));
  const button = element(
    "button",
    { type: "button", className: "card" },
    image,
    element("strong", { textContent: entry.image }),
    element("span", { textContent: `${named(entry)}${entry.build ? `, ${entry.build}` : ""}` }),
    element("span", { textContent: entry.task }),
  );
  if (state.sort) {
    const text = `${state.sort} ${withUnit(state.sort, entry.scores[state.sort])}`;
    button.append(element("span", { className: "score", textContent: text }));
  }
  button.addEventListener("click", () => open(index));
  return element("li", {}, button);
}

function showAll() {
  state.task = state.method = "";
  byId("task").value = byId("method").value = "";
  refresh();
}

function bindControls() {
  fill(byId("task"), [["", "all"], ...distinct(data.cases.map((c) => c.task)).map((t) => [t, t])]);
  fill(byId("method"), [["", "all"], ...distinct(data.cases.map(named)).map((m) => [m, m])]);
  fill(byId("sort"), [["", "order of the run"], ...data.scores.map((s) => [s.key, s.key])]);
  const preferred = data.scores.find((s) => s.key.startsWith("lpips:")) || data.scores[0];
  state.sort = preferred ? preferred.key : "";
  byId("sort").value = state.sort;
  for (const key of ["task", "method", "sort"]) {
    byId(key).addEventListener("change", (event) => {
      state[key] = event.target.value;
      refresh();
    });
  }
  for (const [id, worst] of [["worst", true], ["best", false]]) {
    byId(id).addEventListener("click", () => {
      state.worst = worst;
      press(byId("worst"), worst);
      press(byId("best"), !worst);
      refresh();
    });
  }
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.hidden = false;
}
