// The viewer: one place seen in several pictures, as slider, blink, difference or side by side.
const viewer = byId("viewer");
const stage = byId("stage");
const view = {
  at: 0, mode: "slider", left: "truth", right: "restored", map: "invented", flipped: false,
  contours: true, own: false, gain: 4, x: 0, y: 0, zoom: 1,
};
const MODES = ["slider", "blink", "difference", "panes"];
const GAINS = [1, 2, 4, 8, 16];
const BLINK_MS = 600;
let blinking = 0;

function current() {
  return state.list[view.at];
}
function pictures(entry) {
  const others = data.cases.filter((c) => c.task === entry.task && c.image === entry.image && c !== entry);
  return [
    { key: "input", label: "input", index: entry.input },
    { key: "restored", label: named(entry), index: entry.restored, entry },
    ...others.map((c) => ({ key: `other:${named(c)}`, label: named(c), index: c.restored, entry: c })),
    { key: "truth", label: "ground truth", index: entry.truth },
  ].filter((p) => p.index !== null);
}
function chosen() {
  const all = pictures(current());
  return [view.left, view.right].map((key) => all.find((p) => p.key === key));
}
function shownMap() {
  return current().has.includes(view.map) ? overlayInfo.get(view.map) : undefined;
}

// A case is named by its link, and by `e2r-bench report --figure`, in the same way.
function caseName(entry) {
  return [entry.task, named(entry), entry.image].map(encodeURIComponent).join("/");
}
function openLink() {
  const name = location.hash.slice(1);
  if (name.split("/").length !== 3) return;
  const found = data.cases.find((c) => caseName(c) === name);
  if (!found || (viewer.open && current() === found)) return;
  if (!state.list.includes(found)) showAll();
  open(state.list.indexOf(found));
}

function open(index) {
  view.at = index;
  view.x = view.y = 0;
  view.zoom = 1;
  clearCrop();
  if (!viewer.open) viewer.showModal();
  history.replaceState(null, "", `#${caseName(current())}`);
  draw();
}

function draw() {
  const entry = current();
  const all = pictures(entry);
  const keys = all.map((p) => p.key);
  if (!keys.includes(view.left)) view.left = keys.includes("truth") ? "truth" : "input";
  if (!keys.includes(view.right)) view.right = "restored";
  byId("viewer-title").textContent = entry.image;
  const parts = [entry.task, named(entry), entry.build, entry.drawn, `${view.at + 1} of ${state.list.length}`];
  byId("viewer-note").textContent = parts.filter(Boolean).join(" · ");
  for (const side of ["left", "right"]) {
    fill(byId(side), all.map((p) => [p.key, p.label]));
    byId(side).value = view[side];
  }
  fill(byId("map"), [["", "none"], ...entry.has.map((key) => [key, overlayInfo.get(key).title])]);
  byId("map").value = shownMap() ? view.map : "";
  for (const mode of MODES) press(byId(`${mode}-mode`), view.mode === mode);
  const two = view.mode !== "panes";
  for (const id of ["left-choice", "right-choice"]) byId(id).hidden = !two;
  byId("split").disabled = view.mode !== "slider";
  for (const id of ["map-choice", "opacity-choice"]) byId(id).hidden = view.mode === "difference";
  byId("gain-choice").hidden = view.mode !== "difference";
  byId("auto").hidden = view.mode !== "blink";
  if (view.mode !== "blink") stopBlinking();
  stage.dataset.mode = view.mode;
  stage.replaceChildren(...panes(all));
  const columns = two ? 1 : Math.min(all.length, entry.size[0] > 1.2 * entry.size[1] ? 2 : 4);
  stage.style.setProperty("--columns", String(columns));
  drawScores(entry);
  legend();
  drawCrop();
  place();
}

// Fidelity, perception and invention stand apart: a number of one says nothing of another.
function drawScores(entry) {
  byId("scores").replaceChildren(...data.groups.map((group) => {
    const mine = data.scores.filter((s) => s.group === group.title && s.key in entry.scores);
    const rows = mine.map((s) => element("div", {}, element("dt", { textContent: s.key }),
      element("dd", { textContent: withUnit(s.key, entry.scores[s.key]) })));
    if (!mine.length) rows.push(element("div", {}, element("dt", { textContent: "not measured" })));
    return element("div", { className: "group" },
      element("p", {}, element("strong", { textContent: group.title }), ` ${group.says}`),
      element("dl", {}, ...rows));
  }).filter(Boolean));
}

