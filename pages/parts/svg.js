// What the components of this folder share; components.py puts it before each one's script.

const SVG = "http://www.w3.org/2000/svg";

function make(name, attributes) {
  return put(document.createElementNS(SVG, name), attributes);
}

function put(element, attributes) {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function label(text, x, y, anchor) {
  const made = make("text", { x, y, "text-anchor": anchor });
  made.textContent = text;
  return made;
}

// Tells the server what moves here: at most once in `apart` milliseconds, and only when it has
// answered the last time, so that a slow server is not asked for more than it can draw. A newer
// move replaces one that waits, and the last of a stroke is always told.
function teller(tell, patience = 3000) {
  let waiting = null, apart = 100, timer = null, asked = null, at = -Infinity;
  let number = Date.now();  // none that an earlier teller has used

  const send = () => {
    const move = waiting;
    waiting = null;
    asked = number += 1;
    at = performance.now();
    tell({ ...move, number });
  };
  const look = () => {
    timer = null;
    if (waiting === null) return;
    const left = at + (asked === null ? apart : patience) - performance.now();
    if (left > 0) timer = setTimeout(look, left);
    else send();
  };
  return {
    move(what, milliseconds = 100) {
      waiting = what;
      apart = milliseconds;
      if (timer === null) look();
    },
    end(what) {
      clearTimeout(timer);
      timer = null;
      waiting = what;
      send();
    },
    answered(which) {
      if (which !== asked) return;
      asked = null;
      clearTimeout(timer);
      look();
    },
    // Whether an answer to what was told last is still to come.
    get awaits() {
      return asked !== null || waiting !== null;
    },
  };
}
