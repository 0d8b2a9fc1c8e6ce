// When a hand may have moved something on the page: mouse, pen, finger or keys.

const AGAIN_MS = 20;
const HANDS = ["pointermove", "pointerup", "click", "keyup", "wheel", "input", "change"];

/**
 * A hand may have moved any widget, such as the sampler's steps. Looked at as soon as its event has been dealt with,
 * and once more a little later: some widgets pass a value on only then.
 *
 * @param {() => void} look
 */
export function listenToHands(look) {
  let isDue = false;
  let hasMoved = false;
  const take = () => {
    const begun = performance.now();
    look();
    isDue = hasMoved;
    hasMoved = false;
    // In a graph of many nodes looking takes a while, and a drag goes on.
    if (isDue) setTimeout(take, Math.max(AGAIN_MS, 4 * (performance.now() - begun)));
  };
  const onHand = ({ type, buttons }) => {
    if (type === "pointermove" && !buttons) return;
    hasMoved = true;
    if (!isDue) setTimeout(take);
    isDue = true;
  };
  for (const type of HANDS) window.addEventListener(type, onHand, { capture: true, passive: true });
}
