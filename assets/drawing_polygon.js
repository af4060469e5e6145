// A polygon drawn corner by corner; a click on the first corner closes it.

/**
 * @param isNear (point, point) => boolean: whether two points are one on the screen.
 * @param on {show(), close(points, ctrl)}: it looks different, it is done.
 */
function makePolygonTool(isNear, on) {
  let points = [];
  let pressed = null; // corners before the last press
  let pointer = null;

  function change(newPoints) {
    points = newPoints;
    on.show();
  }

  function close(ctrl) {
    if (points.length < 3) return;
    const closed = points;
    pressed = [];
    change([]);
    on.close(closed, ctrl);
  }

  return {
    get length() {
      return points.length;
    },
    /** The corners and where the next one would be. */
    shown: () => (points.length ? [...points, pointer] : []),
    press(point, ctrl) {
      pointer = point;
      pressed = points;
      if (points.length > 2 && isNear(point, points[0])) close(ctrl);
      else if (!points.length || !isNear(point, points.at(-1))) change([...points, point]);
    },
    hover(point) {
      pointer = point;
      if (points.length) on.show();
    },
    close,
    removeLast: () => change(points.slice(0, -1)),
    drop: () => change([]),
    /** Take the last press back: it was for something else. */
    abandon: () => change(pressed),
  };
}
