"""Trains fakelens' own networks; see ``training/README.md``. Not part of the installed package."""

import fakelens  # noqa: F401 - switches onnxruntime's telemetry off before anything imports it