function legend() {
  const overlay = shownMap();
  const scale = byId("scale");
  scale.classList.toggle("off", !overlay);
  if (!overlay) return;
  const gain = scaleGain();
  for (const part of document.querySelectorAll(".gain")) part.setAttribute("slope", String(gain));
  const end = overlay.high / gain;
  const flagged = overlay.flag === null ? "" : `; contour: ${overlay.flag} ${overlay.unit} or more`;
  byId("scale-title").textContent = `${overlay.title}${flagged}`;
  const unit = overlay.unit ? ` ${overlay.unit}` : "";
  byId("scale-high").textContent = `${Number(end.toFixed(2))}${unit} and above`;
  byId("own").textContent = view.own ? "scale: this picture's" : "scale: the same for all";
  press(byId("own"), view.own);
  press(byId("contours"), view.contours);
}
function scaleGain() {
  const overlay = shownMap();
  const peak = view.own && overlay ? current().peaks[view.map] : 0;
  return peak > 0 ? Math.min(Math.max(overlay.high / peak, 1), 16) : 1;
}

function layer(picture, mapped) {
  const made = element("div", { className: "layer" });
  made.append(element("img", { alt: picture.label, draggable: false, src: source(picture.index) }));
  const overlay = shownMap();
  // What has no map of its own, the truth, is seen under the map of this case.
  const entry = picture.entry || (mapped ? current() : undefined);
  if (!overlay || !entry || !entry.has.includes(view.map)) return made;
  const src = source(entry.maps[overlay.slot]);
  const alt = `${overlay.title} map`;
  made.append(element("img", { alt, className: `overlay heat channel-${overlay.channel}`, draggable: false, src }));
  if (view.contours && overlay.flag !== null) {
    made.append(element("img", { alt: "", className: `overlay contour contour-${overlay.channel}`, draggable: false, src }));
  }
  return made;
}
function tag(text, side) {
  return element("span", { className: `tag ${side}`, textContent: text });
}
function pane(...children) {
  const [width, height] = current().size;
  const boxes = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  boxes.setAttribute("class", "boxes");
  boxes.setAttribute("viewBox", `0 0 ${width} ${height}`);
  boxes.append(document.createElementNS("http://www.w3.org/2000/svg", "rect"));
  return element("div", { className: "pane" }, ...children, boxes);
}

function panes(all) {
  if (view.mode === "panes") return all.map((p) => pane(layer(p, false), tag(p.label, "start")));
  const [before, after] = chosen();
  if (view.mode === "blink") {
    const seen = view.flipped ? before : after;
    return [pane(layer(seen, true), tag(seen.label, "start"))];
  }
  if (view.mode === "difference") return [differencePane(before, after)];
  const top = layer(after, true);
  top.classList.add("after");
  const handle = element("div", { className: "handle" });
  return [pane(layer(before, true), top, handle, tag(before.label, "start"), tag(after.label, "end"))];
}
// The compositor subtracts: no pixel has to be read, so that linked files work as well.
function differencePane(before, after) {
  const image = (p, className) =>
    element("img", { alt: p.label, className, draggable: false, src: source(p.index) });
  const both = element("div", { className: "layer difference" }, image(before, ""), image(after, "minus"));
  return pane(both, tag(`|${before.label} − ${after.label}| ×${view.gain}`, "start"));
}

// Shifts are shares of a pane, so that panes of any size show the same place.
function place() {
  const limit = Math.max(view.zoom - 1, 0) / 2;
  view.x = Math.min(Math.max(view.x, -limit), limit);
  view.y = Math.min(Math.max(view.y, -limit), limit);
  stage.style.setProperty("--x", `${view.x * 100}%`);
  stage.style.setProperty("--y", `${view.y * 100}%`);
  stage.style.setProperty("--z", String(view.zoom));
  stage.style.setProperty("--split", `${byId("split").value}%`);
  stage.style.setProperty("--opacity", String(byId("opacity").value / 100));
  stage.style.setProperty("--gain", String(view.gain));
  stage.toggleAttribute("data-crisp", view.zoom >= 2);
  byId("zoom-level").textContent = `${Math.round(view.zoom * 10) / 10}×`;
}
function zoomBy(factor, x = 0, y = 0) {
  const zoom = Math.min(Math.max(view.zoom * factor, 1), 16);
  const change = zoom / view.zoom;
  view.x = x - (x - view.x) * change;
  view.y = y - (y - view.y) * change;
  view.zoom = zoom;
  place();
}
function inPane(event) {
  const found = event.target.closest(".pane");
  if (!found) return null;
  const box = found.getBoundingClientRect();
  return { box, x: (event.clientX - box.left) / box.width - 0.5, y: (event.clientY - box.top) / box.height - 0.5 };
}
// From a share of a pane to the pixel there, as `object-fit: contain` and the zoom put it.
function pixelAt(at) {
  const [width, height] = current().size;
  const fit = Math.min(at.box.width / width, at.box.height / height);
  const x = ((at.x - view.x) / view.zoom) * at.box.width / fit + width / 2;
  const y = ((at.y - view.y) / view.zoom) * at.box.height / fit + height / 2;
  return [Math.floor(x), Math.floor(y)];
}
function inside([x, y]) {
  const [width, height] = current().size;
  return x >= 0 && y >= 0 && x < width && y < height;
}

