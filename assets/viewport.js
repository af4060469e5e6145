// Where the picture lies on the stage: fitted to it at first, then as zoomed and moved.

const MOST_ZOOM = 12;

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
