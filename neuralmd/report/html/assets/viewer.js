// The 3-D view and its controls. Everything is drawn from the JSON in #scene.
(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const scene = JSON.parse($("scene").textContent);
  const RAMP = [[0x5b, 0x8f, 0xc7], [0x9f, 0xc3, 0xd8], [0xf2, 0xcf, 0x63], [0xe8, 0x7d, 0x3a], [0xb8, 0x1d, 0x2c]];
  const KNOWN = 0x98a2ae, UNKNOWN = 0x4a4f57;
  const DARK = window.matchMedia("(prefers-color-scheme: dark)");

  const decode = (text) => new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const atoms = scene.symbols.length;
  const truth = scene.truth === null ? null : decode(scene.truth);
  const known = new Set(scene.known);
  const barName = scene.level === null ? "error bar" : `error bar, ${Math.round(100 * scene.level)} %`;
  const layers = scene.layers.map((layer) => ({
    label: layer.label,
    positions: decode(layer.positions),
    bars: layer.bars === null ? null : decode(layer.bars),
  }));

  const hidden = Array.from({ length: scene.frames }, (_, frame) => frame).filter((frame) => !known.has(frame));
  const watchers = [];
  // Flags are those of neuralmd.data.trust.
  const FLAGS = [[1, "error bar above the limit"], [2, "filled by a spline"], [4, "distance unlike the training data"],
    [8, "temperature unlike the training data"]];
  const flagsOf = (frame) => (scene.flags && !known.has(frame) ? scene.flags[Math.floor(frame / scene.stride)] : 0);

  const state = { frame: Math.floor((scene.stride ?? 0) / 2), layer: 0, colour: "element", gain: 1,
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
    for (const frame of hidden) {
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
  const WHOLE = { sphere: { scale: 0.27 }, stick: { radius: 0.13 } };
  // Beside its shadow, which thick atoms would hide.
  const SLIM = { sphere: { scale: 0.14 }, stick: { radius: 0.05 } };
  function paint(atom) {
    const layer = layers[state.layer];
    if (state.colour === "element") return undefined;
    if (known.has(state.frame)) return KNOWN;
    const value = measures[state.colour](layer, state.frame, atom.serial);
    if (Number.isNaN(value)) return UNKNOWN;
    return ramp(value / scales[state.colour]);
  }
  function styled() {
    const shape = state.ghost ? SLIM : WHOLE;
    if (state.colour === "element") return shape;
    return { sphere: { ...shape.sphere, colorfunc: paint }, stick: { ...shape.stick, colorfunc: paint } };
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
      // Opaque: on a transparent background 3Dmol draws half-transparent shapes too faintly to be seen.
      const color = DARK.matches ? 0x79838e : 0xa3adb7;
      shadow.setStyle({}, state.ghost ? { stick: { radius: 0.04, color }, sphere: { scale: 0.125, color } } : {});
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

  // ---- frames -------------------------------------------------------------------------------------------------------

  function describe() {
    const layer = layers[state.layer], frame = state.frame;
    const time = Number(((scene.begins ?? 0) + frame * scene.timestep).toPrecision(9));
    const parts = [`${time} fs`, scene.first ? `frame ${scene.first + frame + 1}` : `frame ${frame + 1} of ${scene.frames}`];
    if (known.has(frame)) return [...parts, "known frame"];
    if (scene.stride !== null) parts.push(`rebuilt, ${frame % scene.stride} of ${scene.stride - 1} in its gap`);
    if (truth !== null) parts.push(`error ${length(errorOf(layer, frame))}`);
    const bar = layer.bars === null ? NaN : barOf(layer, frame);
    if (!Number.isNaN(bar)) parts.push(`error bar ${length(bar)}`);
    return [...parts, ...FLAGS.filter(([flag]) => flagsOf(frame) & flag).map(([, words]) => `flag: ${words}`)];
  }
  function setFrame(frame) {
    state.frame = Math.min(Math.max(Math.round(frame), 0), scene.frames - 1);
    const words = describe();
    $("frame").value = String(state.frame);
    $("frame").setAttribute("aria-valuetext", words.join(", "));
    $("readout").textContent = words.join(" · ");
    const isKnown = known.has(state.frame);
    const larger = state.gain > 1 && !isKnown ? `, errors drawn ${state.gain} times larger` : "";
    $("badge").textContent = scene.stride === null ? words[0] + larger
      : `${words[0]} · ${isKnown ? "known frame" : flagsOf(state.frame) ? "rebuilt, flagged" : "rebuilt"}${larger}`;
    $("badge").className = isKnown ? "known" : "";
    for (const tell of watchers) tell();
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
      .reduce((worst, frame) => (worse(frame, worst) ? frame : worst), hidden[0] ?? state.frame);
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
    select.parentElement.hidden = select.options.length < 2;
    drawLegend();
  }
  function drawLegend() {
    $("legend").hidden = state.colour === "element";
    if (state.colour === "element") return;
    $("legend-title").textContent = { error: "distance from the truth", bar: barName }[state.colour];
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
    DARK.addEventListener("change", draw);
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
  document.querySelector("#legend .known").hidden = scene.stride === null;
  layers.forEach((layer, index) => option($("layer"), String(index), layer.label));
  $("layer-label").hidden = layers.length < 2;
  state.colour = truth !== null ? "error" : layers[0].bars !== null ? "bar" : "element";
  fillColours();
  build();
  listen();
  if (viewer !== null) listenToCamera();
  setFrame(worstFrame());
  // For the chart, for tests, and for the curious at the console.
  window.neuralmd = {
    viewer, model, scene, state, layers, truth, hidden, barName, watchers, setFrame, play, errorOf, barOf, length, plain, rounded,
  };
})();
