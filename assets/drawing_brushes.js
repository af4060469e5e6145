// The brushes, which sweep along the way of the pointer. They know nothing of the screen; points
// are [x, y] in pixels of the mask.

const BRUSH_SIZES = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256]; // in pixels

/** Sizes of the brush of each tool; those of the patch brush are counted in cells. */
function makeBrushSizes() {
  const sizes = { patch: 1, brush: 16, eraser: 16 };
  const choices = (tool) => (tool === "patch" ? BRUSHES : BRUSH_SIZES);

  return {
    of: (tool) => sizes[tool] ?? sizes.brush,
    /** @param size in pixels, @param cell the height of a cell in pixels. */
    set(tool, size, cell) {
      if (!(tool in sizes)) return;
      const [least, most] = [choices(tool)[0], choices(tool).at(-1)];
      const wanted = tool === "patch" ? 2 * Math.round((size / cell - 1) / 2) + 1 : size;
      sizes[tool] = Math.min(Math.max(wanted, least), most);
    },
    /** The next larger (+1) or smaller (-1) size. */
    step(tool, direction) {
      const now = sizes[tool]; // nothing for a tool without a brush
      const next =
        direction > 0
          ? choices(tool).find((size) => size > now)
          : choices(tool).findLast((size) => size < now);
      if (next) sizes[tool] = next;
    },
  };
}

/** The cell of the grid that a point is in; it may lie outside. */
function cellAt([x, y], { rows, columns, height, width }) {
  return [Math.floor((y / height) * rows), Math.floor((x / width) * columns)];
}

/** Cells that the patch brush covers around one, as in the review. */
function cellsAround([row, column], size, { rows, columns }) {
  const reach = (size - 1) / 2;
  return cellsOfBox([row - reach, column - reach], [row + reach, column + reach]).filter(
    ([r, c]) =>
      (r - row) ** 2 + (c - column) ** 2 <= reach * (reach + 1) &&
      r >= 0 &&
      c >= 0 &&
      r < rows &&
      c < columns
  );
}

/**
 * The brushes.
 *
 * @param space {rows, columns, height, width} of the case.
 * @param stroke what is filled, from `makeStroke`.
 */
function makePainter(space, stroke) {
  let last = null; // where the brush is
  let brush = null; // {cells, size}

  function sweep(from, to) {
    if (!brush.cells) return fillSweep(from, to, brush.size, stroke.fill);
    const [first, cell] = [from, to].map((point) => cellAt(point, space));
    const covered = cellsBetween(first, cell).flatMap((at) => cellsAround(at, brush.size, space));
    for (const each of covered) fillCell(each, space, stroke.fill);
  }

  return {
    /** @param {cells, size}: whether whole cells are painted, and the size in cells or pixels. */
    begin(region, erasing, point, chosenBrush) {
      stroke.begin(region, erasing);
      brush = chosenBrush;
      last = point;
      sweep(point, point);
    },
    extend(points) {
      for (const point of points) {
        sweep(last, point);
        last = point;
      }
    },
  };
}
