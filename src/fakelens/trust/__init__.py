"""Measurements of how far a score and its heatmaps can be trusted, on the faces of one person.

Belongs here: heatmap faithfulness, robustness of the score, controls with synthetic forgeries,
region ablation, and what these share (ablation of the explained layer, image imputation).

Does not belong here: the choice of faces and the verdict that follows (``analysis``), the result
records (``records.trust``), and measurements on data with a known answer (``evaluation``).
"""
