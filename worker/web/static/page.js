// Keeps the page as the server tells it: parts come as HTML that the server has escaped, and what is the same stays,
// so that focus, scrolling and open details are not lost. Without this file the page is whole, and stands still.
"use strict";

const SAID_EVERY = 10000;
const AGAIN_AFTER = 30000;
const live = document.querySelector("[data-live]");
const said = document.getElementById("said");
let source = null;
let heard = null;
let spoken = 0;
let timer = null;

function attributes(old, next) {
  for (const { name } of [...old.attributes]) {
    // Whether details are open is the reader's own.
    if (!next.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function same(old, next) {
  return old.nodeType === next.nodeType && old.nodeName === next.nodeName && (old.id ?? "") === (next.id ?? "");
}

function children(old, next) {
  const coming = [...next.childNodes];
  coming.forEach((node, at) => {
    let here = old.childNodes[at];
    if (node.id && !(here && same(here, node))) {
      const moved = [...old.children].find((one) => one.id === node.id);
      if (moved) here = old.insertBefore(moved, here ?? null);
    }
    if (!here) old.append(node);
    else if (!same(here, node)) old.insertBefore(node, here);
    else become(here, node);
  });
  while (old.childNodes.length > coming.length) old.lastChild.remove();
}

function become(old, next) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
    return;
  }
  if (old.isEqualNode(next)) return;
  attributes(old, next);
  children(old, next);
}

function show(parts) {
  for (const [name, html] of Object.entries(parts)) {
    const old = document.getElementById(name);
    if (!old) continue;
    const next = document.createElement("template");
    next.innerHTML = html;
    children(old, next.content);
  }
  document.title = `${document.querySelector("h1").textContent} · Certificate rotation`;
}

// A screen reader hears how things stand when that has changed, and not every step of it. What is so at first, the page
// itself says.
function say(text) {
  const isNews = heard !== null && text !== heard;
  heard = text;
  if (isNews && timer === null) timer = setTimeout(speak, Math.max(spoken + SAID_EVERY - Date.now(), 0));
}

function speak() {
  said.textContent = heard;
  spoken = Date.now();
  timer = null;
}

function tell(state) {
  live.dataset.live = state;
  live.textContent = { on: "Live", off: "Not live: trying again" }[state];
}

function follow() {
  source = new EventSource(live.dataset.from);
  source.addEventListener("open", () => tell("on"));
  source.addEventListener("error", lose);
  source.addEventListener("parts", (event) => show(JSON.parse(event.data)));
  source.addEventListener("said", (event) => say(JSON.parse(event.data)));
}

// A browser tries again by itself while nobody answers; where it was refused, it would not.
function lose() {
  tell("off");
  if (source.readyState === EventSource.CLOSED) setTimeout(look, AGAIN_AFTER);
}

// Nobody looks at a hidden page: it asks for nothing, and is up to date again when it is looked at.
function look() {
  source?.close();
  source = null;
  if (!document.hidden) follow();
}

if (live) {
  document.addEventListener("visibilitychange", look);
  look();
}
