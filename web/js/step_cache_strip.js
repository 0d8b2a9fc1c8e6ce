// Puts a strip on every node that attaches a method: what it plans, and what a run really does.
import { api } from "/scripts/api.js";
import { app } from "/scripts/app.js";
import { listenToHands } from "./hands.js";
import { filesOf, inputsOf, isPlaced, modelOf, nodeByExecutionId, runOf, samplerOf } from "./run_settings.js";
import { makeView, VIEW, wordOf } from "./strip_view.js";
import { loadTranslations, say, translated } from "./translation.js";

const ROUTE = "/stepcache/preview";
const EVENT = "stepcache.run";
const WIDGET = "step_cache_strip";
const OUR_ERRORS = /\bcache_core\.errors\./;
const VERSION = 1;
const BUSY = 503;
const LOOK_AGAIN_MS = 300;
const ASK_AGAIN_MS = 3000;
const MARGINS = 20;

/** Kinds of nodes that have a strip; the server knows them. */
let kinds = new Set();

/** @type {Map<object, Strip>} */
const strips = new Map();

class Strip {
  constructor(node) {
    this.node = node;
    this.height = 80;
    this.view = makeView((height) => this.grow(height));
    this.plan = null;
    this.run = null;
    this.live = null;
    this.known = null;
    this.asked = "";
    this.isWaiting = false;
  }

  grow(height) {
    if (Math.abs(height + MARGINS - this.height) < 4) return;
    this.height = height + MARGINS;
    const wanted = this.node.computeSize?.()[1] ?? 0;
    if (wanted > this.node.size[1]) this.node.setSize([this.node.size[0], wanted]);
    this.node.graph?.setDirtyCanvas?.(true, true);
  }

  /** What the server is asked; the same text means the same answer. */
  question() {
    const run = (this.run = runOf(this.node));
    const asked = {
      node: this.node.comfyClass,
      inputs: inputsOf(this.node),
      files: filesOf(this.node),
      steps: run.steps,
      first: run.first,
      last: run.last,
      one_branch: run.cfg === 1,
    };
    this.settings = JSON.stringify([asked, run.words]);
    if (this.known && this.known.model !== modelOf(this.node)) this.known = null;
    const { layers, observed, ...known } = this.known ?? {};
    const timeline = known.run === settingsOf(run) ? known.timeline : undefined;
    return JSON.stringify({ ...asked, timeline, layers, observed });
  }

  answer(plan) {
    this.plan = plan;
    // The server may be starting again, or answer others.
    if (plan.isSilent) setTimeout(() => (this.asked = ""), ASK_AGAIN_MS);
    // The server is still looking at the model's file.
    if (plan.is_pending) this.asked = "";
    // What a run did is shown until a slider is moved.
    if (this.live?.settings !== this.settings) this.live = null;
    this.show();
  }

  /** Something about a run has come from the server. */
  tell(event) {
    const isFirst = this.live?.outcome !== "running";
    const settings = isFirst ? this.settings : this.live.settings;
    this.live = { ...event, settings };
    const report = event.report;
    if (report && !isReadable(report)) {
      this.live = { ...this.live, report: null, newer: true };
    } else if (report?.timeline) {
      const { timeline, layers, methods } = report;
      // What two nodes save together cannot be told apart.
      const observed = methods?.length === 1 ? report.observed : undefined;
      const run = settingsOf(runOf(this.node));
      this.known = { timeline, layers, observed, run, model: modelOf(this.node) };
    }
    this.show();
  }

  /** The prompt was refused here, or where the model is sampled. */
  refuse(reason) {
    this.live = { plans: {}, strips: {}, refused: reason, settings: this.settings };
    this.show();
  }

  /** After undo, Nodes 2.0 keeps showing the element of the node that it has replaced. */
  takeItsPlace() {
    const { element } = this.view;
    if (element.isConnected) return;
    const node = `[data-node-id="${CSS.escape(String(this.node.id))}"]`;
    document.querySelector(`${node} [data-testid=${VIEW}]`)?.replaceWith(element);
  }

