// The overlay of one concept: its similarities in cividis, on a scale that no edit moves.

const CIVIDIS =
  "00224e002e6a1a386f32436d434e6c535a6d61656f6f70737d7c788c88789b9476aba072bcae6ccdbb63dec958f0d846fee838"
    .match(/../g)
    .map((pair) => parseInt(pair, 16));

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

/**
 * Similarity of the brightest colour, as the legend says. One scale for every concept, case and
 * model, so that any two pictures can be compared; clear matches lie between 0.5 and 0.9.
 */
const SCALE_TOP = 0.8;

/** How much of the picture is hidden at a place on the colour scale: little where it is low. */
function heatAlpha(place) {
  return Math.min(Math.max(place, 0), 1) ** 1.3;
}

/**
 * Line along which a map crosses a level, between the centres of patches (marching squares).
 *
 * @param at (row, column) => value, also just outside the grid.
 * @param toX, toY place of a column or row of patch centres on the canvas.
 */
function contourPath(at, { rows, columns }, level, toX, toY) {
  const path = new Path2D();
  for (let row = -1; row < rows; row++)
    for (let column = -1; column < columns; column++) {
      const corners = [
        [row, column],
        [row, column + 1],
        [row + 1, column + 1],
        [row + 1, column],
      ];
      const values = corners.map(([r, c]) => at(r, c) - level);
      const crossings = [];
      for (let side = 0; side < 4; side++) {
        const next = (side + 1) % 4;
        const [from, to] = [values[side], values[next]];
        if (from >= 0 === to >= 0) continue;
        const [one, other] = [corners[side], corners[next]];
        const part = from / (from - to);
        crossings.push([
          toX(one[1] + part * (other[1] - one[1])),
          toY(one[0] + part * (other[0] - one[0])),
        ]);
      }
      for (let pair = 0; pair < crossings.length; pair += 2) {
        path.moveTo(...crossings[pair]);
        path.lineTo(...crossings[pair + 1]);
      }
    }
  return path;
}

/** Paints similarities as heat, a bitmap of one pixel a patch that is scaled up, or as contours. */
function makeOverlay(heat, contours) {
  const heatContext = heat.getContext("2d");
  const contourContext = contours.getContext("2d");
  let grid = { rows: 1, columns: 1 };
  let unit = 1;
  let kind = "heat";
  let threshold = 0; // a similarity
  let painted = null;

  function paintHeat(values) {
    const bitmap = heatContext.createImageData(grid.columns, grid.rows);
    values.forEach((value, cell) => {
      const place = value / SCALE_TOP;
      const alpha = value < threshold ? 0 : 255 * heatAlpha(place);
      bitmap.data.set([...cividis(place), alpha], 4 * cell);
    });
    heatContext.putImageData(bitmap, 0, 0);
  }

  function paintContours(values) {
    const { width, height } = contours;
    const { rows, columns } = grid;
    const inside = (index, count) => Math.min(Math.max(index, 0), count - 1);
    const at = (row, column) => values[inside(row, rows) * columns + inside(column, columns)];
    const toX = (column) => ((column + 0.5) / columns) * width;
    const toY = (row) => ((row + 0.5) / rows) * height;
    contourContext.clearRect(0, 0, width, height);
    for (const part of threshold > 0 ? [0, 1 / 3, 2 / 3] : [1 / 4, 1 / 2, 3 / 4]) {
      const place = threshold + part * (1 - threshold);
      const path = contourPath(at, grid, place, toX, toY);
      for (const [ink, line] of [
        ["#000a", 3.5],
        [`rgb(${cividis(0.6 + 0.4 * place).join(" ")})`, 2],
      ]) {
        contourContext.strokeStyle = ink;
        contourContext.lineWidth = line * unit;
        contourContext.stroke(path);
      }
    }
  }

  function paint() {
    if (painted?.length !== grid.rows * grid.columns) return;
    if (kind === "heat") paintHeat(painted);
    else paintContours(painted);
  }

  return {
    resize(width, height, newGrid) {
      unit = fitCanvas(contours, width, height);
      if (newGrid.rows !== heat.height || newGrid.columns !== heat.width)
        [heat.height, heat.width] = [newGrid.rows, newGrid.columns];
      grid = newGrid;
      paint();
    },
    /** @param values similarities, a Float32Array of rows × columns. */
    paint(values) {
      painted = values;
      paint();
    },
    setOpacity(opacity) {
      heat.style.opacity = opacity;
      contours.style.opacity = opacity;
    },
    /** @param similarity from 0 to 1; what lies below is not shown. */
    setThreshold(similarity) {
      threshold = similarity;
      paint();
    },
    /** @param name "heat" or "contour". */
    show(name) {
      kind = name;
      heat.hidden = kind !== "heat";
      contours.hidden = kind === "heat";
      paint();
    },
  };
}
