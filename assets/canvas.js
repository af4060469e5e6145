// The patch canvas: a picture, the overlay of one concept, and marks on patches.
// Layers are separate elements, so that an edit repaints one tiny bitmap and never the picture.

const CIVIDIS =
  "00224e002e6a1a386f32436d434e6c535a6d61656f6f70737d7c788c88789b9476aba072bcae6ccdbb63dec958f0d846fee838"
    .match(/../g)
    .map((pair) => parseInt(pair, 16));

const UNMARKED = 0;
const SUPPRESSED = 1;
const FORCED = 2;
const MARK_COLOURS = { [SUPPRESSED]: "#6fc3ff", [FORCED]: "#ffb066" };
const BRUSHES = [1, 3, 5, 7];
const CROP_PATCHES = 5;
const WHOLE_IMAGE_ALPHA = 0.3; // a rejected or confirmed concept must not bury the picture

/** Cividis at a place on the colour scale, from 0 to 1, as [red, green, blue]. */
function cividis(value) {
  const place = Math.min(Math.max(value, 0), 1) * (CIVIDIS.length / 3 - 1);
  const low = Math.min(Math.floor(place), CIVIDIS.length / 3 - 2);
  const mix = (channel) => {
    const from = CIVIDIS[3 * low + channel];
    return from + (CIVIDIS[3 * low + 3 + channel] - from) * (place - low);
  };
  return [mix(0), mix(1), mix(2)];
}

/** How much of the picture is hidden at a place on the colour scale: little where it is low. */
function heatAlpha(place) {
  return Math.min(Math.max(place, 0), 1) ** 1.6;
}

/** Cells on the straight line between two cells, so that a fast stroke has no gaps. */
function cellsBetween([row0, column0], [row1, column1]) {
  const steps = Math.max(Math.abs(row1 - row0), Math.abs(column1 - column0), 1);
  return Array.from({ length: steps + 1 }, (_, step) => [
    Math.round(row0 + ((row1 - row0) * step) / steps),
    Math.round(column0 + ((column1 - column0) * step) / steps),
  ]);
}

/**
 * @param ref finds the elements of the template by name.
 * @param on {hover(cell|null), stroke(tool, cells), preview(tool, cells)}: what the canvas reports;
 *   cells are [row, column].
 */
