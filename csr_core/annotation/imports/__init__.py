"""Annotations come into the store: from our data sets and from COCO files."""

from csr_core.annotation.imports.coco import read_coco
from csr_core.annotation.imports.folder import read_folder, read_readings
from csr_core.annotation.imports.saving import Imported, save_imported

__all__ = ["Imported", "read_coco", "read_folder", "read_readings", "save_imported"]
