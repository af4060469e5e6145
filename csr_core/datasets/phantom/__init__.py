"""The dermoscopy phantom: synthetic dermoscopy whose concepts, masks and best score are known."""

from csr_core.datasets.phantom.frequencies import (
    PHANTOM_ARTEFACTS,
    PHANTOM_CLASSES,
    PHANTOM_CONCEPTS,
    PHANTOM_FREQUENCIES,
    BayesOptimal,
    Frequencies,
    bayes_macro_f1_of_table,
    bayes_optimal_macro_f1,
)
from csr_core.datasets.phantom.render import PhantomCase, render_case
from csr_core.datasets.phantom.shortcuts import ARTEFACT_RATES, Shortcut, parse_shortcut
from csr_core.datasets.phantom.write import Labels, PhantomSummary, phantom_case, write_phantom

__all__ = [
    "ARTEFACT_RATES",
    "PHANTOM_ARTEFACTS",
    "PHANTOM_CLASSES",
    "PHANTOM_CONCEPTS",
    "PHANTOM_FREQUENCIES",
    "BayesOptimal",
    "Frequencies",
    "Labels",
    "PhantomCase",
    "PhantomSummary",
    "Shortcut",
    "bayes_macro_f1_of_table",
    "bayes_optimal_macro_f1",
    "parse_shortcut",
    "phantom_case",
    "render_case",
    "write_phantom",
]
