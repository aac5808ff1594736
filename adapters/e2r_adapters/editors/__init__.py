"""Instruction-editing models: one seam, a module per family, and which model a name means."""

from e2r_adapters.editors.backbones import is_miniature, resolve_backbone
from e2r_adapters.editors.editor import Conditioning, Editor, Family, Instruction, Sizes
from e2r_adapters.editors.loading import open_editor
from e2r_adapters.editors.miniatures import MINIATURES
from e2r_adapters.editors.releases import FULL, NANO

__all__ = [
    "FULL",
    "MINIATURES",
    "NANO",
    "Conditioning",
    "Editor",
    "Family",
    "Instruction",
    "Sizes",
    "is_miniature",
    "open_editor",
    "resolve_backbone",
]
