"""Output files of an analysis.

This package turns a ``Report`` into files: ``report.json`` with its heatmap file, ``scores.csv``,
portraits, the annotated video, and ``report.html`` with everything the page needs. Code that
analyses video does not belong here, and neither does code that draws on frames
(``fakelens.render``).
"""
