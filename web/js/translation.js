// Says in the front end's language what the pack shows. English stands in the sources of page and server; catalogs
// (locales/<language>/main.json) have its sentences, with numbered places, as keys.
import { api } from "/scripts/api.js";
import { app } from "/scripts/app.js";

const OURS = /^StepCache/;
const PLACE = /\{(\d+)\}/g;
const LISTS = ["; ", ". ", " + ", " and ", ", "];

/** @type {Map<string, Catalog>} */
const catalogs = new Map();

/** Fetch what ComfyUI has of our locales; without it everything stays English. */
export async function loadTranslations() {
  const response = await api.fetchApi("/i18n");
  if (!response.ok) return;
  for (const [name, words] of Object.entries(await response.json())) {
    if (words.stepcache) catalogs.set(name, new Catalog(words.stepcache, words.nodeDefs));
  }
}

/** In the language of today: where it changes, the front end opens the workflow anew. */
function catalog() {
  return catalogs.get(app.extensionManager?.setting.get("Comfy.Locale"));
}

/** A text of the page: English with numbered places, and what stands in them. */
export function say(text, ...values) {
  return filled(catalog()?.texts.get(text) ?? text, values);
}

/** A text of the server. What is not known in it, such as names, stays as it is. */
export function translated(text) {
  return catalog()?.translated(String(text)) ?? text;
}

function filled(text, values) {
  return text.replace(PLACE, (_, place) => values[place]);
}

class Catalog {
  constructor(texts, nodeDefs) {
    const inputs = Object.entries(nodeDefs ?? {}).filter(([node]) => OURS.test(node)).map(([, node]) => node.inputs);
    const names = inputs.flatMap(Object.entries).map(([id, { name }]) => [id, name]);
    this.texts = new Map(Object.entries(texts));
    this.words = new Map([...names, ...this.texts]);
    // Those with most words of their own first: others may be a part of them.
    this.sentences = [...this.texts]
      .map(([english, own]) => ({ pieces: english.split(/\{\d+\}/), own }))
      .filter(({ pieces }) => pieces.length > 1)
      .sort((a, b) => b.pieces.join("").length - a.pieces.join("").length);
  }

  translated(text) {
    return this.known(text) ?? this.list(text) ?? this.about(text) ?? text;
  }

  /** A whole sentence, a name with its settings, or a word with its value; undefined where it is none of ours. */
  known(text) {
    const word = this.words.get(text);
    if (word !== undefined) return word;
    for (const { pieces, own } of this.sentences) {
      const found = between(pieces, text);
      // What is quoted is a name, as menus show it.
      const inPlace = (each, place) => (pieces[place].endsWith('"') ? each : this.translated(each));
      if (found) return filled(own, found.map(inPlace));
    }
    const [, owner, settings] = /^(.+?) \((.*)\)$/.exec(text) ?? [];
    const name = owner && isBalanced(settings) && this.known(owner);
    if (name) return `${name} (${settings.split(", ").map((each) => this.translated(each)).join(", ")})`;
    const [, first, rest] = /^(\S+) ((?:(?!, ).)+)$/.exec(text) ?? [];
    if (this.words.has(first)) return `${this.words.get(first)} ${this.translated(rest)}`;
    if (/^\d+$/.test(first) && this.texts.has(rest)) return `${first} ${this.texts.get(rest)}`;
    return undefined;
  }

  /** Several texts, the first of which is known. */
  list(text) {
    for (const mark of LISTS) {
      for (let at = text.indexOf(mark); at >= 0; at = text.indexOf(mark, at + 1)) {
        const first = this.known(text.slice(0, at));
        if (first !== undefined) return first + mark + this.translated(text.slice(at + mark.length));
      }
    }
    return undefined;
  }

  /** A name and what is said of it. */
  about(text) {
    const [, name, said] = /^(.+?): (.+)$/.exec(text) ?? [];
    return name && `${this.translated(name)}: ${this.translated(said)}`;
  }
}

/** Whether every bracket is closed in a text that stands between two. */
function isBalanced(text) {
  let depth = 0;
  for (const sign of text) {
    depth += (sign === "(") - (sign === ")");
    if (depth < 0) return false;
  }
  return depth === 0;
}

/** What stands in a text between pieces of a sentence, undefined where it is not that sentence. */
function between(pieces, text) {
  const [first, last] = [pieces[0], pieces.at(-1)];
  const end = text.length - last.length;
  if (!text.startsWith(first) || !text.endsWith(last)) return undefined;
  const found = [];
  let at = first.length;
  for (const piece of pieces.slice(1, -1)) {
    const next = text.indexOf(piece, at);
    if (next < 0) return undefined;
    found.push(text.slice(at, next));
    at = next + piece.length;
  }
  return at <= end ? [...found, text.slice(at, end)] : undefined;
}
