// The patch canvas: a picture, the overlay of one concept, and strokes over patches.
// Layers are separate elements, so that an edit repaints one tiny bitmap and never the picture.

const BRUSHES = [1, 3, 5, 7];
const CROP_PATCHES = 5;

/** Cells on the straight line between two cells, so that a fast stroke has no gaps. */
function cellsBetween([row0, column0], [row1, column1]) {
  const steps = Math.max(Math.abs(row1 - row0), Math.abs(column1 - column0), 1);
  return Array.from({ length: steps + 1 }, (_, step) => [
    Math.round(row0 + ((row1 - row0) * step) / steps),
    Math.round(column0 + ((column1 - column0) * step) / steps),
  ]);
}

/** Cells of the rectangle that has two cells as its corners. */
function cellsOfBox([row0, column0], [row1, column1]) {
  const cells = [];
  for (let row = Math.min(row0, row1); row <= Math.max(row0, row1); row++)
    for (let column = Math.min(column0, column1); column <= Math.max(column0, column1); column++)
      cells.push([row, column]);
  return cells;
}

/**
 * @param ref finds the elements of the template by name.
 * @param on {hover(cell|null, cells), stroke(tool, cells), preview(tool, cells), abandon()}: what
 *   the canvas reports; cells are [row, column].
 */
