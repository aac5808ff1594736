"""Adapters of an editor: attached and trained, inspected, saved, loaded, mixed."""

from e2r_adapters.lora.attach import attach, scales
from e2r_adapters.lora.export import convert
from e2r_adapters.lora.files import load, save
from e2r_adapters.lora.fitting import fingerprint
from e2r_adapters.lora.header import ADAPTER_FILE, read_record
from e2r_adapters.lora.inspection import AdapterReport, inspect
from e2r_adapters.lora.problems import PartReport

__all__ = [
    "ADAPTER_FILE",
    "AdapterReport",
    "PartReport",
    "attach",
    "convert",
    "fingerprint",
    "inspect",
    "load",
    "read_record",
    "save",
    "scales",
]
