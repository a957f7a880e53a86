"use strict";
// The 3-D view, its controls and the chart of errors over time. Everything is drawn from the JSON in #scene.
(() => {
  const $ = (id) => document.getElementById(id);
  const scene = JSON.parse($("scene").textContent);
  const RAMP = [[0x5b, 0x8f, 0xc7], [0x9f, 0xc3, 0xd8], [0xf2, 0xcf, 0x63], [0xe8, 0x7d, 0x3a], [0xb8, 0x1d, 0x2c]];
  const KNOWN = 0x98a2ae, UNKNOWN = 0x4a4f57;
  const DARK = window.matchMedia("(prefers-color-scheme: dark)");
  const NS = "http://www.w3.org/2000/svg";

  const decode = (text) => new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const atoms = scene.symbols.length;
  const truth = scene.truth === null ? null : decode(scene.truth);
  const known = new Set(scene.known);
  const layers = scene.layers.map((layer) => ({
    label: layer.label,
    positions: decode(layer.positions),
    bars: layer.bars === null ? null : decode(layer.bars),
  }));

  const state = { frame: Math.floor(scene.stride / 2), layer: 0, colour: "element", gain: 1,
    ghost: false, timer: null };

  // ---- errors -------------------------------------------------------------------------------------------------------

  function distance(layer, frame, atom) {
    const at = 3 * (frame * atoms + atom);
    const [p, t] = [layer.positions, truth];
    return Math.hypot(p[at] - t[at], p[at + 1] - t[at + 1], p[at + 2] - t[at + 2]);
  }
  // Root mean square over atoms and components, as `spread` of a distance or of a half-width of one component.
  const overAtoms = (value, share) => {
    let sum = 0;
    for (let atom = 0; atom < atoms; atom++) sum += value(atom) ** 2;
    return Math.sqrt((sum / atoms) * share);
  };
  const errorOf = (layer, frame) => overAtoms((atom) => distance(layer, frame, atom), 1 / 3);
  const barOf = (layer, frame) => overAtoms((atom) => layer.bars[frame * atoms + atom], 1);
  const measures = {
    error: (layer, frame, atom) => distance(layer, frame, atom),
    bar: (layer, frame, atom) => layer.bars[frame * atoms + atom],
  };
  const shows = (layer, what) => (what === "error" ? truth !== null : what === "bar" ? layer.bars !== null : true);

  function rounded(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return power * ([1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power >= value * 0.999) ?? 10);
  }
  // One scale for all methods, that of the rebuilt trajectory itself, so that colours can be compared.
  function scaleOf(what) {
    const values = [];
    for (let frame = 0; frame < scene.frames; frame++) {
      if (known.has(frame)) continue;
      for (let atom = 0; atom < atoms; atom++) {
        const value = measures[what](layers[0], frame, atom);
        if (!Number.isNaN(value)) values.push(value);
      }
    }
    values.sort((a, b) => a - b);
    const high = values[Math.floor(0.98 * (values.length - 1))];
    return high > 0 ? rounded(high) : 1e-3;
  }
  const scales = {};
  for (const what of ["error", "bar"]) if (shows(layers[0], what)) scales[what] = scaleOf(what);

  function length(value) {
    const milli = 1000 * value;
    if (milli >= 99.95) return `${value.toFixed(value >= 0.9995 ? 1 : 2)} Å`;
    return `${milli.toFixed(milli >= 9.995 ? 1 : milli >= 0.0005 || milli === 0 ? 2 : 4)} mÅ`;
  }

  const plain = (text) => text.replace(/(\.\d*?)0+ /, "$1 ").replace(". ", " ");

  function ramp(part) {
    const place = Math.min(Math.max(part, 0), 1) * (RAMP.length - 1);
    const left = Math.min(Math.floor(place), RAMP.length - 2);
    const mixed = RAMP[left].map((low, channel) => Math.round(low + (place - left) * (RAMP[left + 1][channel] - low)));
    return mixed[0] * 65536 + mixed[1] * 256 + mixed[2];
  }

  // ---- the molecule -------------------------------------------------------------------------------------------------

  const holder = $("viewer");
  let viewer = null, model = null, shadow = null;

  function specs() {
    const bonds = scene.symbols.map(() => []);
    for (const [first, second] of scene.bonds) {
      bonds[first].push(second);
      bonds[second].push(first);
    }
    return scene.symbols.map((elem, index) => ({
      elem, x: 0, y: 0, z: 0, serial: index, bonds: bonds[index], bondOrder: bonds[index].map(() => 1), properties: {},
    }));
  }
  const SHAPE = { sphere: { scale: 0.27 }, stick: { radius: 0.13 } };
  function paint(atom) {
    const layer = layers[state.layer];
    if (state.colour === "element") return undefined;
    if (known.has(state.frame)) return KNOWN;
    const value = measures[state.colour](layer, state.frame, atom.serial);
    if (Number.isNaN(value)) return UNKNOWN;
    return ramp(value / scales[state.colour]);
  }
  function styled() {
    if (state.colour === "element") return SHAPE;
    return { sphere: { ...SHAPE.sphere, colorfunc: paint }, stick: { ...SHAPE.stick, colorfunc: paint } };
  }
  function place(target, positions, gain) {
    for (const atom of target.selectedAtoms({})) {
      const at = 3 * (state.frame * atoms + atom.serial);
      const put = (axis) => (gain === 1 ? positions[at + axis]
        : truth[at + axis] + gain * (positions[at + axis] - truth[at + axis]));
      [atom.x, atom.y, atom.z] = [put(0), put(1), put(2)];
    }
  }
  function draw() {
    if (viewer === null) return;
    place(model, layers[state.layer].positions, state.gain);
    model.setStyle({}, styled());
    if (shadow !== null) {
      if (state.ghost) place(shadow, truth, 1);
      const grey = DARK.matches ? 0xd5dde6 : 0x46515d;
      const opacity = 0.5;
      shadow.setStyle({}, state.ghost ? { stick: { radius: 0.07, color: grey, opacity },
        sphere: { scale: 0.15, color: grey, opacity } } : {});
    }
    viewer.render();
  }
  function drawCell() {
    if (scene.cell === null) return;
    const [a, b, c] = scene.cell.map(([x, y, z]) => ({ x, y, z }));
    const o = scene.origin;
    const at = (i, j, k) => ({ x: o[0] + i * a.x + j * b.x + k * c.x, y: o[1] + i * a.y + j * b.y + k * c.y,
      z: o[2] + i * a.z + j * b.z + k * c.z });
    for (const i of [0, 1]) for (const j of [0, 1]) {
      for (const [start, end] of [[at(0, i, j), at(1, i, j)], [at(i, 0, j), at(i, 1, j)], [at(i, j, 0), at(i, j, 1)]]) {
        viewer.addLine({ start, end, color: 0x8b95a1 });
      }
    }
  }
  // The molecule is turned so that it is seen along its thinnest direction.
  function home() {
    viewer.setView(startView);
    viewer.render();
  }
  let startView = null;
  function build() {
    try {
      viewer = $3Dmol.createViewer(holder, { backgroundAlpha: 0, antialias: true, disableFog: true });
    } catch (problem) {
      viewer = null;
    }
    if (!viewer) {
      viewer = null;
      $("no-webgl").hidden = false;
      return;
    }
    viewer.setBackgroundColor(0xffffff, 0);
    model = viewer.addModel();
    model.addAtoms(specs());
    if (truth !== null) {
      shadow = viewer.addModel();
      shadow.addAtoms(specs());
      place(shadow, truth, 1);
    }
    drawCell();
    draw();
    viewer.zoomTo();
    const [x, y, z, w] = scene.view;
    const view = viewer.getView();
    viewer.setView([...view.slice(0, 4), x, y, z, w]);
    viewer.rotate(-28, "x");
    viewer.rotate(18, "y");
    viewer.zoom(1.45);
    startView = viewer.getView();
    viewer.render();
  }

  // ---- the chart of errors over time --------------------------------------------------------------------------------

  const INSET = 8, LEFT = 56, TOP = 8, HIGH = 132, BOTTOM = 22;
  const chart = { width: 0, cursor: null };
  const hidden = Array.from({ length: scene.frames }, (_, frame) => frame).filter((frame) => !known.has(frame));
  const curves = [];
  layers.forEach((layer, index) => {
    if (truth !== null) {
      curves.push({ kind: "line", label: layer.label, colour: index === 0 ? "var(--model)" : "var(--spline)",
        values: new Map(hidden.map((frame) => [frame, errorOf(layer, frame)])) });
    }
  });
  if (layers[0].bars !== null) {
    curves.push({ kind: "band", label: `error bar, ${Math.round(100 * scene.level)} %`, colour: "var(--band)",
      values: new Map(hidden.map((frame) => [frame, barOf(layers[0], frame)]).filter(([, bar]) => !Number.isNaN(bar))) });
  }

  function svg(name, attributes, parent, text) {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  }
  const across = (frame) => LEFT + INSET + (frame / Math.max(scene.frames - 1, 1)) * (chart.width - LEFT - 2 * INSET);
  function drawTimeline() {
    const box = $("timeline");
    box.replaceChildren();
    chart.cursor = null;
    chart.width = Math.max(box.clientWidth, 240);
    const height = curves.length ? HIGH : 10;
    const root = svg("svg", { height: TOP + height + BOTTOM, viewBox: `0 0 ${chart.width} ${TOP + height + BOTTOM}`,
      "aria-hidden": "true" }, box);
    for (const frame of scene.known) {
      svg("line", { x1: across(frame), x2: across(frame), y1: TOP, y2: TOP + height, stroke: "var(--grid)" }, root);
      svg("circle", { cx: across(frame), cy: TOP + height, r: scene.known.length > 60 ? 1.5 : 2.8, fill: "var(--known)" }, root);
    }
    const end = (scene.frames - 1) * scene.timestep;
    const step = rounded(end / Math.max(2, Math.floor(chart.width / 130)));
    for (let time = 0; time <= end * 1.0001; time += step) {
      const x = across(time / scene.timestep);
      svg("text", { x, y: TOP + height + 17, "text-anchor": "middle" }, root,
        `${Number(time.toPrecision(4))}${time === 0 ? " fs" : ""}`);
    }
    if (curves.length) drawCurves(root, height);
    chart.cursor = svg("line", { y1: TOP - 6, y2: TOP + height + 4, stroke: "var(--cursor)", "stroke-width": 1.5 }, root);
    drawNames(box);
    moveCursor();
  }
  function drawCurves(root, height) {
    const all = curves.flatMap((curve) => [...curve.values.values()]).filter((value) => value > 0).sort((a, b) => a - b);
    if (!all.length) return;
    const low = Math.log10(all[Math.floor(0.005 * all.length)]) - 0.08, high = Math.log10(all[all.length - 1]) + 0.08;
    const y = (value) => TOP + height - height * Math.min(Math.max((Math.log10(Math.max(value, 1e-12)) - low) / (high - low), 0), 1);
    for (let decade = Math.ceil(low); decade <= high; decade++) {
      svg("line", { x1: LEFT, x2: chart.width - INSET, y1: y(10 ** decade), y2: y(10 ** decade), stroke: "var(--grid)" }, root);
      svg("text", { x: LEFT - 6, y: y(10 ** decade) + 4, "text-anchor": "end" }, root, plain(length(10 ** decade)));
    }
    for (const curve of [...curves].reverse()) {
      for (const piece of pieces(curve.values)) {
        const line = piece.map((frame) => `${across(frame).toFixed(1)},${y(curve.values.get(frame)).toFixed(1)}`).join("L");
        if (curve.kind === "line") {
          svg("path", { d: `M${line}`, fill: "none", stroke: curve.colour, "stroke-width": 1.6, "stroke-linejoin": "round" }, root);
        } else {
          const [first, last] = [across(piece[0]), across(piece[piece.length - 1])];
          svg("path", { d: `M${first},${TOP + height}L${line}L${last},${TOP + height}Z`, fill: curve.colour }, root);
        }
      }
    }
  }
  function pieces(values) {
    const found = [];
    for (const frame of values.keys()) {
      const last = found[found.length - 1];
      if (last && last[last.length - 1] === frame - 1) last.push(frame);
      else found.push([frame]);
    }
    return found;
  }
  function drawNames(box) {
    if (!curves.length) return;
    const line = document.createElement("p");
    line.className = "fine key";
    line.append("root mean square over atoms: ");
    for (const curve of curves) {
      const swatch = document.createElement("i");
      swatch.className = curve.kind;
      swatch.style.background = curve.colour;
      line.append(swatch, ` ${curve.label}  `);
    }
    const dot = document.createElement("i");
    dot.className = "dot";
    line.append(dot, " known frames");
    box.append(line);
  }
  function moveCursor() {
    if (chart.cursor === null) return;
    chart.cursor.setAttribute("x1", across(state.frame));
    chart.cursor.setAttribute("x2", across(state.frame));
  }

  // ---- frames -------------------------------------------------------------------------------------------------------

  function describe() {
    const layer = layers[state.layer], frame = state.frame;
    const time = Number((frame * scene.timestep).toPrecision(6));
    const parts = [`${time} fs`, `frame ${frame + 1} of ${scene.frames}`];
    if (known.has(frame)) return [...parts, "known frame"];
    parts.push(`rebuilt, ${frame % scene.stride} of ${scene.stride - 1} in its gap`);
    if (truth !== null) parts.push(`error ${length(errorOf(layer, frame))}`);
    const bar = layer.bars === null ? NaN : barOf(layer, frame);
    if (!Number.isNaN(bar)) parts.push(`error bar ${length(bar)}`);
    return parts;
  }
  function setFrame(frame) {
    state.frame = Math.min(Math.max(Math.round(frame), 0), scene.frames - 1);
    const words = describe();
    $("frame").value = String(state.frame);
    $("frame").setAttribute("aria-valuetext", words.join(", "));
    $("readout").textContent = words.join(" · ");
    const isKnown = known.has(state.frame);
    const larger = state.gain > 1 && !isKnown ? `, errors drawn ${state.gain} times larger` : "";
    $("badge").textContent = `${words[0]} · ${isKnown ? "known frame" : "rebuilt"}${larger}`;
    $("badge").className = isKnown ? "known" : "";
    moveCursor();
    draw();
  }
  function play(go) {
    window.clearInterval(state.timer);
    state.timer = go ? window.setInterval(() => setFrame((state.frame + 1) % scene.frames), 1000 / Number($("speed").value)) : null;
    $("play").setAttribute("aria-pressed", String(go));
    $("play").setAttribute("aria-label", go ? "Pause" : "Play");
    $("play").firstElementChild.textContent = go ? "\u275A\u275A" : "\u25B6";
  }
  // Where the page begins: the colours are there to show what went least well.
  function worstFrame() {
    const measure = truth !== null ? errorOf : layers[0].bars !== null ? barOf : null;
    if (measure === null) return state.frame;
    const worse = (frame, other) => !(measure(layers[0], frame) <= measure(layers[0], other));
    return hidden.filter((frame) => !Number.isNaN(measure(layers[0], frame)))
      .reduce((worst, frame) => (worse(frame, worst) ? frame : worst), hidden[0]);
  }
  function nextKnown(direction) {
    const ahead = scene.known.filter((frame) => (frame - state.frame) * direction > 0);
    return ahead.length ? (direction > 0 ? Math.min(...ahead) : Math.max(...ahead)) : state.frame;
  }

  // ---- controls -----------------------------------------------------------------------------------------------------

  function option(select, value, label) {
    const node = document.createElement("option");
    node.value = value;
    node.textContent = label;
    select.append(node);
  }
  function fillColours() {
    const select = $("colour"), wanted = state.colour;
    select.replaceChildren();
    const names = { error: "error, against the truth", bar: "error bar", element: "element" };
    for (const what of ["error", "bar", "element"]) if (shows(layers[state.layer], what)) option(select, what, names[what]);
    state.colour = [...select.options].some((each) => each.value === wanted) ? wanted : select.options[0].value;
    select.value = state.colour;
    drawLegend();
  }
  function drawLegend() {
    $("legend").hidden = state.colour === "element";
    if (state.colour === "element") return;
    const names = { error: "distance from the truth", bar: `error bar, ${Math.round(100 * scene.level)} %` };
    $("legend-title").textContent = names[state.colour];
    $("legend-end").textContent = `${plain(length(scales[state.colour]))} or more`;
  }
  function listen() {
    $("frame").addEventListener("input", () => { play(false); setFrame(Number($("frame").value)); });
    $("frame").addEventListener("keydown", (event) => {
      const jump = { PageUp: 1, PageDown: -1 }[event.key];
      if (jump === undefined) return;
      event.preventDefault();
      play(false);
      setFrame(nextKnown(jump));
    });
    $("play").addEventListener("click", () => play(state.timer === null));
    $("speed").addEventListener("change", () => { if (state.timer !== null) play(true); });
    $("colour").addEventListener("change", () => { state.colour = $("colour").value; drawLegend(); draw(); });
    $("layer").addEventListener("change", () => { state.layer = Number($("layer").value); fillColours(); setFrame(state.frame); });
    $("gain").addEventListener("change", () => {
      state.gain = Number($("gain").value);
      state.ghost = state.gain > 1 || state.ghost;
      $("ghost").checked = state.ghost;
      setFrame(state.frame);
    });
    $("ghost").addEventListener("change", () => { state.ghost = $("ghost").checked; draw(); });
    const seek = (event) => {
      if (event.type === "pointermove" && event.buttons === 0) return;
      const left = event.clientX - $("timeline").getBoundingClientRect().left;
      play(false);
      setFrame(((left - LEFT - INSET) / (chart.width - LEFT - 2 * INSET)) * (scene.frames - 1));
    };
    $("timeline").addEventListener("pointerdown", seek);
    $("timeline").addEventListener("pointermove", seek);
    DARK.addEventListener("change", draw);
    new ResizeObserver(() => { if ($("timeline").clientWidth !== chart.seen) { chart.seen = $("timeline").clientWidth; drawTimeline(); } })
      .observe($("timeline"));
  }
  function listenToCamera() {
    const zoom = (factor) => { viewer.zoom(factor, 150); };
    $("closer").addEventListener("click", () => zoom(1.25));
    $("farther").addEventListener("click", () => zoom(0.8));
    $("home").addEventListener("click", home);
    holder.addEventListener("keydown", (event) => {
      const turn = { ArrowLeft: [-8, "vy"], ArrowRight: [8, "vy"], ArrowUp: [-8, "vx"], ArrowDown: [8, "vx"] }[event.key];
      if (turn !== undefined) viewer.rotate(...turn);
      else if (event.key === "+" || event.key === "=") zoom(1.25);
      else if (event.key === "-") zoom(0.8);
      else return;
      event.preventDefault();
      viewer.render();
    });
    // A page that is scrolled past the view shall not zoom it.
    const pass = (event) => { if (!event.ctrlKey) event.stopImmediatePropagation(); };
    for (const name of ["wheel", "mousewheel", "DOMMouseScroll"]) holder.parentElement.addEventListener(name, pass, { capture: true });
    new ResizeObserver(() => viewer.resize()).observe(holder);
  }

  document.documentElement.style.setProperty("--ramp", RAMP.map((colour) => `rgb(${colour.join(",")})`).join(","));
  for (const node of document.querySelectorAll(".truth")) node.hidden = truth === null;
  layers.forEach((layer, index) => option($("layer"), String(index), layer.label));
  $("layer-label").hidden = layers.length < 2;
  state.colour = truth !== null ? "error" : layers[0].bars !== null ? "bar" : "element";
  fillColours();
  build();
  listen();
  if (viewer !== null) listenToCamera();
  drawTimeline();
  setFrame(worstFrame());
  // For tests, and for the curious at the console.
  window.neuralmd = { viewer, model, scene, state, setFrame, play };
})();
