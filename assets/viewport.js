// Where the picture lies on the stage: fitted to it at first, then as zoomed and moved.

const MOST_ZOOM = 12;
const MOST_CANVAS_PIXELS = 2400; // along an edge: a picture zoomed far in needs no more

/** Give a canvas the pixels it needs to look sharp; returns how many make a pixel of the page. */
function fitCanvas(canvas, width, height) {
  const unit = Math.min(devicePixelRatio, MOST_CANVAS_PIXELS / Math.max(width, height));
  canvas.width = Math.round(width * unit);
  canvas.height = Math.round(height * unit);
  return unit;
}

/** @param changed (width, height, zoom): told of every new layout, in pixels of the page. */
function makeViewport(stage, frame, changed) {
  let aspect = 1;
  let zoom = 1;
  let left = 0;
  let top = 0;

  function size() {
    const width = Math.min(stage.clientWidth, stage.clientHeight * aspect) * zoom;
    return [width, width / aspect];
  }

  /** A picture smaller than the stage is centred; a larger one leaves no gap. */
  function within(edge, length, room) {
    return length <= room ? (room - length) / 2 : Math.min(Math.max(edge, room - length), 0);
  }

  function layOut() {
    const [width, height] = size();
    left = within(left, width, stage.clientWidth);
    top = within(top, height, stage.clientHeight);
    const box = { left, top, width, height };
    for (const side in box) frame.style[side] = box[side] + "px";
    changed(width, height, zoom);
  }
  new ResizeObserver(layOut).observe(stage);

  return {
    fit(newAspect = aspect) {
      aspect = newAspect;
      zoom = 1;
      layOut();
    },
    /** Zoom by a factor; what is at a point of the page stays there. */
    zoomAt(x, y, factor) {
      const stageBox = stage.getBoundingClientRect();
      const [oldWidth] = size();
      zoom = Math.min(Math.max(zoom * factor, 1), MOST_ZOOM);
      const ratio = size()[0] / oldWidth;
      left = x - stageBox.left - (x - stageBox.left - left) * ratio;
      top = y - stageBox.top - (y - stageBox.top - top) * ratio;
      layOut();
    },
    move(right, down) {
      left += right;
      top += down;
      layOut();
    },
  };
}

/**
 * Wheel, space and drag, middle drag, and two fingers: ways to zoom and to move the picture.
 *
 * @returns {down, move, up}: each takes a pointer event and says whether it was for the picture,
 *   and not for the marks.
 */
function makeNavigation(stage, viewport) {
  const pointers = new Map(); // [x, y] of what touches the stage, by pointer
  let spaceHeld = false;
  let moving = false;

  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1;
      viewport.zoomAt(event.clientX, event.clientY, Math.exp((-event.deltaY * lines) / 400));
    },
    { passive: false }
  );
  document.addEventListener("keydown", (event) => {
    if (event.code === "Space" && !event.target.closest?.("input, select, textarea"))
      holdSpace(spaceHeld || stage.matches(":hover"), event);
  });
  document.addEventListener("keyup", (event) => {
    if (event.code === "Space" && spaceHeld) {
      event.preventDefault(); // or the button last used would be pressed
      holdSpace(false, event);
    }
  });
  addEventListener("blur", () => (spaceHeld = false));

  function holdSpace(held, event) {
    if (held) event.preventDefault();
    spaceHeld = held;
    stage.toggleAttribute("data-movable", held);
  }

  function spread([[x0, y0], [x1, y1]]) {
    return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, apart: Math.hypot(x1 - x0, y1 - y0) };
  }

  return {
    down(event) {
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      moving = pointers.size > 1 || event.button === 1 || (event.button === 0 && spaceHeld);
      if (moving) stage.setPointerCapture(event.pointerId);
      return moving;
    },
    move(event) {
      if (!moving || !pointers.has(event.pointerId)) return moving;
      const before = [...pointers.values()];
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      const after = [...pointers.values()];
      const [from, to] = [before, after].map((at) => spread([at[0], at.at(-1)]));
      viewport.move(to.x - from.x, to.y - from.y);
      if (after.length > 1) viewport.zoomAt(to.x, to.y, to.apart / Math.max(from.apart, 1));
      return true;
    },
    up(event) {
      pointers.delete(event.pointerId);
      const was = moving;
      moving = moving && pointers.size > 0;
      return was;
    },
  };
}
