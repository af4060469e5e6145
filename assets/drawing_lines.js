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
    Math.round((box.left + x * box.width) * unit),
    Math.round((box.top + y * box.height) * unit),
  ];

  /** Write a number at the head of an area, or where the stage cuts that off. */
  function drawNumber(number, colour, point, [areaLeft, areaTop, areaRight, areaBottom]) {
    const [[x0, y0], [x1, y1]] = [at([areaLeft, areaTop]), at([areaRight, areaBottom])];
    if (x1 < 0 || y1 < 0 || x0 > canvas.width || y0 > canvas.height) return;
    const [x, y] = at(point);
    context.font = `600 ${13 * unit}px system-ui, sans-serif`;
    const width = context.measureText(number).width + 8 * unit;
    const height = 18 * unit;
    const left = Math.min(Math.max(x, 0), canvas.width - width);
    const top = Math.min(Math.max(y - height, 0), canvas.height - height);
    context.fillStyle = "#000c";
    context.fillRect(left, top, width, height);
    context.fillStyle = colour;
    context.fillText(number, left + 4 * unit, top + 14 * unit);
  }

  function drawBox([left, top, right, bottom], colour, width, chosen) {
    const path = new Path2D();
    const [[x0, y0], [x1, y1]] = [at([left, top]), at([right, bottom])];
    path.rect(x0, y0, x1 - x0, y1 - y0);
    strokeTwice(context, unit, path, colour, width);
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
    strokeTwice(context, unit, path, colour, 2, [6, 4]);
    for (const [index, point] of points.slice(0, -1).entries()) {
      const corner = new Path2D();
      corner.arc(...at(point), (index ? 3 : 6) * unit, 0, 2 * Math.PI);
      strokeTwice(context, unit, corner, "#fff", 2);
    }
  }

  function drawOther({ boxes, colour, number, region }) {
    context.globalAlpha = 0.75;
    for (const corners of boxes) drawBox(corners, colour, 1, false);
    context.globalAlpha = 1;
    for (const corners of boxes) drawNumber(number, colour, corners, corners);
    if (region) drawNumber(number, colour, region.head, region.bounds);
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
     * @param newScene null, or {others: [{boxes, colour, number, region}], boxes, chosenBox,
     *   colour, polygon}: other concepts, and what is drawn on now; the polygon's last point is the
     *   pointer. A region is {head, bounds}, its first pixel and the box around it, or null. All
     *   points are fractions of the sides.
     */
    show(newScene) {
      scene = newScene;
      draw();
    },
  };
}
