// The token of a link is in the fragment, which no browser sends: this puts it into the form, for the person to post.
"use strict";

function show() {
  const token = location.hash.slice(1);
  if (!token) return;
  let name = "paste";
  try { // the first field of the claims is the purpose; whether the claims are genuine is not decided here
    const claims = atob(token.split(".")[2].replaceAll("-", "+").replaceAll("_", "/"));
    const purpose = claims.slice(1, 1 + claims.charCodeAt(0));
    if (purpose === "confirm_address_change") name = "confirm";
    if (purpose === "cancel_address_change") name = "cancel";
  } catch { /* damaged: the person sends it all the same, and is told */ }
  for (const section of document.querySelectorAll("[data-ask]")) {
    section.hidden = section.dataset.ask !== name;
    section.querySelector("[name=token]").value = section.hidden ? "" : token;
    if (!section.hidden) document.title = section.querySelector("h1").textContent + " · Utopia";
  }
}

addEventListener("hashchange", show);
show();
