// What is marked in one case, concept by concept, and every step that led there. Nothing here knows
// of the screen.

function makeDrawnCase({ height, width, grid: [rows, columns], concepts, marks }) {
  const space = { rows, columns, height, width };
  const stroke = makeStroke(height, width);
  const steps = makeSteps();
  const entries = new Map(
    concepts.map((concept) => {
      const { mask = null, boxes = [] } = marks[concept] ?? {};
      // Most concepts of a case are never painted: a region is made when it is needed.
      const region = mask && regionOfMask(mask, height, width);
      return [concept, { region, mask, boxes, suggestion: null, suggested: "null" }];
    })
  );
  const entryOf = (concept) => entries.get(concept);

  function regionOf(concept) {
    return (entryOf(concept).region ??= makeRegion(height, width));
  }

  function encode(entry) {
    const counts = entry.region?.counts();
    entry.mask = counts ? { size: [height, width], counts } : null;
  }

  /** What a step changed, done or undone. */
  function apply({ concept, pixels, boxes, suggestion }, undone) {
    const entry = entryOf(concept);
    if (pixels) {
      turnOver(entry.region, pixels);
      encode(entry);
    }
    if (boxes) entry.boxes = undone ? boxes.before : boxes.after;
    if (suggestion) entry.suggestion = undone ? suggestion : null;
  }

  function suggestedRegion({ mask = null, cells = [] }) {
    const region = regionOfMask(mask, height, width);
    for (const cell of cells)
      fillCell(cell, space, (column, top, bottom) => {
        region.bits.fill(1, column * height + top, column * height + bottom);
      });
    region.changed(0, width);
    return region;
  }

  return {
    space,
    stroke,
    steps,
    concepts,
    entryOf,
    regionOf,
    /** @returns {mask, boxes}, which nobody changes afterwards. */
    mark(concept) {
      const { mask, boxes } = entryOf(concept);
      return { mask, boxes };
    },
    /**
     * End the stroke as a step.
     *
     * @param step {concept, name, origin, suggestion}: the suggestion if one was accepted, or null.
     * @returns the step, or null if no pixel is different now.
     */
    endStroke(step) {
      const pixels = stroke.end();
      if (!pixels) return null;
      const done = { ...step, pixels };
      encode(entryOf(step.concept));
      steps.add(done);
      return done;
    },
    /** Take back what the stroke has filled so far; returns the rectangle, or null. */
    abandonStroke(concept) {
      const pixels = stroke.end();
      if (pixels) turnOver(entryOf(concept).region, pixels);
      return pixels && pixels.rectangle;
    },
    setBoxes(concept, after) {
      const entry = entryOf(concept);
      const boxes = { before: entry.boxes, after };
      const step = { concept, name: "box", origin: "reader", boxes };
      entry.boxes = after;
      steps.add(step);
      return step;
    },
    undo() {
      const step = steps.back();
      if (step) apply(step, true);
      return step;
    },
    redo() {
      const step = steps.forth();
      if (step) apply(step, false);
      return step;
    },
    /**
     * @param given {mask}, {cells} or null; it may come in the middle of a stroke.
     * @returns whether another suggestion is there now.
     */
    suggest(concept, given) {
      const entry = entryOf(concept);
      const suggested = JSON.stringify(given);
      if (entry.suggested === suggested && !entry.suggestion === !given) return false;
      entry.suggested = suggested;
      entry.suggestion = given && suggestedRegion(given);
      return true;
    },
    /** How many of a cell's pixels are in a region, from 0 to 1. */
    coverage(concept, cell) {
      const { region } = entryOf(concept);
      let [inside, all] = [0, 0];
      fillCell(cell, space, (column, top, bottom) => {
        all += bottom - top;
        for (let row = top; row < bottom; row++) inside += region?.bits[column * height + row] ?? 0;
      });
      return inside / all;
    },
  };
}
