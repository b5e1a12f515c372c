"""Measurements on faces whose forged area is known: the heatmap benchmark and the demo clip.

Belongs here: benchmark datasets, the heatmap methods under comparison, the measures, and the
tables, plots and files of the results.

Does not belong here: anything an analysis needs. ``analysis`` and ``trust`` do not import this
package, and its optional dependencies are those of the extras ``benchmark`` and ``demo``.
"""
