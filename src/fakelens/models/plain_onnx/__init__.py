"""Plain ONNX classifiers as evidence models, by editing their graphs.

``evidence`` puts preprocessing in front of a classifier (``file``), turns its outputs into the fake
logit (``outputs``), chooses the layer to explain (``layers``, after a run by ``trial``) and appends
the gradient (``gradient``, with one rule for each operator).
"""
