// What views on nodes have in common.

export function make(tag, style) {
  const element = document.createElement(tag);
  Object.assign(element.style, style);
  return element;
}

/** Put an element on a node; each run's output goes to `show`. Not serialized: nobody's last run is saved. */
export function addView(node, name, type, element, height, show) {
  const widget = node.addDOMWidget(name, type, element, { serialize: false, getMinHeight: () => height });
  widget.serialize = false;
  const onExecuted = node.onExecuted;
  node.onExecuted = function (output) {
    onExecuted?.apply(this, arguments);
    show(output);
  };
}
