// What stands beside the evidence: the exemplar of a patch, the model card, and messages.

/** "This patch looks like that patch": a patch of this case beside the exemplar it resembles. */
function makeExemplarView(ref) {
  let shown = null;

  function showThere(canvas, { picture, image_id, row, column }) {
    const there = ref("there");
    there.style.backgroundImage = picture ? `url("${picture}")` : "";
    there.replaceChildren(picture ? outlineIn(canvas, row, column) : "no picture with this model");
    there.setAttribute(
      "aria-label",
      picture ? `Patch of ${image_id}, row ${row}, column ${column}` : "No picture with this model"
    );
  }

  function outlineIn(canvas, row, column) {
    const [top, left] = canvas.cropStart([row, column]);
    const outline = make("i");
    outline.style.top = (100 * (row - top)) / CROP_PATCHES + "%";
    outline.style.left = (100 * (column - left)) / CROP_PATCHES + "%";
    return outline;
  }

  return {
    /** @param patch {cell, similarity, prototype, count}; exemplar: a promise, or null. */
    async show(canvas, patch, exemplar) {
      shown = patch;
      const living = Number.isFinite(patch.similarity); // else no prototype of the concept is alive
      canvas.crop(ref("here"), patch.cell);
      ref("here").setAttribute(
        "aria-label",
        `Patch of this image, row ${patch.cell[0]}, column ${patch.cell[1]}`
      );
      ref("likeness").textContent = living ? figure(patch.similarity) : "–";
      ref("exemplarTitle").textContent = living
        ? `prototype ${patch.prototype + 1} of ${patch.count}`
        : "no prototype is alive";
      const found = await exemplar;
      if (shown !== patch) return;
      ref("exemplar").classList.toggle("unknown", !living || !found || Boolean(found.error));
      if (!living || !found || found.error) return;
      showThere(canvas, found);
      ref("facts").replaceChildren(
        make("b", { text: found.image_id }),
        make("div", { text: `row ${found.row}, column ${found.column}` }),
        make("div", {
          text: "closest to " + plural(found.hits, "training image", "training images"),
        })
      );
    },
  };
}

/** Sentences at the edge of the screen; each goes after a while, or when it is dismissed. */
function makeToasts(ref) {
  return (sentence, kind = "problem") => {
    const dismiss = make("button", { type: "button", text: "✕", "aria-label": "Dismiss" });
    const toast = make("div", { className: kind }, make("p", { text: sentence }), dismiss);
    dismiss.addEventListener("click", () => toast.remove());
    setTimeout(() => toast.remove(), kind === "note" ? 5000 : 12000);
    while (ref("toasts").childElementCount > 2) ref("toasts").firstChild.remove();
    ref("toasts").append(toast);
  };
}

/** The model card as a list of names and values; nested values are shown as JSON. */
function showCard(ref, model) {
  ref("cardTitle").textContent = model.title;
  const items = Object.entries(model.card).flatMap(([name, value]) => [
    make("dt", { text: pretty(name) }),
    make("dd", { text: typeof value === "object" ? JSON.stringify(value) : String(value) }),
  ]);
  ref("card").replaceChildren(...items);
}
