// The drawing surface: where a reader marks concepts in one picture, in pixels and boxes.
//
// Scripts it needs, in this order: viewport.js, drawing_mask.js, drawing_shapes.js,
// drawing_history.js, drawing_boxes.js, drawing_view.js, drawing_tools.js, drawing_surface.js.
// Styles: studio.css, review.css (stage and frame), drawing.css.
//
// const surface = createSurface(root, { onChange, onMessage, onState });
//   root: an empty element that has a size; the surface fills it.
//   onChange({ concept, mark: { mask, boxes }, origin, stroke }): once for every finished step.
//     mask: { size: [height, width], counts } in COCO's order, or null if nothing is painted;
//     boxes: [[x_min, y_min, x_max, y_max], …] in fractions of the sides, to six decimals;
//     origin: "reader", or "suggestion" when a suggestion was accepted (or that was redone);
//     stroke: what was done: "patch", "brush", "eraser", "polygon", "box", "suggestion", "undo"
//     or "redo".
//   onMessage(text): a sentence for the reader.
//   onState({ tool, size, undo, redo, polygon, box, suggestion, zoom }): what buttons show, told
//     whenever any of it changes; size in pixels of the mask (of the patch brush: the height that its
//     cells have), undo and redo: how many steps there are, polygon: how many points the open one has,
//     box: whether one is selected, suggestion: whether the chosen concept has one.
//
// surface.open({ picture, height, width, grid, concepts, marks }): a case; what was open is closed.
//   Its history begins empty. Answers a promise that is kept once the picture shows.
//     picture: URL; height, width: of the mask in pixels; grid: [rows, columns] of the model;
//     concepts: names, in the order of the keys 1 to 9; marks: { name: { mask, boxes, … }, … } as
//     mark_to_json gives them. The first concept is chosen. Throws if a mask has other sides.
// surface.close(): nothing is shown; a stroke that is under way is finished first (also by open,
//   choose, tool, undo and redo), so that nothing painted is lost.
// surface.choose(concept): the concept that is drawn on, by name.
// surface.tool(name): "patch", "brush", "eraser", "polygon" or "box".
// surface.size(px): of the brush of the chosen tool; surface.resize(step): as ] (+1) and [ (-1) do.
// surface.undo(), surface.redo(): one step, of whichever concept it was.
// surface.fit(): the whole picture.
// surface.suggest(concept, { mask } | { cells } | null): show what the model would mark, hatched;
//   mask as in onChange, cells: [[row, column], …] of the grid. Shown while the concept is chosen.
// surface.acceptSuggestion(): the chosen concept's suggestion becomes part of its region, as one
//   step; boxes and what was painted stay. Says whether there was one.
// surface.mark(concept): { mask, boxes } as they are now.
// surface.key(event): gives a keydown of the page to the surface; true if it was for it (it has then
//   prevented the default). Call it first in the page's own listener, and not for keys typed into
//   fields. Its keys: Z, Shift+Z undo and redo; [ ] size; 0 fits; Enter, Escape, Backspace of an
//   open polygon; Delete, Backspace, Escape of a selected box. It leaves all other keys alone: keys
//   that choose a tool or a concept, or accept a suggestion, are the page's.
//   While the surface has the keyboard focus, arrow keys move a cursor over the patches, Enter and
//   Space paint its patch (erase it with the eraser or with Ctrl); those never reach the page.
//
// drawingColour(index): the colour of a concept, for swatches.
