// Lines over the regions: boxes with their handles, the polygon that is being drawn, and the number
// that every concept has, so that not only its colour tells it from the others.

const HANDLE_SIDE = 8;

/** Draws onto a canvas that lies over the stage. */
function makeDrawingLines(canvas) {
  const context = canvas.getContext("2d");
  let unit = 1; // canvas pixels in a pixel of the page
  let box = null; // of the picture on the stage, in pixels of the page
  let scene = null;

  /** A point in fractions of the sides, on the canvas. */
  const at = ([x, y]) => [
    (box.left + x * box.width) * unit,
    (box.top + y * box.height) * unit,
  ];

  function strokeTwice(path, colour, width, dash = []) {
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

  function drawNumber(number, colour, point) {
    const [x, y] = at(point);
    context.font = `600 ${13 * unit}px system-ui, sans-serif`;
    const width = context.measureText(number).width + 8 * unit;
    const left = Math.min(Math.max(x, 0), canvas.width - width);
    const top = Math.min(Math.max(y - 18 * unit, 0), canvas.height - 18 * unit);
    context.fillStyle = "#000c";
    context.fillRect(left, top, width, 18 * unit);
    context.fillStyle = colour;
    context.fillText(number, left + 4 * unit, top + 14 * unit);
  }

  function drawBox([left, top, right, bottom], colour, width, chosen) {
    const path = new Path2D();
    const [[x0, y0], [x1, y1]] = [at([left, top]), at([right, bottom])];
    path.rect(x0, y0, x1 - x0, y1 - y0);
    strokeTwice(path, colour, width);
    if (!chosen) return;
    for (const [across, down] of BOX_HANDLES) {
      const side = HANDLE_SIDE * unit;
      const x = x0 + across * (x1 - x0) - side / 2;
      const y = y0 + down * (y1 - y0) - side / 2;
      context.fillStyle = "#000";
      context.fillRect(x - unit, y - unit, side + 2 * unit, side + 2 * unit);
      context.fillStyle = "#fff";
      context.fillRect(x, y, side, side);
    }
  }

  function drawPolygon(points, colour) {
    const path = new Path2D();
    points.forEach((point, index) =>
      index ? path.lineTo(...at(point)) : path.moveTo(...at(point))
    );
    strokeTwice(path, colour, 2, [6, 4]);
    for (const [index, point] of points.slice(0, -1).entries()) {
      const corner = new Path2D();
      corner.arc(...at(point), (index ? 3 : 6) * unit, 0, 2 * Math.PI);
      strokeTwice(corner, "#fff", 2);
    }
  }

  function drawOther({ boxes, colour, number, anchor }) {
    context.globalAlpha = 0.75;
    for (const box of boxes) drawBox(box, colour, 1, false);
    for (const place of boxes) drawNumber(number, colour, place);
    if (anchor) drawNumber(number, colour, anchor);
    context.globalAlpha = 1;
  }

  function draw() {
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!box || !scene) return;
    scene.others.forEach(drawOther);
    scene.boxes.forEach((corners, index) =>
      drawBox(corners, scene.colour, 2, index === scene.chosenBox)
    );
    drawPolygon(scene.polygon, scene.colour);
  }

  return {
    lay(stage, newBox) {
      unit = fitCanvas(canvas, stage.clientWidth, stage.clientHeight);
      box = newBox;
      draw();
    },
    /**
     * @param newScene null, or {others: [{boxes, colour, number, anchor}], boxes, chosenBox, colour,
     *   polygon}: other concepts, and what is drawn on now; the polygon's last point is the pointer.
     *   All points are fractions of the sides; the anchor is where a region's number stands, or null.
     */
    show(newScene) {
      scene = newScene;
      draw();
    },
  };
}
