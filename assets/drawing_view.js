// How regions look: painted pixel by pixel of the screen, whatever the zoom, so that outlines keep
// their width, and only where something changed. The chosen concept is filled and outlined, the
// others have a thin outline, a suggestion is hatched with a dashed outline.

const DRAWING_COLOURS = "ffb347 59c3ff ff7ab8 7fe08a c6a4ff ffe45c ff8a6b 5fe3d0".split(" ");
const DRAWING_MARGIN = 4; // an outline reaches this far in pixels of the canvas
const PATTERN_PERIOD = 16; // hatching and dashes repeat along a diagonal; a power of two
const [OUTSIDE, HALO, OUTLINE, INTERIOR] = [0, 1, 2, 3];

/** Colour of a concept on the picture; from the ninth on they repeat, their numbers don't. */
function drawingColour(index) {
  return "#" + DRAWING_COLOURS[index % DRAWING_COLOURS.length];
}

/** A colour as a pixel of image data is on every computer there is: the red byte first. */
function packed(colour, opacity) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return ((Math.round(255 * opacity) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** Ink by part of the region and place along the diagonal; none is 0. */
function inkOf(part) {
  const ink = new Uint32Array((INTERIOR + 1) * PATTERN_PERIOD);
  for (const [kind, at] of [HALO, OUTLINE, INTERIOR].map((kind) => [kind, kind * PATTERN_PERIOD]))
    for (let place = 0; place < PATTERN_PERIOD; place++) ink[at + place] = part(kind, place);
  return ink;
}

const DRAWING_STYLES = {
  chosen: {
    width: 2,
    ink: (colour) =>
      inkOf((kind) => {
        if (kind === HALO) return packed("#000000", 0.75);
        return packed(colour, kind === OUTLINE ? 1 : 0.3);
      }),
  },
  other: {
    width: 1,
    ink: (colour) =>
      inkOf((kind) => {
        if (kind === HALO) return packed("#000000", 0.4);
        return kind === OUTLINE ? packed(colour, 0.75) : 0;
      }),
  },
  suggestion: {
    width: 2,
    ink: (colour) =>
      inkOf((kind, place) => {
        if (kind === HALO) return packed("#000000", 0.75);
        if (kind === OUTLINE) return packed(place < PATTERN_PERIOD / 2 ? "#ffffff" : colour, 1);
        return place < 2 ? packed(colour, 0.95) : place < 4 ? packed("#000000", 0.5) : 0;
      }),
  },
};

/** Paints regions onto a canvas that lies over the stage. */
function makeDrawingView(canvas) {
  const context = canvas.getContext("2d", { willReadFrequently: true }); // it is put, not drawn
  let unit = 1; // canvas pixels in a pixel of the page
  let place = null; // of the picture: left, top and pixels of the mask in one of the canvas
  let layers = [];
  let samples = new Uint8Array(0);

  /** Pixels of the canvas that show a rectangle of the mask and the outline around it. */
  function shownAt({ left, top, right, bottom }) {
    const on = (start, edge) => start + edge / place.step;
    return {
      left: Math.floor(on(place.left, left)) - DRAWING_MARGIN,
      top: Math.floor(on(place.top, top)) - DRAWING_MARGIN,
      right: Math.ceil(on(place.left, right)) + DRAWING_MARGIN,
      bottom: Math.ceil(on(place.top, bottom)) + DRAWING_MARGIN,
    };
  }

  const wholeCanvas = () => ({ left: 0, top: 0, right: canvas.width, bottom: canvas.height });

  function within(rectangle, around) {
    return {
      left: Math.max(rectangle.left, around.left),
      top: Math.max(rectangle.top, around.top),
      right: Math.min(rectangle.right, around.right),
      bottom: Math.min(rectangle.bottom, around.bottom),
    };
  }

  /** First and last place along a side whose pixel of the mask exists. */
  function visible(from, to, start, length) {
    return [
      Math.max(from, Math.ceil(start - 0.5)),
      Math.min(to, Math.ceil(start + length / place.step - 0.5)),
    ];
  }

  /** What lies inside the region, down the columns of the canvas; the picture ends in a margin. */
  function sample(region, { left, top, right, bottom }) {
    const height = bottom - top;
    const needed = (right - left) * height;
    if (samples.length < needed) samples = new Uint8Array(needed);
    else samples.fill(0, 0, needed);
    const [x0, x1] = visible(left, right, place.left, region.width);
    const [y0, y1] = visible(top, bottom, place.top, region.height);
    const rows = new Int32Array(Math.max(y1 - y0, 0));
    for (let index = 0; index < rows.length; index++)
      rows[index] = Math.min((y0 + index + 0.5 - place.top) * place.step, region.height - 1);
    for (let x = x0; x < x1; x++) {
      const column = Math.min(Math.floor((x + 0.5 - place.left) * place.step), region.width - 1);
      const base = column * region.height;
      const to = (x - left) * height + y0 - top;
      for (let index = 0; index < rows.length; index++)
        samples[to + index] = region.bits[base + rows[index]];
    }
    return samples;
  }

  function paintLayer({ region, bounds, width, ink }, rectangle, target) {
    if (!bounds) return;
    const area = within(shownAt(bounds), rectangle);
    if (area.left >= area.right || area.top >= area.bottom) return;
    const margin = DRAWING_MARGIN;
    const height = area.bottom - area.top + 2 * margin;
    const inside = sample(region, {
      left: area.left - margin,
      top: area.top - margin,
      right: area.right + margin,
      bottom: area.bottom + margin,
    });
    const line = Math.min(Math.max(Math.round(width * unit), 1), margin);
    const halo = Math.min(Math.max(Math.round(unit), 1), margin);
    const stride = rectangle.right - rectangle.left;
    const [originX, originY] = [Math.round(place.left), Math.round(place.top)];
    for (let x = area.left; x < area.right; x++) {
      let at = (x - area.left + margin) * height + margin;
      let to = (area.top - rectangle.top) * stride + x - rectangle.left;
      for (let y = area.top; y < area.bottom; y++, at++, to += stride) {
        let kind = OUTSIDE;
        if (inside[at]) {
          const across = inside[at - line * height] & inside[at + line * height];
          kind = across & inside[at - line] & inside[at + line] ? INTERIOR : OUTLINE;
        } else {
          const across = inside[at - halo * height] | inside[at + halo * height];
          if (across | inside[at - halo] | inside[at + halo]) kind = HALO;
          else continue;
        }
        const phase = (x - originX + y - originY) & (PATTERN_PERIOD - 1);
        const colour = ink[kind * PATTERN_PERIOD + phase];
        if (colour) target[to] = colour;
      }
    }
  }

  function paint(rectangle) {
    const [width, height] = [rectangle.right - rectangle.left, rectangle.bottom - rectangle.top];
    if (width <= 0 || height <= 0) return;
    const image = context.createImageData(width, height);
    const target = new Uint32Array(image.data.buffer);
    for (const layer of layers) paintLayer(layer, rectangle, target);
    context.putImageData(image, rectangle.left, rectangle.top);
  }

  function paintAll() {
    if (place) paint(wholeCanvas());
  }

  return {
    /**
     * @param box of the picture on the stage: left, top, width in pixels of the page.
     * @param pixels that the mask has along that width.
     */
    lay(stage, box, pixels) {
      unit = fitCanvas(canvas, stage.clientWidth, stage.clientHeight);
      const step = pixels / (box.width * unit);
      place = { left: box.left * unit, top: box.top * unit, step };
      paintAll();
    },
    /**
     * Show regions, the later ones over the others.
     *
     * @param shown [{region, colour, style}], the style "chosen", "other" or "suggestion".
     */
    show(shown) {
      layers = shown.map(({ region, colour, style }) => {
        const { width, ink } = DRAWING_STYLES[style];
        return { region, bounds: region.bounds(), width, ink: ink(colour) };
      });
      paintAll();
    },
    /** Paint anew what changed in a region, and nothing else. */
    refresh(region, rectangle) {
      for (const layer of layers)
        if (layer.region === region) layer.bounds = unionOf(layer.bounds, rectangle);
      if (place) paint(within(shownAt(rectangle), wholeCanvas()));
    },
  };
}
