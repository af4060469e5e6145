"""Pictures of an evaluation: one small PNG for each question."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import softmax
from sklearn.metrics import roc_curve

from csr_core.advice import spoken
from csr_core.curves import intervention_picture
from csr_core.evaluation import Evaluation

__all__ = ["evaluation_pictures"]

# Okabe and Ito's colours, told apart by every reader; markers and dashes say the same in grey.
MODELS = {
    "csr": ("CSR", "#0072b2", "o", "-"),
    "black_box": ("black box", "#d55e00", "s", "--"),
    "concept_bottleneck": ("concept bottleneck", "#009e73", "^", ":"),
}
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
DASHES = ("-", "--", "-.", ":")
GREY = "#767676"


def evaluation_pictures(evaluation: Evaluation) -> dict[str, bytes]:
    """Draw an evaluation.

    Returns:
        PNG bytes by file name: reliability diagram, confusion matrix, F1 of each class, concept
        AUC, ROC curves and intervention curves.
    """
    return {
        "reliability.png": _drawn(_reliability, evaluation),
        "confusion.png": _drawn(_confusion, evaluation),
        "f1_by_class.png": _drawn(_f1_by_class, evaluation),
        "concept_auc.png": _drawn(_concept_auc, evaluation),
        "roc.png": _drawn(_roc, evaluation),
        "interventions.png": intervention_picture(evaluation.curves),
    }


def _drawn(draw: Callable[[Axes, Evaluation], None], evaluation: Evaluation) -> bytes:
    figure = Figure(figsize=(5.2, 4.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes, evaluation)
    data = BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


def _reliability(axes: Axes, evaluation: Evaluation) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="as sure as right")
    for key, figures in _models(evaluation).items():
        name, colour, marker, line = MODELS[key]
        bins = figures["reliability"]
        axes.plot(
            [bin_["confidence"] for bin_ in bins],
            [bin_["accuracy"] for bin_ in bins],
            line,
            color=colour,
            marker=marker,
            markersize=5,
            label=f"{name}: calibration error {figures['calibration_error']:.3f}",
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="largest probability", ylabel="share right")
    axes.set_title("Is it right as often as it is sure?")
    _legend_below(axes, columns=1)


def _confusion(axes: Axes, evaluation: Evaluation) -> None:
    counts = np.array(evaluation.figures["confusion"])  # (truth, predicted)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(
            column,
            row,
            f"{count}\n{shares[row, column]:.0%}",
            ha="center",
            va="center",
            color="black" if shares[row, column] > 0.55 else "white",
        )
    names = [spoken(name) for name in evaluation.classes]
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="CSR says", ylabel="truth", title="Confusion matrix")
    axes.spines[:].set_visible(False)
    axes.figure.colorbar(image, ax=axes, label="share of the truth", shrink=0.8)


def _f1_by_class(axes: Axes, evaluation: Evaluation) -> None:
    models = _models(evaluation)
    for index, (key, figures) in enumerate(models.items()):
        name, colour, marker, _ = MODELS[key]
        entries = [*figures["by_class"].values()]
        values = np.array([entry["f1"] for entry in entries] + [figures["macro_f1"]])
        ends = np.array(
            [entry["f1_interval"] for entry in entries] + [figures["macro_f1_interval"]]
        )
        # A percentile interval need not hold the figure itself.
        reach = np.abs(np.clip([values - ends[:, 0], ends[:, 1] - values], 0, None))
        places = np.arange(len(values)) + (index - (len(models) - 1) / 2) * 0.2
        axes.errorbar(
            places,
            values,
            yerr=reach,
            fmt=marker,
            color=colour,
            markersize=5,
            capsize=3,
            label=name,
        )
    names = [*map(spoken, evaluation.classes), "mean"]
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axes.set(ylim=(0, 1), ylabel="F1", title="F1 of each diagnosis, 95 % intervals")
    axes.legend(frameon=False, fontsize="small", loc="lower left")


def _concept_auc(axes: Axes, evaluation: Evaluation) -> None:
    concepts = evaluation.figures["concepts"]
    kinds = (
        ("similarity_scores", "similarity scores", LINES[0], ""),
        ("concept_head", "concept head", LINES[4], "//"),
    )
    names = list(concepts["similarity_scores"]["by_concept"])
    for index, (kind, label, colour, hatch) in enumerate(kinds):
        values = [concepts[kind]["by_concept"][name]["auc"] for name in names]
        places = np.arange(len(names)) + (index - 0.5) * 0.38
        axes.barh(
            places,
            [np.nan if value is None else value for value in values],
            height=0.36,
            color=colour,
            edgecolor="white",
            hatch=hatch,
            label=label,
        )
    axes.axvline(0.5, color=GREY, linewidth=1)
    axes.set_yticks(range(len(names)), [spoken(name) for name in names])
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="area under the ROC curve; chance 0.5", title="Concepts")
    _legend_below(axes, columns=2)


def _roc(axes: Axes, evaluation: Evaluation) -> None:
    truth = evaluation.seen.truth
    known = truth >= 0
    probabilities = softmax(evaluation.seen.logits["csr"][known], axis=1)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    for label, name in enumerate(evaluation.classes):
        auc = evaluation.figures["by_class"][name]["auc"]
        if auc is None:
            continue
        false, true, _ = roc_curve(truth[known] == label, probabilities[:, label])
        axes.plot(
            false,
            true,
            DASHES[label % len(DASHES)],
            color=LINES[label % len(LINES)],
            label=f"{spoken(name)}: {auc:.3f}",
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="false alarms", ylabel="found")
    axes.set_title("CSR, each diagnosis against the others")
    axes.legend(frameon=False, fontsize="small", loc="lower right")


def _legend_below(axes: Axes, columns: int) -> None:
    """Keep the legend off what is drawn."""
    axes.figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize="small",
    )


def _models(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    figures = evaluation.figures
    others = {key: figures[key] for key in MODELS if key in evaluation.seen.logits and key != "csr"}
    return {"csr": figures} | others
