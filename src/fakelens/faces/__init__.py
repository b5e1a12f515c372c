"""Everything from a frame to the face crops of a person.

Face detectors, tracking, crop geometry, quality gates and face samples. Scoring a crop belongs in
``models``; heatmaps and face regions belong in ``explain``.
"""
