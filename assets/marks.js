// Marks on patches: every kind of edit has a colour and a pattern of its own, so that colour alone
// never carries the meaning. Suppress: blue hatching; force: orange plus signs; ignore: grey-violet
// cross hatching; focus: a dotted green border, everything outside it dimmed.

const MARK_COLOURS = { [SUPPRESSED]: "#6fc3ff", [FORCED]: "#ffb066", [IGNORED]: "#c9b8f0" };
const FOCUS_COLOUR = "#8be28b";
const WHOLE_IMAGE_ALPHA = 0.3; // a rejected or confirmed concept must not bury the picture
const HATCH = 9;

/**
 * Outline and area of the cells that are in a region.
 *
 * @param isIn (cell index) => boolean.
 */
function regionPaths(isIn, { rows, columns }, width, height) {
  const outline = new Path2D();
  const area = new Path2D();
  const [cellWidth, cellHeight] = [width / columns, height / rows];
  const is = (row, column) =>
    row >= 0 && column >= 0 && row < rows && column < columns && isIn(row * columns + column);
  const edge = (x0, y0, x1, y1) => {
    outline.moveTo(x0 * cellWidth, y0 * cellHeight);
    outline.lineTo(x1 * cellWidth, y1 * cellHeight);
  };
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      if (!is(row, column)) continue;
      area.rect(column * cellWidth, row * cellHeight, cellWidth, cellHeight);
      if (!is(row - 1, column)) edge(column, row, column + 1, row);
      if (!is(row + 1, column)) edge(column, row + 1, column + 1, row + 1);
      if (!is(row, column - 1)) edge(column, row, column, row + 1);
      if (!is(row, column + 1)) edge(column + 1, row, column + 1, row + 1);
    }
  return { outline, area };
}

/** Draws marks onto a canvas that lies over the picture. */
function makeMarkLayer(canvas) {
  const context = canvas.getContext("2d");
  let unit = 1; // canvas pixels in a pixel of the page
  let grid = { rows: 1, columns: 1 };
  let drawn = null;

  function hatching(directions) {
    const path = new Path2D();
    const { width, height } = canvas;
    for (let x = -height; x < width; x += HATCH * unit)
      for (const up of directions) {
        path.moveTo(x, up ? height : 0);
        path.lineTo(x + height, up ? 0 : height);
      }
    return path;
  }

  function plusSigns() {
    const path = new Path2D();
    const [width, height] = [canvas.width / grid.columns, canvas.height / grid.rows];
    const arm = 5 * unit;
    for (let y = height / 2; y < canvas.height; y += height)
      for (let x = width / 2; x < canvas.width; x += width) {
        path.moveTo(x - arm, y);
        path.lineTo(x + arm, y);
        path.moveTo(x, y - arm);
        path.lineTo(x, y + arm);
      }
    return path;
  }

  function drawPattern(area, kind) {
    context.save();
    context.clip(area);
    if (kind === FORCED) strokeTwice(context, unit, plusSigns(), MARK_COLOURS[kind], 2);
    else {
      context.strokeStyle = MARK_COLOURS[kind];
      context.lineWidth = 1.2 * unit;
      context.stroke(hatching(kind === IGNORED ? [true, false] : [true]));
    }
    context.restore();
  }

  function drawKind(marks, kind, chosen) {
    if (!marks.includes(kind)) return;
    const paths = regionPaths((cell) => marks[cell] === kind, grid, canvas.width, canvas.height);
    context.save();
    context.globalAlpha = marks.every((mark) => mark === kind) ? WHOLE_IMAGE_ALPHA : 1;
    if (chosen) drawPattern(paths.area, kind);
    context.globalAlpha = chosen ? 1 : 0.45;
    strokeTwice(context, unit, paths.outline, MARK_COLOURS[kind], 2, chosen ? [] : [5, 4]);
    context.restore();
  }

  function drawFocus(focus) {
    const { width, height } = canvas;
    const outside = regionPaths((cell) => !focus[cell], grid, width, height);
    const inside = regionPaths((cell) => focus[cell], grid, width, height);
    context.save();
    context.fillStyle = "#0c1014a8";
    context.fill(outside.area);
    context.lineCap = "round";
    strokeTwice(context, unit, inside.outline, FOCUS_COLOUR, 3, [0.1, 7]);
    context.restore();
  }

  function draw() {
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!drawn) return;
    const { evidence, concept } = drawn;
    if (evidence.focused) drawFocus(evidence.focus);
    evidence.marks.forEach((marks, index) => {
      if (index !== concept) for (const kind of [SUPPRESSED, FORCED]) drawKind(marks, kind, false);
    });
    for (const kind of [SUPPRESSED, FORCED, IGNORED]) drawKind(evidence.marks[concept], kind, true);
  }

  return {
    resize(width, height, newGrid) {
      unit = fitCanvas(canvas, width, height);
      grid = newGrid;
      draw();
    },
    /** @param concept index of the chosen one; marks of the others are drawn fainter. */
    paint(evidence, concept) {
      drawn = { evidence, concept };
      draw();
    },
  };
}
