"use strict";
// The table of clusters or domains, and the slider that moves everything.

const content = JSON.parse(document.getElementById("content").textContent);
const state = { router: 0, at: content.routers[0].start, width: 0 };
const MOST_ASKED = 3;

function interval(rate) {
  const cell = element("td", null, { "data-label": "Right" });
  if (rate === null) { cell.append("not recorded"); return cell; }
  const [low, high] = rate.interval;
  cell.append(element("span", percent(rate.value, 0), { class: "strong" }), element("span", ` of ${whole(rate.count)}`, { class: "soft" }));
  const line = element("span", null, { class: "interval" });
  line.append(element("i", null, { style: `left:${100 * low}%;width:${100 * (high - low)}%` }), element("b", null, { style: `left:${100 * rate.value}%` }));
  cell.append(line, element("span", `${percent(low, 0)} to ${percent(high, 0)}`, { class: "soft span" }));
  return cell;
}

/** Whom a group asks: the most asked pairs, with how many queries, and how many outcomes the router has of each there. */
function askedCell(asked, moved) {
  const cell = element("td", null, { class: moved ? "asks moved" : "asks", "data-label": "The router asks" });
  const total = asked.reduce((sum, [, count]) => sum + count, 0);
  for (const [pair, count, evidence] of asked.slice(0, MOST_ASKED)) {
    const line = element("div", null, { class: "ask" });
    line.append(paired(content.pairs[pair].name), element("span", ` ${whole(count)} of ${whole(total)}` + (evidence === null ? "" : `, known from ${whole(evidence)} outcome${evidence === 1 ? "" : "s"} there`), { class: "soft" }));
    cell.append(line);
  }
  const rest = asked.slice(MOST_ASKED);
  if (rest.length) cell.append(element("div", `${rest.length} other${rest.length > 1 ? "s" : ""}: ${whole(rest.reduce((sum, [, count]) => sum + count, 0))} of ${whole(total)}`, { class: "ask soft" }));
  if (!total) cell.append("nobody: no query here");
  return cell;
}

/** Whatever queries are grouped by: clusters where the router has them, else domains. */
function groupsOf(router, at) {
  const step = router.steps[at];
  if (router.clusters) {
    const { clusters, asked, right, single, costs } = router.clusters;
    return { clustered: true, entries: clusters, asked: asked[at], right: right[at], single, costs: costs[at] };
  }
  const entries = content.domains.map((label, number) => ({ label, here: content.domain_sizes[number], domains: [] }));
  return { clustered: false, entries, asked: step.asked, right: step.domains, single: content.baselines[content.bar].domains, costs: null };
}

function named(entry, number, clustered, open) {
  const name = element("td", null, { class: "name" });
  if (!clustered) { name.append(element("b", entry.label)); return name; }
  name.append(element("span", null, { class: "swatch", style: `background:${colour(number)}` }), `${number} `, element("b", entry.label));
  const others = entry.domains.filter(([, share]) => share >= 0.05).map(([domain, share]) => `${domain} ${percent(share, 0)}`);
  if (others.length > 1) name.append(element("span", others.join(", "), { class: "mix" }));
  if (entry.samples && entry.samples.length) {
    const samples = element("details", null, { "data-cluster": String(number) });
    samples.open = open.has(String(number));
    samples.append(element("summary", "sample queries"), ...entry.samples.map((text) => element("p", text)));
    name.append(samples);
  }
  return name;
}

let asked = [];
function groupTable(router, at) {
  const { clustered, entries, asked: who, right, single, costs } = groupsOf(router, at);
  find("groups-title").textContent = clustered ? "Clusters" : "Domains";
  find("groups-name").textContent = clustered ? "Cluster" : "Domain";
  find("groups-text").textContent = (clustered ? "A cluster is a group of queries alike in text, named for the domain that most of them come from. " : "") +
    `The pairs are those that the router in fact asks first, counted query by query${clustered ? "; a query may go elsewhere than most of its neighbours" : ""}. Move the slider to see them change.`;
  find("groups-cost").hidden = costs === null;
  const open = new Set([...document.querySelectorAll("#groups details[open]")].map((item) => item.dataset.cluster));
  const first = who.map((pairs) => (pairs.length ? pairs[0][0] : null));
  const rows = entries.map((entry, number) => {
    const row = element("tr", null);
    row.append(named(entry, number, clustered, open), element("td", whole(entry.here), { class: "number", "data-label": "Queries" }),
      askedCell(who[number], asked.length && asked[number] !== first[number]), interval(right[number]),
      element("td", single[number] === null ? "not recorded" : percent(single[number].value, 0), { "data-label": "Best single pair", title: rated(single[number]) }));
    if (single[number] !== null) row.lastChild.append(element("span", ` of ${whole(single[number].count)}`, { class: "soft" }));
    if (costs !== null) row.append(element("td", dollars(costs[number]), { class: "number", "data-label": "$ per 1000" }));
    return row;
  });
  asked = first;
  document.querySelector("#groups tbody").replaceChildren(...rows);
  return first;
}

