// Lines that can be told from any picture.

/** Stroke a path with a dark edge; `unit` is a pixel of the page on the canvas. */
function strokeTwice(context, unit, path, colour, width, dash = []) {
  for (const [ink, line] of [
    ["#000b", width + 2],
    [colour, width],
  ]) {
    context.strokeStyle = ink;
    context.lineWidth = line * unit;
    context.setLineDash(dash.map((length) => length * unit));
    context.stroke(path);
  }
}
