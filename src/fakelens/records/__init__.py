"""The records that packages exchange: frozen dataclasses, settings and interfaces (Protocols).

Functions that compute something belong in the other packages. Conventions, valid everywhere in
fakelens:

* pictures are RGB, ``uint8``, shape ``(H, W, 3)``, upright as displayed (rotation applied);
* boxes are in pixels of that picture, ``float``, half-open ``[x1, x2) x [y1, y2)``, and may
  extend beyond its edges;
* a **logit is positive for FAKE evidence** and the score is ``sigmoid(logit)``, 1 = fake;
* times are presentation timestamps in seconds, rates are ``Fraction`` (frames per second).
"""
