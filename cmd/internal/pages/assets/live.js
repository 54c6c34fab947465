// Keeps a page that is looked at fresh: asks for a line that says how far things are, and when the line has changed, takes
// the parts of the page that show it. And it asks for the fields of another country. All of it works without, by hand.
"use strict";

const versions = document.querySelector("[data-versions]");

async function refresh() {
  const answer = await fetch(versions.dataset.versions, { cache: "no-store" });
  if (!answer.ok) return;
  const line = await answer.text();
  if (line === versions.dataset.seen) return;
  const page = new DOMParser().parseFromString(await (await fetch(location.href, { cache: "no-store" })).text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (fresh && fresh.innerHTML !== part.innerHTML && !part.contains(document.activeElement)) part.replaceChildren(...fresh.childNodes);
  }
  versions.dataset.seen = line;
}

if (versions) setInterval(() => { if (!document.hidden) refresh().catch(() => {}); }, 1500);

for (const select of document.querySelectorAll("select[data-fields]")) {
  const fields = document.getElementById(select.dataset.fields);
  select.form.querySelector("[data-without-script]").hidden = true;
  select.addEventListener("change", async () => {
    const body = new URLSearchParams(new FormData(select.form));
    body.set("do", "country");
    const answer = await fetch(select.form.action, { method: "POST", body });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    fields.replaceChildren(...page.getElementById(fields.id).childNodes); // the focus stays where it is
  });
}