function makePatchCanvas(ref, on) {
  const stage = ref("stage");
  const frame = ref("frame");
  const picture = ref("picture");
  const heat = ref("heat");
  const marks = ref("marks");
  const grid = { rows: 1, columns: 1 };
  let aspect = 1;
  let tool = "inspect";
  let brush = 1;
  let hovered = null;
  let stroke = null;
  let drawnMarks = { chosen: null, others: [] };

  const heatContext = heat.getContext("2d");
  const marksContext = marks.getContext("2d");

  function layOut() {
    const { clientWidth, clientHeight } = stage;
    const width = Math.min(clientWidth, clientHeight * aspect);
    const height = width / aspect;
    Object.assign(frame.style, {
      width: width + "px",
      height: height + "px",
      left: (clientWidth - width) / 2 + "px",
      top: (clientHeight - height) / 2 + "px",
    });
    ref("gridLines").style.backgroundSize =
      width / grid.columns + "px " + height / grid.rows + "px";
    marks.width = Math.round(width * devicePixelRatio);
    marks.height = Math.round(height * devicePixelRatio);
    drawMarks();
    place(ref("cell"), hovered, brushSpan());
  }
  new ResizeObserver(layOut).observe(stage);

  function brushSpan() {
    return tool === "inspect" ? 1 : brush;
  }

  function place(box, cell, span) {
    box.hidden = !cell;
    if (!cell) return;
    const reach = (span - 1) / 2;
    const top = Math.max(cell[0] - reach, 0);
    const left = Math.max(cell[1] - reach, 0);
    const bottom = Math.min(cell[0] + reach + 1, grid.rows);
    const right = Math.min(cell[1] + reach + 1, grid.columns);
    Object.assign(box.style, {
      left: (100 * left) / grid.columns + "%",
      top: (100 * top) / grid.rows + "%",
      width: (100 * (right - left)) / grid.columns + "%",
      height: (100 * (bottom - top)) / grid.rows + "%",
    });
  }

  function cellUnder(event) {
    const box = frame.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * grid.rows);
    const column = Math.floor(((event.clientX - box.left) / box.width) * grid.columns);
    return {
      row,
      column,
      inside: row >= 0 && column >= 0 && row < grid.rows && column < grid.columns,
    };
  }

  function brushed([row, column]) {
    const reach = (brush - 1) / 2;
    const cells = [];
    for (let r = Math.max(row - reach, 0); r <= Math.min(row + reach, grid.rows - 1); r++)
      for (
        let c = Math.max(column - reach, 0);
        c <= Math.min(column + reach, grid.columns - 1);
        c++
      )
        if ((r - row) ** 2 + (c - column) ** 2 <= reach * (reach + 1)) cells.push([r, c]);
    return cells;
  }

  function hover(cell) {
    hovered = cell;
    place(ref("cell"), cell, brushSpan());
    on.hover(cell);
  }

  function extend(cell) {
    for (const step of cellsBetween(stroke.last, cell))
      for (const painted of brushed(step))
        stroke.cells.set(painted[0] * grid.columns + painted[1], painted);
    stroke.last = cell;
    on.preview(stroke.tool, [...stroke.cells.values()]);
  }

  function begin(cell, strokeTool) {
    stroke = { tool: strokeTool, last: cell, cells: new Map() };
    extend(cell);
  }

  function finish() {
    if (!stroke) return;
    const done = stroke;
    stroke = null;
    on.stroke(done.tool, [...done.cells.values()]);
  }

  stage.addEventListener("pointerdown", (event) => {
    const { row, column, inside } = cellUnder(event);
    if (event.button !== 0 || !inside) return;
    event.preventDefault();
    document.activeElement?.blur();
    const strokeTool = event.ctrlKey ? "erase" : tool;
    if (strokeTool === "inspect") return on.stroke("inspect", [[row, column]]);
    stage.setPointerCapture(event.pointerId);
    begin([row, column], strokeTool);
  });
  stage.addEventListener("pointermove", (event) => {
    const { row, column, inside } = cellUnder(event);
    const near = [
      Math.min(Math.max(row, 0), grid.rows - 1),
      Math.min(Math.max(column, 0), grid.columns - 1),
    ];
    if (stroke && (near[0] !== stroke.last[0] || near[1] !== stroke.last[1])) extend(near);
    const shown = inside || stroke ? near : null;
    if (String(shown) !== String(hovered)) hover(shown);
  });
  stage.addEventListener("pointerup", finish);
  stage.addEventListener("pointercancel", finish);
  stage.addEventListener("pointerleave", () => stroke || hover(null));

  stage.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[
      event.key
    ];
    if (step) {
      const [row, column] = hovered ?? [Math.floor(grid.rows / 2), Math.floor(grid.columns / 2)];
      hover([
        Math.min(Math.max(row + step[0], 0), grid.rows - 1),
        Math.min(Math.max(column + step[1], 0), grid.columns - 1),
      ]);
    } else if ((event.key === "Enter" || event.key === " ") && hovered) {
      if (tool === "inspect") on.stroke("inspect", [hovered]);
      else {
        begin(hovered, tool);
        finish();
      }
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function drawMarks() {
    marksContext.clearRect(0, 0, marks.width, marks.height);
    for (const other of drawnMarks.others) drawRegions(other, 0.45, false);
    if (drawnMarks.chosen) drawRegions(drawnMarks.chosen, 1, true);
  }

  function drawRegions(cellMarks, alpha, patterned) {
    for (const kind of [SUPPRESSED, FORCED]) {
      if (!cellMarks.includes(kind)) continue;
      const { outline, area } = regionPaths(cellMarks, kind);
      const context = marksContext;
      context.save();
      context.globalAlpha = cellMarks.every((mark) => mark === kind) ? WHOLE_IMAGE_ALPHA : 1;
      if (patterned) drawPattern(context, area, kind);
      context.globalAlpha = alpha;
      for (const [colour, width] of [
        ["#000b", 4],
        [MARK_COLOURS[kind], 2],
      ]) {
        context.strokeStyle = colour;
        context.lineWidth = width * devicePixelRatio;
        context.setLineDash(patterned ? [] : [5 * devicePixelRatio, 4 * devicePixelRatio]);
        context.stroke(outline);
      }
      context.restore();
    }
  }

  function regionPaths(cellMarks, kind) {
    const outline = new Path2D();
    const area = new Path2D();
    const width = marks.width / grid.columns;
    const height = marks.height / grid.rows;
    const is = (row, column) =>
      row >= 0 &&
      column >= 0 &&
      row < grid.rows &&
      column < grid.columns &&
      cellMarks[row * grid.columns + column] === kind;
    const edge = (x0, y0, x1, y1) => {
      outline.moveTo(x0 * width, y0 * height);
      outline.lineTo(x1 * width, y1 * height);
    };
    for (let row = 0; row < grid.rows; row++)
      for (let column = 0; column < grid.columns; column++) {
        if (!is(row, column)) continue;
        area.rect(column * width, row * height, width, height);
        if (!is(row - 1, column)) edge(column, row, column + 1, row);
        if (!is(row + 1, column)) edge(column, row + 1, column + 1, row + 1);
        if (!is(row, column - 1)) edge(column, row, column, row + 1);
        if (!is(row, column + 1)) edge(column + 1, row, column + 1, row + 1);
      }
    return { outline, area };
  }

  function drawPattern(context, area, kind) {
    const unit = devicePixelRatio;
    context.save();
    context.clip(area);
    context.beginPath();
    if (kind === SUPPRESSED) {
      for (let x = -marks.height; x < marks.width; x += 9 * unit) {
        context.moveTo(x, marks.height);
        context.lineTo(x + marks.height, 0);
      }
    } else {
      const arm = 5 * unit;
      const width = marks.width / grid.columns;
      const height = marks.height / grid.rows;
      for (let y = height / 2; y < marks.height; y += height)
        for (let x = width / 2; x < marks.width; x += width) {
          context.moveTo(x - arm, y);
          context.lineTo(x + arm, y);
          context.moveTo(x, y - arm);
          context.lineTo(x, y + arm);
        }
    }
    // Plus signs need a dark rim on bright heat; under hatching it would darken the picture.
    const strokes =
      kind === FORCED
        ? [
            ["#000c", 4],
            [MARK_COLOURS[kind], 2],
          ]
        : [[MARK_COLOURS[kind], 1.2]];
    for (const [colour, width] of strokes) {
      context.strokeStyle = colour;
      context.lineWidth = width * unit;
      context.stroke();
    }
    context.restore();
  }

  return {
    async open(source, rows, columns, title) {
      picture.src = source;
      picture.alt = title;
      await picture.decode();
      aspect = picture.naturalWidth / picture.naturalHeight;
      Object.assign(grid, { rows, columns });
      heat.width = columns;
      heat.height = rows;
      stroke = null;
      hover(null);
      layOut();
    },
    /** @param values Float32Array of rows × columns similarities; top: that of the brightest colour. */
    paintHeat(values, top) {
      const bitmap = heatContext.createImageData(grid.columns, grid.rows);
      values.forEach((value, cell) =>
        bitmap.data.set([...cividis(value / top), 255 * heatAlpha(value / top)], 4 * cell)
      );
      heatContext.putImageData(bitmap, 0, 0);
    },
    /** @param chosen marks of the chosen concept; others: those of all others, drawn fainter. */
    paintMarks(chosen, others) {
      drawnMarks = { chosen, others };
      drawMarks();
    },
    inspect(cell) {
      place(ref("inspected"), cell, 1);
    },
    setOpacity(opacity) {
      heat.style.opacity = opacity;
    },
    setTool(name) {
      tool = name;
      stage.dataset.tool = name;
      place(ref("cell"), hovered, brushSpan());
    },
    setBrush(size) {
      brush = size;
      place(ref("cell"), hovered, brushSpan());
    },
    /** Draw a patch with its surroundings onto another canvas, as the atlas shows its patches. */
    crop(target, [row, column]) {
      const context = target.getContext("2d");
      const first = (index, count) =>
        Math.min(Math.max(index - (CROP_PATCHES - 1) / 2, 0), count - CROP_PATCHES);
      const top = first(row, grid.rows);
      const left = first(column, grid.columns);
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
