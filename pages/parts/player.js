// Plays a front's saved frames. The charts hold all frames and show the one that is told them here,
// in the browser; the server is told some times a second, for the numbers beside them.

const RATE = 24;  // saved frames a second at 1×
const SPEEDS = { "½×": 0.5, "1×": 1, "2×": 2, "4×": 4 };
const ICONS = {
  "Step back": "M6 6h2v12H6zm3.5 6l8.5 6V6z",
  Play: "M8 5v14l11-7z",
  Pause: "M6 19h4V5H6v14zm8-14v14h4V5h-4z",
  Step: "M6 18l8.5-6L6 6v12zM16 6v12h2V6h-2z",
};

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const host = parentElement.querySelector(".player");
  const anew = host.data?.resets !== data.resets;
  host.data = data;
  host.send = (told) => setStateValue("shown", told);
  if (!host.teller) build(host);
  host.teller.answered(data.answered);
  // What the server knows of a frame that is played or slid to here is always a little old.
  if (anew || (!host.frame && !host.teller.awaits)) {
    stop(host);
    host.mode = data.mode;
    host.step = data.step;
    if (host.mode === "play") start(host, place(host));
  }
  show(host);
  return () => {
    stop(host);
    told(host, null);
  };
}

function build(host) {
  host.teller = teller((told) => host.send(told));
  host.speed = 1;
  host.back = button(host, () => go(host, place(host) - 1));
  host.toggle = button(host, () => {
    if (moving(host)) go(host, place(host));
    else start(host, place(host) === last(host) ? 0 : place(host));
  });
  host.step_on = button(host, () => go(host, place(host) + 1));
  host.slider = input("range", "Iteration", host);
  host.slider.addEventListener("input", () => {
    stop(host);
    reach(host, Number(host.slider.value));
    host.teller.move(state(host));
  });
  host.slider.addEventListener("change", () => host.teller.end(state(host)));
  const speed = document.createElement("select");
  put(speed, { "aria-label": "Speed" });
  speed.append(...Object.keys(SPEEDS).map((name) => new Option(name, name, false, name === "1×")));
  speed.addEventListener("change", () => {
    host.speed = SPEEDS[speed.value];
    if (host.frame) start(host, place(host));
  });
  host.loop = input("checkbox", "Loop", host);
  host.append(speed, host.loop.parentElement);
}

function button(host, click) {
  const made = document.createElement("button");
  put(made, { type: "button" });
  made.addEventListener("click", click);
  host.append(made);
  return made;
}

function input(type, name, host) {
  const made = document.createElement("input"), around = document.createElement("label");
  put(made, { type, "aria-label": name });
  around.append(name, made);
  put(around, { class: type });
  host.append(around);
  return made;
}

// Where the player is.

function last(host) {
  return host.data.steps.length - 1;
}

// Of the last frame up to the shown step.
function place(host) {
  if (host.mode === "follow") return last(host);
  return Math.max(0, host.data.steps.findLastIndex((step) => step <= host.step));
}

function moving(host) {
  return host.mode === "play" || (host.mode === "follow" && host.data.active);
}

function state(host) {
  return { mode: host.mode, step: host.step };
}

// What it does.

function go(host, where) {
  stop(host);
  reach(host, where);
  host.teller.end(state(host));
}

function reach(host, where) {
  host.mode = "pause";
  host.step = host.data.steps[Math.min(last(host), Math.max(0, where))];
  show(host);
}

function start(host, from) {
  stop(host);
  host.mode = "play";
  host.step = host.data.steps[from];
  show(host);
  host.teller.move(state(host), 400);
  const began = performance.now();
  const advance = (now) => {
    let next = from + Math.floor((Math.max(0, now - began) / 1000) * RATE * host.speed);
    if (host.loop.checked) next %= last(host) + 1;
    if (next >= last(host) && !host.loop.checked) {
      stop(host);
      host.mode = "follow";
      host.step = host.data.steps[last(host)];
      show(host);
      host.teller.end(state(host));
      return;
    }
    host.frame = requestAnimationFrame(advance);
    if (host.data.steps[next] === host.step) return;
    host.step = host.data.steps[next];
    show(host);
    host.teller.move(state(host), 400);
  };
  host.frame = requestAnimationFrame(advance);
}

function stop(host) {
  cancelAnimationFrame(host.frame);
  host.frame = null;
}

function show(host) {
  const at = place(host), playing = moving(host), { steps } = host.data;
  name(host.back, "Step back", at === 0);
  name(host.toggle, playing ? "Pause" : "Play", steps.length < 2);
  name(host.step_on, "Step", at === last(host));
  put(host.slider, { min: 0, max: last(host), "aria-valuetext": `Iteration ${steps[at]}` });
  host.slider.value = at;
  host.slider.disabled = steps.length < 2;
  put(host, { "data-step": steps[at] });
  told(host, host.mode === "follow" ? null : host.step);
}

function name(button, words, disabled) {
  button.disabled = disabled;
  if (button.textContent === words) return;
  const icon = make("svg", { viewBox: "0 0 24 24", width: 20, height: 20, "aria-hidden": true });
  icon.append(make("path", { d: ICONS[words], fill: "currentColor" }));
  button.replaceChildren(icon, words);
}

// The charts' parameter `frame` is bound to the value of the document's body, which is always there
// and which a chart that is drawn later reads; null is the newest frame.
function told(host, frame) {
  document.body.value = frame;
  document.body.dispatchEvent(new Event(host.data.event));
}
