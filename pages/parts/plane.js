// Task gradients as arrows in the plane that are dragged by their heads, and the methods' updates
// of them. What a hand moves is drawn here at once; the updates come from the server, as it answers.

const HEIGHT = 380;
const EDGE = 1.2;  // of the longest arrow: room for the gradients' labels beyond it
const HEAD = 0.075, LABEL_GAP = 0.13;
const HEAD_PATH = "M0,0L7.2,16L-7.2,16Z";
const MOST = 100;  // the longest gradient that the page takes
const REST = 400;  // milliseconds after the last key until a stroke of keys has ended

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const host = parentElement.querySelector(".plane");
  host.data = data;
  host.send = (move) => setStateValue("moved", move);
  if (!host.svg) build(host);
  host.width = host.clientWidth;
  host.teller.answered(data.answered);
  // Until the server has seen a hand's last move it sends older ones, which must not be drawn.
  if (host.hand && !host.hand.held && (!host.teller.awaits || data.answered === null)) {
    host.hand = null;
  }
  legend(host);
  draw(host);
  updates(host);
  if (!host.observer) {
    host.observer = new ResizeObserver(() => {
      if (host.width === host.clientWidth) return;
      host.width = host.clientWidth;
      draw(host);
      updates(host);
    });
    host.observer.observe(host);
  }
  return () => {
    host.observer.disconnect();
    host.observer = null;
  };
}

function build(host) {
  host.teller = teller((move) => host.send(move));
  host.hand = null;
  host.picked = null;
  host.svg = make("svg", { height: HEIGHT, role: "group" });
  host.layers = {};
  for (const name of ["sector", "rings", "arrows", "updates", "hands"]) {
    host.layers[name] = make("g", { class: name });
    host.svg.append(host.layers[name]);
  }
  host.legend = document.createElement("div");
  host.legend.className = "legend";
  host.tip = document.createElement("dl");
  host.tip.hidden = true;
  host.append(host.svg, host.legend, host.tip);
}

// The drawing. While a hand moves, the scale stays as it was, or the arrow would slip from it.

function scale(host) {
  return host.hand ? host.hand.scale : host.data;
}

function gradients(host) {
  return host.data.gradients.map((gradient, place) =>
    place === host.hand?.place ? { ...gradient, ...host.hand.shown } : gradient);
}

function radius({ longest, floor }, length) {
  if (floor === null) return length / longest;
  return length <= floor ? 0 : Math.log(length / floor) / Math.log(longest / floor);
}

function lengthAt({ longest, floor }, r) {
  if (r <= 0) return 0;
  return Math.min(MOST, floor === null ? r * longest : floor * (longest / floor) ** r);
}

function plot(host) {
  const width = Math.max(260, host.width);  // known, as asking would lay the page out each time
  const unit = Math.min(width, HEIGHT) / 2 / EDGE;
  const at = (r, angle) => {
    const turn = ((angle ?? 0) * Math.PI) / 180;
    return [width / 2 + unit * r * Math.cos(turn), HEIGHT / 2 - unit * r * Math.sin(turn)];
  };
  return { width, unit, at };
}

// All but the updates.
function draw(host) {
  const { width, unit, at } = plot(host);
  const { sector, arrows } = host.layers;
  const now = scale(host), shown = gradients(host);
  const { larger } = host.data;
  put(host.svg, { width, "aria-label": host.data.label });
  host.style.setProperty("--larger", larger);
  const [low, high] = directions(shown.filter(({ length }) => length > 0));
  const corners = [at(0, 0), at(1, low), at(1, high)].map((corner) => corner.join());
  sector.replaceChildren();
  if (low < high) {
    const d = `M${corners[0]}L${corners[1]}A${unit},${unit},0,0,0,${corners[2]}Z`;
    sector.append(make("path", { d, "data-low": low, "data-high": high }));
  }
  const [cx, cy] = at(0, 0);
  if (host.ringed?.now !== now || host.ringed.width !== width) rings(host);
  arrows.replaceChildren(...shown.flatMap(({ name, angle, length }) => {
    const r = radius(now, length);
    const [x2, y2] = at(Math.max(0, r - HEAD * larger), angle), [x, y] = at(r, angle);
    const word = label(name, ...at(r + LABEL_GAP * larger, angle), "middle");
    const transform = `translate(${x},${y})rotate(${90 - angle})scale(${larger})`;
    return [
      make("line", { x1: cx, y1: cy, x2, y2 }),
      make("path", { d: HEAD_PATH, transform }),
      put(word, { "dominant-baseline": "central" }),
    ];
  }));
  hands(host, shown, now, at);
}