  show() {
    this.takeItsPlace();
    const { plan, live, run } = this;
    this.view.show({
      above: headline(run),
      plans: live ? ours(live.plans, plan?.strips) : (plan?.strips ?? {}),
      strips: live ? live.strips : {},
      lines: live ? linesOfRun(live) : linesOfPlan(plan, this.known),
    });
  }
}

/** Whether an event is about a run, and in the form that is known here. */
function isRun(event) {
  return [event?.plans, event?.strips].every(
    (strips) => strips && Object.values(strips).every((letters) => typeof letters === "string"),
  );
}

function isReadable(report) {
  const numbers = [report.seconds, report.peak_bytes];
  const isWhole = numbers.every(Number.isFinite) && Array.isArray(report.forced);
  return isWhole && report.version <= VERSION;
}

/** Rows of a run that this node plans, where several nodes act on one model. */
function ours(plans, planned) {
  const own = Object.entries(plans).filter(([kind]) => !planned || kind in planned);
  return Object.fromEntries(own.length ? own : Object.entries(plans));
}

function settingsOf(run) {
  return JSON.stringify([run.steps, run.words, run.first, run.last]);
}

function headline(run) {
  if (!run) return "";
  const settings = say("{0} steps: {1}", run.steps, run.words || say("no sampler found"));
  const assumed = run.assumed.map(translated).join(", ");
  return assumed ? say("{0} ({1} assumed)", settings, assumed) : settings;
}

function linesOfPlan(plan, known) {
  if (!plan) return [];
  if (plan.refused) return [say("no preview: {0}", translated(plan.refused))];
  if (plan.error) return [translated(plan.error)];
  const lines = [reuseOf(plan.strips)];
  if (plan.prediction) {
    const { speedup, error } = plan.prediction;
    const [gain, loss] = [speedup.toFixed(2), (100 * error).toFixed(1)];
    lines[0] += `; ${say("predicted {0}× faster, {1} % error", gain, loss)}`;
  }
  const expected = expectation(plan);
  if (expected) lines.push(say("expected by the last run: {0}", expected));
  if (!known) lines.push(say("noise schedule assumed even until the first run"));
  return lines;
}

function reuseOf({ evaluation, ...layers }) {
  const runs = "{0} of {1} steps run the model";
  const whole = evaluation && say(runs, count(evaluation, /C/g), evaluation.length);
  const all = Object.values(layers).join("");
  if (!all) return whole ?? say("nothing to reuse");
  const share = (100 * count(all, /[RP]/g)) / all.length;
  const reuse = share ? say("reuses {0} % of these layers", share.toFixed(0)) : say("reuses nothing");
  return [whole, reuse].filter(Boolean).join("; ");
}

function count(letters, which) {
  return letters.match(which)?.length ?? 0;
}

/** What the seconds and bytes of the last run tell about this setting. */
function expectation({ estimate, prediction }) {
  const words = [];
  if (estimate?.speedup && !prediction) words.push(say("{0}× faster", estimate.speedup.toFixed(2)));
  if (estimate?.bytes != null) words.push(say("{0} kept", mebibytes(estimate.bytes)));
  return words.join(", ");
}

function mebibytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function linesOfRun(live) {
  if (live.refused) return [translated(live.refused)];
  if (live.newer) return [say("this run's report was made by a newer Step Cache: reload the page")];
  const report = live.report;
  if (!report) return [say("sampling, {0} evaluations", live.evaluations)];
  const bytes = mebibytes(report.peak_bytes);
  const lines = [];
  if (report.outcome !== "finished") lines.push(translated(report.outcome));
  const reason = report.nothing_reused_because;
  if (reason) lines.push(say("nothing reused: {0}", translated(reason)));
  const speedup = report.measured_speedup;
  if (speedup > 1 && report.reused) {
    const full = speedup * report.seconds;
    const saved = [full - report.seconds, full].map((seconds) => seconds.toFixed(1));
    lines.push(say("saved {0} s of {1} s, {2}×; {3}", ...saved, speedup.toFixed(2), bytes));
  } else {
    lines.push(say("{0} s; {1}", report.seconds.toFixed(1), bytes));
  }
  for (const { kind, reason, count } of report.forced) {
    lines.push(say("computed after all: {0} {1}×, {2}", wordOf(kind), count, translated(reason)));
  }
  return lines;
}

