"""The model card that goes with a checkpoint."""

from collections.abc import Mapping
from typing import Any

from csr_core.datasets import Dataset

__all__ = ["model_card"]


def model_card(card: Mapping[str, Any], dataset: Dataset, metrics: Mapping[str, Any]) -> str:
    """Write the card as Markdown.

    Args:
        card: title, data, licence, source, whether synthetic, intended use.
        dataset: the model was trained on.
        metrics: as `pipeline.measure` and `evaluation.evaluate` return them.
    """
    protocol = metrics["protocol"]
    recipe = protocol["recipe"]
    lines = [
        f"# {card['title']}",
        "",
        "Concept-based Similarity Reasoning model of CSR Studio. "
        + ("**Trained on synthetic images only.** " if card["synthetic"] else "")
        + f"{card['intended_use']}",
        "",
        f"- Data: {dataset.name}, {len(dataset.rows_of('train'))} training images"
        + (f" ({dataset.source})" if dataset.source else "")
        + (f", licence {dataset.licence}" if dataset.licence else ""),
        f"- Diagnoses: {', '.join(dataset.classes)}",
        f"- Concepts: {', '.join(dataset.concepts)}",
        f"- Network: {recipe['backbone']}, input {recipe['image_size']} px, a patch is "
        f"{recipe['output_stride']} px, {recipe['prototypes']} prototypes a concept",
        f"- Seed {protocol['seed']}; {protocol['validation']:.0%} of the training images were used "
        "for selection only",
        "",
        "## Results",
        "",
    ]
    places = {name: value for name, value in metrics.items() if "black_box_macro_f1" in value}
    if places:
        lines += [
            "| Images kept from all fitting | CSR macro-F1 | black-box head, same features |",
            "|---|---|---|",
        ]
        lines += [
            f"| {name} ({value['images']}) | {value['macro_f1']:.4f} "
            f"| {value['black_box_macro_f1']:.4f} |"
            for name, value in places.items()
        ]
        if protocol["holdout"]:
            lines += [
                "",
                f"“held” is a stratified {protocol['holdout']:.0%} of split train. "
                + (
                    "The weights shipped were fitted once more on all of train after measuring."
                    if protocol["refitted_on_all_of_train"]
                    else ""
                ),
            ]
    else:
        lines.append("No image was kept back in training: evaluate on data of your own.")
    lines += [
        "",
        "## Limits",
        "",
        "Research and teaching only. The model knows nothing but the concepts and diagnoses above, "
        "was fitted to one data set, and says something about any picture it is given. Similarity "
        "to an example is no proof that a concept is there.",
        "",
    ]
    return "\n".join(lines)
