// Shows the text of the last run inside the "Step Cache Report" node.
import { app } from "/scripts/app.js";
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
  const view = document.createElement("pre");
  view.textContent = waiting();
  view.dataset.testid = "stepcache-report";
  Object.assign(view.style, {
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
  return view;
}

app.registerExtension({
  name: "stepcache.Report",

  nodeCreated(node) {
    if (node.comfyClass !== NODE || !node.addDOMWidget) return;
    const view = makeView();
    // Not serialized: a saved workflow must not carry the report of somebody's last run.
    const widget = node.addDOMWidget(WIDGET, "STEP_CACHE_REPORT", view, {
      serialize: false,
      getMinHeight: () => 160,
    });
    widget.serialize = false;
    node.setSize([Math.max(node.size[0], 460), Math.max(node.size[1], 260)]);

    const onExecuted = node.onExecuted;
    node.onExecuted = function (output) {
      onExecuted?.apply(this, arguments);
      view.textContent = output?.text?.join("").split("\n").map(inWords).join("\n") ?? waiting();
    };
  },
});
