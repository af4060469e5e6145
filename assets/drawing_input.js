// Mouse, pen, fingers and keys on the stage, told as points in pixels of the mask; and what shows
// where the brush would paint.

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/**
 * @param root holds the elements.
 * @param viewport from `makeViewport`.
 * @param spaceNow () => {rows, columns, height, width} of the open case, or null.
 * @param on {brush(ctrl) => {cells, size, erasing} or null, down(point, ctrl), drag(points),
 *   hover(point), up(), abandon(), double(point), stamp(cell, ctrl), describe(cell) => text,
 *   isBusy() => boolean}: busy if Enter and Space mean something else.
 */
function makeDrawingInput(root, viewport, spaceNow, on) {
  const [stage, frame, ring, cell, reading] = ["stage", "frame", "ring", "cell", "reading"].map(
    (name) => root.querySelector("." + name)
  );
  const navigation = makeNavigation(stage, viewport);
  let dragging = false;
  let pointer = null; // the last pointer event on the stage
  let cursor = null; // the cell that the keyboard is at

  function pointAt({ clientX, clientY }, box = frame.getBoundingClientRect()) {
    const { height, width } = spaceNow();
    return [
      ((clientX - box.left) / box.width) * width,
      ((clientY - box.top) / box.height) * height,
    ];
  }

  /** Where the pointer was since the last event: a fast hand outruns the screen. */
  function pointsOf(event) {
    const box = frame.getBoundingClientRect();
    const events = event.getCoalescedEvents?.() ?? []; // missing where a page is not secure
    return (events.length ? events : [event]).map((each) => pointAt(each, box));
  }

  function placeCells(cells) {
    cell.hidden = !cells.length;
    if (cell.hidden) return;
    const { rows, columns } = spaceNow();
    const [down, across] = [0, 1].map((axis) => cells.map((one) => one[axis]));
    const [top, left] = [Math.min(...down), Math.min(...across)];
    const sides = {
      left: left / columns,
      top: top / rows,
      width: (Math.max(...across) + 1 - left) / columns,
      height: (Math.max(...down) + 1 - top) / rows,
    };
    for (const side in sides) cell.style[side] = 100 * sides[side] + "%";
  }

  function placeRing({ size, erasing }) {
    const { left, top } = stage.getBoundingClientRect();
    const side = Math.max((size / spaceNow().width) * frame.offsetWidth, 3);
    ring.style.width = ring.style.height = side + "px";
    ring.style.translate = `${pointer.clientX - left - side / 2}px ${
      pointer.clientY - top - side / 2
    }px`;
    ring.toggleAttribute("data-erasing", erasing);
  }

  function showBrush() {
    const space = spaceNow();
    if (!space) cursor = null;
    const brush = space && on.brush(pointer?.ctrlKey);
    const at = brush && pointer;
    ring.hidden = !at || brush.cells || cursor;
    if (!ring.hidden) placeRing(brush);
    if (cursor) placeCells([cursor]);
    else if (at && brush.cells)
      placeCells(cellsAround(cellAt(pointAt(pointer), space), brush.size, space));
    else placeCells([]);
    reading.hidden = !cursor;
    if (cursor) reading.textContent = on.describe(cursor);
  }

  function moveCursor([down, right]) {
    const { rows, columns } = spaceNow();
    const [row, column] = cursor ?? [Math.floor(rows / 2), Math.floor(columns / 2)];
    cursor = [
      Math.min(Math.max(row + down, 0), rows - 1),
      Math.min(Math.max(column + right, 0), columns - 1),
    ];
    showBrush();
  }

  stage.addEventListener("pointerdown", (event) => {
    if (navigation.down(event)) {
      event.preventDefault();
      if (dragging) on.abandon(); // one finger drew before two move the picture
      dragging = false;
      return;
    }
    if (event.button !== 0 || !event.isPrimary || !spaceNow()) return;
    event.preventDefault();
    document.activeElement?.blur();
    cursor = null;
    pointer = event;
    dragging = true;
    stage.setPointerCapture(event.pointerId);
    on.down(pointAt(event), event.ctrlKey);
    showBrush();
  });
  stage.addEventListener("pointermove", (event) => {
    if (navigation.move(event) || !event.isPrimary || !spaceNow()) return;
    cursor = null;
    pointer = event;
    if (dragging) on.drag(pointsOf(event));
    else on.hover(pointAt(event));
    showBrush();
  });

  function release() {
    if (!dragging) return;
    dragging = false;
    on.up();
  }
  stage.addEventListener("pointerup", (event) => {
    if (!navigation.up(event) && event.isPrimary) release();
  });
  stage.addEventListener("pointercancel", (event) => {
    if (!navigation.up(event) && event.isPrimary) release();
  });
  stage.addEventListener("pointerleave", () => {
    if (dragging) return;
    pointer = null;
    showBrush();
  });
  stage.addEventListener("dblclick", (event) => spaceNow() && on.double(pointAt(event)));
  stage.addEventListener("keydown", (event) => {
    if (!spaceNow() || event.altKey || event.metaKey) return;
    if (ARROWS[event.key] && !event.ctrlKey) moveCursor(ARROWS[event.key]);
    else if (cursor && (event.key === "Enter" || event.key === " ") && !on.isBusy()) {
      on.stamp(cursor, event.ctrlKey);
      showBrush();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  stage.addEventListener("blur", () => {
    cursor = null;
    showBrush();
  });

  return {
    showBrush,
    /** End what the pointer does, as if it had been lifted. */
    settle: release,
  };
}
