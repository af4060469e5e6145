// What strokes changed, and the way back through them. A step keeps the pixels that it turned over
// and nothing else: the same list undoes it and does it again, and costs what the stroke cost.

const HISTORY_BYTES = 200e6; // the oldest steps are forgotten beyond that
const STEP_BYTES = 500; // of a step besides its pixels

/** Fills pieces of columns of one region at a time, and knows what that changed. */
function makeStroke(height, width) {
  const touched = new Uint8Array(height * width);
  const low = new Int32Array(width).fill(height);
  const high = new Int32Array(width);
  let region = null;
  let inside = 1;
  let whole = null; // the rectangle the stroke lies in
  let fresh = null; // the rectangle of what was filled since it was last asked for

  function takeFresh() {
    const rectangle = fresh;
    if (rectangle) region.changed(rectangle.left, rectangle.right);
    whole = unionOf(whole, rectangle);
    fresh = null;
    return rectangle;
  }

  return {
    begin(target, erasing) {
      region = target;
      inside = erasing ? 0 : 1;
    },
    /** Fill rows of a column, from one up to another; what leaves the picture is left out. */
    fill(column, from, to) {
      const [top, bottom] = [Math.max(from, 0), Math.min(to, height)];
      if (column < 0 || column >= width || top >= bottom) return;
      const base = column * height;
      for (let place = base + top; place < base + bottom; place++)
        if (region.bits[place] !== inside) {
          region.bits[place] = inside;
          touched[place] = 1;
        }
      low[column] = Math.min(low[column], top);
      high[column] = Math.max(high[column], bottom);
      fresh ??= { left: width, top: height, right: 0, bottom: 0 };
      fresh.left = Math.min(fresh.left, column);
      fresh.top = Math.min(fresh.top, top);
      fresh.right = Math.max(fresh.right, column + 1);
      fresh.bottom = Math.max(fresh.bottom, bottom);
    },
    /** The rectangle filled since the last call, or null. */
    takeFresh,
    /** End the stroke: what it changed as {spans, rectangle}, or null if it changed nothing. */
    end() {
      takeFresh();
      if (!whole) return null;
      const rectangle = whole;
      const spans = [];
      for (let column = rectangle.left; column < rectangle.right; column++) {
        const end = column * height + high[column];
        for (let place = column * height + low[column]; place < end; place++) {
          if (!touched[place]) continue;
          const start = place;
          while (place < end && touched[place]) touched[place++] = 0;
          spans.push(start, place - start);
        }
        low[column] = height;
        high[column] = 0;
      }
      whole = null;
      return spans.length ? { spans: Uint32Array.from(spans), rectangle } : null;
    },
  };
}

/** Turn pixels over: undoes what a stroke changed, or does it again. */
function turnOver(region, { spans, rectangle }) {
  for (let index = 0; index < spans.length; index += 2) {
    const end = spans[index] + spans[index + 1];
    for (let place = spans[index]; place < end; place++) region.bits[place] ^= 1;
  }
  region.changed(rectangle.left, rectangle.right);
}

/** The steps of one case, across its concepts. */
function makeSteps() {
  const steps = [];
  let position = 0;
  let bytes = 0;
  const bytesOf = ({ pixels }) => STEP_BYTES + (pixels?.spans.byteLength ?? 0);

  return {
    /** Add a step after the current one; what was undone is gone with that. */
    add(step) {
      for (const undone of steps.splice(position)) bytes -= bytesOf(undone);
      steps.push(step);
      bytes += bytesOf(step);
      while (bytes > HISTORY_BYTES && steps.length > 1) bytes -= bytesOf(steps.shift());
      position = steps.length;
    },
    /** The step to undo, or undefined. */
    back: () => (position ? steps[--position] : undefined),
    /** The step to do again, or undefined. */
    forth: () => (position < steps.length ? steps[position++] : undefined),
    get undo() {
      return position;
    },
    get redo() {
      return steps.length - position;
    },
  };
}
