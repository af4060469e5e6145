// Boxes of one concept, in fractions of the sides: drawn, chosen, moved, resized and deleted.
// A press inside a box that is not chosen may begin a new one: a click chooses it, a drag draws.

const MAX_BOXES = 200; // of a concept, as in csr_core/annotation/records.py
const BOX_HANDLES = [0, 0.5, 1]
  .flatMap((across) => [0, 0.5, 1].map((down) => [across, down]))
  .filter(([across, down]) => across !== 0.5 || down !== 0.5);

const fraction = (value) => Number(Math.min(Math.max(value, 0), 1).toFixed(6));

/** A box between two corners, whichever they are; null if it has no area. */
function boxBetween([x0, y0], [x1, y1]) {
  const [left, right] = [x0, x1].map(fraction).sort((one, other) => one - other);
  const [top, bottom] = [y0, y1].map(fraction).sort((one, other) => one - other);
  return left < right && top < bottom ? [left, top, right, bottom] : null;
}

/** A box after one of its handles was pulled to a point; past the other side it turns over. */
function resizedBox([left, top, right, bottom], [across, down], [x, y]) {
  return boxBetween(
    [across === 0 ? x : left, down === 0 ? y : top],
    [across === 1 ? x : right, down === 1 ? y : bottom]
  );
}

/** A box that was moved, as far as the picture goes. */
function movedBox([left, top, right, bottom], [dx, dy]) {
  const across = Math.min(Math.max(dx, -left), 1 - right);
  const down = Math.min(Math.max(dy, -top), 1 - bottom);
  return boxBetween([left + across, top + down], [right + across, bottom + down]);
}

/**
 * @param boxesNow () => boxes of the chosen concept.
 * @param reachNow () => [across, down]: how near counts as touching, in fractions.
 * @param on {show(), commit(boxes), refuse(text)}: boxes look different, were changed, can't be.
 */
function makeBoxTool(boxesNow, reachNow, on) {
  let chosen = null; // index
  let drag = null; // {change(box or null, point) => box, index, from, box}

  function handleAt([x, y]) {
    if (chosen === null) return undefined;
    const [left, top, right, bottom] = boxesNow()[chosen];
    const [across, down] = reachNow();
    return BOX_HANDLES.find(
      ([toRight, toBottom]) =>
        Math.abs(x - left - toRight * (right - left)) <= across &&
        Math.abs(y - top - toBottom * (bottom - top)) <= down
    );
  }

  /** Whether a box, made larger by some reach, holds a point. */
  function holds([left, top, right, bottom], [x, y], [across, down]) {
    return x >= left - across && x <= right + across && y >= top - down && y <= bottom + down;
  }

  function isOnEdge(box, point) {
    const reach = reachNow();
    return holds(box, point, reach) && !holds(box, point, [-reach[0], -reach[1]]);
  }

  function choose(index) {
    chosen = index >= 0 ? index : null;
    on.show();
  }

  /** Boxes as they are shown, with the one that is being drawn or changed. */
  function shown() {
    if (!drag?.box) return boxesNow();
    return drag.index === null ? [...boxesNow(), drag.box] : boxesNow().with(drag.index, drag.box);
  }

  return {
    shown,
    get chosen() {
      return chosen;
    },
    down(point) {
      const handle = handleAt(point);
      const grabbed = boxesNow().findLastIndex(
        (box, index) => isOnEdge(box, point) || (index === chosen && holds(box, point, [0, 0]))
      );
      if (handle) {
        const before = boxesNow()[chosen];
        drag = { index: chosen, change: (to) => resizedBox(before, handle, to) };
      } else if (grabbed >= 0) {
        const before = boxesNow()[grabbed];
        const change = ([x, y]) => movedBox(before, [x - point[0], y - point[1]]);
        drag = { index: grabbed, change };
        choose(grabbed);
      } else drag = { index: null, change: (to) => boxBetween(point, to) };
      Object.assign(drag, { from: point, box: null });
    },
    move(point) {
      const [across, down] = reachNow().map((reach) => reach / 2);
      const [dx, dy] = [point[0] - drag.from[0], point[1] - drag.from[1]];
      if (!drag.box && Math.abs(dx) <= across && Math.abs(dy) <= down) return; // still a click
      drag.box = drag.change(point) ?? drag.box;
      on.show();
    },
    up() {
      const { index, box, from } = drag;
      const boxes = shown();
      drag = null;
      if (!box) {
        if (index === null) choose(boxes.findLastIndex((other) => holds(other, from, [0, 0])));
      } else if (boxes.length > MAX_BOXES) {
        on.refuse(`At most ${MAX_BOXES} boxes a concept; use the brush.`);
        on.show();
      } else {
        on.commit(boxes);
        choose(index ?? boxes.length - 1);
      }
    },
    abandon() {
      drag = null;
      on.show();
    },
    /** Choose none: another concept, tool or list of boxes. */
    release: () => choose(-1),
    remove() {
      const boxes = boxesNow().toSpliced(chosen, 1);
      choose(-1);
      on.commit(boxes);
    },
  };
}
