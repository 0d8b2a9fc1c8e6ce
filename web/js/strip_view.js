// Draws what is computed and what is reused. Knows the DOM, but neither the graph nor the server.
import { make } from "./node_view.js";
import { say } from "./translation.js";

const SVG = "http://www.w3.org/2000/svg";
const ROW = 12;
export const VIEW = "stepcache-strip";
const WORDS = {
  self_attention: "self-attention",
  joint_attention: "joint attention",
  temporal_attention: "temporal attention",
  cross_attention: "cross-attention",
  feed_forward: "feed-forward",
  block: "whole blocks",
  deep_branch: "deep branch",
  guidance: "guidance",
  evaluation: "whole steps",
};
// A quarter of the text's colour makes them keep 3:1 in dark and in light themes: no colour does alone.
const themed = (colour) => `color-mix(in srgb, ${colour} 75%, currentColor)`;
// Told apart by height first, by colour second.
const LOOKS = {
  C: { top: 1, height: ROW - 2, fill: themed("#3b82d0"), count: "{0} computed" },
  P: { top: ROW / 2 - 1, height: ROW / 2, fill: themed("#8a6fc0"), count: "{0} partly reused" },
  R: { top: ROW - 4, height: 3, fill: themed("#b07d0a"), count: "{0} reused" },
  ".": { top: ROW / 2 - 0.5, height: 1, fill: themed("#80868f"), count: "{0} not asked" },
};
const LEGEND = {
  C: "tall: computed",
  P: "half: partly reused",
  R: "low: reused",
  ".": "line in the middle: not asked, the whole step is reused",
};
const CHANGED = themed("#e5484d");

export function wordOf(kind) {
  return Object.hasOwn(WORDS, kind) ? say(WORDS[kind]) : String(kind);
}

/** A view of one node's strips: `element` to put on the node, `show` to draw. */
export function makeView(height) {
  const element = make("div", {
    boxSizing: "border-box",
    height: "100%",
    overflow: "hidden",
    font: "11px/1.35 system-ui, sans-serif",
    color: "var(--input-text, #ddd)",
    background: "var(--comfy-input-bg, #222)",
    borderRadius: "4px",
  });
  element.dataset.testid = VIEW;
  const above = make("div", { whiteSpace: "nowrap", overflow: "hidden", textOverflow: "ellipsis" });
  const rows = make("div", { margin: "3px 0" });
  const below = make("div", { whiteSpace: "pre-line" });
  rows.setAttribute("role", "img");
  below.setAttribute("aria-live", "polite");
  // Of its own height, whatever the node makes of the element around it.
  const content = make("div", { padding: "4px 6px" });
  content.append(above, rows, below);
  element.append(content);
  // Told after the browser's own layout: asking for the height makes it lay out again for each of fifty.
  new ResizeObserver(([{ borderBoxSize }]) => {
    const size = Math.ceil(borderBoxSize[0].blockSize);
    if (size) height(size);
  }).observe(content);
  let drawn = "";

  return {
    element,
    /**
     * @param {{above: string, strips: Object<string, string>, plans: Object<string, string>,
     *   lines: string[]}} state letters C, P, R by kind; in plans "." for a step in which nothing is asked, in
     *   strips for one that has not happened, or in which nothing was asked.
     */
    show(state) {
      above.textContent = state.above;
      above.title = state.above;
      below.textContent = state.lines.join("\n");
      const wanted = JSON.stringify([state.strips, state.plans]);
      if (wanted !== drawn) {
        drawn = wanted;
        const begun = begunOf(state.strips);
        rows.replaceChildren(...Object.keys(state.plans).map((kind) => row(kind, state, begun)));
        rows.setAttribute("aria-label", inWords(state.strips, state.plans));
        rows.title = legendOf(Object.values(state.plans));
      }
    },
  };
}

/** How many steps have begun, whichever of the rows was asked in them. */
function begunOf(strips) {
  return Math.max(0, ...Object.values(strips).map((strip) => strip.replace(/\.+$/, "").length));
}

/** What the looks of these plans mean. */
function legendOf(plans) {
  const letters = new Set(plans.join(""));
  return Object.keys(LEGEND).filter((letter) => letters.has(letter)).map((letter) => say(LEGEND[letter])).join("; ");
}

function row(kind, { strips, plans }, begun) {
  const line = make("div", { display: "flex", alignItems: "center", height: `${ROW + 2}px` });
  const label = make("span", { flex: "0 0 104px", fontSize: "10px", whiteSpace: "nowrap" });
  label.textContent = wordOf(kind);
  line.append(label, bars(strips[kind] ?? plans[kind], plans[kind], begun));
  return line;
}

/** One path per look, so that a hundred steps cost no more than ten. */
function bars(strip, plan, begun) {
  const steps = plan.length;
  const svg = vector("svg", {
    viewBox: `0 0 ${steps} ${ROW}`,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  Object.assign(svg.style, { flex: "1 1 0", minWidth: "0", height: `${ROW}px`, display: "block" });
  const paths = new Map();
  const changed = [];
  const isLive = /[CPR]/.test(strip) && strip !== plan;
  for (let step = 0; step < steps; step++) {
    const done = strip[step] ?? ".";
    const letter = done === "." ? plan[step] : done;
    if (!LOOKS[letter]) continue;
    if (done !== "." && done !== plan[step]) changed.push(step);
    // A step in which nothing was to be asked leaves no trace in this row.
    const isToCome = done === "." && !(letter === "." && step < begun);
    const key = `${letter} ${isLive && isToCome ? "planned" : "done"}`;
    const { top, height } = LOOKS[letter];
    // What is still to come is narrow: paler colours would not stand out.
    const width = key.endsWith("planned") ? 0.4 : 0.84;
    const left = step + (1 - width) / 2;
    paths.set(key, `${paths.get(key) ?? ""}M${left.toFixed(2)} ${top}h${width}v${height}h-${width}z`);
  }
  for (const [key, d] of paths) {
    const [letter, when] = key.split(" ");
    const path = vector("path", { d, fill: LOOKS[letter].fill });
    path.dataset.look = letter;
    path.dataset.when = when;
    svg.append(path);
  }
  for (const step of changed) {
    svg.append(vector("rect", { x: step, y: 0, width: 1, height: 1, fill: CHANGED }));
  }
  return svg;
}

function inWords(strips, plans) {
  return Object.entries(plans)
    .map(([kind, plan]) => {
      const strip = [...plan].map((letter, step) => (strips[kind]?.[step] ?? ".").replace(".", letter));
      const counts = Object.entries(LOOKS)
        .map(([letter, look]) => [strip.filter((each) => each === letter).length, look.count])
        .filter(([count]) => count);
      return `${wordOf(kind)}: ${counts.map(([count, text]) => say(text, count)).join(", ")}`;
    })
    .join("; ");
}

function vector(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
