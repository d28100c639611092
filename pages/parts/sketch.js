// A curve that is drawn by hand: heights in percent at even places, from the start of training to
// its end. Drawn with a pointer across the plot, or point by point with the arrow keys.

const HEIGHT = 260;
const LEFT = 50, RIGHT = 12, TOP = 10, BOTTOM = 34;
const OWN = "currentColor", ALONE = "#0072B2";
const MINE = 3000; // milliseconds in which an answer to an earlier change may still come

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const host = parentElement.querySelector(".sketch");
  // A rerun brings the heights of the address; it undoes no stroke that goes on, and nothing that
  // was drawn or typed since it began.
  const told = data.heights || Array(data.points).fill(null);
  if (host.heights && told.join(".") === host.heights.join(".")) host.mineUntil = 0;
  if (!host.drawing && !(performance.now() < host.mineUntil)) host.heights = told;
  host.report = () => setStateValue("heights", host.heights.join("."));
  host.data = data;
  host.classList.toggle("fixed", data.fixed);
  draw(host);
  if (!host.observer) {
    host.observer = new ResizeObserver(() => draw(host));
    host.observer.observe(host);
  }
  return () => {
    host.observer.disconnect();
    host.observer = null;
  };
}

function draw(host) {
  const { data, heights } = host;
  const width = Math.max(260, host.clientWidth);
  const x = (share) => LEFT + share * (width - LEFT - RIGHT);
  const y = (percent) => TOP + (1 - percent / 100) * (HEIGHT - TOP - BOTTOM);
  const focused = host.querySelector(":focus")?.dataset.place;
  const svg = make("svg", { width, height: HEIGHT, role: "group", "aria-label": data.label });
  for (const percent of [0, 25, 50, 75, 100]) {
    svg.append(make("line", { x1: x(0), x2: x(1), y1: y(percent), y2: y(percent), class: "grid" }));
    svg.append(label(`${percent}%`, x(0) - 12, y(percent) + 4, "end"));
  }
  svg.append(label("start of training", x(0), HEIGHT - 10, "start"));
  svg.append(label("end", x(1), HEIGHT - 10, "end"));
  line(svg, data.alone.map(([at, percent]) => [x(at), y(percent)]), ALONE);
  line(svg, data.came.map(([at, percent]) => [x(at), y(percent)]), data.colour);
  const places = heights.map((height, place) => [place, height]).filter(([, height]) => height !== null);
  const share = (place) => place / (heights.length - 1);
  line(svg, places.map(([place, height]) => [x(share(place)), y(height)]), OWN, "2 5");
  heights.forEach((height, place) => svg.append(point(host, place, height, x(share(place)), y)));
  if (!data.fixed) strokes(host, svg, width);
  host.replaceChildren(svg);
  if (focused !== undefined) host.querySelector(`[data-place="${focused}"]`)?.focus();
}

function point(host, place, height, x, y) {
  const { fixed, points } = host.data;
  const circle = make("circle", {
    cx: x,
    cy: y(height === null ? 50 : height),
    r: 6,
    fill: height === null ? "transparent" : OWN,
    class: height === null ? "open" : "",
    tabindex: fixed ? -1 : 0,
    role: "slider",
    "aria-label": `Your guess after ${Math.round((100 * place) / (points - 1))}% of the training`,
    "aria-valuemin": 0,
    "aria-valuemax": 100,
    "aria-valuenow": height === null ? 50 : height,
    "data-place": place,
  });
  circle.addEventListener("keydown", (event) => {
    const by = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (by === undefined || fixed) return;
    event.preventDefault();
    set(host, place, (host.heights[place] ?? 50) + by);
    fill(host);
    draw(host);
    clearTimeout(host.waits);
    host.waits = setTimeout(host.report, 400);
  });
  return circle;
}

function strokes(host, svg, width) {
  let last = null;
  const at = (event) => {
    const box = host.firstChild.getBoundingClientRect();  // drawing replaces the one pressed
    const share = (event.clientX - box.left - LEFT) / (width - LEFT - RIGHT);
    const percent = 100 * (1 - (event.clientY - box.top - TOP) / (HEIGHT - TOP - BOTTOM));
    return [share * (host.heights.length - 1), percent];
  };
  const move = (event) => {
    const [place, percent] = at(event);
    // Every place that the stroke has passed since the last event, as the pointer may be quick.
    const [from, before] = last ?? [place, percent];
    host.heights.forEach((_, each) => {
      const near = Math.abs(each - place) <= 0.5;
      if (!near && (each - from) * (each - place) > 0) return;
      const part = near || place === from ? 1 : (each - from) / (place - from);
      set(host, each, before + part * (percent - before));
    });
    last = [place, percent];
    draw(host);
  };
  svg.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    host.drawing = true;
    move(event);
    const ends = () => {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", ends);
      window.removeEventListener("pointercancel", ends);
      host.drawing = false;
      fill(host);
      draw(host);
      host.report();
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", ends);
    window.addEventListener("pointercancel", ends);
  });
}

// Places that were never touched are as high as the nearest one that was.
function fill(host) {
  const drawn = host.heights.map((height, place) => [height, place]).filter(([height]) => height !== null);
  host.heights = host.heights.map((height, place) => {
    if (height !== null) return height;
    const nearest = drawn.reduce((one, other) =>
      Math.abs(other[1] - place) < Math.abs(one[1] - place) ? other : one);
    return nearest[0];
  });
}

function set(host, place, percent) {
  host.heights[place] = Math.round(Math.min(100, Math.max(0, percent)));
  host.mineUntil = performance.now() + MINE;
}

function line(svg, corners, colour, dash = "") {
  if (corners.length < 2) return;
  const points = corners.map((corner) => corner.join(",")).join(" ");
  svg.append(make("polyline", { points, stroke: colour, "stroke-dasharray": dash, class: "curve" }));
}
