// A slider that tells where it is while it is dragged; Streamlit's own tell it on release.

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const host = parentElement.querySelector(".slider");
  host.data = data;
  host.send = (told) => setStateValue("slid", told);
  if (!host.range) build(host);
  host.teller.answered(data.answered);
  put(host.range, { max: data.words.length - 1, "aria-label": data.label });
  host.name.textContent = data.label;
  // What the server knows of a slider under the hand is always a little old.
  if (!host.held && !host.teller.awaits) host.range.value = data.place;
  say(host);
}

function build(host) {
  host.teller = teller((told) => host.send(told));
  const around = document.createElement("label");
  [host.name, host.said, host.range] = ["span", "output", "input"].map((name) => document.createElement(name));
  put(host.range, { type: "range", min: 0, step: 1 });
  around.append(host.name, host.said, host.range);
  host.append(around);
  const state = () => ({ place: Number(host.range.value), held: host.held });
  host.range.addEventListener("input", () => {
    host.held = true;
    say(host);
    host.teller.move(state());
  });
  host.range.addEventListener("change", () => {
    host.held = false;
    host.teller.end(state());
  });
}

function say(host) {
  const words = host.data.words[host.range.value];
  host.said.textContent = words;
  put(host.range, { "aria-valuetext": words });
}