function rings(host) {
  const { width, unit, at } = plot(host);
  const now = scale(host), [cx, cy] = at(0, 0);
  host.ringed = { now, width };
  host.layers.rings.replaceChildren(...now.rings.flatMap((length) => {
    const r = radius(now, length), [x, y] = at(r, now.quiet);
    return [make("circle", { cx, cy, r: unit * r }), label(String(Number(length.toPrecision(6))), x + 2, y - 2, "start")];
  }));
}

// Both ends of the directions at 90° or less from every gradient; none where the first is not below.
// Seen from the first gradient these are [-90, 90], and another one, d from it, leaves of them
// what is within 90 of d.
function directions(arrows) {
  if (!arrows.length) return [0, 0];
  const first = arrows[0].angle;
  const turns = arrows.map(({ angle }) => ((((angle - first + 180) % 360) + 360) % 360) - 180);
  return [first + Math.max(...turns) - 90, first + Math.min(...turns) + 90];
}

function updates(host) {
  const { at } = plot(host);
  const now = scale(host), [x1, y1] = at(0, 0);
  if (host.tip.of === "update") host.tip.hidden = true;
  host.layers.updates.replaceChildren(...host.data.updates.map((update) => {
    const { label: name, colour, dash, marker } = host.data.methods[update.method];
    const [x2, y2] = at(radius(now, update.length), update.angle);
    const group = make("g", { class: faded(host, name), "data-method": name });
    const transform = `translate(${x2},${y2})scale(${(host.data.larger * Math.sqrt(update.size)) / 2})`;
    const over = make("circle", { cx: x2, cy: y2, r: 9, class: "over" });
    over.addEventListener("pointerenter", () =>
      tell(host, "update", [x2, y2], { method: name, ...update.words }));
    over.addEventListener("pointerleave", () => { host.tip.hidden = true; });
    group.append(
      make("line", { x1, y1, x2, y2, stroke: colour, "stroke-dasharray": dash.join(" ") }),
      make("path", { d: marker, transform, fill: colour }),
      over,
    );
    return group;
  }));
}

function legend(host) {
  const drawn = JSON.stringify(host.data.methods);
  if (host.legend.drawn === drawn) return;
  host.legend.drawn = drawn;
  host.picked = null;
  host.legend.replaceChildren(...host.data.methods.map(({ label: name, colour, dash, marker }) => {
    const button = document.createElement("button"), sample = make("svg", { width: 34, height: 12 });
    sample.append(
      make("path", { d: "M1,6H33", stroke: colour, "stroke-dasharray": dash.join(" ") }),
      make("path", { d: marker, transform: "translate(17,6)scale(3.5)", fill: colour }),
    );
    put(button, { type: "button", "aria-pressed": false });
    button.append(sample, name);
    button.addEventListener("click", () => {
      host.picked = host.picked === name ? null : name;
      for (const each of host.legend.children) {
        put(each, { class: faded(host, each.textContent), "aria-pressed": each.textContent === host.picked });
      }
      for (const each of host.layers.updates.children) {
        put(each, { class: faded(host, each.dataset.method) });
      }
    });
    return button;
  }));
}

function faded(host, name) {
  return host.picked === null || host.picked === name ? "" : "faded";
}

function tell(host, of, [x, y], words) {
  host.tip.of = of;
  host.tip.replaceChildren(...Object.entries(words).flatMap(([term, said]) => {
    const pair = [document.createElement("dt"), document.createElement("dd")];
    pair[0].textContent = term;
    pair[1].textContent = said;
    return pair;
  }));
  host.tip.hidden = false;
  const right = x > host.width / 2;
  host.tip.style.left = right ? "" : `${x + 14}px`;
  host.tip.style.right = right ? `${host.width - x + 14}px` : "";
  host.tip.style.top = `${y + 16}px`;
}

// The hands: one on each gradient's head. They stay while all else is drawn anew, so that neither
// the pointer nor the keyboard's focus is lost.

function hands(host, shown, now, at) {
  const group = host.layers.hands;
  while (group.childElementCount > shown.length) group.lastChild.remove();
  while (group.childElementCount < shown.length) group.append(hand(host, group.childElementCount));
  shown.forEach(({ name, angle, length }, place) => {
    const [cx, cy] = at(Math.max(0, radius(now, length) - HEAD / 2), angle);
    const degrees = Math.round(angle);
    put(group.children[place], {
      cx,
      cy,
      "aria-label": `Gradient ${name}`,
      "aria-valuenow": degrees,
      "aria-valuetext": `${degrees} degrees, length ${length}`,
    });
  });
}

