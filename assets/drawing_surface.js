// The drawing surface: where a reader marks concepts in one picture, in pixels and boxes.
//
// Scripts it needs, before itself: viewport.js, canvas.js, drawing_mask.js, drawing_shapes.js,
// drawing_history.js, drawing_case.js, drawing_boxes.js, drawing_polygon.js, drawing_brushes.js,
// drawing_view.js, drawing_lines.js, drawing_scene.js, drawing_input.js.
// Styles: studio.css, review.css (stage and frame), drawing.css.
//
// const surface = createSurface(root, { onChange, onMessage, onState });
//   root: an empty element that has a size; the surface fills it.
//   onChange({ concept, mark: { mask, boxes }, origin, stroke }): once for every finished step.
//     mask: { size: [height, width], counts } in COCO's order, or null if nothing is painted;
//     boxes: [[x_min, y_min, x_max, y_max], …] in fractions of the sides, to six decimals;
//     origin: "reader", or "suggestion" when a suggestion was accepted (or that was redone);
//     stroke: what was done: "patch", "brush", "eraser", "polygon", "box", "suggestion", "undo"
//     or "redo".
//   onMessage(text): a sentence for the reader.
//   onState({ tool, size, undo, redo, polygon, box, suggestion, zoom }): what buttons show, told
//     whenever any of it changes; size in pixels of the mask (of the patch brush: how high its cells
//     are), undo and redo: how many steps there are, polygon: how many corners the open one has,
//     box: whether one is selected, suggestion: whether the chosen concept has one.
//
// surface.open({ picture, height, width, grid, concepts, marks }): a case; what was open is closed.
//   Its history begins empty. Answers a promise that is kept once the picture shows.
//     picture: URL; height, width: of the mask in pixels; grid: [rows, columns] of the model;
//     concepts: names, in the order of the keys 1 to 9; marks: { name: { mask, boxes, … }, … } as
//     mark_to_json gives. The first concept is chosen. Throws if a mask has other sides.
// surface.close(): nothing is shown; a stroke that is under way is finished first (also by open,
//   choose, tool, undo and redo), so that nothing painted is lost.
// surface.choose(concept): the concept that is drawn on, by name.
// surface.tool(name): "patch", "brush", "eraser", "polygon" or "box".
// surface.size(px): of the brush of the chosen tool; surface.resize(step): as ] (+1) and [ (-1) do.
// surface.undo(), surface.redo(): one step, of whichever concept it was.
// surface.fit(): the whole picture.
// surface.suggest(concept, { mask } | { cells } | null): show what the model would mark, hatched;
//   mask as in onChange, cells: [[row, column], …] of the grid. Shown while the concept is chosen;
//   saying the same again costs nothing.
// surface.acceptSuggestion(): the chosen concept's suggestion becomes part of its region, as one
//   step; boxes and what was painted stay. Says whether there was one.
// surface.mark(concept): { mask, boxes } as they are now.
// surface.key(event): gives a keydown of the page to the surface; true if it was for it (it has
//   then prevented the default). Call it first in the page's own listener, but not for keys typed
//   into fields. Its keys: Z, Shift+Z undo and redo (Ctrl+Z, Ctrl+Y as well); [ ] size; 0 fits;
//   Enter, Escape, Backspace of an open polygon; Delete, Backspace, Escape of a selected box. It
//   leaves all others alone: keys that choose a tool or a concept, or accept a suggestion, are the
//   page's.
//   While the surface has the keyboard focus, arrow keys move a cursor over the patches, Enter and
//   Space paint its patch (erase it with the eraser or with Ctrl); those never reach the page.
//
// drawingColour(index): the colour of a concept, for swatches.

const SURFACE = `<div class="drawing">
  <div class="stage" role="application" tabindex="0"
       aria-label="Picture to mark. Arrow keys move over patches, Enter or Space marks one.">
    <div class="frame">
      <img alt="The picture to mark" draggable="false">
      <div class="grid"></div>
      <div class="cell" hidden></div>
    </div>
    <canvas class="regions"></canvas>
    <canvas class="lines"></canvas>
    <div class="ring" hidden></div>
    <div class="reading" role="status" hidden></div>
  </div>
</div>`;
const TOUCHING = 8; // pixels of the page

