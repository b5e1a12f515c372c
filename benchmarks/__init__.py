"""Measurements of speed, memory, explanations and verdicts; see ``benchmarks/README.md``.

Belongs here: scripts that produce the figures in the documentation, run with ``python -m``.

Does not belong here: anything that the installed package imports, and measurements that users run
(``fakelens.evaluation``).
"""

import fakelens  # noqa: F401 - switches telemetry off before onnxruntime is imported
