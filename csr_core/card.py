"""The model card that goes with a checkpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["model_card"]

LIMITS = (
    "Research and teaching only. The model knows nothing but the concepts and diagnoses above, was "
    "fitted to one data set, and says something about any picture it is given. Similarity to an "
    "example is no proof that a concept is there."
)


def model_card(
    card: Mapping[str, Any],
    concepts: Sequence[str],
    classes: Sequence[str],
    metrics: Mapping[str, Any],
) -> str:
    """Write the card of a checkpoint as Markdown.

    Args:
        card: title, data, training_images, licence, source, synthetic, intended_use; `parent` with
            title, data and model_hash if it was tuned from another model.
        concepts: names of the K concepts.
        classes: names of the diagnoses.
        metrics: what training measured and, since, `evaluation.evaluate` under "evaluated" and
            `training.crossval.cross_validate` under "cross_validated".
    """
    recipe, protocol = metrics["protocol"]["recipe"], metrics["protocol"]
    synthetic = " **Trained on synthetic images only.**" if card["synthetic"] else ""
    source = f", {card['source'].rstrip('.')}" if card["source"] else ""
    licence = f" Licence of the data: {card['licence']}." if card["licence"] else ""
    also = " and to measure on" if protocol["holdout"] else ""
    others = f"the others to select on{also}"
    if (split := recipe.get("select_on")) is not None:
        held = "the others to measure on, " if protocol["holdout"] else ""
        others = f"{held}split {split} to select on"
    lines = [
        f"# {card['title']}",
        "",
        f"A Concept-based Similarity Reasoning model.{synthetic} {card['intended_use']}",
        "",
        f"- Data: {card['data']}{source}. {card['training_images']} training images: "
        f"{protocol['fit_images']} to fit to, {others}.{licence}",
        *_ancestry(card.get("parent")),
        f"- Diagnoses: {', '.join(classes)}",
        f"- Concepts: {', '.join(concepts)}",
        f"- Network: {recipe['backbone']}, input {recipe['image_size']} px, a patch is "
        f"{recipe['output_stride']} px, {recipe['prototypes']} prototypes a concept, "
        f"seed {protocol['seed']}",
        "",
        "## Results",
        "",
        *_held_rows(metrics),
        *_evaluations(metrics.get("evaluated", {}), f"{card['data']}/{recipe.get('select_on')}"),
        *_cross_validation(metrics.get("cross_validated")),
        "## Limits",
        "",
        LIMITS,
        "",
    ]
    return "\n".join(lines)


def _ancestry(parent: Mapping[str, Any] | None) -> list[str]:
    if parent is None:
        return []
    return [
        f"- Tuned from: {parent['title']} ({parent['model_hash'][:12]}), which was trained on "
        f"{parent['data']}"
    ]


def _held_rows(metrics: Mapping[str, Any]) -> list[str]:
    places = {name: value for name, value in metrics.items() if "black_box_macro_f1" in value}
    if not places:
        return []
    protocol = metrics["protocol"]
    lines = [
        "| Images kept from all fitting | CSR macro-F1 | black-box head, same features "
        "| concept bottleneck, same features |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} ({figures['images']}) | {figures['macro_f1']:.4f} "
        f"| {figures['black_box_macro_f1']:.4f} "
        f"| {_or_dash(figures, 'concept_bottleneck_macro_f1')} |"
        for name, figures in places.items()
    ]
    lines.append("")
    if protocol["holdout"]:
        lines += [f"“held” is a stratified {protocol['holdout']:.0%} of split train.", ""]
    if protocol["refitted_on_all_of_train"]:
        lines += ["After measuring, the weights were fitted once more on all of train.", ""]
    return lines


def _evaluations(evaluated: Mapping[str, Mapping[str, Any]], selected_on: str) -> list[str]:
    lines = []
    for place, figures in evaluated.items():
        caveat = ", which the model was selected on" if place == selected_on else ""
        text = (
            f"On {figures['images']} images of {figures['data']}, split {figures['split']}{caveat}"
            f": macro-F1 {figures['macro_f1']:.4f}"
        )
        if "macro_f1_interval" in figures:
            low, high = figures["macro_f1_interval"]
            text += f" (95 % interval {low:.4f} to {high:.4f})"
        if "bayes_optimal_macro_f1" in figures:
            text += f" (Bayes-optimal {figures['bayes_optimal_macro_f1']:.4f})"
        if "pointing_game" in figures:
            game = figures["pointing_game"]
            text += f", pointing game {game['mean']:.1%} (random point {game['random_point']:.1%})"
        for key, name in (("black_box", "black box"), ("concept_bottleneck", "bottleneck")):
            if key in figures:
                text += f", {name} {figures[key]['macro_f1']:.4f}"
        lines += [f"{text}, {figures['prototypes_alive']:.0%} of prototypes alive.", ""]
    return lines


def _cross_validation(result: Mapping[str, Any] | None) -> list[str]:
    if result is None:
        return []
    pooled, protocol = result["pooled"], result["protocol"]
    low, high = pooled["macro_f1_interval"]
    return [
        f"Models trained in the same way on {protocol['folds']} folds of split train, each judged "
        f"on images it never saw, {pooled['diagnosed']} in all: macro-F1 {pooled['macro_f1']:.4f} "
        f"(95 % interval {low:.4f} to {high:.4f}), black box "
        f"{pooled['black_box']['macro_f1']:.4f}, bottleneck "
        f"{pooled['concept_bottleneck']['macro_f1']:.4f}.",
        "",
    ]


def _or_dash(figures: Mapping[str, Any], key: str) -> str:
    """A figure that models trained earlier do not have."""
    return f"{figures[key]:.4f}" if key in figures else "–"
