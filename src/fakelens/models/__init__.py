"""Detector models: how they are found, loaded, verified and run.

The registry of known models, the cache of published weights, the evidence model format (ONNX) and
adapters for other formats. What is computed from a model's output, such as heatmaps, belongs in
``explain`` and ``trust``.
"""
