// Changes the numbers of the picture, and of the tables that say the same, as they are measured. Without it they stay as they were
// when the page was loaded.
"use strict";

const at = document.querySelector("[data-at]");
const places = name => Map.groupBy(document.querySelectorAll(`[data-${name}]`), e => e.dataset[name]);
const [rates, dead, reads, lags, lines] = ["rate", "dead", "read", "lag", "carries"].map(places);

const whole = n => n === undefined ? "–" : n.toLocaleString("en");
const rate = n => n === undefined ? "–" : n.toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

function write(elements, text, mark, on) {
  for (const e of elements ?? []) {
    if (e.textContent !== text) e.textContent = text;
    if (mark) e.classList.toggle(mark, on);
  }
}

function show(now) {
  for (const n of now.nodes) {
    write(rates.get(n.id), rate(n.rate));
    write(dead.get(n.id), whole(n.deadLetters), "bad", n.deadLetters > 0);
    for (const line of lines.get(n.id) ?? []) line.classList.toggle("busy", n.rate > 0);
  }
  for (const e of now.edges) {
    write(reads.get(`${e.from} ${e.to}`), rate(e.rate));
    write(lags.get(`${e.from} ${e.to}`), whole(e.lag), "late", e.lag > 0);
  }
  at.dataset.at = now.at ?? "";
  at.textContent = now.at ? `As of ${now.at.slice(11, 19)} UTC.` : "Not known now: the cluster does not answer.";
}

function listen() {
  const source = new EventSource(document.querySelector("[data-stream]").dataset.stream);
  source.addEventListener("flow", event => show(JSON.parse(event.data)));
  source.addEventListener("error", () => { // a browser comes back by itself, unless it was refused
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
  });
}

listen();
