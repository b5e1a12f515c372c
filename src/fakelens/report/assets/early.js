"use strict";
// Runs before anything is painted, so that a blind reviewer does not see the answer flash by.
if (location.hash === "#blind") document.documentElement.classList.add("blind");
