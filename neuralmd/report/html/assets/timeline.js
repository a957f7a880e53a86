// The chart of errors over time below the 3-D view, which viewer.js has drawn before.
(() => {
  "use strict";
  const {
    scene, state, layers, truth, hidden, barName, watchers, setFrame, play, errorOf, barOf, length, plain, rounded,
  } = window.neuralmd;
  const box = document.getElementById("timeline");
  const NS = "http://www.w3.org/2000/svg";
  const INSET = 8, LEFT = 56, TOP = 8, HIGH = 132, BOTTOM = 22;
  const chart = { width: 0, cursor: null };
  const curves = [];
  layers.forEach((layer, index) => {
    if (truth !== null) {
      curves.push({ kind: "line", label: layer.label, colour: index === 0 ? "var(--model)" : "var(--spline)",
        values: new Map(hidden.map((frame) => [frame, errorOf(layer, frame)])) });
    }
  });
  if (layers[0].bars !== null) {
    curves.push({ kind: "band", label: barName, colour: "var(--band)",
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
    box.replaceChildren();
    chart.cursor = null;
    chart.width = Math.max(box.clientWidth, 240);
    const height = curves.length ? HIGH : 10;
    const root = svg("svg", { height: TOP + height + BOTTOM, viewBox: `0 0 ${chart.width} ${TOP + height + BOTTOM}`,
      "aria-hidden": "true" }, box);
    (scene.flags ?? []).forEach((flags, gap) => {
      if (flags === 0) return;
      const x = across(gap * scene.stride);
      svg("rect", { x, y: TOP, width: across((gap + 1) * scene.stride) - x, height, fill: "var(--flagged)" }, root);
    });
    for (const frame of scene.known) {
      svg("line", { x1: across(frame), x2: across(frame), y1: TOP, y2: TOP + height, stroke: "var(--grid)" }, root);
      svg("circle", { cx: across(frame), cy: TOP + height, r: scene.known.length > 60 ? 1.5 : 2.8, fill: "var(--known)" }, root);
    }
    const end = (scene.frames - 1) * scene.timestep;
    const step = rounded(end / Math.max(2, Math.floor(chart.width / 130)));
    const begins = scene.begins ?? 0, first = Math.ceil(begins / step) * step;
    for (let time = first; time <= begins + end * 1.0001; time += step) {
      const x = across((time - begins) / scene.timestep);
      svg("text", { x, y: TOP + height + 17, "text-anchor": "middle" }, root,
        `${Number(time.toPrecision(9))}${time === first ? " fs" : ""}`);
    }
    if (curves.length) drawCurves(root, height);
    chart.cursor = svg("line", { y1: TOP - 6, y2: TOP + height + 4, stroke: "var(--cursor)", "stroke-width": 1.5 }, root);
    drawNames();
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
  function drawNames() {
    const flagged = (scene.flags ?? []).some((flags) => flags !== 0);
    if (!curves.length && !flagged) return;
    const line = document.createElement("p");
    line.className = "fine key";
    if (curves.length) line.append("root mean square over atoms: ");
    const named = [...curves];
    if (flagged) named.push({ kind: "band", colour: "var(--flagged)", label: "flagged gap" });
    for (const curve of named) {
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

  const seek = (event) => {
    if (event.type === "pointermove" && event.buttons === 0) return;
    const left = event.clientX - box.getBoundingClientRect().left;
    play(false);
    setFrame(((left - LEFT - INSET) / (chart.width - LEFT - 2 * INSET)) * (scene.frames - 1));
  };
  box.addEventListener("pointerdown", seek);
  box.addEventListener("pointermove", seek);
  new ResizeObserver(() => { if (box.clientWidth !== chart.seen) { chart.seen = box.clientWidth; drawTimeline(); } }).observe(box);
  drawTimeline();
  watchers.push(moveCursor);
})();
