// Regions of one picture, a byte a pixel, in COCO's order: down the columns, from left to right. A
// column is filled and encoded in one sweep, and only columns that changed are encoded again.

const NO_EDGES = new Uint16Array(0);

/** Rows where a column goes into its region and out of it, by turns. */
function edgesOf(column) {
  const edges = [];
  let inside = 0;
  for (let row = 0; row < column.length; row++)
    if (column[row] !== inside) {
      edges.push(row);
      inside ^= 1;
    }
  if (inside) edges.push(column.length);
  return edges.length ? Uint16Array.from(edges) : NO_EDGES;
}

/** An empty region. */
function makeRegion(height, width) {
  const bits = new Uint8Array(height * width); // 1 inside, at column * height + row
  const edges = Array(width).fill(NO_EDGES);
  const stale = new Set(); // columns whose edges are no longer true

  function encode() {
    for (const column of stale)
      edges[column] = edgesOf(bits.subarray(column * height, (column + 1) * height));
    stale.clear();
  }

  return {
    bits,
    height,
    width,
    /** Edges of every column. */
    edges() {
      encode();
      return edges;
    },
    /** Say that pixels from a column on, up to another, were changed. */
    changed(left, right) {
      for (let column = left; column < right; column++) stale.add(column);
    },
    /** Lengths of the runs, the first one outside; null if the region is empty. */
    counts() {
      encode();
      const turns = [];
      for (let column = 0; column < width; column++)
        for (const row of edges[column]) {
          const turn = column * height + row;
          // The foot of a column and the head of the next touch in this order.
          if (turns.length && turns[turns.length - 1] === turn) turns.pop();
          else turns.push(turn);
        }
      if (!turns.length) return null;
      const counts = turns.map((turn, index) => turn - (index ? turns[index - 1] : 0));
      const rest = bits.length - turns[turns.length - 1];
      return rest ? [...counts, rest] : counts;
    },
    /** The smallest rectangle around the region, or null. */
    bounds() {
      encode();
      const box = { left: width, top: height, right: 0, bottom: 0 };
      for (let column = 0; column < width; column++) {
        const rows = edges[column];
        if (!rows.length) continue;
        box.left = Math.min(box.left, column);
        box.right = column + 1;
        box.top = Math.min(box.top, rows[0]);
        box.bottom = Math.max(box.bottom, rows[rows.length - 1]);
      }
      return box.right ? box : null;
    },
  };
}

/**
 * The region that a mask gives.
 *
 * @param mask {size: [height, width], counts} or null; throws if it is of another size.
 */
function regionOfMask(mask, height, width) {
  const region = makeRegion(height, width);
  if (!mask) return region;
  const total = mask.counts.reduce((sum, count) => sum + count, 0);
  if (mask.size[0] !== height || mask.size[1] !== width || total !== height * width)
    throw new Error(`A region of this picture has ${height} × ${width} pixels.`);
  let place = 0;
  mask.counts.forEach((count, index) => {
    if (index % 2) region.bits.fill(1, place, place + count);
    place += count;
  });
  region.changed(0, width);
  return region;
}

/** The smallest rectangle around two; either may be null. */
function unionOf(one, other) {
  if (!one || !other) return one ?? other;
  return {
    left: Math.min(one.left, other.left),
    top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right),
    bottom: Math.max(one.bottom, other.bottom),
  };
}
