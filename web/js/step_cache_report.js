// Shows the text of the last run inside the "Step Cache Report" node.
import { app } from "/scripts/app.js";
import { addView, make } from "./node_view.js";
import { say, translated } from "./translation.js";

const NODE = "StepCacheReport";
const WIDGET = "report";
// Letters of a step each, in a column below that of the row before.
const ROW = /^ *(\S+) {2,}([CRP.]+)$/;

const waiting = () => say("The report of the next run appears here.");

/** Columns by a tab where words are not English: their letters are not as wide as others. */
function inWords(line) {
  const [, label, letters] = ROW.exec(line) ?? [];
  if (!label) return translated(line);
  const word = translated(label);
  return word === label ? line : `${word}\t${letters}`;
}

function makeView() {
  const view = make("pre", {
    margin: "0",
    padding: "6px",
    overflow: "auto",
    whiteSpace: "pre-wrap",
    tabSize: "16",
    font: "11px ui-monospace, monospace",
    color: "var(--input-text, #ddd)",
    background: "var(--comfy-input-bg, #222)",
    userSelect: "text",
  });
  view.textContent = waiting();
  view.dataset.testid = "stepcache-report";
  return view;
}

app.registerExtension({
  name: "stepcache.Report",

  nodeCreated(node) {
    if (node.comfyClass !== NODE || !node.addDOMWidget) return;
    const view = makeView();
    addView(node, WIDGET, "STEP_CACHE_REPORT", view, 160, (output) => {
      view.textContent = output?.text?.join("").split("\n").map(inWords).join("\n") ?? waiting();
    });
    node.setSize([Math.max(node.size[0], 460), Math.max(node.size[1], 260)]);
  },
});