function setSplit(share) {
  byId("split").value = String(Math.min(Math.max(share, 0), 1) * 100);
  place();
}
function step(by) {
  open(Math.min(Math.max(view.at + by, 0), state.list.length - 1));
}
function setMode(mode) {
  view.mode = mode;
  draw();
}
function blink() {
  view.flipped = view.mode === "blink" ? !view.flipped : true;
  setMode("blink");
}
function stopBlinking() {
  clearInterval(blinking);
  blinking = 0;
  press(byId("auto"), false);
}
function toggleBlinking() {
  if (blinking) return stopBlinking();
  blinking = setInterval(blink, BLINK_MS);
  press(byId("auto"), true);
}
function nextMap() {
  const options = ["", ...current().has];
  view.map = options[(options.indexOf(view.map) + 1) % options.length];
  draw();
}
function toggle(name) {
  view[name] = !view[name];
  draw();
}
function fade(by) {
  byId("opacity").value = String(Number(byId("opacity").value) + by);
  place();
}

const keys = {
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  s: () => setMode(view.mode === "slider" ? "panes" : "slider"),
  b: blink,
  d: () => setMode(view.mode === "difference" ? "slider" : "difference"),
  m: nextMap,
  c: () => toggle("contours"),
  x: () => toggle("own"),
  f: () => setCropping(!crop.on),
  "[": () => fade(-10),
  "]": () => fade(10),
  "+": () => zoomBy(1.5),
  "=": () => zoomBy(1.5),
  "-": () => zoomBy(1 / 1.5),
  0: () => zoomBy(1 / view.zoom),
};

function bindViewer() {
  const clicks = {
    previous: () => step(-1), next: () => step(1), close: () => viewer.close(),
    "zoom-in": () => zoomBy(1.5), "zoom-out": () => zoomBy(1 / 1.5), "zoom-reset": keys[0],
    auto: toggleBlinking, contours: keys.c, own: keys.x, figure: keys.f, "save-figure": saveFigure,
    "blink-mode": blink,
  };
  for (const mode of MODES.filter((m) => m !== "blink")) clicks[`${mode}-mode`] = () => setMode(mode);
  for (const [id, act] of Object.entries(clicks)) byId(id).addEventListener("click", act);
  for (const side of ["left", "right", "map"]) {
    byId(side).addEventListener("change", (event) => {
      view[side] = event.target.value;
      draw();
    });
  }
  fill(byId("gain"), GAINS.map((g) => [String(g), `×${g}`]));
  byId("gain").value = String(view.gain);
  byId("gain").addEventListener("change", (event) => {
    view.gain = Number(event.target.value);
    draw();
  });
  for (const id of ["split", "opacity"]) byId(id).addEventListener("input", place);
  viewer.addEventListener("keydown", (event) => {
    const typing = event.target.matches("select") || (event.target.matches("input") && event.key.startsWith("Arrow"));
    if (event.ctrlKey || event.metaKey || event.altKey || typing || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  // The page may have been filtered meanwhile; focus returns to the card last seen.
  viewer.addEventListener("close", () => {
    stopBlinking();
    history.replaceState(null, "", location.pathname + location.search);
    while (state.made <= view.at) more();
    cards.children[view.at].firstElementChild.focus();
  });
  bindPointer();
  addEventListener("hashchange", openLink);
}

function bindPointer() {
  let drag = null;
  stage.addEventListener("wheel", (event) => {
    const at = inPane(event);
    if (!at) return;
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY / 400), at.x, at.y);
  }, { passive: false });
  stage.addEventListener("pointerdown", (event) => {
    const at = inPane(event);
    if (!at) return;
    const slides = view.mode === "slider" && view.zoom === 1 && !crop.on;
    drag = { ...at, fromX: view.x, fromY: view.y, slides, pixel: pixelAt(at) };
    stage.setPointerCapture(event.pointerId);
    if (slides) setSplit(at.x + 0.5);
  });
  stage.addEventListener("pointermove", (event) => {
    const at = drag ? { box: drag.box } : inPane(event);
    if (!at) return;
    at.x = (event.clientX - at.box.left) / at.box.width - 0.5;
    at.y = (event.clientY - at.box.top) / at.box.height - 0.5;
    readPixel(pixelAt(at));
    if (!drag) return;
    if (crop.on) return setCrop(drag.pixel, pixelAt(at));
    if (drag.slides) return setSplit(at.x + 0.5);
    view.x = drag.fromX + at.x - drag.x;
    view.y = drag.fromY + at.y - drag.y;
    place();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    stage.addEventListener(name, () => {
      drag = null;
    });
  }
}