function show(everything) {
  const router = content.routers[state.router];
  const step = router.steps[state.at];
  const root = document.documentElement.dataset;
  headline(content, router, step);
  picture(content, router, step);
  figures(content, router, step);
  find("knob").value = String(state.at);
  find("knob").setAttribute("aria-valuetext", step.label);
  find("knob-value").textContent = router.knob === "value" ? step.label : router.knob ? step.value.toFixed(2) : "";
  find("now").replaceChildren(element("b", percent(step.accuracy)), step.cost === null ? " right" : ` right at ${priced(content, step)}`);
  const anyPriced = content.pairs.some((pair) => pair.cost_usd_per_1k > 0);
  find("frontier-section").hidden = !anyPriced; // its axis is logarithmic: where all is free or unknown it shows nothing
  if (anyPriced) frontier(content, router, state.at);
  find("flow-section").hidden = step.flow === null;
  if (step.flow !== null) flow(content, router, state.at);
  const first = groupTable(router, state.at);
  shares(content, router, state.at);
  domains(content, router, state.at);
  const clustered = router.clusters !== null;
  find("heat-section").hidden = !clustered;
  find("map").hidden = find("map-caption").hidden = !(clustered && router.clusters.map);
  if (clustered) {
    heat(content, router, state.at);
    if (everything && router.clusters.map) clusterMap(content, router);
  }
  const several = router.steps.some((each) => each.calls_share.length > 2);
  find("calls-section").hidden = !several;
  if (several) calls(router, state.at);
  Object.assign(root, { at: step.value === null ? step.label : String(step.value), accuracy: String(step.accuracy), pairs: first.join(" ") });
}

function choose(number) {
  state.router = number;
  const router = content.routers[number];
  state.at = router.start;
  asked = [];
  find("knob").max = String(router.steps.length - 1);
  for (const part of document.querySelectorAll(".knob, .track")) part.hidden = router.knob === null;
  find("knob-name").textContent = router.knob === "value" ? "" : (router.knob || "").replace("_", " ");
  [...find("choice").children].forEach((button, place) => button.setAttribute("aria-pressed", String(place === number)));
  show(true);
}

/** Follow the part of the address after "#": cost_weight=0.8 or value=0.05 sets the slider, router=1 chooses the second router. */
function follow() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const number = Number(wanted.get("router") || 0);
  choose(content.routers[number] ? number : 0);
  const router = content.routers[state.router];
  const name = wanted.has(router.knob) ? router.knob : "alpha"; // another name of the cost weight
  if (router.knob === null || !wanted.has(name) || (name === "alpha" && router.knob !== "cost_weight")) return;
  const value = Number(wanted.get(name));
  const scale = router.knob === "value" ? Math.log : (number) => number;
  const apart = router.steps.map((step) => (step.value === null ? Infinity : Math.abs(scale(step.value) - scale(value))));
  state.at = apart.indexOf(Math.min(...apart));
  show(false);
}

/** Draw everything anew when the width changes: labels, margins and drawings depend on it. */
function resized() {
  const width = document.documentElement.clientWidth;
  if (width === state.width) return;
  state.width = width;
  show(true);
}

function begin() {
  find("source").textContent = content.source;
  find("bar-name").textContent = `the best single pair, ${barName(content)}`;
  if (content.routers.length > 1) {
    find("choice").append(...content.routers.map((router, number) => {
      const button = element("button", router.label, { type: "button", title: router.name });
      button.addEventListener("click", () => choose(number));
      return button;
    }));
  }
  notes(content);
  state.width = document.documentElement.clientWidth;
  find("knob").addEventListener("input", () => { state.at = Number(find("knob").value); show(false); });
  window.addEventListener("hashchange", follow);
  let waiting = 0;
  window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(resized, 60); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(true));
  follow();
  document.documentElement.dataset.ready = "true";
}

begin();