// One request for all nodes that have changed. None is asked about twice at a time, and none waits for another
// node's answer that takes long (a search through all settings).
async function ask() {
  const changed = [];
  for (const [node, strip] of strips) {
    if (strip.isWaiting || !isPlaced(node)) continue;
    const words = strip.run?.words;
    const question = strip.question();
    if (question === strip.asked) {
      if (strip.run.words !== words) strip.show();
      continue;
    }
    strip.asked = question;
    strip.isWaiting = true;
    changed.push({ strip, question });
  }
  if (!changed.length) return;
  try {
    const answers = await answersTo(changed.map((each) => each.question));
    changed.forEach(({ strip }, index) => strip.answer(answers[index]));
  } finally {
    for (const { strip } of changed) strip.isWaiting = false;
  }
  ask();
}

async function answersTo(questions) {
  try {
    const response = await api.fetchApi(ROUTE, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: `[${questions.join(",")}]`,
    });
    const answers = await response.json();
    if (Array.isArray(answers) && answers.length === questions.length) return answers;
    const refused = answers?.refused ?? "the server did not answer";
    return questions.map(() => ({ refused, isSilent: response.status === BUSY }));
  } catch {
    const silence = { refused: "this server has no Step Cache preview", isSilent: true };
    return questions.map(() => silence);
  }
}

/** Moving a slider asks at once; what changes elsewhere without a hand (undo, another script) is seen soon after. */
function listenToWidgets(node) {
  for (const widget of node.widgets ?? []) {
    const callback = widget.callback;
    widget.callback = function (...values) {
      const result = callback?.apply(this, values);
      queueMicrotask(ask);
      return result;
    };
  }
}

app.registerExtension({
  name: "stepcache.Strip",

  // Before any workflow is opened.
  async init() {
    const [response] = await Promise.all([api.fetchApi(ROUTE), loadTranslations()]);
    if (response.ok) kinds = new Set(await response.json());
  },

  setup() {
    listenToHands(ask);
    api.addEventListener(EVENT, ({ detail }) => {
      const node = nodeByExecutionId(app.rootGraph ?? app.graph, detail?.node);
      const strip = strips.get(node);
      if (strip && isRun(detail) && detail.type === node.comfyClass) strip.tell(detail);
    });
    api.addEventListener("execution_error", ({ detail }) => {
      if (!OUR_ERRORS.test(detail?.exception_type)) return;
      const failed = nodeByExecutionId(app.rootGraph ?? app.graph, detail.node_id);
      for (const [node, strip] of strips) {
        if (node === failed || samplerOf(node)?.sampler === failed) strip.refuse(detail.exception_message.trim());
      }
    });
    setInterval(() => document.hidden || ask(), LOOK_AGAIN_MS);
  },

  nodeCreated(node) {
    if (!kinds.has(node.comfyClass) || !node.addDOMWidget) return;
    listenToWidgets(node);
    const strip = new Strip(node);
    const widget = node.addDOMWidget(WIDGET, "STEP_CACHE_STRIP", strip.view.element, {
      serialize: false,
      hideOnZoom: false,
      getMinHeight: () => strip.height,
      getMaxHeight: () => strip.height,
    });
    widget.serialize = false;
    strips.set(node, strip);
    const onRemoved = node.onRemoved;
    node.onRemoved = function (...values) {
      strips.delete(node);
      return onRemoved?.apply(this, values);
    };
  },
});