function makePatchCanvas(ref, on) {
  const stage = ref("stage");
  const frame = ref("frame");
  const picture = ref("picture");
  const grid = { rows: 1, columns: 1 };
  const overlay = makeOverlay(ref("heat"), ref("contours"));
  const markLayer = makeMarkLayer(ref("marks"));
  const viewport = makeViewport(stage, frame, layOut);
  const navigation = makeNavigation(stage, viewport);
  let tool = "inspect";
  let brush = 1;
  let boxes = false;
  let hovered = null;
  let stroke = null;

  function layOut(width, height, zoom) {
    ref("zoom").textContent = Math.round(100 * zoom) + " %";
    ref("gridLines").style.backgroundSize =
      width / grid.columns + "px " + height / grid.rows + "px";
    overlay.resize(width, height, grid);
    markLayer.resize(width, height, grid);
  }

  function place(box, cells) {
    box.hidden = !cells?.length;
    if (box.hidden) return;
    const [rows, columns] = [0, 1].map((axis) => cells.map((cell) => cell[axis]));
    const [top, left] = [Math.min(...rows), Math.min(...columns)];
    const sides = {
      left: left / grid.columns,
      top: top / grid.rows,
      width: (Math.max(...columns) + 1 - left) / grid.columns,
      height: (Math.max(...rows) + 1 - top) / grid.rows,
    };
    for (const side in sides) box.style[side] = 100 * sides[side] + "%";
  }

  function cellUnder(event) {
    const box = frame.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * grid.rows);
    const column = Math.floor(((event.clientX - box.left) / box.width) * grid.columns);
    const near = nearest([row, column]);
    return { near, inside: near[0] === row && near[1] === column };
  }

  function nearest([row, column]) {
    return [
      Math.min(Math.max(row, 0), grid.rows - 1),
      Math.min(Math.max(column, 0), grid.columns - 1),
    ];
  }

  function brushed([row, column]) {
    const reach = tool === "inspect" || boxes ? 0 : (brush - 1) / 2;
    return cellsOfBox(
      nearest([row - reach, column - reach]),
      nearest([row + reach, column + reach])
    ).filter(([r, c]) => (r - row) ** 2 + (c - column) ** 2 <= reach * (reach + 1));
  }

  function hover(cell) {
    hovered = cell;
    const under = stroke?.box ? [...stroke.cells.values()] : cell && brushed(cell);
    place(ref("cell"), under);
    on.hover(cell, stroke ? [...stroke.cells.values()] : under);
  }

  function extend(cell) {
    if (stroke.box) stroke.cells.clear();
    const added = stroke.box
      ? cellsOfBox(stroke.first, cell)
      : cellsBetween(stroke.last, cell).flatMap(brushed);
    for (const painted of added) stroke.cells.set(painted[0] * grid.columns + painted[1], painted);
    stroke.last = cell;
    on.preview(stroke.tool, [...stroke.cells.values()]);
  }

  function begin(cell, strokeTool, box = false) {
    stroke = { tool: strokeTool, box, first: cell, last: cell, cells: new Map() };
    extend(cell);
  }

  function finish() {
    if (!stroke) return;
    const done = stroke;
    stroke = null;
    hover(hovered);
    on.stroke(done.tool, [...done.cells.values()]);
  }

  /** First row and column of the patches that a crop around a patch shows. */
  function cropStart(cell) {
    return [grid.rows, grid.columns].map((count, axis) =>
      Math.min(Math.max(cell[axis] - (CROP_PATCHES - 1) / 2, 0), count - CROP_PATCHES)
    );
  }

  function abandon() {
    if (!stroke) return;
    stroke = null;
    on.abandon();
  }

  stage.addEventListener("pointerdown", (event) => {
    if (navigation.down(event)) {
      event.preventDefault();
      return abandon();
    }
    const { near, inside } = cellUnder(event);
    if (event.button !== 0 || !event.isPrimary || !inside) return;
    event.preventDefault();
    document.activeElement?.blur();
    const strokeTool = event.ctrlKey ? "erase" : tool;
    if (strokeTool === "inspect") return on.stroke("inspect", [near]);
    stage.setPointerCapture(event.pointerId);
    begin(near, strokeTool, boxes || event.shiftKey);
    hover(near);
  });
  stage.addEventListener("pointermove", (event) => {
    if (navigation.move(event) || !event.isPrimary) return;
    const { near, inside } = cellUnder(event);
    if (stroke && String(near) !== String(stroke.last)) extend(near);
    const shown = inside || stroke ? near : null;
    if (String(shown) !== String(hovered)) hover(shown);
  });
  stage.addEventListener("pointerup", (event) => {
    if (!navigation.up(event) && event.isPrimary) finish();
  });
  stage.addEventListener("pointercancel", (event) => {
    navigation.up(event);
    abandon();
  });
  stage.addEventListener("pointerleave", () => stroke || hover(null));

  stage.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[
      event.key
    ];
    if (step) {
      const [row, column] = hovered ?? [Math.floor(grid.rows / 2), Math.floor(grid.columns / 2)];
      hover(nearest([row + step[0], column + step[1]]));
    } else if (event.key === "Enter" && hovered) {
      if (tool === "inspect") on.stroke("inspect", [hovered]);
      else {
        begin(hovered, tool);
        finish();
      }
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });

  return {
    async open(source, rows, columns, title) {
      picture.src = source;
      picture.alt = title;
      await picture.decode();
      Object.assign(grid, { rows, columns });
      stroke = null;
      hover(null);
      viewport.fit(picture.naturalWidth / picture.naturalHeight);
    },
    overlay,
    resetZoom: () => viewport.fit(),
    paintMarks: markLayer.paint,
    inspect(cell) {
      place(ref("inspected"), cell && [cell]);
    },
    /** Outline where to look, or nothing. */
    point(cells) {
      place(ref("pointed"), cells);
    },
    setTool(name) {
      tool = name;
      stage.dataset.tool = name;
      hover(hovered);
    },
    setBrush(size) {
      brush = size;
      hover(hovered);
    },
    /** Whether a drag marks a rectangle without Shift. */
    setBoxes(wanted) {
      boxes = wanted;
      hover(hovered);
    },
    cropStart,
    /** Draw a patch with its surroundings onto another canvas, as the atlas shows its patches. */
    crop(target, [row, column]) {
      const context = target.getContext("2d");
      const [top, left] = cropStart([row, column]);
      const width = picture.naturalWidth / grid.columns;
      const height = picture.naturalHeight / grid.rows;
      const patch = target.width / CROP_PATCHES;
      const source = [left * width, top * height, CROP_PATCHES * width, CROP_PATCHES * height];
      context.drawImage(picture, ...source, 0, 0, target.width, target.height);
      for (const [colour, line] of [
        ["#000", 5],
        ["#fff", 2],
      ]) {
        context.strokeStyle = colour;
        context.lineWidth = line;
        context.strokeRect((column - left) * patch, (row - top) * patch, patch, patch);
      }
    },
  };
}
