"""Heatmaps: how they are computed, stored and assigned to regions of the face.

Belongs here: the CAM methods (``cam``), the file that heatmaps are stored in (``heatmaps``), and
canonical face coordinates with the regions of the face (``regions``).

Does not belong here: tests of whether a heatmap is faithful to the model (``trust``), comparisons
of heatmap methods (``evaluation``), and drawing (``render``).
"""
