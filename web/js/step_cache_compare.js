// Both pictures of a comparison in one place: what stands left of a line is plain, what stands right of it cached.
import { api } from "/scripts/api.js";
import { app } from "/scripts/app.js";
import { addView, make } from "./node_view.js";
import { say } from "./translation.js";

const NODES = ["StepCacheCompare", "StepCacheCompareRuns"];
const WIDGET = "wipe";
const HEIGHT = 280;
const FULL = { position: "absolute", inset: "0", width: "100%", height: "100%", objectFit: "contain" };
const LINE = { position: "absolute", top: "0", bottom: "0", width: "1px", background: "#fff" };
const LABEL = {
  position: "absolute",
  top: "4px",
  padding: "0 5px",
  borderRadius: "3px",
  color: "#fff",
  background: "#0009",
  pointerEvents: "none",
};

/** Where the server has a picture. */
function placeOf({ filename, subfolder, type }) {
  return `/view?${new URLSearchParams({ filename, subfolder, type })}`;
}

/** A view of pairs of pictures: `element` to put on the node, `show` to give it others. */
function makeView() {
  const element = make("div", {
    display: "flex",
    flexDirection: "column",
    height: "100%",
    gap: "4px",
    font: "11px/1.35 system-ui, sans-serif",
    color: "var(--input-text, #ddd)",
  });
  element.dataset.testid = "stepcache-compare";
  const waiting = make("div", { padding: "6px" });
  waiting.textContent = say("Both pictures of the next run appear here, under one slider.");
  const stage = make("div", { position: "relative", flex: "1 1 0", minHeight: `${HEIGHT - 30}px` });
  const [cached, plain] = [make("img", FULL), make("img", FULL)];
  const [left, right] = [make("span", { ...LABEL, left: "4px" }), make("span", { ...LABEL, right: "4px" })];
  const line = make("div", LINE);
  left.textContent = plain.alt = say("plain");
  right.textContent = cached.alt = say("cached");
  // It lies over the pictures, unseen; the line shows where it is.
  const wipe = slider(say("Where the plain picture ends"), 100, { ...FULL, opacity: "0", cursor: "ew-resize" });
  const which = slider(say("Which of the pictures"), 0, { width: "100%" });
  let pairs = [];

  const place = () => {
    plain.style.clipPath = `inset(0 ${100 - wipe.value}% 0 0)`;
    line.style.left = `${wipe.value}%`;
  };
  const turn = () => {
    const pair = pairs[which.value];
    plain.src = api.apiURL(placeOf(pair.plain));
    cached.src = api.apiURL(placeOf(pair.cached));
    which.title = say("picture {0} of {1}", pair.number, pair.of);
  };
  wipe.addEventListener("input", place);
  which.addEventListener("input", turn);
  // Who moves it by keys sees that it has the focus.
  wipe.addEventListener("focus", () => Object.assign(line.style, { width: "3px" }));
  wipe.addEventListener("blur", () => Object.assign(line.style, { width: LINE.width }));
  stage.append(cached, plain, line, left, right, wipe);
  element.append(waiting);
  place();

  return {
    element,
    /** @param {{plain: object, cached: object, number: number, of: number}[]} shown files of the server */
    show(shown) {
      pairs = shown;
      which.max = pairs.length - 1;
      which.value = Math.min(which.value, which.max);
      element.replaceChildren(stage, ...(pairs.length > 1 ? [which] : []));
      turn();
    },
  };
}

function slider(words, max, style) {
  const input = make("input", { ...style, margin: "0" });
  // In this order: a value is kept within what is the range by then.
  Object.assign(input, { type: "range", min: 0, max, step: 1, value: max / 2 });
  input.setAttribute("aria-label", words);
  return input;
}

app.registerExtension({
  name: "stepcache.Compare",

  nodeCreated(node) {
    if (!NODES.includes(node.comfyClass) || !node.addDOMWidget) return;
    const view = makeView();
    addView(node, WIDGET, "STEP_CACHE_COMPARE", view.element, HEIGHT, (output) => {
      if (output?.pairs?.length) view.show(output.pairs);
    });
  },
});
