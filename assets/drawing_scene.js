// Where everything lies on the stage: the picture, the regions over it and the lines over those.

/** @param onZoom (zoom): the picture is shown larger or smaller than before. */
function makeScene(root, onZoom) {
  const part = (name) => root.querySelector(name);
  const stage = part(".stage");
  const frame = part(".frame");
  const picture = part("img");
  const view = makeDrawingView(part(".regions"));
  const lines = makeDrawingLines(part(".lines"));
  const viewport = makeViewport(stage, frame, layOut);
  let drawn = null; // the open case
  let isLaying = false;

  function layOut(width, height, zoom) {
    if (!drawn) return;
    const { rows, columns } = drawn.space;
    part(".grid").style.backgroundSize = `${width / columns}px ${height / rows}px`;
    if (!isLaying) requestAnimationFrame(layLayers);
    isLaying = true;
    onZoom(zoom);
  }

  function layLayers() {
    isLaying = false;
    if (!drawn || !stage.clientWidth || !stage.clientHeight) return;
    const sides = ["left", "top", "width", "height"];
    const box = Object.fromEntries(sides.map((side) => [side, parseFloat(frame.style[side])]));
    view.lay(stage, box, drawn.space.width);
    lines.lay(stage, box);
  }

  const colourOf = (concept) => drawingColour(drawn.concepts.indexOf(concept));

  /** Where a region's number stands: at the head of its first column. */
  function placeOf({ region, mask }) {
    if (!mask) return null;
    const { height, width } = drawn.space;
    const [first] = mask.counts;
    const { left, top, right, bottom } = region.bounds();
    return {
      head: [Math.floor(first / height) / width, (first % height) / height],
      bounds: [left / width, top / height, right / width, bottom / height],
    };
  }

  return {
    viewport,
    /** Show another case; it fits the stage. Answers when its picture shows. */
    async open(newDrawn, source) {
      drawn = newDrawn;
      frame.hidden = false;
      picture.src = source;
      viewport.fit(drawn.space.width / drawn.space.height);
      const opened = drawn;
      try {
        await picture.decode();
      } catch (problem) {
        if (drawn === opened) throw problem; // else another case was opened meanwhile
      }
    },
    close() {
      drawn = null;
      frame.hidden = true;
      picture.removeAttribute("src");
      view.show([]);
      lines.show(null);
    },
    /** Paint all regions anew: another concept is chosen, or a suggestion came or went. */
    showRegions(chosen) {
      const layers = [];
      const add = (region, concept, style) =>
        region && layers.push({ region, colour: colourOf(concept), style });
      add(drawn.entryOf(chosen).region, chosen, "chosen");
      for (const concept of drawn.concepts)
        if (concept !== chosen) add(drawn.entryOf(concept).region, concept, "other");
      add(drawn.entryOf(chosen).suggestion, chosen, "suggestion");
      view.show(layers);
    },
    refresh: view.refresh,
    /** @param now {boxes, chosenBox, polygon}: what is drawn on, as in `makeDrawingLines`. */
    showLines(chosen, now) {
      const others = drawn.concepts.filter((concept) => concept !== chosen);
      lines.show({
        others: others.map((concept) => ({
          boxes: drawn.entryOf(concept).boxes,
          colour: colourOf(concept),
          number: String(drawn.concepts.indexOf(concept) + 1),
          region: placeOf(drawn.entryOf(concept)),
        })),
        colour: colourOf(chosen),
        ...now,
      });
    },
    /** How far is still near, in fractions of the sides. */
    reach: (pixels) => [pixels / frame.offsetWidth, pixels / frame.offsetHeight],
  };
}
