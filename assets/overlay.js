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

/** How much of the picture is hidden at a place on the colour scale: little where it is low. */
function heatAlpha(place) {
  return Math.min(Math.max(place, 0), 1) ** 1.6;
}

/** Paints similarities onto a canvas of one pixel a patch, which the browser scales up. */
function makeOverlay(heat) {
  const context = heat.getContext("2d");
  return {
    resize({ rows, columns }) {
      heat.width = columns;
      heat.height = rows;
    },
    /** @param values Float32Array of rows × columns; top: similarity of the brightest colour. */
    paint(values, top) {
      const bitmap = context.createImageData(heat.width, heat.height);
      values.forEach((value, cell) =>
        bitmap.data.set([...cividis(value / top), 255 * heatAlpha(value / top)], 4 * cell)
      );
      context.putImageData(bitmap, 0, 0);
    },
    setOpacity(opacity) {
      heat.style.opacity = opacity;
    },
  };
}
