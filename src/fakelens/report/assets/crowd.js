"use strict";
// Cards on demand: a link to a person opens the card of the person.

function openCard(address) {
  const part = byId(address.slice(1))?.closest("details.on-demand");
  if (part) part.open = true;
}

function wireCards() {
  document.addEventListener("click", ({ target }) => {
    const link = target.closest("a[href^='#person-']");
    if (link) openCard(link.hash);
  });
  openCard(location.hash);
}

// Paints the heatmaps on the faces of the cards. A card that is closed, and not printed, is painted
// when it is opened: a crowd has many.
function paintFaces(paint) {
  for (const face of document.querySelectorAll(".face")) {
    const part = face.closest("details.on-demand:not(.paper, [open])");
    if (part) part.addEventListener("toggle", () => paint(face), { once: true });
    else paint(face);
  }
}
