// The drawing surface: where a reader marks concepts in one picture, in pixels and boxes.
//
// Scripts it needs, before itself: viewport.js, canvas.js, and drawing_mask.js, drawing_shapes.js,
// drawing_history.js, drawing_boxes.js, drawing_view.js, drawing_lines.js, drawing_case.js,
// drawing_tools.js, drawing_input.js.
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
//     whenever any of it changes; size in pixels of the mask (of the patch brush: the height that its
//     cells have), undo and redo: how many steps there are, polygon: how many points the open one has,
//     box: whether one is selected, suggestion: whether the chosen concept has one.
//
// surface.open({ picture, height, width, grid, concepts, marks }): a case; what was open is closed.
//   Its history begins empty. Answers a promise that is kept once the picture shows.
//     picture: URL; height, width: of the mask in pixels; grid: [rows, columns] of the model;
//     concepts: names, in the order of the keys 1 to 9; marks: { name: { mask, boxes, … }, … } as
//     mark_to_json gives them. The first concept is chosen. Throws if a mask has other sides.
// surface.close(): nothing is shown; a stroke that is under way is finished first (also by open,
//   choose, tool, undo and redo), so that nothing painted is lost.
// surface.choose(concept): the concept that is drawn on, by name.
// surface.tool(name): "patch", "brush", "eraser", "polygon" or "box".
// surface.size(px): of the brush of the chosen tool; surface.resize(step): as ] (+1) and [ (-1) do.
// surface.undo(), surface.redo(): one step, of whichever concept it was.
// surface.fit(): the whole picture.
// surface.suggest(concept, { mask } | { cells } | null): show what the model would mark, hatched;
//   mask as in onChange, cells: [[row, column], …] of the grid. Shown while the concept is chosen.
// surface.acceptSuggestion(): the chosen concept's suggestion becomes part of its region, as one
//   step; boxes and what was painted stay. Says whether there was one.
// surface.mark(concept): { mask, boxes } as they are now.
// surface.key(event): gives a keydown of the page to the surface; true if it was for it (it has then
//   prevented the default). Call it first in the page's own listener, and not for keys typed into
//   fields. Its keys: Z, Shift+Z undo and redo; [ ] size; 0 fits; Enter, Escape, Backspace of an
//   open polygon; Delete, Backspace, Escape of a selected box. It leaves all other keys alone: keys
//   that choose a tool or a concept, or accept a suggestion, are the page's.
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
  const part = (name) => root.querySelector(name);
  const stage = part(".stage");
  const frame = part(".frame");
  const picture = part("img");
  const view = makeDrawingView(part(".regions"));
  const lines = makeDrawingLines(part(".lines"));
  const viewport = makeViewport(stage, frame, layOut);
  const sizes = makeBrushSizes();
  const polygon = makePolygon();
  const boxTool = makeBoxTool(() => drawn.entryOf(chosen).boxes, touching, {
    show: showLines,
    commit: (boxes) => tell(drawn.setBoxes(chosen, boxes)),
    refuse: onMessage,
  });
  const input = makeDrawingInput(
    { stage, frame, ring: part(".ring"), cell: part(".cell"), reading: part(".reading") },
    viewport,
    () => drawn && drawn.space,
    {
      brush: (ctrl) => (isBrush() ? { ...brushOf(tool), erasing: erases(ctrl) } : null),
      down: press,
      drag: (points) => {
        if (painting) extend(points);
        else if (tool === "box") boxTool.move(fractionsOf(points.at(-1)));
        else hover(points.at(-1));
      },
      hover,
      up: () => {
        if (painting) finishPainting();
        else if (tool === "box") boxTool.up();
      },
      abandon,
      double: (point) => {
        if (tool === "polygon") closePolygon(false);
        else if (!isInPicture(point) || (tool === "box" && boxTool.chosen === null)) viewport.fit();
      },
      stamp,
      describe: describeCell,
      busy: () => polygon.points.length > 0,
    }
  );
  let drawn = null; // the open case, from makeDrawnCase
  let painter = null;
  let painting = false;
  let chosen = null;
  let tool = "patch";
  let pointer = [0, 0]; // for the line from a polygon to it
  let zoom = 1;
  let layoutAsked = false;
  let told = "";

  const isBrush = () => tool !== "polygon" && tool !== "box";
  const erases = (ctrl) => tool === "eraser" || ctrl;
  const fractionsOf = ([x, y]) => [x / drawn.space.width, y / drawn.space.height];
  const colourOf = (concept) => drawingColour(drawn.concepts.indexOf(concept));

  function brushOf(name) {
    return { cells: name === "patch", size: sizes.of(name) };
  }

  function isInPicture([x, y]) {
    return x >= 0 && y >= 0 && x <= drawn.space.width && y <= drawn.space.height;
  }

  /** What counts as near, in fractions of the sides. */
  function touching() {
    return [TOUCHING / frame.offsetWidth, TOUCHING / frame.offsetHeight];
  }

  function layOut(width, height, newZoom) {
    zoom = newZoom;
    if (!drawn) return;
    const { rows, columns } = drawn.space;
    part(".grid").style.backgroundSize = `${width / columns}px ${height / rows}px`;
    if (!layoutAsked) requestAnimationFrame(layLayers);
    layoutAsked = true;
    tellState();
  }

  function layLayers() {
    layoutAsked = false;
    if (!drawn || !stage.clientWidth || !stage.clientHeight) return;
    const sides = ["left", "top", "width", "height"];
    const box = Object.fromEntries(sides.map((side) => [side, parseFloat(frame.style[side])]));
    view.lay(stage, box, drawn.space.width);
    lines.lay(stage, box);
    input.showBrush();
  }

  function showRegions() {
    const layers = [];
    const add = (region, concept, style) =>
      region && layers.push({ region, colour: colourOf(concept), style });
    if (drawn) {
      add(drawn.entryOf(chosen).region, chosen, "chosen");
      for (const concept of drawn.concepts)
        if (concept !== chosen) add(drawn.entryOf(concept).region, concept, "other");
      add(drawn.entryOf(chosen).suggestion, chosen, "suggestion");
    }
    view.show(layers);
    showLines();
  }

  /** Where the number of a region stands: at the head of its first column. */
  function anchorOf({ mask }) {
    if (!mask) return null;
    const { height } = drawn.space;
    return fractionsOf([Math.floor(mask.counts[0] / height), mask.counts[0] % height]);
  }

  function showLines() {
    tellState();
    if (!drawn) return lines.show(null);
    const others = drawn.concepts.filter((concept) => concept !== chosen);
    const concepts = others.map((concept) => ({
      boxes: drawn.entryOf(concept).boxes,
      colour: colourOf(concept),
      number: String(drawn.concepts.indexOf(concept) + 1),
      anchor: anchorOf(drawn.entryOf(concept)),
    }));
    lines.show({
      others: concepts,
      boxes: boxTool.shown(),
      chosenBox: boxTool.chosen,
      colour: colourOf(chosen),
      polygon: [...polygon.points, ...(polygon.points.length ? [pointer] : [])].map(fractionsOf),
    });
  }

  function tellState() {
    const height = drawn ? drawn.space.height / drawn.space.rows : 1;
    const state = {
      tool,
      size: sizes.of(tool) * (tool === "patch" ? height : 1),
      undo: drawn?.steps.undo ?? 0,
      redo: drawn?.steps.redo ?? 0,
      polygon: polygon.points.length,
      box: drawn !== null && boxTool.chosen !== null,
      suggestion: Boolean(drawn?.entryOf(chosen).suggestion),
      zoom,
    };
    if (JSON.stringify(state) === told) return;
    told = JSON.stringify(state);
    onState(state);
  }

  /** Tell of a finished step; `name` is how it is told of if it was undone or done again. */
  function tell(step, name = step.name) {
    const { concept } = step;
    const origin = name === "undo" ? "reader" : step.origin;
    showLines();
    onChange({ concept, mark: drawn.mark(concept), origin, stroke: name });
  }

  function begin() {
    const isNew = !drawn.entryOf(chosen).region;
    const region = drawn.regionOf(chosen);
    if (isNew) showRegions();
    return region;
  }

  function paintFresh() {
    const rectangle = drawn.stroke.takeFresh();
    if (rectangle) view.refresh(drawn.regionOf(chosen), rectangle);
  }

  function endStroke(name, origin = "reader", suggestion = null) {
    paintFresh();
    const step = drawn.endStroke({ concept: chosen, name, origin, suggestion });
    if (step) tell(step);
  }

  function press(point, ctrl) {
    if (tool === "box") return boxTool.down(fractionsOf(point));
    if (tool === "polygon") return addCorner(point, ctrl);
    painting = true;
    painter.begin(begin(), erases(ctrl), point, brushOf(tool));
    paintFresh();
  }

  function extend(points) {
    painter.extend(points);
    paintFresh();
  }

  function finishPainting() {
    painting = false;
    endStroke(tool);
  }

  function abandon() {
    if (tool === "box") boxTool.abandon();
    if (!painting) return;
    painting = false;
    const rectangle = drawn.abandonStroke(chosen);
    if (rectangle) view.refresh(drawn.regionOf(chosen), rectangle);
  }

  /** Paint or erase a cell of the grid, by the keyboard. */
  function stamp(cell, ctrl) {
    drawn.stroke.begin(begin(), erases(ctrl));
    fillCell(cell, drawn.space, drawn.stroke.fill);
    endStroke(erases(ctrl) ? "eraser" : "patch");
  }

  function describeCell([row, column]) {
    const part = drawn.coverage(chosen, [row, column]);
    const marked = part === 0 ? "not marked" : part === 1 ? "marked" : "partly marked";
    return `row ${row}, column ${column}: ${marked}`;
  }

  function hover(point) {
    pointer = point;
    if (polygon.points.length) showLines();
  }

  function isNear(one, other) {
    const [[x0, y0], [x1, y1]] = [one, other].map(fractionsOf);
    const [across, down] = touching();
    return Math.abs(x0 - x1) <= across && Math.abs(y0 - y1) <= down;
  }

  function addCorner([x, y], ctrl) {
    const { width, height } = drawn.space;
    const point = [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
    pointer = point;
    if (polygon.points.length > 2 && isNear(point, polygon.points[0])) return closePolygon(ctrl);
    if (!polygon.points.length || !isNear(point, polygon.points.at(-1))) polygon.add(point);
    showLines();
  }

  function closePolygon(ctrl) {
    if (polygon.points.length < 3) return;
    const { points } = polygon;
    polygon.drop();
    drawn.stroke.begin(begin(), ctrl);
    fillPolygon(points, drawn.stroke.fill);
    endStroke("polygon");
    showLines();
  }

  function dropPolygon() {
    if (!polygon.points.length) return;
    polygon.drop();
    showLines();
  }

  function removeCorner() {
    polygon.removeLast();
    showLines();
  }

  /** Finish what is under way, before something else is looked at. */
  function settle() {
    if (!drawn) return;
    input.settle();
    if (polygon.points.length) onMessage("The open polygon was dropped.");
    dropPolygon();
    boxTool.release();
  }

  function go(name, step) {
    if (!step) return onMessage(name === "undo" ? "Nothing to undo." : "Nothing to redo.");
    if (step.suggestion) showRegions();
    else if (step.pixels) view.refresh(drawn.regionOf(step.concept), step.pixels.rectangle);
    tell(step, name);
  }

  function undo() {
    if (!drawn) return;
    input.settle();
    if (polygon.points.length) return removeCorner();
    boxTool.release();
    go("undo", drawn.undo());
  }

  function redo() {
    if (!drawn) return;
    settle();
    go("redo", drawn.redo());
  }

  function changeSize(change) {
    change();
    input.showBrush();
    tellState();
  }

  const resize = (step) => changeSize(() => sizes.step(tool, step));

  function close() {
    settle();
    drawn = null;
    picture.removeAttribute("src");
    frame.hidden = true;
    showRegions();
    input.showBrush();
  }

  /** What a key does just now, or undefined. */
  function actionOf({ key, ctrlKey, metaKey, shiftKey }) {
    const name = key.toLowerCase();
    const command = ctrlKey || metaKey;
    if (name === "z") return shiftKey ? redo : undo;
    if (name === "y" && command) return redo;
    if (polygon.points.length && name === "enter") return () => closePolygon(ctrlKey);
    if (command) return undefined;
    if (polygon.points.length) {
      if (name === "backspace") return removeCorner;
      if (name === "escape") return dropPolygon;
    }
    if (boxTool.chosen !== null) {
      if (name === "delete" || name === "backspace") return boxTool.remove;
      if (name === "escape") return boxTool.release;
    }
    return { "[": () => resize(-1), "]": () => resize(1), 0: () => viewport.fit() }[name];
  }

  return {
    async open(given) {
      const opened = makeDrawnCase(given);
      close();
      drawn = opened;
      painter = makePainter(drawn.space, drawn.stroke);
      chosen = given.concepts[0];
      frame.hidden = false;
      picture.src = given.picture;
      viewport.fit(given.width / given.height);
      showRegions();
      try {
        await picture.decode();
      } catch (problem) {
        if (drawn === opened) throw problem; // else another case was opened meanwhile
      }
    },
    close,
    choose(concept) {
      settle();
      chosen = concept;
      showRegions();
    },
    tool(name) {
      settle();
      tool = name;
      stage.dataset.tool = name;
      input.showBrush();
      tellState();
    },
    size(px) {
      const cell = drawn.space.height / drawn.space.rows;
      changeSize(() => sizes.set(tool, px, cell));
    },
    resize,
    undo,
    redo,
    fit: () => viewport.fit(),
    suggest(concept, given) {
      drawn.suggest(concept, given);
      if (concept === chosen) showRegions();
    },
    acceptSuggestion() {
      settle();
      const entry = drawn.entryOf(chosen);
      const { suggestion } = entry;
      if (!suggestion) return false;
      drawn.stroke.begin(begin(), false);
      fillRegion(suggestion, drawn.stroke.fill);
      entry.suggestion = null;
      endStroke("suggestion", "suggestion", suggestion);
      showRegions();
      return true;
    },
    mark: (concept) => drawn.mark(concept),
    key(event) {
      const action = drawn && !event.altKey ? actionOf(event) : undefined;
      if (!action) return false;
      event.preventDefault();
      action();
      return true;
    },
  };
}
