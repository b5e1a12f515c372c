"""The examiner's report: what a forensic examiner files about a finished analysis.

It is written from ``report.json``, the pictures beside it, the input file and the examiner's
``CASE.toml``. No model is run. The program's output and the examiner's own words are kept apart.
"""