function hand(host, place) {
  const circle = make("circle", {
    r: 14,
    tabindex: 0,
    role: "slider",
    "aria-valuemin": -180,
    "aria-valuemax": 180,
  });
  const words = () => {
    const { name, angle, length, loss } = gradients(host)[place];
    const said = { gradient: name, length, angle: `${Math.round(angle)}°`, "task loss": loss };
    tell(host, "hand", [+circle.getAttribute("cx"), +circle.getAttribute("cy")], said);
  };
  const drawn = () => {
    draw(host);
    words();
  };
  dragged(host, place, circle, drawn);
  turned(host, place, circle, drawn);
  for (const name of ["pointerenter", "focus"]) circle.addEventListener(name, words);
  for (const name of ["pointerleave", "blur"]) {
    circle.addEventListener(name, () => { host.tip.hidden = true; });
  }
  return circle;
}

function grasp(host, place) {
  const { longest, floor, rings, quiet } = scale(host);
  const { angle, length } = gradients(host)[place];
  const shown = { angle, length };
  host.hand = { place, held: true, shown, scale: { longest, floor, rings, quiet } };
}

// What the page keeps of a hand's place: whole degrees, and lengths in round numbers.
function kept({ place, shown }, held) {
  const whole = Math.round(shown.angle);
  return { place, angle: whole > 180 ? whole - 360 : whole, length: shown.length, held };
}

function release(host) {
  host.hand.held = false;
  const last = kept(host.hand, false);
  host.hand.shown.angle = last.angle;
  host.teller.end(last);
  draw(host);
}

function dragged(host, place, circle, drawn) {
  let last = null, frame = null, start = null;
  const follow = () => {
    frame = null;
    const { unit, at } = plot(host);
    const [cx, cy] = at(0, 0);
    const x = start.x + last.pageX - start.pageX - cx, y = cy - (start.y + last.pageY - start.pageY);
    const r = Math.min(EDGE, Math.hypot(x, y) / unit);
    if (r > 0) host.hand.shown.angle = (Math.atan2(y, x) * 180) / Math.PI;
    host.hand.shown.length = rounded(host.hand.scale, lengthAt(host.hand.scale, r));
    drawn();
    host.teller.move(kept(host.hand, true));
  };
  circle.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    circle.setPointerCapture(event.pointerId);
    circle.focus({ preventScroll: true });
    event.preventDefault();
    grasp(host, place);
    // The arrow's tip moves as far as the pointer does from where it seized the head.
    const { angle, length } = host.hand.shown;
    const [x, y] = plot(host).at(radius(host.hand.scale, length), angle);
    start = { x, y, pageX: event.pageX, pageY: event.pageY };
    last = null;
  });
  circle.addEventListener("pointermove", (event) => {
    if (!circle.hasPointerCapture(event.pointerId)) return;
    last = event;
    frame ??= requestAnimationFrame(follow);
  });
  circle.addEventListener("lostpointercapture", () => {
    if (frame !== null) cancelAnimationFrame(frame);
    if (last === null) host.hand = null;  // seized, and let go as it was
    else {
      follow();
      release(host);
    }
  });
}

// To a hundredth of the decade of the longest arrow; in a logarithmic plot, to two digits.
function rounded({ longest, floor }, length) {
  if (floor !== null) return Number(length.toPrecision(2));
  const step = 10 ** (2 - Math.floor(Math.log10(longest)));
  return Math.round(length * step) / step;
}

function turned(host, place, circle, drawn) {
  let rest = null;
  circle.addEventListener("keydown", (event) => {
    const turn = { ArrowLeft: 1, ArrowRight: -1 }[event.key];
    const grow = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (turn === undefined && grow === undefined) return;
    event.preventDefault();
    if (!host.hand?.held) grasp(host, place);
    const { shown } = host.hand;
    if (turn) shown.angle = ((Math.round(shown.angle) + turn * (event.shiftKey ? 10 : 1) + 540) % 360) - 180;
    if (grow) shown.length = longer(shown.length, grow * (event.shiftKey ? 5 : 1));
    drawn();
    host.teller.move(kept(host.hand, true));
    clearTimeout(rest);
    rest = setTimeout(ends, REST);
  });
  circle.addEventListener("blur", () => { if (rest !== null) ends(); });
  const ends = () => {
    clearTimeout(rest);
    rest = null;
    release(host);
  };
}

// By steps of a tenth of its decade.
function longer(length, steps) {
  const step = 10 ** (Math.floor(Math.log10(Math.max(length, 0.1))) - 1);
  const longer = Math.round(length / step + steps) * step;
  return Math.min(MOST, Math.max(0, Number(longer.toPrecision(3))));
}
