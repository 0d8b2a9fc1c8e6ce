// Which run a node's model is sampled in, and where the model comes from: walks the graph from the node to the sampler
// and to the loader. No DOM.

const INTO_SUBGRAPH = -10;
const OUT_OF_SUBGRAPH = -20;
const MUTED = 2;
const BYPASSED = 4;
const CARRIERS = new Set(["MODEL", "GUIDER", "SIGMAS", "*"]);
const ONE_BRANCH = "BasicGuider";
const MAX_NODES = 2000;
const MODEL_FILE = /\.(safetensors|sft)$/i;
const MAX_NAMES = 16;

export const ASSUMED_STEPS = 20;

/**
 * @returns {{steps: number, first: number, last: number, cfg: number | null, words: string,
 *   assumed: string[]}} steps that the sampler downstream takes, which part of the whole run they
 *   are (0 … 1), the sampler in words (none where none was found), and what had to be assumed.
 */
export function runOf(node) {
  const found = samplerOf(node);
  if (!found) {
    return run({ steps: ASSUMED_STEPS, assumed: ["steps"] });
  }
  const { holder, sampler } = found;
  const nodes = [holder, sampler, ...sourcesOf(sampler, ["GUIDER", "SAMPLER"])];
  const assumed = [];
  const read = (key, fallback) => {
    const value = nodes.map((each) => valueOf(each, key)).find((each) => each !== undefined);
    if (value === undefined) return fallback;
    if (value !== null) return value;
    assumed.push(key);
    return fallback;
  };
  const steps = Math.max(1, Math.round(read("steps", ASSUMED_STEPS)));
  const cfg = nodes.some((each) => each.type === ONE_BRANCH) ? 1 : read("cfg", null);
  const settings = { steps, cfg, assumed };
  settings.words = [titleOf(sampler), read("sampler_name", ""), read("scheduler", "")].filter(Boolean).join(", ");
  const denoise = Number(read("denoise", 1));
  if (denoise > 0 && denoise < 1) settings.first = 1 - denoise;
  const start = read("start_at_step", undefined);
  if (start !== undefined) {
    const end = Math.min(Number(read("end_at_step", steps)), steps);
    const from = Math.min(Math.max(Number(start), 0), end - 1);
    Object.assign(settings, { steps: end - from, first: from / steps, last: end / steps });
  }
  return run(settings);
}

function run(settings) {
  return { first: 0, last: 1, cfg: null, words: "", assumed: [], ...settings };
}

/** Links, each of them once; whoever walks puts those that come next into the queue. */
function* walked(queue) {
  const seen = new Set();
  while (queue.length && seen.size < MAX_NODES) {
    const step = queue.shift();
    const key = `${step.graph.id ?? "root"} ${step.link.id}`;
    if (seen.has(key)) continue;
    seen.add(key);
    yield step;
  }
}

/** The node that knows the number of steps, and the sampler; often the same. */
export function samplerOf(node) {
  const queue = outputLinks(node);
  for (const { graph, link } of walked(queue)) {
    // Newer front ends have words for ids, older ones numbers.
    if (Number(link.target_id) === OUT_OF_SUBGRAPH) {
      for (const owner of ownersOf(graph)) queue.push(...outputLinks(owner, link.target_slot));
      continue;
    }
    const target = graph.getNodeById(link.target_id);
    if (!target || target.mode === MUTED) continue;
    if (target.subgraph && target.mode !== BYPASSED) {
      queue.push(...linksInto(target.subgraph, link.target_slot));
      continue;
    }
    if (target.mode !== BYPASSED) {
      if (widgetOf(target, "steps") && isSampling(target)) {
        return { holder: target, sampler: target };
      }
      const sigmas = target.inputs?.find((input) => input.type === "SIGMAS" && input.link != null);
      const holder = sigmas && stepsAbove(target, sigmas.link);
      if (holder) return { holder, sampler: target };
    }
    queue.push(...outputLinks(target));
  }
  return null;
}

/** What a node's model comes from, so that what was seen of one is not told of another. */
export function modelOf(node) {
  return JSON.stringify(loadersOf(node).map((each) => [each.id, each.type, valuesOn(each)]));
}

/** Names of model files on every loader that a node's model may come from; the server knows which are real. */
export function filesOf(node) {
  const isFile = (value) => typeof value === "string" && MODEL_FILE.test(value);
  const filesOn = (loader) => valuesOn(loader).filter(isFile).slice(0, MAX_NAMES);
  return loadersOf(node).slice(0, MAX_NAMES).map(filesOn);
}

function valuesOn(node) {
  return (node.widgets ?? []).map(({ name }) => valueOf(node, name));
}

/** Where models begin: upwards from node to node, through what takes a model and gives one. */
function loadersOf(node) {
  const found = new Set();
  const queue = modelLinks(node);
  for (const { graph, link } of walked(queue)) {
    if (Number(link.origin_id) === INTO_SUBGRAPH) {
      for (const owner of ownersOf(graph)) queue.push(...inputLinks(owner, [owner.inputs?.[link.origin_slot]]));
      continue;
    }
    const source = graph.getNodeById(link.origin_id);
    if (!source || source.mode === MUTED) continue;
    if (source.subgraph && source.mode !== BYPASSED) {
      queue.push(...linksOutOf(source.subgraph, link.origin_slot));
      continue;
    }
    const above = modelLinks(source);
    if (above.length) queue.push(...above);
    else found.add(source);
  }
  return [...found];
}

