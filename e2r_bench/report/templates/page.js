"use strict";
(() => {
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

  // The viewer: two layers under a slider, or panes that zoom and pan together.
  const viewer = byId("viewer");
  const stage = byId("stage");
  const view = { at: 0, mode: "slider", left: "input", right: "restored", map: "", x: 0, y: 0, zoom: 1 };

  function pictures(entry) {
    const others = data.cases.filter((c) => c.task === entry.task && c.image === entry.image && c !== entry);
    return [
      { key: "input", label: "input", index: entry.input },
      { key: "restored", label: named(entry), index: entry.restored, entry },
      ...others.map((c) => ({ key: `other:${named(c)}`, label: named(c), index: c.restored, entry: c })),
      { key: "truth", label: "ground truth", index: entry.truth },
    ];
  }

  function open(index) {
    view.at = index;
    view.x = view.y = 0;
    view.zoom = 1;
    if (!viewer.open) viewer.showModal();
    draw();
  }

  function draw() {
    const entry = state.list[view.at];
    const shownPictures = pictures(entry);
    const keys = shownPictures.map((p) => p.key);
    if (!keys.includes(view.left)) view.left = "input";
    if (!keys.includes(view.right)) view.right = "restored";
    byId("viewer-title").textContent = entry.image;
    const parts = [entry.task, named(entry), entry.build, entry.drawn, `${view.at + 1} of ${state.list.length}`];
    byId("viewer-note").textContent = parts.filter(Boolean).join(" · ");
    for (const side of ["left", "right"]) {
      fill(byId(side), shownPictures.map((p) => [p.key, p.label]));
      byId(side).value = view[side];
    }
    fill(byId("map"), [["", "none"], ...entry.has.map((key) => [key, overlayInfo.get(key).title])]);
    if (!entry.has.includes(view.map)) view.map = "";
    byId("map").value = view.map;
    const slider = view.mode === "slider";
    press(byId("slider-mode"), slider);
    press(byId("panes-mode"), !slider);
    for (const id of ["left-choice", "right-choice", "split-label"]) byId(id).hidden = !slider;
    stage.dataset.mode = view.mode;
    stage.replaceChildren(...(slider ? [sliderPane(shownPictures)] : shownPictures.map(singlePane)));
    const columns = slider ? 1 : Math.min(shownPictures.length, entry.size[0] > 1.2 * entry.size[1] ? 2 : 4);
    stage.style.setProperty("--columns", String(columns));
    byId("scores").replaceChildren(...data.scores.filter((s) => s.key in entry.scores).map((s) =>
      element("div", {}, element("dt", { textContent: s.key }), element("dd", { textContent: withUnit(s.key, entry.scores[s.key]) }))));
    legend();
    place();
  }

  function legend() {
    const overlay = overlayInfo.get(view.map);
    byId("scale").hidden = !overlay;
    if (!overlay) return;
    byId("scale-title").textContent = overlay.title;
    byId("scale-high").textContent = `${overlay.high}${overlay.unit ? ` ${overlay.unit}` : ""} and above`;
  }

  function layer(picture) {
    const made = element("div", { className: "layer" });
    made.append(element("img", { alt: picture.label, draggable: false, src: source(picture.index) }));
    const overlay = overlayInfo.get(view.map);
    if (overlay && picture.entry && picture.entry.has.includes(view.map)) {
      const index = picture.entry.maps[overlay.slot];
      const name = `overlay channel-${overlay.channel}`;
      made.append(element("img", { alt: `${overlay.title} map`, className: name, draggable: false, src: source(index) }));
    }
    return made;
  }

  function sliderPane(all) {
    const [before, after] = [view.left, view.right].map((key) => all.find((p) => p.key === key));
    const top = layer(after);
    top.classList.add("after");
    return element(
      "div",
      { className: "pane" },
      layer(before),
      top,
      element("div", { className: "handle" }),
      element("span", { className: "tag start", textContent: before.label }),
      element("span", { className: "tag end", textContent: after.label }),
    );
  }

  function singlePane(picture) {
    return element("div", { className: "pane" }, layer(picture),
      element("span", { className: "tag start", textContent: picture.label }));
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
    const pane = event.target.closest(".pane");
    if (!pane) return null;
    const box = pane.getBoundingClientRect();
    return { box, x: (event.clientX - box.left) / box.width - 0.5, y: (event.clientY - box.top) / box.height - 0.5 };
  }
  function setSplit(share) {
    byId("split").value = String(Math.min(Math.max(share, 0), 1) * 100);
    place();
  }
  function step(by) {
    const last = state.list.length - 1;
    open(Math.min(Math.max(view.at + by, 0), last));
  }
  function setMode(mode) {
    view.mode = mode;
    draw();
  }
  function nextMap() {
    const options = ["", ...state.list[view.at].has];
    view.map = options[(options.indexOf(view.map) + 1) % options.length];
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
    m: nextMap,
    "[": () => fade(-10),
    "]": () => fade(10),
    "+": () => zoomBy(1.5),
    "=": () => zoomBy(1.5),
    "-": () => zoomBy(1 / 1.5),
    0: () => zoomBy(1 / view.zoom),
  };

  function bindViewer() {
    byId("previous").addEventListener("click", () => step(-1));
    byId("next").addEventListener("click", () => step(1));
    byId("close").addEventListener("click", () => viewer.close());
    byId("slider-mode").addEventListener("click", () => setMode("slider"));
    byId("panes-mode").addEventListener("click", () => setMode("panes"));
    byId("zoom-in").addEventListener("click", () => zoomBy(1.5));
    byId("zoom-out").addEventListener("click", () => zoomBy(1 / 1.5));
    byId("zoom-reset").addEventListener("click", keys[0]);
    for (const side of ["left", "right", "map"]) {
      byId(side).addEventListener("change", (event) => {
        view[side] = event.target.value;
        draw();
      });
    }
    for (const id of ["split", "opacity"]) byId(id).addEventListener("input", place);
    viewer.addEventListener("keydown", (event) => {
      const typing = event.target.matches("select, input");
      if (event.ctrlKey || event.metaKey || event.altKey || typing || !(event.key in keys)) return;
      event.preventDefault();
      keys[event.key]();
    });
    // The page may have been filtered meanwhile; focus returns to the card last seen.
    viewer.addEventListener("close", () => {
      while (state.made <= view.at) more();
      cards.children[view.at].firstElementChild.focus();
    });
    bindPointer();
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
      drag = { ...at, fromX: view.x, fromY: view.y, slides: view.mode === "slider" && view.zoom === 1 };
      stage.setPointerCapture(event.pointerId);
      if (drag.slides) setSplit(at.x + 0.5);
    });
    stage.addEventListener("pointermove", (event) => {
      if (!drag) return;
      const x = (event.clientX - drag.box.left) / drag.box.width - 0.5;
      const y = (event.clientY - drag.box.top) / drag.box.height - 0.5;
      if (drag.slides) return setSplit(x + 0.5);
      view.x = drag.fromX + x - drag.x;
      view.y = drag.fromY + y - drag.y;
      place();
    });
    for (const name of ["pointerup", "pointercancel"]) {
      stage.addEventListener(name, () => {
        drag = null;
      });
    }
  }

  bindControls();
  bindViewer();
  refresh();
})();
