// Shapes in pixels: each is handed on as pieces of columns, fill(column, top, bottom), where the
// bottom is past the last row. A pixel is inside if its centre is. Pieces may leave the picture.

const LEAST_REACH = Math.SQRT1_2; // a finer brush would miss the very pixel it is in

/** Where a straight line is at x, or NaN beside it. */
function heightOn([x0, y0], [x1, y1], x) {
  if (x0 === x1 || x < Math.min(x0, x1) || x > Math.max(x0, x1)) return NaN;
  return y0 + ((y1 - y0) * (x - x0)) / (x1 - x0);
}

/** What a round brush covers on its way from a point straight to another. */
function fillSweep(from, to, size, fill) {
  const reach = Math.max(size / 2, LEAST_REACH);
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = Math.hypot(dx, dy) || 1;
  const aside = [(-dy / length) * reach, (dx / length) * reach];
  const flanks = [1, -1].map((side) =>
    [from, to].map(([x, y]) => [x + side * aside[0], y + side * aside[1]])
  );
  const last = Math.floor(Math.max(from[0], to[0]) + reach - 0.5);
  for (let column = Math.ceil(Math.min(from[0], to[0]) - reach - 0.5); column <= last; column++) {
    const x = column + 0.5;
    let [top, bottom] = [Infinity, -Infinity];
    for (const end of [from, to]) {
      const half = Math.sqrt(reach ** 2 - (x - end[0]) ** 2); // NaN beside the disc
      if (end[1] - half < top) top = end[1] - half;
      if (end[1] + half > bottom) bottom = end[1] + half;
    }
    for (const [start, stop] of flanks) {
      const y = heightOn(start, stop, x);
      if (y < top) top = y;
      if (y > bottom) bottom = y;
    }
    fill(column, Math.ceil(top - 0.5), Math.floor(bottom - 0.5) + 1);
  }
}

/** The inside of a closed polygon; where it overlaps itself, every other part is inside. */
function fillPolygon(points, fill) {
  const across = points.map(([x]) => x);
  const last = Math.floor(Math.max(...across) - 0.5);
  for (let column = Math.ceil(Math.min(...across) - 0.5); column <= last; column++) {
    const x = column + 0.5;
    const crossings = [];
    points.forEach((point, index) => {
      const next = points[(index + 1) % points.length];
      if (point[0] <= x !== next[0] <= x) crossings.push(heightOn(point, next, x));
    });
    crossings.sort((one, other) => one - other);
    for (let index = 0; index + 1 < crossings.length; index += 2)
      fill(column, Math.ceil(crossings[index] - 0.5), Math.ceil(crossings[index + 1] - 0.5));
  }
}

/** The pixels of a cell of the grid; those of all cells together are the picture, each once. */
function fillCell([row, column], { rows, columns, height, width }, fill) {
  const [top, bottom] = [row, row + 1].map((edge) => Math.floor((edge * height) / rows));
  const [left, right] = [column, column + 1].map((edge) => Math.floor((edge * width) / columns));
  for (let x = left; x < right; x++) fill(x, top, bottom);
}

/** All of another region. */
function fillRegion(region, fill) {
  region.edges().forEach((rows, column) => {
    for (let index = 0; index < rows.length; index += 2) fill(column, rows[index], rows[index + 1]);
  });
}