/** Links that bring a node its model; what has no such input may pass anything on, as reroutes do. */
function modelLinks(node) {
  const links = (type) => inputLinks(node, node.inputs?.filter((input) => input.type === type));
  const models = links("MODEL");
  return models.length ? models : links("*");
}

function inputLinks({ graph }, inputs) {
  const linked = (inputs ?? []).filter((input) => input?.link != null);
  return linksOf(graph, linked.map((input) => input.link));
}

/** Other nodes have steps, too: schedulers and our own schedules. */
function isSampling(node) {
  return Boolean(node.outputs?.some((output) => output.type === "LATENT"));
}

/** The nodes that give a node something of these types. */
function sourcesOf(node, types) {
  return (node.inputs ?? [])
    .filter((input) => input.link != null && types.includes(input.type))
    .map((input) => node.graph.getNodeById(linkOf(node.graph, input.link)?.origin_id))
    .filter(Boolean);
}

function stepsAbove(node, linkId) {
  let link = linkOf(node.graph, linkId);
  for (let guard = 0; link && guard < MAX_NODES; guard++) {
    const source = node.graph.getNodeById(link.origin_id);
    if (!source) return null;
    if (widgetOf(source, "steps")) return source;
    const next = source.inputs?.find((input) => input.type === "SIGMAS" && input.link != null);
    link = next && linkOf(node.graph, next.link);
  }
  return null;
}

/** Links that leave a node, or one of its outputs, and may carry a model on. */
function outputLinks(node, slot = null) {
  const outputs = slot === null ? (node.outputs ?? []) : [node.outputs?.[slot]];
  const carriers = outputs.filter((output) => output && CARRIERS.has(output.type));
  return linksOf(node.graph, carriers.flatMap((output) => output.links ?? []));
}

function linksInto(subgraph, slot) {
  return linksOf(subgraph, subgraph.inputs?.[slot]?.linkIds ?? []);
}

function linksOutOf(subgraph, slot) {
  return linksOf(subgraph, subgraph.outputs?.[slot]?.linkIds ?? []);
}

function linksOf(graph, ids) {
  return ids.map((id) => ({ graph, link: linkOf(graph, id) })).filter((each) => each.link);
}

function linkOf(graph, id) {
  if (typeof graph.getLink === "function") return graph.getLink(id);
  return graph.links?.get?.(id) ?? graph.links?.[id];
}

/** Whether a node stands in the workflow: those of a subgraph stay behind when its last node is removed. */
export function isPlaced({ graph }) {
  return Boolean(graph) && (graph === (graph.rootGraph ?? graph) || ownersOf(graph).length > 0);
}

/** Nodes that stand for a subgraph, wherever they are. */
function ownersOf(subgraph) {
  const root = subgraph.rootGraph ?? subgraph;
  const graphs = [root, ...(root.subgraphs?.values?.() ?? [])];
  return graphs.flatMap((graph) => graph.nodes.filter((node) => node.subgraph === subgraph));
}

/** A widget's value; undefined without such a widget, null where another node gives it unseen. */
function valueOf(node, name) {
  const widget = widgetOf(node, name);
  if (!widget) return undefined;
  const input = node.inputs?.find((each) => each.widget?.name === name && each.link != null);
  if (!input) return widget.value;
  const link = linkOf(node.graph, input.link);
  if (Number(link?.origin_id) === INTO_SUBGRAPH) return promotedValue(node.graph, link.origin_slot);
  const source = link && node.graph.getNodeById(link.origin_id);
  const given = source?.widgets?.find((each) => each.name === "value") ?? source?.widgets?.[0];
  return given === undefined || typeof given.value !== typeof widget.value ? null : given.value;
}

/** A value that stands on the node of a subgraph; null where there are several, which may differ. */
function promotedValue(subgraph, slot) {
  const [owner, ...others] = ownersOf(subgraph);
  const name = owner?.inputs?.[slot]?.widget?.name;
  return others.length || !name ? null : (valueOf(owner, name) ?? null);
}

/** The values of a node's own inputs that the server may be asked about. */
export function inputsOf(node) {
  const names = (node.widgets ?? []).filter((each) => each.serialize !== false).map((w) => w.name);
  return Object.fromEntries(names.map((name) => [name, valueOf(node, name)]));
}

function widgetOf(node, name) {
  return node.widgets?.find((widget) => widget.name === name);
}

function titleOf(node) {
  return String(node.title || node.type || "sampler");
}

/** The node that an execution id such as "12" or "3:5" names. */
export function nodeByExecutionId(graph, id) {
  let node = null;
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById?.(part) ?? graph?.getNodeById?.(Number(part)) ?? null;
    graph = node?.subgraph;
  }
  return node;
}
