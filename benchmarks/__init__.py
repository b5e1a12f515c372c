"""Measures speed, memory and explanations; see ``benchmarks/README.md``."""

import fakelens  # noqa: F401 - switches onnxruntime's telemetry off before anything imports it