function createSurface(root, { onChange, onMessage, onState }) {
  root.innerHTML = SURFACE;
  let drawn = null; // the open case, from makeDrawnCase
  let painter = null;
  let isPainting = false;
  let chosen = null;
  let tool = "patch";
  let zoom = 1;
  let told = "";

  const scene = makeScene(root, (newZoom) => {
    zoom = newZoom;
    input.showBrush();
    tellState();
  });
  const sizes = makeBrushSizes();
  const polygon = makePolygonTool(isNear, { show: showLines, close: fillClosed });
  const boxTool = makeBoxTool(() => drawn.entryOf(chosen).boxes, () => scene.reach(TOUCHING), {
    show: showLines,
    commit: (boxes) => tell(drawn.setBoxes(chosen, boxes)),
    refuse: onMessage,
  });
  const gestures = { brush, down, drag, hover, up, abandon, double, stamp, describe, isBusy };
  const input = makeDrawingInput(root, scene.viewport, () => drawn && drawn.space, gestures);
  const erases = (ctrl) => tool === "eraser" || Boolean(ctrl);
  const fractionsOf = ([x, y]) => [x / drawn.space.width, y / drawn.space.height];

  function brushOf(name) {
    return { cells: name === "patch", size: sizes.of(name) };
  }

  /** The brush as it would paint now, or null. */
  function brush(ctrl) {
    return tool === "polygon" || tool === "box"
      ? null
      : { ...brushOf(tool), erasing: erases(ctrl) };
  }

  function isBusy() {
    return polygon.length > 0;
  }

  function isNear(one, other) {
    const [[x0, y0], [x1, y1]] = [one, other].map(fractionsOf);
    const [across, down] = scene.reach(TOUCHING);
    return Math.abs(x0 - x1) <= across && Math.abs(y0 - y1) <= down;
  }

  function showLines() {
    tellState();
    if (!drawn) return;
    scene.showLines(chosen, {
      boxes: boxTool.shown(),
      chosenBox: boxTool.chosen,
      polygon: polygon.shown().map(fractionsOf),
    });
  }

  function showAll() {
    scene.showRegions(chosen);
    showLines();
  }

  function tellState() {
    const state = {
      tool,
      size: sizes.of(tool) * (tool === "patch" ? cellHeight() : 1),
      undo: drawn?.steps.undo ?? 0,
      redo: drawn?.steps.redo ?? 0,
      polygon: polygon.length,
      box: boxTool.chosen !== null,
      suggestion: Boolean(drawn?.entryOf(chosen).suggestion),
      zoom,
    };
    if (JSON.stringify(state) === told) return;
    told = JSON.stringify(state);
    onState(state);
  }

  function cellHeight() {
    return drawn ? drawn.space.height / drawn.space.rows : 1;
  }

  /** Tell of a step; `name` is how, if it was undone or done again. */
  function tell(step, name = step.name) {
    const { concept } = step;
    const origin = name === "undo" ? "reader" : step.origin;
    showLines();
    onChange({ concept, mark: drawn.mark(concept), origin, stroke: name });
  }

  /** The region that is drawn on, which is shown from now on. */
  function regionDrawnOn() {
    const isNew = !drawn.entryOf(chosen).region;
    const region = drawn.regionOf(chosen);
    if (isNew) scene.showRegions(chosen);
    return region;
  }

  function paintFresh() {
    const rectangle = drawn.stroke.takeFresh();
    if (rectangle) scene.refresh(regionDrawnOn(), rectangle);
  }

  function endStroke(name, origin = "reader", suggestion = null) {
    paintFresh();
    const step = drawn.endStroke({ concept: chosen, name, origin, suggestion });
    if (step) tell(step);
  }

  function down(point, ctrl) {
    if (tool === "box") return boxTool.down(fractionsOf(point));
    if (tool === "polygon") return polygon.press(withinPicture(point), ctrl);
    isPainting = true;
    painter.begin(regionDrawnOn(), erases(ctrl), point, brushOf(tool));
    paintFresh();
  }

  function drag(points) {
    if (tool === "box") return boxTool.move(fractionsOf(points.at(-1)));
    if (tool === "polygon") return polygon.hover(points.at(-1));
    painter.extend(points);
    paintFresh();
  }

  function hover(point) {
    if (tool === "polygon") polygon.hover(point);
  }

  function up() {
    if (tool === "box") boxTool.up();
    if (!isPainting) return;
    isPainting = false;
    endStroke(tool);
  }

  function abandon() {
    if (tool === "box") boxTool.abandon();
    if (tool === "polygon") polygon.abandon();
    if (!isPainting) return;
    isPainting = false;
    const rectangle = drawn.abandonStroke(chosen);
    if (rectangle) scene.refresh(regionDrawnOn(), rectangle);
  }

  /** A second click on a place, which with a brush is but another dab. */
  function double(point) {
    if (tool === "polygon") polygon.close(false);
    const outside = String(point) !== String(withinPicture(point));
    if (outside || (tool === "box" && boxTool.chosen === null)) scene.viewport.fit();
  }

  function withinPicture([x, y]) {
    const { width, height } = drawn.space;
    return [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
  }

  function fillClosed(points, ctrl) {
    drawn.stroke.begin(regionDrawnOn(), ctrl);
    fillPolygon(points, drawn.stroke.fill);
    endStroke("polygon");
  }

  /** Paint or erase a cell of the grid, by the keyboard. */
  function stamp(cell, ctrl) {
    drawn.stroke.begin(regionDrawnOn(), erases(ctrl));
    fillCell(cell, drawn.space, drawn.stroke.fill);
    endStroke(erases(ctrl) ? "eraser" : "patch");
  }

  function describe([row, column]) {
    const part = drawn.coverage(chosen, [row, column]);
    const marked = part === 0 ? "not marked" : part === 1 ? "marked" : "partly marked";
    return `row ${row}, column ${column}: ${marked}`;
  }

  /** Finish what is under way, before something else is looked at. */
  function settle() {
    if (!drawn) return;
    input.settle();
    if (polygon.length) onMessage("The open polygon was dropped.");
    polygon.drop();
    boxTool.release();
  }

  function go(name) {
    const step = drawn[name]();
    if (!step) return onMessage(`Nothing to ${name}.`);
    if (step.suggestion) scene.showRegions(chosen);
    else if (step.pixels) scene.refresh(drawn.regionOf(step.concept), step.pixels.rectangle);
    tell(step, name);
  }

  function undo() {
    if (!drawn) return;
    input.settle();
    if (polygon.length) return polygon.removeLast();
    boxTool.release();
    go("undo");
  }

  function redo() {
    if (!drawn) return;
    settle();
    go("redo");
  }

  function afterSize() {
    input.showBrush();
    tellState();
  }

  function resize(step) {
    sizes.step(tool, step);
    afterSize();
  }

  function close() {
    settle();
    drawn = null;
    scene.close();
    input.showBrush();
    tellState();
  }

  /** What a key does just now, or undefined. */
  function actionOf(event) {
    const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
    const types = event.getModifierState("AltGraph"); // brackets need it on many keyboards
    if (altKey && !types) return undefined;
    const name = key.toLowerCase();
    const command = (ctrlKey || metaKey) && !types;
    if (name === "z") return shiftKey ? redo : undo;
    if (name === "y" && command) return redo;
    if (name === "enter" && polygon.length) return () => polygon.close(ctrlKey);
    if (command) return undefined;
    if (polygon.length && name === "backspace") return polygon.removeLast;
    if (polygon.length && name === "escape") return polygon.drop;
    if (boxTool.chosen !== null && ["delete", "backspace"].includes(name)) return boxTool.remove;
    if (boxTool.chosen !== null && name === "escape") return boxTool.release;
    return { "[": () => resize(-1), "]": () => resize(1), 0: scene.viewport.fit }[name];
  }

  return {
    async open(given) {
      const opened = makeDrawnCase(given);
      close();
      drawn = opened;
      painter = makePainter(drawn.space, drawn.stroke);
      chosen = given.concepts[0];
      const shown = scene.open(drawn, given.picture);
      showAll();
      await shown;
    },
    close,
    choose(concept) {
      settle();
      chosen = concept;
      showAll();
    },
    tool(name) {
      settle();
      tool = name;
      root.querySelector(".stage").dataset.tool = name;
      input.showBrush();
      tellState();
    },
    size(px) {
      sizes.set(tool, px, cellHeight());
      afterSize();
    },
    resize,
    undo,
    redo,
    fit: () => scene.viewport.fit(),
    suggest(concept, given) {
      if (drawn.suggest(concept, given) && concept === chosen) showAll();
    },
    acceptSuggestion() {
      settle();
      const entry = drawn.entryOf(chosen);
      const { suggestion } = entry;
      if (!suggestion) return false;
      drawn.stroke.begin(regionDrawnOn(), false);
      fillRegion(suggestion, drawn.stroke.fill);
      entry.suggestion = null;
      scene.showRegions(chosen);
      endStroke("suggestion", "suggestion", suggestion);
      showLines();
      return true;
    },
    mark: (concept) => drawn.mark(concept),
    key(event) {
      const action = drawn ? actionOf(event) : undefined;
      if (!action) return false;
      event.preventDefault();
      action();
      return true;
    },
  };
}
