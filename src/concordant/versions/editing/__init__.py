"""Editing a language model and giving it back: reversible edits, what they changed, and two ways of making them.

An edit is a small file. It is applied to the weights it was made for, undone to the bit, and told by a ledger: what
changed where it should, what changed elsewhere, beside random edits of the same size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

if TYPE_CHECKING:
    from concordant.versions.editing.bounded import Kept as Kept
    from concordant.versions.editing.bounded import bounded_epochs as bounded_epochs
    from concordant.versions.editing.bounded import last_within as last_within
    from concordant.versions.editing.canonical import BoundedEdit as BoundedEdit
    from concordant.versions.editing.canonical import Tuning as Tuning
    from concordant.versions.editing.canonical import canonical_edits as canonical_edits
    from concordant.versions.editing.canonical_run import CanonicalRun as CanonicalRun
    from concordant.versions.editing.canonical_run import canonical_of_examples as canonical_of_examples
    from concordant.versions.editing.changes import Change as Change
    from concordant.versions.editing.edit import Edit as Edit
    from concordant.versions.editing.ensemble import LogRatioEnsemble as LogRatioEnsemble
    from concordant.versions.editing.ensemble import bound_weight as bound_weight
    from concordant.versions.editing.examples import CanonicalExample as CanonicalExample
    from concordant.versions.editing.examples import canonical_loss as canonical_loss
    from concordant.versions.editing.examples import failures as failures
    from concordant.versions.editing.examples import read_examples as read_examples
    from concordant.versions.editing.examples import suffix_losses as suffix_losses
    from concordant.versions.editing.folders import edited_folder as edited_folder
    from concordant.versions.editing.folders import stored_precision as stored_precision
    from concordant.versions.editing.gates import Gate as Gate
    from concordant.versions.editing.gates import gates_of as gates_of
    from concordant.versions.editing.gates import row_scores as row_scores
    from concordant.versions.editing.gates import select_rows as select_rows
    from concordant.versions.editing.gates import surgery as surgery
    from concordant.versions.editing.ledger import Group as Group
    from concordant.versions.editing.ledger import LedgerLine as LedgerLine
    from concordant.versions.editing.ledger import behaviour_ledger as behaviour_ledger
    from concordant.versions.editing.ledger import items_group as items_group
    from concordant.versions.editing.ledger import random_edit as random_edit
    from concordant.versions.editing.ledger import rate_group as rate_group
    from concordant.versions.editing.ledger import suffixes_group as suffixes_group
    from concordant.versions.editing.ledger import texts_group as texts_group
    from concordant.versions.editing.making import edit_between as edit_between
    from concordant.versions.editing.making import edit_of_parts as edit_of_parts
    from concordant.versions.editing.making import edit_of_rows as edit_of_rows
    from concordant.versions.editing.near_texts import hard_negatives as hard_negatives
    from concordant.versions.editing.probe import LinearProbe as LinearProbe
    from concordant.versions.editing.probe import fit_probe as fit_probe
    from concordant.versions.editing.probe import pooled_states as pooled_states
    from concordant.versions.editing.senses import select_senses as select_senses
    from concordant.versions.editing.surgery_run import SurgeryOptions as SurgeryOptions
    from concordant.versions.editing.surgery_run import SurgeryRun as SurgeryRun
    from concordant.versions.editing.surgery_run import surgery_of_texts as surgery_of_texts
    from concordant.versions.editing.sweep import SweepPoint as SweepPoint
    from concordant.versions.editing.sweep import strength_sweep as strength_sweep
    from concordant.versions.editing.sweep import strongest_within as strongest_within

_HOME = {
    "BoundedEdit": "canonical",
    "CanonicalExample": "examples",
    "CanonicalRun": "canonical_run",
    "Change": "changes",
    "Edit": "edit",
    "Gate": "gates",
    "Group": "ledger",
    "Kept": "bounded",
    "LedgerLine": "ledger",
    "LinearProbe": "probe",
    "LogRatioEnsemble": "ensemble",
    "SurgeryOptions": "surgery_run",
    "SurgeryRun": "surgery_run",
    "SweepPoint": "sweep",
    "Tuning": "canonical",
    "behaviour_ledger": "ledger",
    "bound_weight": "ensemble",
    "bounded_epochs": "bounded",
    "canonical_edits": "canonical",
    "canonical_loss": "examples",
    "canonical_of_examples": "canonical_run",
    "edit_between": "making",
    "edit_of_parts": "making",
    "edit_of_rows": "making",
    "edited_folder": "folders",
    "failures": "examples",
    "fit_probe": "probe",
    "gates_of": "gates",
    "hard_negatives": "near_texts",
    "items_group": "ledger",
    "last_within": "bounded",
    "pooled_states": "probe",
    "random_edit": "ledger",
    "rate_group": "ledger",
    "read_examples": "examples",
    "row_scores": "gates",
    "select_rows": "gates",
    "select_senses": "senses",
    "stored_precision": "folders",
    "strength_sweep": "sweep",
    "strongest_within": "sweep",
    "suffix_losses": "examples",
    "suffixes_group": "ledger",
    "surgery": "gates",
    "surgery_of_texts": "surgery_run",
    "texts_group": "ledger",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(__name__, _HOME, torch="edits of models")
